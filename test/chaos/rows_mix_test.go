package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/internal/oracle"
)

// playOf plays the schedule of a seed, and returns what happened when, and what it was that hit.
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
		all = append(all, harm{fmt.Sprint(i), func() bool { saw("harmed", i); return i > 0 }, func() { saw("healed", i) }})
	}
	x.play(x.schedule(all, n, time.Minute))
	if took := time.Since(begin); took > time.Minute {
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
		if len(x.result.notes) != 4 || x.result.bites < 3 {
			t.Errorf("notes %q, %d bites", x.result.notes, x.result.bites)
		}
		if _, x := playOf(t, 7, 1, 1); x.result.bites != 0 {
			t.Errorf("%d bites of a harm that hits nothing", x.result.bites)
		}
	})
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
