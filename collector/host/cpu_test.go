package host

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// newTestCPU returns a cpu section over a file with text.
func newTestCPU(t *testing.T, text string) (c *cpu, write func(string)) {
	t.Helper()
	f := &file{path: filepath.Join(t.TempDir(), "stat")}
	write = func(text string) {
		t.Helper()
		f.fresh = false
		if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	t.Cleanup(f.close)
	return newCPU(f, true), write
}

func TestUsage(t *testing.T) {
	f := func(before, now string, want ...float64) {
		t.Helper()
		c, write := newTestCPU(t, before)
		c.began = time.Time{}
		write(now)
		var b telemetry.Batch
		if err := c.collect(t.Context(), &b); err != nil {
			t.Fatalf("%q: %v", now, err)
		}
		var got []float64
		for g := range b.Groups() {
			for row := range g.Len() {
				for _, name := range []string{"usage", "usage_user", "usage_idle", "usage_iowait", "usage_guest"} {
					got = append(got, g.Field(name).Float(row))
				}
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%q then %q: usage %v, want %v", before, now, got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q then %q: usage %v, want %v", before, now, got, want)
			}
		}
	}
	f("cpu 10 0 0 0 0 0 0 0 0 0", "cpu 20 0 0 90 0 0 0 0 0 0", 10, 10, 90, 0, 0)
	f("cpu 0 0 0 0 0 0 0 0 0 0", "cpu 0 0 0 50 50 0 0 0 0 0", 0, 0, 50, 50, 0)    // waiting is not working
	f("cpu 0 0 0 0 0 0 0 0 0 0", "cpu 50 0 0 50 0 0 0 0 20 0", 50, 30, 50, 0, 20) // a guest is counted once
	f("cpu 0 0 0 0", "cpu 25 0 0 75", 25, 25, 75, 0, 0)                           // as few columns as there have been
	f("cpu 0 0 0 0 90 0 0 0 0 0", "cpu 10 0 0 90 80 0 0 0 0 0", 10, 10, 90, 0, 0) // iowait may go back
	f("cpu 7 0 0 7", "cpu 7 0 0 7")                                               // no time has passed
	f("cpu 9 0 0 9", "cpu 1 0 0 1")                                               // nor here, it seems
	f("cpu 0 0 0 0\n", "cpu 1 0 0 1\ncpu7 9 9 9 9\n", 50, 50, 50, 0, 0)           // cpu7 is new: nothing to compare
	f("cpu 0 0 0 0\ncpu0 0 0 0 0\n", "cpu 1 0 0 1\ncpu0 1 0 0 3\n", 50, 50, 50, 0, 0, 25, 25, 75, 0, 0)
	f("cpu 0 0 0 0 0 0 0 0 0 0", "cpu 0 0 0 0 0 0 0 0 7 0") // a guest alone is no time
}

// The first collection waits until the kernel's ticks say something, the others do not.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTestCPU(t, "cpu 0 0 0 0\n")
		f := func(after, want time.Duration) {
			t.Helper()
			time.Sleep(after)
			from := time.Now()
			if err := c.collect(t.Context(), &telemetry.Batch{}); err != nil {
				t.Error(err)
			}
			if took := time.Since(from); took != want {
				t.Errorf("collection after %v took %v, want %v", after, took, want)
			}
		}
		f(30*time.Millisecond, 70*time.Millisecond)
		f(0, 0)
		f(time.Second, 0)
	})
}

func TestOnlyTotal(t *testing.T) {
	var got []string
	err := parseCPUs([]byte("cpu 1 2 3 4\ncpu0 1 2 3 4\n"), false, func(name []byte, _ ticks) { got = append(got, string(name)) })
	if err != nil || len(got) != 1 || got[0] != "cpu" {
		t.Errorf("CPUs = %q, %v; want cpu alone", got, err)
	}
}

func TestParseCPUsFaults(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if err := parseCPUs([]byte(text), true, func([]byte, ticks) {}); err == nil || err.Error() != want {
			t.Errorf("parseCPUs(%q): %v, want %s", text, err, want)
		}
	}
	f("", "line 1: want cpu and its ticks")
	f("intr 1\n", "line 1: want cpu and its ticks")
	f("cpu 1 2 3\n", "line 1: cpu: want 4 numbers or more, got 3")
	f("cpu 1 2 3 4\ncpu0 1 2 3 four\n", `line 2: cpu0: want a number, got "four"`)
	f("cpu 1 2 3 99999999999999999999999\n", `line 1: cpu: want a number, got "99999999999999999999999"`)
}

func FuzzCPUs(f *testing.F) {
	seeds(f, "*/proc/stat", "cpu 18446744073709551615 0 0 1\n", "cpu")
	f.Fuzz(func(t *testing.T, text []byte) {
		checkPlaced(t, parseCPUs(text, true, func(name []byte, now ticks) {
			_ = tagOf(name)
			if spent, ok := now.since(ticks{}); ok != (spent != ticks{} && [8]uint64(spent[:inGuest]) != [8]uint64{}) {
				t.Errorf("%v since 0: %v, %v", now, spent, ok)
			}
		}))
	})
}
