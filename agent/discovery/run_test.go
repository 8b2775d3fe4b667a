package discovery

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Changes are seen as they happen, in a directory that comes later within the interval.
func TestRun(t *testing.T) {
	var w watch
	b := newBench(t, 1, Options{OnChange: w.set, Every: time.Hour})
	b.run(t)
	f := func(want ...string) {
		t.Helper()
		eventually(t, strings.Join(want, ", "), func() bool { return slices.Equal(b.states(w.get()), want) })
	}
	b.put(t, "a/fan", plugin("fan"), 0o755)
	f("a/fan available fan")
	b.put(t, "a/fan", plugin("pump"), 0o755)
	f("a/fan available pump")
	if err := os.Remove(b.dir + "/a/fan"); err != nil {
		t.Fatal(err)
	}
	f()
}

func TestRunWithoutEvents(t *testing.T) {
	var w watch
	b := newBench(t, 0, Options{OnChange: w.set, Every: 20 * time.Millisecond})
	b.o.Dirs = []string{b.dir + "/late"} // not there: nothing to watch
	b.run(t)
	makeDir(t, b.dir+"/late", 0o755)
	b.put(t, "late/fan", plugin("fan"), 0o755)
	eventually(t, "the program is there", func() bool { return slices.Equal(b.states(w.get()), []string{"late/fan available fan"}) })
	if err := os.RemoveAll(b.dir + "/late"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program is gone", func() bool { return len(w.get()) == 0 })
}

// A scan of what has not changed executes nothing, reads no file and leaves nothing open.
func TestIdleScan(t *testing.T) {
	const n = 20
	b := newBench(t, 1, Options{})
	for i := range n {
		b.put(t, fmt.Sprintf("a/fan%d", i), plugin(fmt.Sprintf("fan%d", i)), 0o755)
	}
	b.rest(t)
	b.Scan(t.Context())
	before := reads(t)
	b.Scan(t.Context())
	calls := reads(t) - before
	allocs := testing.AllocsPerRun(20, func() { b.Scan(t.Context()) })
	t.Logf("%d programs: %d reads, %v allocations", n, calls, allocs)
	if calls > 10 { // those of the directory, and the two of this count
		t.Errorf("%d reads", calls)
	}
	if allocs > 30*n {
		t.Errorf("%v allocations", allocs)
	}
	for i := range n {
		if times := asked(fmt.Sprintf("fan%d", i)); times != 1 {
			t.Errorf("fan%d was asked %d times", i, times)
		}
	}
}

// reads is how often this process has called read.
func reads(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip("no counts of system calls here: ", err)
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "syscr: %d", &n)
	}
	return n
}

// What changes is logged once, as it matters.
func TestLog(t *testing.T) {
	var out strings.Builder
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	b := newBench(t, 1, Options{Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: drop}))})
	f := func(want ...string) {
		t.Helper()
		b.rest(t)
		b.Scan(t.Context())
		b.Scan(t.Context())
		lines := slices.Collect(strings.Lines(out.String()))
		out.Reset()
		if len(lines) != len(want) {
			t.Errorf("log %q, want %q", lines, want)
			return
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, want[i]) {
				t.Errorf("log %q, want %q", line, want[i])
			}
		}
	}
	f()
	path := b.put(t, "a/fan", plugin("fan"), 0o755)
	f(`level=INFO msg="program is available" path=` + path + ` kind=collector program=fan version=1.2.3`)
	b.put(t, "a/fan", plugin("fan"), 0o775)
	f(`level=WARN msg="program is available" path=` + path + ` kind=collector program=fan version=1.2.3 findings="[insecure_permissions: `)
	b.put(t, "a/fan", "#!/bin/sh\n", 0o755)
	f(`level=WARN msg="program is not available" path=` + path + ` state=unusable reason="--describe prints nothing`)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f(`level=INFO msg="program is gone" path=` + path)
}
