package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/oracle"
)

// quiet are settings that tell nobody.
func quiet() settings { return settings{err: io.Discard, binary: "/no/such/program", seed: 7} }

// The names of rows are their places in the table, the issue tracker and other people's notes.
func TestRowsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows() {
		if r.name == "" || r.title == "" || r.promise == "" || r.run == nil {
			t.Errorf("row %q lacks something: %+v", r.name, r)
		}
		if seen[r.name] {
			t.Errorf("there are two rows %s", r.name)
		}
		seen[r.name] = true
	}
	for _, name := range []string{"F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F11L", "F11S", "F12", "F13", "F14", "F15", "F16", "F17", "F18", "F19",
		"F20", "F21", "F22", "F23", "F24", "F25", "F26", "F27", "F28", "F30", "F16L", "S1", "D1", "P1", "P2"} {
		if !seen[name] {
			t.Errorf("there is no row %s", name)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []row{{name: "F1", short: true}, {name: "F2"}, {name: "F3", short: true}, {name: "L", part: func(s settings) bool { return s.long }}}
	f := func(s settings, want ...string) {
		t.Helper()
		got, err := s.choose(all)
		if err != nil || !slices.Equal(namesOf(got), want) {
			t.Errorf("%+v: %v, %v; want %v", s, namesOf(got), err, want)
		}
	}
	f(settings{}, "F1", "F2", "F3")
	f(settings{short: true}, "F1", "F3")
	f(settings{long: true}, "F1", "F2", "F3", "L")
	f(settings{only: "F3,F2"}, "F2", "F3")
	f(settings{only: "L", short: true}, "L")
	s := settings{only: "F9"}
	if _, err := s.choose(all); err == nil || !strings.Contains(err.Error(), "no row F9: the rows are F1, F2, F3, L") {
		t.Errorf("an unknown row: %v", err)
	}
}

// trialOf is one that has run without a system.
func trialOf(r row, c func(*oracle.Oracle), bites int, faults ...string) *trial {
	t := &trial{settings: quiet(), row: r, oracle: oracle.New(), result: result{row: r, bites: bites, faults: faults}}
	c(t.oracle)
	return t
}

// points acknowledges batches of a thousand points and delivers them some times.
func points(times ...int) func(*oracle.Oracle) {
	return func(o *oracle.Oracle) {
		s := o.Source("h", 1)
		for _, n := range times {
			b := s.Issue(1000)
			b.Acknowledged()
			for range n {
				o.Delivered(b.Lines(nil))
			}
		}
	}
}

func TestJudge(t *testing.T) {
	f := func(want verdict, x *trial) {
		t.Helper()
		if x.judge(); x.result.verdict != want || (want != passed) != (x.result.why != "") {
			t.Errorf("%s because of %q, want %s", x.result.verdict, x.result.why, want)
		}
	}
	none := func(*oracle.Oracle) {}
	f(passed, trialOf(row{}, points(1), 1))
	f(invalid, trialOf(row{}, points(1), 0)) // nothing was seen of the fault
	f(invalid, trialOf(row{}, none, 1))      // nothing was under way
	f(passed, trialOf(row{quiet: true}, none, 1))
	f(failed, trialOf(row{}, points(1, 0), 1))
	f(passed, trialOf(row{loses: true}, points(1, 0), 1))
	f(failed, trialOf(row{}, points(1, 2), 1))
	windowed := func(windows int) *trial {
		x := trialOf(row{}, points(1, 2), 1)
		x.mayDouble(windows / 2)
		x.mayDouble(windows - windows/2)
		return x
	}
	f(failed, windowed(999))
	f(passed, windowed(1000))
	f(failed, trialOf(row{loses: true}, func(o *oracle.Oracle) { o.Delivered([]byte("x v=1\n")) }, 1))
	half := trialOf(row{}, points(1), 1)
	half.missed("a part of it")
	f(invalid, half)
	f(failed, trialOf(row{}, points(1), 1, "it did not work"))
}

func TestTable(t *testing.T) {
	good := trialOf(row{name: "F1", title: "a fault", promise: "nothing is lost"}, points(1), 1)
	good.result.recoveries = []time.Duration{3 * time.Second, time.Second, 2 * time.Second}
	good.result.ackGap = 1234 * time.Millisecond
	good.result.peak = map[string]int64{"plugin": 24 << 20, "agent": 30 << 20}
	good.judge()
	bad := trialOf(row{name: "F2", title: "another", promise: "nothing is lost"}, points(0), 1)
	bad.judge()
	s := quiet()
	without := s.run(t.Context(), row{name: "F3", title: "a third", needs: []need{{"a key: buy one", func() bool { return false }}}})
	table := s.table(context.Background(), []result{good.result, bad.result, without})
	for _, want := range []string{
		"Seed 7, full form, an unknown version, on ",
		"| F1 | a fault | 1000 | 0 | 0 | 0 | 0 | 1.2s | 2s / 3s | agent 30, plugin 24 | passed |",
		"| F2 | another | 1000 | 1000 | 0 | 0 | 0 | – | – | – | FAILED |",
		"| F3 | a third | | | | | | | | | skipped: needs a key: buy one |",
		"- **F2** FAILED: of 1000 acknowledged points 1000 were lost",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not say %q:\n%s", want, table)
		}
	}
	err := verdictOf([]result{good.result, bad.result, without})
	if err == nil || strings.Contains(err.Error(), "F1") || strings.Contains(err.Error(), "F3") {
		t.Errorf("verdict: %v", err)
	}
}

func TestPublish(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	s := quiet()
	if err := s.publish("x"); err != nil {
		t.Errorf("no document: %v", err)
	}
	s.write = path
	if err := s.publish("x"); err == nil {
		t.Error("the document is not there, and no error")
	}
	f := func(before, want string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		err := s.publish("new\n")
		if after, _ := os.ReadFile(path); string(after) != want || (err == nil) != (before != want) {
			t.Errorf("%q became %q, %v", before, after, err)
		}
	}
	f("a\n<!-- chaos -->\nold\n<!-- /chaos -->\nb\n", "a\n<!-- chaos -->\n\nnew\n\n<!-- /chaos -->\nb\n")
	f("no place\n", "no place\n")
}

// The same seed is the same schedule, whatever else runs; another row has another.
func TestRandom(t *testing.T) {
	s := quiet()
	a, b, c := s.randomOf("F1").Uint64(), s.randomOf("F1").Uint64(), s.randomOf("F2").Uint64()
	if a != b || a == c {
		t.Errorf("%d, %d, %d", a, b, c)
	}
}

// A soak runs rows until its time is over, each with a seed that is told.
func TestSoak(t *testing.T) {
	var told bytes.Buffer
	s := settings{err: &told, soak: 4 * time.Second, seed: 3, dir: t.TempDir()}
	ran := map[string]int{}
	run := func(x *trial) {
		ran[x.row.name]++
		x.sleep(50 * time.Millisecond)
	}
	results := s.runAll(t.Context(), []row{{name: "A", run: run}, {name: "B", run: run}})
	if len(results) < 2 || ran["A"]+ran["B"] != len(results) || strings.Count(told.String(), "seed ") != len(results)+1 {
		t.Errorf("%d results, %v\n%s", len(results), ran, told.String())
	}
}

// A row that gives up ends, with what it started; the others run.
func TestRowThatEnds(t *testing.T) {
	s := settings{err: io.Discard, dir: t.TempDir()}
	var ended []string
	r := s.run(t.Context(), row{name: "A", run: func(x *trial) {
		x.cleanup(func() { ended = append(ended, "first") })
		x.cleanup(func() { ended = append(ended, "second") })
		x.await(0, "something", func() error { return io.ErrUnexpectedEOF })
		t.Error("it goes on")
	}})
	if r.verdict != failed || !strings.Contains(r.why, "something: unexpected EOF") || strings.Join(ended, " ") != "second first" {
		t.Errorf("%+v, ended %v", r, ended)
	}
}

func TestMain(m *testing.M) { os.Exit(m.Run()) }
