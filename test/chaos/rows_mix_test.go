package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/internal/oracle"
)

// playOf plays the schedule of a seed, and returns what happened when, and what it was that hit. Nobody meets harm 0.
func playOf(t *testing.T, seed uint64, harms, n int) (happened []string, x *trial) {
	t.Helper()
	s := quiet()
	s.seed = seed
	x = &trial{settings: s, ctx: t.Context(), random: s.randomOf("M")}
	begin := time.Now()
	saw := func(what string, i int) {
		happened = append(happened, fmt.Sprintf("%v %s %d", time.Since(begin), what, i))
	}
	var all []harm
	for i := range harms {
		all = append(all, harm{name: fmt.Sprint(i), windows: 5, do: func() bool { saw("harmed", i); return true }, met: func() bool { return i > 0 }, heal: func() { saw("healed", i) }})
	}
	acts, end := x.schedule(all, n, time.Minute)
	x.play(acts, end)
	if took := time.Since(begin); took > time.Minute && len(x.result.missed) == 0 || took > 2*time.Minute+actAgain {
		t.Errorf("it lasted %v", took)
	}
	return happened, x
}

// A seed is a schedule: so many different harms, each healed after it was done, and some at the same time.
func TestMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, x := playOf(t, 7, 10, 4)
		again, _ := playOf(t, 7, 10, 4)
		other, _ := playOf(t, 8, 10, 4)
		if !slices.Equal(first, again) || slices.Equal(first, other) {
			t.Errorf("%v\n%v\n%v", first, again, other)
		}
		open, most, harmed := map[string]bool{}, 0, 0
		for _, line := range first {
			_, what, _ := strings.Cut(line, " ")
			if i, ok := strings.CutPrefix(what, "harmed "); ok {
				open[i] = true
				harmed++
			} else if i := strings.TrimPrefix(what, "healed "); open[i] {
				delete(open, i)
			} else {
				t.Errorf("%s, and was not harmed: %q", line, first)
			}
			most = max(most, len(open))
		}
		if harmed != 4 || most < 2 || len(open) > 0 {
			t.Errorf("%d harms, %d at once, %v not healed: %q", harmed, most, open, first)
		}
		if r := x.result; len(r.notes) != 4 || r.bites+len(r.missed) != 4 || r.windows != 20 {
			t.Errorf("notes %q, %d bites, missed %q, %d points may come twice", r.notes, r.bites, r.missed, r.windows)
		}
	})
}

// A harm that meets nobody lasts until it does; when it never does, it is healed and told.
func TestMixWaitsForBites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		happened, x := playOf(t, 7, 1, 1)
		if len(happened) != 2 || x.result.bites != 0 || !slices.Equal(x.result.missed, []string{"0"}) {
			t.Errorf("%q, %d bites, missed %q", happened, x.result.bites, x.result.missed)
		}
		begin := time.Now()
		y := &trial{settings: quiet(), ctx: t.Context()}
		since := func(d time.Duration) func() bool { return func() bool { return time.Since(begin) >= d } }
		h := harm{name: "late", do: since(30 * time.Second), met: since(40 * time.Second)}
		y.play(y.actsOf(h, time.Second, 2*time.Second), time.Minute)
		if took := time.Since(begin); y.result.bites != 1 || len(y.result.missed) > 0 || took < 40*time.Second || took > 41*time.Second {
			t.Errorf("%d bites, missed %q, after %v", y.result.bites, y.result.missed, took)
		}
		never := harm{name: "never", do: func() bool { return false }, heal: func() { t.Error("healed, and was never done") }}
		if y.play(y.actsOf(never, 0, time.Second), time.Minute); y.result.bites != 1 || len(y.result.missed) != 1 {
			t.Errorf("%d bites, missed %q", y.result.bites, y.result.missed)
		}
	})
}

// A harm that lasts is met when what it counts has risen since its begin.
func TestDuring(t *testing.T) {
	count := 5
	h := during("x", 0, func() int { return count }, func() { count++ }, nil)
	if !h.do() || !h.met() {
		t.Error("what has risen is not met")
	}
	count = 7
	h = during("x", 0, func() int { return count }, func() {}, nil)
	if !h.do() || h.met() {
		t.Error("what has not risen is met")
	}
}

// A process that is halted does not run, nor does one that is gone.
func TestRuns(t *testing.T) {
	c := exec.Command("sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := c.Process.Pid
	await := func(want bool, when string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); runs(pid) != want && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		if runs(pid) != want {
			t.Errorf("%s: %v", when, !want)
		}
	}
	await(true, "it runs")
	if !signalAll([]int{pid}, syscall.SIGSTOP) {
		t.Error("no signal")
	}
	await(false, "it is halted")
	_ = c.Process.Kill()
	_ = c.Wait()
	await(false, "it is gone")
	if signalAll([]int{pid}, syscall.SIGCONT) || signalAll(nil, syscall.SIGCONT) {
		t.Error("a signal to nobody")
	}
}

// Every second trial of a soak is a mix, if there is one.
func TestPick(t *testing.T) {
	random, mixes := quiet().randomOf("soak"), 0
	rows := []row{{name: "A"}, {name: "B"}, {name: mixName}}
	for range 300 {
		if pick(random, rows).name == mixName {
			mixes++
		}
	}
	if mixes < 150 || mixes > 250 {
		t.Errorf("%d mixes of 300", mixes)
	}
	if got := pick(random, rows[:1]); got.name != "A" {
		t.Errorf("picked %s", got.name)
	}
}

// A fault bites where connections were refused and points wait for it, and not where one of both is missing.
func TestBitesWhile(t *testing.T) {
	f := func(refused, want int, c func(*oracle.Oracle)) {
		t.Helper()
		x := trialOf(row{}, c, 0)
		if x.bitesWhile(&proxy{refused: refused}); x.result.bites != want {
			t.Errorf("%d connections were refused: %d bites, want %d", refused, x.result.bites, want)
		}
	}
	f(1, 1, points(1, 0))
	f(0, 0, points(1, 0))
	f(1, 0, points(1))
}
