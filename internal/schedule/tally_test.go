package schedule

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// takes returns how many ticks a tally gives before it says that there are no more, at most 100.
func takes(t *testing.T, tally *Tally) (n int, err error) {
	t.Helper()
	for ; tally.Left() && n < 100; n++ {
		if failed := tally.Take(); failed != nil {
			err = failed
		}
	}
	return n, err
}

// TestTally checks that a count goes on after the end of the process while the schedule is the same.
func TestTally(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	f := func(words telemetry.Schedule, every time.Duration, want int) {
		t.Helper()
		tally, err := OpenTally(dir, made(t, words, every))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := takes(t, tally); n != want || err != nil {
			t.Errorf("%+v: %d ticks, %v; want %d", words, n, err, want)
		}
	}
	f(telemetry.Schedule{}, time.Minute, 100)
	if _, err := os.Stat(dir); err == nil {
		t.Error("a schedule without count keeps something")
	}
	f(telemetry.Schedule{Count: 3}, time.Minute, 3)
	f(telemetry.Schedule{Count: 3}, time.Minute, 0)
	f(telemetry.Schedule{Count: 5}, time.Minute, 2)
	f(telemetry.Schedule{Count: 4}, time.Minute, 0)
	f(telemetry.Schedule{Count: 4}, time.Second, 4)
	f(telemetry.Schedule{Count: 4, Cron: "@daily"}, 0, 4)
	f(telemetry.Schedule{Count: 4, Cron: "@daily", SplayMS: 1}, 0, 4)
}

// TestTallyWithoutFile checks what is counted when nothing can be kept, and what a broken note is worth.
func TestTallyWithoutFile(t *testing.T) {
	s := made(t, telemetry.Schedule{Count: 3}, time.Minute)
	tally, err := OpenTally("", s)
	if n, failed := takes(t, tally); n != 3 || err != nil || failed != nil {
		t.Errorf("without a folder: %d ticks, %v, %v", n, err, failed)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tally, err = OpenTally(file, s)
	if n, failed := takes(t, tally); n != 3 || err == nil || failed == nil {
		t.Errorf("in a file: %d ticks, %v, %v; want 3 and errors", n, err, failed)
	}
	for _, text := range []string{"", `{"ticks":`, `{"ticks":-1}`, "[]"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "ticks.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		tally, _ := OpenTally(dir, s)
		if n, err := takes(t, tally); n != 3 || err != nil {
			t.Errorf("after %q: %d ticks, %v", text, n, err)
		}
	}
}
