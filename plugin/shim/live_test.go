package shim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/publisher/deliverytest"
	"github.com/pacewire/pacewire/telemetry"
)

// A line is a program between a collector that counts and a sink that keeps, each a plugin on a real bus.
type line struct {
	*testing.T
	agent *plugintest.Agent
	flag  string // file that tells the program to fail once

	mu  sync.Mutex
	got []int
}

func newLine(t *testing.T) *line {
	l := &line{T: t, agent: plugintest.NewAgent(t, bustest.New(t).URL, "web-1"), flag: filepath.Join(t.TempDir(), "flag")}
	l.agent.Interval = 50 * time.Millisecond
	return l
}

// start starts a plugin of a script, in which FLAG is the file.
func (l *line) start(kind plugin.Kind, name, script string, w telemetry.Work) *plugintest.Process {
	l.Helper()
	d, err := Define(sh(kind, strings.ReplaceAll(script, "FLAG", l.flag)))
	if err != nil {
		l.Fatal(err)
	}
	l.agent.Give(name, w)
	return l.agent.Start(l, d, name)
}

// count starts a collector of the numbers 1, 2, 3 ...
func (l *line) count() *plugintest.Process {
	n := 0
	l.agent.Give("count", telemetry.Work{EveryMS: 5})
	return l.agent.Start(l, collector.Define(collector.Spec[struct{}]{
		Program: "count", Summary: "Counts.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Collector, error) {
			return counter(func(out *telemetry.Batch) {
				n++
				out.Add("count", telemetry.Fields{"n": n}, nil)
			}), nil
		},
	}), "count")
}

type counter func(out *telemetry.Batch)

func (c counter) Collect(_ context.Context, out *telemetry.Batch) error {
	c(out)
	return nil
}

// keep starts a sink of what a plugin sends.
func (l *line) keep(from string) {
	l.agent.Give("sink", telemetry.Work{Inputs: []telemetry.Input{l.agent.Input(l, "sink", from)}})
	l.agent.Start(l, publisher.Define(publisher.Spec[struct{}]{
		Program: "sink", Summary: "Keeps.",
		New: func(context.Context, struct{}, plugin.Env) (publisher.Publisher, error) { return keeper{l}, nil },
	}), "sink")
}

type keeper struct{ *line }

func (k keeper) Publish(_ context.Context, in *telemetry.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for p := range in.Points() {
		switch n := p.Fields["n"].(type) {
		case int64:
			k.got = append(k.got, int(n))
		case float64:
			k.got = append(k.got, int(n))
		}
	}
	return nil
}

func (l *line) numbers() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// more waits for further points.
func (l *line) more() {
	l.Helper()
	before := len(l.numbers())
	plugintest.Until(l, "more points", func() bool { return len(l.numbers()) > before+5 })
}

// fail has the program fail, and waits until it has.
func (l *line) fail() {
	l.Helper()
	if err := os.WriteFile(l.flag, nil, 0o600); err != nil {
		l.Fatal(err)
	}
	plugintest.Until(l, "the program fails", func() bool {
		_, err := os.Stat(l.flag)
		return os.IsNotExist(err)
	})
}

// told waits for a heartbeat with an error that says something.
func (l *line) told(name, what string) {
	l.Helper()
	plugintest.Until(l, "a heartbeat that says "+what, func() bool {
		h := l.agent.Last(name)
		return h.Error != nil && strings.Contains(h.Error.Message, what)
	})
}

// complete ends the collector and checks that every number has come once, in whatever order.
func (l *line) complete(counts *plugintest.Process) {
	l.Helper()
	if err := counts.Stop(l); err != nil {
		l.Error(err)
	}
	sent := int(l.agent.Bye(l, "count").Stats.PointsOut)
	plugintest.Until(l, "all points", func() bool { return len(l.numbers()) >= sent })
	all := l.numbers()
	slices.Sort(all)
	for i, n := range all {
		if n != i+1 {
			l.Fatalf("number %d is in place %d of %d", n, i+1, sent)
		}
	}
}

// However its program fails in the middle of a batch, the processor beats, and each point comes once.
func TestProcessorWhoseProgramFails(t *testing.T) {
	for name, c := range map[string]struct{ fails, says string }{
		"killed":        {"kill -9 $$", "signal SIGKILL"},
		"ends":          {"echo disk full >&2; exit 3", "exit code 3: disk full"},
		"hangs":         {"sleep 3600", "no answer in 3s"},
		"answers twice": {"printf '\\n\\n'", "cannot be followed"},
		"refuses":       {"echo '!retry not now'", "not now"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			timeout := int64(60_000)
			if name == "hangs" {
				timeout = 3000
			}
			l.start(plugin.Processor, "mid", `while IFS= read -r l; do if [ -e FLAG ]; then rm FLAG; `+c.fails+`; else echo "$l"; fi; done`,
				telemetry.Work{TimeoutMS: timeout, Inputs: []telemetry.Input{l.agent.Input(t, "mid", "count")}})
			l.keep("mid")
			counts := l.count()
			for range 2 {
				l.more()
				l.fail()
				l.told("mid", c.says)
			}
			l.more()
			l.complete(counts)
			if h := l.agent.Last("mid"); h.Stats.Dead > 0 || h.State != "running" {
				t.Errorf("%d dead letters, state %s", h.Stats.Dead, h.State)
			}
		})
	}
}

// A program that cannot even begin takes no batch along: they wait for it.
func TestProcessorWhoseProgramDoesNotBegin(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.start(plugin.Processor, "mid", `[ -e FLAG ] || { echo cannot import name >&2; exit 1; }; exec cat`,
		telemetry.Work{Inputs: []telemetry.Input{l.agent.Input(t, "mid", "count")}})
	l.keep("mid")
	counts := l.count()
	l.told("mid", "exit code 1: cannot import name")
	plugintest.Until(t, "the state", func() bool { return l.agent.Last("mid").State == "failed" })
	if err := os.WriteFile(l.flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.more()
	plugintest.Until(t, "it runs", func() bool { return l.agent.Last("mid").State == "running" })
	l.complete(counts)
	if h := l.agent.Last("mid"); h.Stats.Dead > 0 {
		t.Errorf("%d dead letters", h.Stats.Dead)
	}
}

// What can never be done goes to the dead letters, and the next batch comes.
func TestProcessorWhoseProgramRefusesForGood(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.start(plugin.Processor, "mid", `while IFS= read -r l; do case $l in *n=3i*) echo '!permanent no threes';; *) echo "$l";; esac; done`,
		telemetry.Work{Inputs: []telemetry.Input{l.agent.Input(t, "mid", "count")}})
	l.keep("mid")
	l.count()
	l.more()
	if got := l.numbers()[:4]; !slices.Equal(got, []int{1, 2, 4, 5}) {
		t.Errorf("%v", got)
	}
	plugintest.Until(t, "the dead letter is counted", func() bool { return l.agent.Last("mid").Stats.Dead == 1 })
}

// A collector whose program ends is started again, tells why, and beats all the while; a bad line costs only itself.
func TestCollector(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	p := l.start(plugin.Collector, "count", `n=0; while :; do n=$((n+1)); echo count n=$n; [ $n = 3 ] && echo bad; [ -e FLAG ] && rm FLAG && echo no sensor >&2 && exit 2; sleep 0.02; done`,
		telemetry.Work{EveryMS: 10_000})
	l.keep("count")
	l.more()
	l.fail()
	l.told("count", "the program has ended: exit code 2: no sensor")
	begun := func() bool { return slices.Contains(l.numbers()[1:], 1) }
	plugintest.Until(t, "it counts from 1 again", begun)
	l.more()
	plugintest.Until(t, "it is told that it works", func() bool { return !slices.Contains(l.agent.Last("count").Flags, "failing") })
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	if s := l.agent.Bye(t, "count").Stats; s.Dropped["line"] != 2 {
		t.Errorf("%v are dropped, want 2 bad lines", s.Dropped)
	}
}

// At the end a program hears of the end of its input, and what it prints then counts.
func TestCollectorDrains(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	p := l.start(plugin.Collector, "count", `echo count n=1; cat; echo count n=2; printf 'count n=3'`, telemetry.Work{})
	l.keep("count")
	plugintest.Until(t, "the first", func() bool { return len(l.numbers()) == 1 })
	l.complete(p)
	if got := l.numbers(); len(got) != 3 {
		t.Errorf("%v have come, want 3", got)
	}
}

// One that is started at each interval is told the interval.
func TestCollectorEach(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	o := sh(plugin.Collector, `echo count n=$PW_LEVEL; echo count n=$PACEWIRE_EVERY; exit 75`)
	o.Each = true
	d, err := Define(o)
	if err != nil {
		t.Fatal(err)
	}
	l.agent.Give("count", telemetry.Work{EveryMS: 3000, Config: []byte(`{"level": 7}`)})
	l.agent.Start(t, d, "count")
	l.keep("count")
	l.told("count", "exit code 75")
	plugintest.Until(t, "points", func() bool { return len(l.numbers()) >= 2 })
	if got := l.numbers()[:2]; !slices.Equal(got, []int{7, 3}) {
		t.Errorf("%v, want the setting and the interval", got)
	}
}

// The publisher of the library for shells keeps what every publisher promises.
func TestDelivery(t *testing.T) {
	script, err := filepath.Abs("../../sdk/sh/append.sh")
	if err != nil {
		t.Fatal(err)
	}
	d, err := Define(Options{Kind: plugin.Publisher, Command: []string{"sh", script}, Environ: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	deliverytest.Run(t, d, func(t *testing.T) deliverytest.Sink {
		path := filepath.Join(t.TempDir(), "points")
		return deliverytest.Sink{
			Settings: fmt.Sprintf(`{"path": %q}`, path),
			ReadBack: func(t testing.TB) []telemetry.Point { return pointsIn(t, path) },
			Away: func(away bool) { // a folder in its place: for root too, nothing can be written there
				from, to := path, path+".aside"
				if away {
					_ = os.Rename(from, to)
					_ = os.Mkdir(path, 0o700)
					return
				}
				_ = os.Remove(path)
				_ = os.Rename(to, from)
			},
			Single: true,
		}
	})
}

// pointsIn returns the points of a file. A line that a kill has cut off is none.
func pointsIn(t testing.TB, path string) (list []telemetry.Point) {
	t.Helper()
	text, _ := os.ReadFile(path)
	var b telemetry.Batch
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "}\n") || b.DecodeJSON([]byte(line), noon) != nil {
			continue
		}
		for p := range b.Points() {
			list = append(list, p)
		}
	}
	return list
}
