package execd

import (
	"errors"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// reader returns what reads the points of line protocol.
func reader(t *testing.T) *Points {
	t.Helper()
	d, err := decode.New("influx", decode.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &Points{Decoder: d, Log: plugintest.Env(t).Log}
}

// read reads what a script prints, and returns the points, what of it was left out, and why the program was ended.
func read(t *testing.T, r *Points, script string) (points int, drops telemetry.Drops, why error) {
	t.Helper()
	p := start(t, script)
	r.Read(p, func() *telemetry.Batch { return &telemetry.Batch{} }, func(b *telemetry.Batch) error {
		points += b.Len()
		b.Drops().Each(func(c telemetry.Code, n int) { drops[c] += n })
		return nil
	})
	if got := p.why.Load(); got != nil {
		why = *got
	}
	return points, drops, why
}

// A point counts at the end of its line; what is left out is counted by the batch, or by its reason where somebody wants that.
func TestRead(t *testing.T) {
	f := func(script string, points, dropped int, want map[string]int) {
		t.Helper()
		if n, drops, why := read(t, reader(t), script); n != points || drops.Count(telemetry.CodeLine) != dropped || why != nil {
			t.Errorf("%s: %d points, %v, %v", script, n, drops, why)
		}
		r, got := reader(t), map[string]int{}
		r.Drop = func(reason string, n int) { got[reason] += n }
		if n, drops, _ := read(t, r, script); n != points || drops.Total() != 0 || len(got) != len(want) {
			t.Errorf("%s: %d points, %v, %v", script, n, drops, got)
		}
		for reason, n := range want {
			if got[reason] != n {
				t.Errorf("%s: %v, want %v", script, got, want)
			}
		}
	}
	f("echo a n=1; echo a n=2", 2, 0, nil)
	f("echo a n=1; printf 'a n=12'", 1, 1, map[string]int{"unfinished": 1})
	f("echo a n=1; printf '\\n  '", 1, 0, nil)
	f("echo rubbish; printf rubbish", 0, 2, map[string]int{"line": 1, "unfinished": 1})
	f("echo a n=1; head -c 3000000 /dev/zero", 1, 1, map[string]int{"line": 1})
	f("head -c 3000000 /dev/zero; echo; echo a n=1", 1, 1, map[string]int{"line": 1})
}

// A program that has closed its output is ended, but not one that is about to end by itself.
func TestMute(t *testing.T) {
	t.Parallel()
	if _, _, why := read(t, reader(t), "exec >&-; exec sleep 1000"); !errors.Is(why, errMute) {
		t.Errorf("%v", why)
	}
}

func TestMuteAtItsEnd(t *testing.T) {
	t.Parallel()
	p := start(t, "exec >&-; exec sleep 1000")
	p.leaving.Store(true)
	reader(t).Read(p, func() *telemetry.Batch { return &telemetry.Batch{} }, func(*telemetry.Batch) error { return nil })
	if p.goneWithin(time.Millisecond) || p.why.Load() != nil {
		t.Error("it was ended")
	}
}
