package oracle

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// Each way in which a pipeline can betray is counted by its name, and what is allowed is not.
func TestCount(t *testing.T) {
	text := func(b Batch) []byte { return b.Lines(nil) }
	f := func(want Count, run func(o *Oracle, first, second Batch)) {
		t.Helper()
		o := New()
		s := o.Source("h1", 1)
		first, second := s.Issue(2), s.Issue(3)
		run(o, first, second)
		got := o.Count()
		got.Samples = nil
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v\nwant %v", got, want)
		}
	}
	f(Count{}, func(*Oracle, Batch, Batch) {})
	f(Count{Acknowledged: 2, Lost: 2}, func(_ *Oracle, a, _ Batch) { a.Acknowledged() })
	f(Count{Acknowledged: 5}, func(o *Oracle, a, b Batch) {
		a.Acknowledged()
		o.Delivered(append(text(a), text(b)...))
		b.Acknowledged() // after its delivery
	})
	f(Count{Unknown: 2}, func(o *Oracle, a, _ Batch) { o.Delivered(text(a)) })
	f(Count{Acknowledged: 2, Duplicated: 2}, func(o *Oracle, a, _ Batch) {
		a.Acknowledged()
		for range 300 { // more often than a byte counts
			o.Delivered(text(a))
		}
	})
	f(Count{Acknowledged: 5, Reordered: 2}, func(o *Oracle, a, b Batch) {
		a.Acknowledged()
		b.Acknowledged()
		o.Delivered(text(b))
		o.Delivered(text(a))
	})
	f(Count{Acknowledged: 3, Duplicated: 3}, func(o *Oracle, _, b Batch) {
		b.Acknowledged()
		o.Delivered(append(text(b), text(b)...)) // what comes again is not out of order
	})
	f(Count{Acknowledged: 2, Buried: 2}, func(o *Oracle, a, _ Batch) {
		a.Acknowledged()
		o.Buried(text(a))
	})
}

func TestInventedAndAltered(t *testing.T) {
	o := New()
	b := o.Source("h1", 1).Issue(2)
	good := strings.TrimSuffix(string(b.Lines(nil)), "\n")
	first, second, _ := strings.Cut(good, "\n")
	f := func(line string, invented, altered int) {
		t.Helper()
		before := o.Count()
		o.Delivered([]byte(line + "\n"))
		after := o.Count()
		if got := [2]int{after.Invented - before.Invented, after.Altered - before.Altered}; got != [2]int{invented, altered} {
			t.Errorf("%q: invented, altered %v", line, got)
		}
	}
	f(first, 0, 0)
	f("", 0, 0)
	f(strings.Replace(first, "seq=0i", "seq=7i", 1), 1, 0)
	f(strings.Replace(first, "host=h1", "host=h2", 1), 1, 0)
	f(strings.Replace(first, "boot=1", "boot=2", 1), 1, 0)
	f(strings.Replace(first, "boot=1", "boot=x", 1), 1, 0)
	f("cpu v=1", 1, 0)
	f("chaos,boot=1,host=h1 v=1", 1, 0)
	f(first[:len(first)-1], 0, 1)
	f(first+"0", 0, 1)
	f(strings.Replace(first, "seq=0i", "seq=1i", 1), 0, 1) // the hash is another's
	f(strings.Replace(second, "chaos,", "chaos,z=1,", 1), 1, 0)
	if n := len(o.Count().Samples); n != 2 {
		t.Errorf("%d samples: %v", n, o.Count().Samples)
	}
}

func TestSettled(t *testing.T) {
	o := New()
	s := o.Source("h1", 1)
	a, b, c := s.Issue(2), s.Issue(2), s.Issue(2)
	if !o.Settled(0) || o.Settled(1) {
		t.Error("nothing is owed, and more than that cannot be settled")
	}
	a.Acknowledged()
	b.Acknowledged()
	mark := o.Obligations()
	c.Acknowledged()
	o.Delivered(b.Lines(nil))
	if mark != 2 || o.Settled(1) || o.Settled(mark) || o.Delivers(mark) || o.Delivers(3) {
		t.Error("the first is still owed, and the last")
	}
	o.Delivered(c.Lines(nil))
	if !o.Delivers(mark) || o.Settled(mark) {
		t.Error("what came after the mark is there, what came before is not")
	}
	o.Buried(a.Lines(nil)[:len(a.Lines(nil))/2])
	if o.Settled(mark) {
		t.Error("half of a batch is still owed")
	}
	o.Buried(a.Lines(nil))
	if !o.Settled(mark) || !o.Settled(3) || o.Settled(4) {
		t.Error("all is settled, and no more than that")
	}
	if o.Acked() != 6 || o.Arrived() != 4 {
		t.Errorf("%d acknowledged, %d arrived", o.Acked(), o.Arrived())
	}
}

// Two sources of one host in one life would give out numbers twice: they share a track instead.
func TestSourcesShare(t *testing.T) {
	o := New()
	a, b := o.Source("h1", 1).Issue(1), o.Source("h1", 1).Issue(1)
	if string(a.Lines(nil)) == string(b.Lines(nil)) {
		t.Error("a number was issued twice")
	}
	c := o.Source("h1", 2).Issue(1)
	if string(a.Lines(nil)) == string(c.Lines(nil)) {
		t.Error("another life has the same points")
	}
}

// What one sink is owed another one is owed too, and each for itself.
func TestTwin(t *testing.T) {
	o := New()
	twin := o.Twin()
	b := o.Source("h1", 1).Issue(2)
	o.Delivered(b.Lines(nil))
	if c := twin.Count(); c.Acknowledged+c.Lost+c.Unknown > 0 || b.Twin().Settled() || !b.Settled() {
		t.Errorf("before the acknowledgement: %v", c)
	}
	b.Acknowledged()
	if c := twin.Count(); c.Acknowledged != 2 || c.Lost != 2 || o.Count().Lost != 0 {
		t.Errorf("what only the first has: %v", c)
	}
	twin.Delivered(b.Lines(nil))
	if c := twin.Count(); c.Lost != 0 || c.Invented != 0 || !b.Twin().Settled() || !twin.Settled(1) {
		t.Errorf("what both have: %v", c)
	}
}

// What is acknowledged after the end of the obligations is owed by nobody.
func TestFreeze(t *testing.T) {
	o := New()
	s := o.Source("h1", 1)
	s.Issue(2).Acknowledged()
	o.Freeze()
	late := s.Issue(3)
	late.Acknowledged()
	o.Delivered(late.Lines(nil))
	if c := o.Count(); c.Acknowledged != 2 || c.Lost != 2 || c.Unknown != 3 || o.Obligations() != 1 {
		t.Errorf("%v", c)
	}
}

// A source has the times it was given, and a point of another time is another.
func TestSourceAt(t *testing.T) {
	for _, base := range []int64{0, -1_000_000, math.MinInt64, math.MaxInt64 - 2000} {
		o := New()
		b := o.SourceAt("h1", 1, base).Issue(3)
		text := string(b.Lines(nil))
		if want := fmt.Sprintf(" %d\n", base+2000); !strings.HasSuffix(text, want) {
			t.Errorf("%q does not end in %q", text, want)
		}
		b.Acknowledged()
		o.Delivered([]byte(text))
		if c := o.Count(); c.Lost+c.Altered+c.Invented > 0 {
			t.Errorf("points from %d on: %v", base, c)
		}
	}
}

// What was acknowledged is owed, point by point; how often a batch came is known.
func TestOwed(t *testing.T) {
	o := New()
	s := o.Source("h1", 1)
	first, second := s.Issue(2), s.Issue(1)
	s.Issue(1)
	second.Acknowledged()
	first.Acknowledged()
	var lines []string
	o.Owed(func(line []byte) { lines = append(lines, string(line)+"\n") })
	if want := string(second.Lines(nil)) + string(first.Lines(nil)); strings.Join(lines, "") != want {
		t.Errorf("%q, want %q", lines, want)
	}
	o.Delivered(first.Lines(nil))
	o.Delivered(first.Lines(nil)[:len(first.Lines(nil))/2])
	if least, most := first.Times(); least != 1 || most != 2 {
		t.Errorf("it came %d to %d times", least, most)
	}
	if least, most := second.Times(); least != 0 || most != 0 {
		t.Errorf("it came %d to %d times, and never did", least, most)
	}
}

// What was set aside and delivered after all is set aside no more.
func TestBuriedAndDelivered(t *testing.T) {
	o := New()
	b := o.Source("h1", 1).Issue(2)
	b.Acknowledged()
	o.Buried(b.Lines(nil))
	if c := o.Count(); c.Buried != 2 || c.Lost != 0 {
		t.Errorf("set aside: %v", c)
	}
	o.Delivered(b.Lines(nil))
	if c := o.Count(); c.Buried != 0 || c.Lost != 0 || c.Duplicated != 0 {
		t.Errorf("and delivered: %v", c)
	}
}

func TestGap(t *testing.T) {
	var g Gap
	begin := time.Now()
	f := func(want time.Duration, now time.Duration) {
		t.Helper()
		if got := g.Longest(begin.Add(now)); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	f(0, time.Hour)
	g.Came(begin)
	f(time.Second, time.Second)
	g.Came(begin.Add(2 * time.Second))
	g.Came(begin.Add(3 * time.Second))
	f(2*time.Second, 4*time.Second)
	f(5*time.Second, 8*time.Second)
	if g.Most() != 2*time.Second {
		t.Errorf("between two arrivals %v", g.Most())
	}
	g.Restart()
	f(time.Second, 4*time.Second)
}

func TestGaps(t *testing.T) {
	o := New()
	b := o.Source("h1", 1).Issue(1)
	b.Acknowledged()
	o.Delivered(b.Lines(nil))
	if acks, arrivals := o.Gaps(); acks == 0 || arrivals == 0 {
		t.Error("no gap goes on")
	}
	o.Restart()
	if acks, arrivals := o.Gaps(); acks+arrivals != 0 {
		t.Error("there is a gap though nothing has come")
	}
}

func BenchmarkDelivered(b *testing.B) {
	o := New()
	batch := o.Source("h1", 1).Issue(1000)
	text := batch.Lines(nil)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		o.Delivered(text)
	}
}
