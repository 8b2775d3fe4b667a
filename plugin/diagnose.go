package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

const (
	sampleTime  = 3 * time.Second // for which a stream is listened to
	sampleLines = 8               // of the sample that are shown
)

// madePoints are what a processor is tried with.
const madePoints = `cpu,cpu=cpu0 usage=12.5
cpu,cpu=cpu1 usage=93.5
disk,device=sda1,mount=/ free=52613349376i,used_percent=41.2
net,interface=eth0 bytes_recv=104857600i,up=true
`

// diagnose tells what the program is, tries it, and says how to go on. What cannot be tried makes it fail.
func (c *command) diagnose(ctx context.Context) error {
	d := c.def
	p := page{w: c.stdout}
	p.line("%s", strings.TrimSpace(d.Program+" "+d.Version)+", a "+c.shape())
	p.text("", d.Summary)
	p.head("runtime")
	p.line("  %s %s/%s, %d CPUs, plugin API %d", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), API)
	p.line("  host %s, process %d, user %d", c.o.Host, os.Getpid(), os.Getuid())
	p.head("settings")
	p.settings(d.Schema())
	p.head("emits")
	p.catalog(d)
	err := c.try(ctx, &p)
	c.goOn(&p)
	if err != nil {
		return errors.New("the sample failed")
	}
	return p.err
}

// shape names what kind of program this is.
func (c *command) shape() string {
	if c.def.Inventory {
		return "collector of facts"
	}
	return string(c.def.Kind)
}

// try runs the program once, with the settings of --config, and shows what came of it.
func (c *command) try(ctx context.Context, p *page) error {
	switch {
	case c.def.Kind == Publisher:
		p.head("sample: made ready with these settings, nothing was published")
		return c.dry(ctx, p)
	case c.def.Kind == Processor:
		p.head("sample: what it makes of these four points")
		p.sample([]byte(madePoints), nil)
		p.line("  ->")
	case c.def.Inventory:
		p.head("sample: one survey")
	default:
		p.head("sample: one collection")
	}
	ctx, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	var text []byte
	s := solo{command: c, in: strings.NewReader(madePoints)}
	s.points = func(b *telemetry.Batch) error {
		text = b.AppendLines(text)
		return nil
	}
	s.facts = func(f telemetry.Facts) error {
		for _, key := range slices.Sorted(maps.Keys(f)) {
			value, err := json.Marshal(f[key])
			if err != nil {
				return err
			}
			text = fmt.Appendf(text, "%s: %s\n", key, value)
		}
		return nil
	}
	err := s.run(ctx)
	if errors.Is(err, context.DeadlineExceeded) { // of a stream, which ends in no other way
		err = nil
	}
	p.sample(text, err)
	if s.works {
		p.timings(&s)
	}
	return err
}

// dry makes the program ready and ends it.
func (c *command) dry(ctx context.Context, p *page) error {
	dir, err := os.MkdirTemp("", "pacewire-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	env := Env{Log: c.o.Log, Host: c.o.Host, Name: c.o.Plugin, Dir: dir,
		Event: func(context.Context, string, *telemetry.Batch) error { return errors.New("there is no bus") }}
	begin := time.Now()
	err = guard(func() error {
		made, err := c.def.Build(ctx, []byte(c.config), env)
		if closer, ok := made.(io.Closer); ok && err == nil {
			err = closer.Close()
		}
		return err
	})
	if err != nil {
		p.text("  ", "failed: "+err.Error())
	}
	p.line("  start and end took %v", rounded(time.Since(begin)))
	return err
}

// goOn says what a person may do next.
func (c *command) goOn(p *page) {
	run, feed := c.def.Command, ""
	foreign := run == c.def.Program || strings.Contains(run, behind)
	if run == c.def.Program {
		run = "./" + run
	}
	if c.def.Kind != Collector {
		feed = "echo 'cpu usage=93.5' | "
	}
	p.head("next")
	p.line("  %s%s", feed, flagged(run, "--once"))
	if foreign {
		p.line("  pacewire conform -- %s", run)
	}
	p.line("  %s", flagged(run, "--help"))
	p.line("")
	p.line("  or in a config:")
	p.line("")
	p.line("    %s:", map[Kind]string{Collector: "collect", Processor: "process", Publisher: "publish"}[c.def.Kind])
	p.line("      %s:", c.def.Program)
	if foreign {
		p.line("        run: %s", run)
	}
	c.configured(p)
}

// configured writes what else stands in a config.
func (c *command) configured(p *page) {
	if c.def.Kind != Collector {
		p.line("        from: all")
	}
	settings := strings.TrimSpace(c.config)
	if settings == "" {
		settings = string(c.def.Defaults())
	}
	if settings != "{}" && len(settings) <= 60 {
		p.line("        config: %s", settings)
	}
}

// behind stands in a command before the program that a shim runs.
const behind = " -- "

// flagged adds a flag to a command. What stands behind a shim is not asked.
func flagged(run, flag string) string {
	shim, program, found := strings.Cut(run, behind)
	if found {
		program = behind + program
	}
	return shim + " " + flag + program
}

// A page is text for people, at most 80 columns wide where it can be.
type page struct {
	w   io.Writer
	err error
}

const columns = 80

func (p *page) line(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format+"\n", args...); err != nil {
		p.err = err
	}
}

func (p *page) head(text string) { p.line("\n%s", text) }

// text writes words, each line behind indent.
func (p *page) text(indent, words string) {
	line := indent
	for word := range strings.FieldsSeq(words) {
		if line != indent && len(line)+1+len(word) > columns {
			p.line("%s", line)
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	p.line("%s", line)
}

// settings writes what the properties of a schema say, in their order.
func (p *page) settings(schema json.RawMessage) {
	none := true
	for key, s := range properties(schema) {
		none = false
		line := fmt.Sprintf("  %-16s %-8s", key, s.Type)
		if len(s.Default) > 0 {
			line += " " + string(s.Default)
		}
		if len(s.Enum) > 0 {
			line += " of " + strings.Trim(string(s.Enum), "[]")
		}
		p.line("%s", strings.TrimRight(cut(line, columns-3), " "))
		p.text("      ", s.Description)
	}
	if none {
		p.line("  none")
	}
}

func (p *page) catalog(d Definition) {
	for _, s := range d.Catalog {
		p.line("  %s", s.Series)
		p.text("      ", s.Help)
		p.pairs("      tags:", s.Tags)
		p.pairs("      fields:", s.Fields)
	}
	if len(d.Catalog) == 0 {
		p.text("  ", map[Kind]string{
			Collector: "nothing that is listed", Processor: "what it is given", Publisher: "nothing, it carries points out"}[d.Kind])
	}
}

func (p *page) pairs(head string, pairs map[string]string) {
	if len(pairs) == 0 {
		return
	}
	var list []string
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		if pairs[key] != "" {
			list = append(list, key+" ("+pairs[key]+")")
		} else {
			list = append(list, key)
		}
	}
	p.text("      ", strings.TrimSpace(head)+" "+strings.Join(list, ", "))
}

// sample writes the first lines of text, and what went wrong.
func (p *page) sample(text []byte, err error) {
	n := 0
	for line := range strings.Lines(string(text)) {
		if n++; n <= sampleLines {
			p.line("  %s", cut(strings.TrimRight(line, "\n"), columns-5))
		}
	}
	if n > sampleLines {
		p.line("  ... and %d more", n-sampleLines)
	}
	switch {
	case err != nil:
		p.text("  ", "failed: "+err.Error())
	case n == 0:
		p.line("  nothing")
	}
}

func (p *page) timings(s *solo) {
	p.head("timings")
	p.line("  start %v", rounded(s.built))
	st := s.count.stats()
	if st.Calls > 0 {
		p.line("  call  %v", rounded(time.Duration(st.CallMaxUS)*time.Microsecond))
	}
	if st.PointsOut > 0 {
		p.line("  out   points %d, messages %d, bytes %d", st.PointsOut, st.BatchesOut, st.BytesOut)
	}
}

func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
