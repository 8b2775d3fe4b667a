package exec

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Programs that print far too much, of every format. In its short form it is 16 MB of each format; with PACEWIRE_TEST_LONG=1 it is 1 GB
// of each format and kind, each read by a process of its own, whose memory is measured.

// The test binary is both the program that floods and the process that reads it, as these variables say.
const (
	floodPrint   = "EXEC_TEST_PRINT"
	floodCollect = "EXEC_TEST_COLLECT"
)

// A flood is what a program prints.
type flood struct {
	Format string
	Kind   string
	Bytes  int
}

// The kinds of floods.
const (
	goodLines = "lines"
	newShapes = "shapes"  // lines, each of a series of its own
	endless   = "endless" // one line
	noise     = "noise"
	onStderr  = "stderr" // lines and noise on standard error, and one good line on standard output
	mixed     = "mixed"  // a bit of all
)

// A floodResult is what became of one.
type floodResult struct {
	Points  int
	Drops   map[string]int
	Error   string
	PeakMiB int // resident memory of who read it
	CPU     time.Duration
	Wall    time.Duration
}

func TestFlood16MB(t *testing.T) {
	for _, format := range decode.Formats() {
		r, err := collectFlood(t.Context(), flood{format, mixed, 16e6})
		if err != nil {
			t.Fatal(err)
		}
		checkFlood(t, flood{format, mixed, 16e6}, r)
	}
}

func TestFlood1GB(t *testing.T) {
	if os.Getenv("PACEWIRE_TEST_LONG") != "1" {
		t.Skip("prints 1 GB fifty times: set PACEWIRE_TEST_LONG=1")
	}
	t.Log("| format | kind | peak MiB | CPU | wall | points | left out | error |")
	for _, format := range decode.Formats() {
		for _, kind := range []string{goodLines, newShapes, endless, noise, onStderr} {
			f := flood{format, kind, 1e9}
			r := apart(t, f)
			t.Logf("| %s | %s | %d | %.1f s | %.1f s | %d | %v | %.90s |", format, kind, r.PeakMiB, r.CPU.Seconds(), r.Wall.Seconds(), r.Points, r.Drops, r.Error)
			checkFlood(t, f, r)
		}
	}
}

// checkFlood fails unless a flood is told, what is bad in it is counted, and it took no more memory than there is reason for.
func checkFlood(t *testing.T, f flood, r floodResult) {
	t.Helper()
	const most = 400                                                       // MiB
	check := f.Format == "nagios" || f.Format == "auto" && f.Kind == noise // plain text is that of a check
	switch {
	case r.PeakMiB > most:
		t.Errorf("%v: %d MiB of memory, where %d are to do", f, r.PeakMiB, most)
	case f.Kind == onStderr:
		if r.Points == 0 || r.Error != "" {
			t.Errorf("%v: %+v: what is on standard error is no output", f, r)
		}
	case check:
		if r.Points == 0 || r.Error != "" {
			t.Errorf("%v: %+v: a check has its state, whatever it prints", f, r)
		}
	case !strings.Contains(r.Error, "prints more than 8 MiB") && !strings.Contains(r.Error, "no point can be read"):
		t.Errorf("%v: %+v: nothing tells that there is more", f, r)
	case r.Points == 0 && len(r.Drops) == 0 && f.Kind != endless: // of which no line is whole
		t.Errorf("%v: %+v: nothing is counted", f, r)
	}
}

// apart reads a flood in a process of its own.
func apart(t *testing.T, f flood) (r floodResult) {
	t.Helper()
	spec, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	c := osexec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), floodCollect+"="+string(spec))
	text, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", f, err, text)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%v: %v\n%s", f, err, text)
	}
	return r
}

// playFlood is what the test binary does as one of its helpers; it reports whether it is none.
func playFlood() (done bool, err error) {
	var f flood
	if spec := os.Getenv(floodPrint); spec != "" {
		if err := json.Unmarshal([]byte(spec), &f); err != nil {
			return true, err
		}
		return true, f.print(os.Stdout, os.Stderr)
	}
	spec := os.Getenv(floodCollect)
	if spec == "" {
		return false, nil
	}
	if err := json.Unmarshal([]byte(spec), &f); err != nil {
		return true, err
	}
	r, err := collectFlood(context.Background(), f)
	if err != nil {
		return true, err
	}
	r.PeakMiB, r.CPU = usage()
	return true, json.NewEncoder(os.Stdout).Encode(r)
}

// collectFlood runs the program that prints f as the collector does.
func collectFlood(ctx context.Context, f flood) (r floodResult, err error) {
	spec, err := json.Marshal(f)
	if err != nil {
		return r, err
	}
	cfg := Defaults()
	cfg.Command, cfg.Format = []string{os.Args[0]}, f.Format
	cfg.Environment = map[string]string{floodPrint: string(spec)}
	c, err := New(ctx, cfg, plugin.Env{Name: "flood", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return r, err
	}
	var b telemetry.Batch
	begin := time.Now()
	if err := c.Collect(ctx, &b); err != nil {
		r.Error = err.Error()
	}
	r.Wall, r.Points, r.Drops = time.Since(begin), b.Len(), map[string]int{}
	b.Drops().Each(func(c telemetry.Code, n int) { r.Drops[c.String()] = n })
	return r, nil
}

// usage returns the most memory that this process has had, and the time it has worked.
func usage() (peakMiB int, cpu time.Duration) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	return int(u.Maxrss >> 10), time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// print prints a flood.
func (f flood) print(stdout, stderr io.Writer) error {
	format := f.Format
	if format == "auto" {
		format = "influx"
	}
	begin := map[string]string{"nagios": "OK\n|"}[format]
	series, size := "load", 1<<20
	if f.Kind == newShapes {
		series, size = "load%[1]d", 2*maxOutput
	}
	lines := numbered(strings.Replace(lineOf(format), "SERIES", series, 1), size)
	random := rand.NewChaCha8([32]byte{1})
	switch f.Kind {
	case goodLines, newShapes:
		return pour(stdout, f.Bytes, []byte(begin), lines)
	case endless:
		return pour(stdout, f.Bytes, []byte(strings.TrimSuffix(begin+fmt.Sprintf(lineOf(format), 1), "\n")), bytes.Repeat([]byte("x1"), 1<<16))
	case noise:
		_, err := io.CopyN(stdout, random, int64(f.Bytes))
		return err
	case onStderr:
		if _, err := io.CopyN(stderr, random, int64(f.Bytes/2)); err != nil {
			return err
		}
		if err := pour(stderr, f.Bytes/2, nil, lines); err != nil {
			return err
		}
		_, err := fmt.Fprintf(stdout, begin+lineOf(format)+map[string]string{"openmetrics": "# EOF\n"}[format], 1)
		return err
	}
	return f.printMixed(stdout, stderr, lines, random)
}

// printMixed prints a bit of all.
func (f flood) printMixed(stdout, stderr io.Writer, lines []byte, random io.Reader) error {
	if err := pour(stdout, f.Bytes/64, []byte(map[string]string{"nagios": "OK\n|"}[f.Format]), lines); err != nil {
		return err
	}
	for _, w := range []io.Writer{stderr, stdout} {
		if _, err := io.CopyN(w, random, int64(f.Bytes/32)); err != nil {
			return err
		}
	}
	return pour(stdout, f.Bytes, nil, bytes.Repeat([]byte("x"), 1<<16))
}

// lineOf is a line of a format, with a place for a number.
func lineOf(format string) string {
	return map[string]string{
		"influx":      "SERIES,core=%[1]d value=1.5 1700000000000000000\n",
		"json":        `{"series":"SERIES","tags":{"core":"%[1]d"},"fields":{"value":1.5}}` + "\n",
		"graphite":    "SERIES;core=%[1]d 1.5 1700000000\n",
		"opentsdb":    "put SERIES 1700000000 1.5 core=%[1]d\n",
		"nagios":      "SERIES%[1]d=1.5ms;1;2\n",
		"munin":       "SERIES%[1]d.value 1.5\n",
		"prometheus":  "SERIES{core=\"%[1]d\"} 1.5\n",
		"openmetrics": "SERIES{core=\"%[1]d\"} 1.5\n",
		"collectd":    "PUTVAL localhost/SERIES-%[1]d/x N:1.5\n",
	}[format]
}

// numbered returns so many bytes of lines, each with a number of its own.
func numbered(line string, size int) (b []byte) {
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, line, i)
	}
	return b
}

// pour writes so many bytes: a begin, and a text over and over.
func pour(w io.Writer, n int, begin, text []byte) error {
	out := bufio.NewWriterSize(w, 1<<16)
	_, _ = out.Write(begin) // Flush tells
	for left := n - len(begin); left > 0; left -= len(text) {
		if _, err := out.Write(text[:min(left, len(text))]); err != nil {
			return err
		}
	}
	return out.Flush()
}

// String names a flood.
func (f flood) String() string { return f.Format + " " + f.Kind + " " + strconv.Itoa(f.Bytes) }
