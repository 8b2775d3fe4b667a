package lines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
)

func TestRotationDue(t *testing.T) {
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	f := func(r rotation, size, n int64, idle time.Duration, want bool) {
		t.Helper()
		if got := r.due(size, n, noon.Add(-idle), noon); got != want {
			t.Errorf("due(%d, %d, %v before noon) of %+v = %v", size, n, idle, r, got)
		}
	}
	f(rotation{}, 1<<40, 1, 1000*time.Hour, false)
	f(rotation{size: 100}, 90, 10, 0, false)
	f(rotation{size: 100}, 90, 11, 0, true)
	f(rotation{size: 100}, 0, 1000, 0, false) // a batch is not divided
	f(rotation{every: time.Hour}, 1, 1, 0, false)
	f(rotation{every: time.Hour}, 1, 1, 1, true)
	f(rotation{every: time.Hour}, 0, 1, time.Hour, false)
	f(rotation{every: 24 * time.Hour}, 1, 1, 12*time.Hour, false)
	f(rotation{every: 24 * time.Hour}, 1, 1, 12*time.Hour+1, true)
}

// clock makes p believe in a time that the test moves.
func clock(p *sink, now time.Time) *time.Time {
	p.out.(*journal).now = func() time.Time { return now }
	return &now
}

func TestRotateBySize(t *testing.T) {
	cfg := config(t)
	line := text(0, 1)
	cfg.RotateSize = "150B"
	if n := 150 / len(line); n != 3 {
		t.Fatalf("%d lines fit", n)
	}
	cfg.Keep = 2
	p, _ := start(t, cfg)
	now := clock(p, time.Date(2026, 11, 20, 12, 0, 0, 7, time.UTC))
	foreign := []string{cfg.Path + ".bak", cfg.Path + ".20261120", cfg.Path + "2.20201120T120000.000000000Z"}
	for _, path := range foreign {
		write(t, path, "mine\n")
	}
	for i := range 11 {
		publish(t, p, batch(i, 1))
		*now = now.Add(time.Second)
	}
	old, err := rotated(cfg.Path)
	if err != nil || len(old) != 2 {
		t.Fatalf("rotated files %v, %v; want 2", old, err)
	}
	wantFile(t, old[0], text(3, 3))
	wantFile(t, old[1], text(6, 3))
	wantFile(t, cfg.Path, text(9, 2))
	if want := cfg.Path + ".20261120T120009.000000007Z"; old[1] != want {
		t.Errorf("rotated to %s, want %s", old[1], want)
	}
	for _, path := range foreign {
		wantFile(t, path, "mine\n")
	}
}

func TestRotateByTime(t *testing.T) {
	cfg := config(t)
	cfg.RotateEvery = plugin.Duration(time.Hour)
	p, _ := start(t, cfg)
	now := clock(p, time.Date(2026, 11, 20, 12, 59, 59, 0, time.UTC))
	publish(t, p, batch(0, 1))
	publish(t, p, batch(1, 1))
	*now = now.Add(time.Second)
	publish(t, p, batch(2, 1))
	wantFile(t, cfg.Path, text(2, 1))
	old, err := rotated(cfg.Path)
	if err != nil || len(old) != 1 {
		t.Fatalf("rotated files %v, %v; want 1", old, err)
	}
	wantFile(t, old[0], text(0, 2))
}

// The hour in which a file was written last is known after a restart.
func TestRotateByTimeAfterRestart(t *testing.T) {
	cfg := config(t)
	cfg.RotateEvery = plugin.Duration(time.Hour)
	write(t, cfg.Path, text(0, 1))
	then := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(cfg.Path, then, then); err != nil {
		t.Fatal(err)
	}
	p, _ := start(t, cfg)
	publish(t, p, batch(1, 1))
	wantFile(t, cfg.Path, text(1, 1))
}

// A clock that went back must not cost a file.
func TestRotateOntoAnotherFile(t *testing.T) {
	cfg := config(t)
	cfg.RotateSize = "1B"
	p, _ := start(t, cfg)
	now := clock(p, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	there := cfg.Path + "." + now.Format(stamp)
	write(t, there, "dear\n")
	publish(t, p, batch(0, 1))
	if err := p.Publish(t.Context(), batch(1, 1)); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("error %v", err)
	}
	wantFile(t, there, "dear\n")
	*now = now.Add(1)
	publish(t, p, batch(1, 1))
	wantFile(t, cfg.Path, text(1, 1))
}

func TestRotatedOfRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	name := "out.lp." + time.Now().UTC().Format(stamp)
	write(t, name, "")
	if got, err := rotated("out.lp"); err != nil || len(got) != 1 || got[0] != name {
		t.Errorf("rotated %v, %v", got, err)
	}
	if got, err := rotated(filepath.Join("no", "such")); err == nil {
		t.Errorf("rotated %v", got)
	}
}
