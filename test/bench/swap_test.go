package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	agentconfig "github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/internal/loadtest"
)

func TestPauses(t *testing.T) {
	begin := time.Now()
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	var p pauses
	f := func(now int, want time.Duration) {
		t.Helper()
		if got := p.longest(at(now)); got != want*time.Second {
			t.Errorf("at %d s: %v, want %d s", now, got, want)
		}
	}
	f(5, 0) // nothing has come yet
	p.came(at(10))
	f(10, 0)
	p.came(at(11))
	p.came(at(14))
	p.came(at(15))
	f(16, 3)
	f(16, 1) // has not ended
	p.came(at(20))
	f(20, 5) // began before
	f(20, 0)
}

func TestRowsOfSwaps(t *testing.T) {
	f := func(c loadtest.Count, want verdict) {
		t.Helper()
		all := swapped{
			took:   map[string][]float64{"mid": {3, 4, 3.1}, "out": {3.2}},
			paused: map[string][]float64{"mid": {20, 60, 30}, "out": {300}}, quiet: []float64{10, 20, 15},
		}
		rows := all.rows(4, 1000, c)
		text := ""
		for _, r := range rows {
			text += r.what + "|" + r.figure + "|" + r.reference + "|" + string(r.met) + "\n"
		}
		for _, part := range []string{"30 / 60|with no swap, in as long: 15 / 20 (x 2.0 / x 3.0)|bar", "300 / 300", "MISSED", "3.1 / 4.0, 3.2 / 3.2"} {
			if !strings.Contains(text, part) {
				t.Errorf("no %q in\n%s", part, text)
			}
		}
		if last := rows[len(rows)-1]; last.met != want {
			t.Errorf("%+v, want %q", last, want)
		}
	}
	f(loadtest.Count{Want: 900}, aimMet)
	f(loadtest.Count{Want: 900, Doubled: 1}, missed)
	f(loadtest.Count{Want: 900, Bad: 1}, missed)
}

// What is measured has the plugins that it is said to have.
func TestConfigs(t *testing.T) {
	o := agentconfig.Options{}
	for kind, name := range map[string]string{agentconfig.Collector: "lines", agentconfig.Processor: "filter", agentconfig.Publisher: "influxdb"} {
		o.Programs = append(o.Programs, agentconfig.Program{Kind: kind, Name: name, Schema: []byte(`{"type":"object"}`)})
	}
	f := func(text string, want ...string) {
		t.Helper()
		s, err := agentconfig.Parse(o, "bench", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		var got []string
		for _, p := range s.Plugins {
			got = append(got, p.Kind+" "+p.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("plugins %q, want %q", got, want)
		}
	}
	f(swapConfig("127.0.0.1:1", "http://127.0.0.1:2"), "collector in", "processor mid", "publisher out")
	f(idleFilters(1), "processor t0")
	f(idleFilters(3), "processor t0", "processor t1", "processor t2")
}
