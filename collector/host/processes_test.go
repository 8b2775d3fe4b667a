package host

import (
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	var got tally
	f := func(text string, kind int, wantThreads uint64) {
		t.Helper()
		before := got
		if err := got.add([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got[kind] != before[kind]+1 || got[counted] != before[counted]+1 || got[threads] != before[threads]+wantThreads {
			t.Errorf("%q: %v after %v", text, got, before)
		}
	}
	const numbers = " 1 1 1 0 -1 4194560 4711 0 12 0 918 273 0 0 20 -5 "
	f("1 (systemd) S"+numbers+"3 0", sleeping, 3)
	f("2 (a) R) S (b) R"+numbers+"1", running, 1)
	f("3 (line\nend) D"+numbers+"1 0", blocked, 1)
	f("4 (x) Z"+numbers+"1 0", zombies, 1)
	f("5 (x) T"+numbers+"1 0", stopped, 1)
	f("6 (x) t"+numbers+"1 0", stopped, 1)
	f("7 (kworker/0:1) I"+numbers+"1 0", idling, 1)
	f("8 (x) P"+numbers+"1 0", unknown, 1)
	for text, want := range map[string]string{
		"":              `line 1: want a name in brackets, got ""`,
		"9 x S":         `line 1: want a name in brackets, got "9 x S"`,
		"9 (x)":         `line 1: want the letter of a state, got ""`,
		"9 (x) SS 1":    `line 1: want the letter of a state, got "SS"`,
		"9 (x) S 1 2 3": `line 1: threads: want a number, got ""`,
	} {
		if err := got.add([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzTally(f *testing.F) {
	seeds(f, "*/proc/*/stat", "1 () S", ")")
	f.Fuzz(func(t *testing.T, text []byte) {
		var counts tally
		err := counts.add(text)
		checkPlaced(t, err)
		if err == nil && counts[counted] != 1 {
			t.Errorf("%q counts as %v", text, counts)
		}
	})
}

func TestPace(t *testing.T) {
	from := time.Unix(1763559525, 0)
	f := func(took, wantRest time.Duration) {
		t.Helper()
		var p pace
		p.spent(from, from.Add(took))
		if rest := p.due.Sub(from.Add(took)); rest != wantRest {
			t.Errorf("a scan of %v is followed by %v, want %v", took, rest, wantRest)
		}
	}
	f(0, 0)
	f(time.Millisecond, time.Second)
	f(30*time.Millisecond, 30*time.Second)
}
