package statsd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is told at which flush: a gauge always, others when something came; and what is known of them in the next.
func TestFlushes(t *testing.T) {
	table := testTable()
	f := func(text string, after time.Duration, want ...string) {
		t.Helper()
		table.take([]byte(text))
		if got, lost := flushed(table, at.Add(after)); !slices.Equal(got, want) || lost != "" {
			t.Errorf("after %v: %q, lost %q; want %q", after, got, lost, want)
		}
	}
	f("c:1|c\ng:5|g\nt:3|ms\ns:a|s", 0, "c total=1,value=1", "g value=5", "s value=1", "t count=1,max=3,mean=3,min=3,p50=3,p90=3,p99=3,sum=3")
	f("", 10*time.Second, "g value=5")
	f("c:2|c\ng:-1|g\nt:-4|ms\ns:b|s", 20*time.Second, "c total=3,value=2", "g value=4", "s value=1", "t count=1,max=-4,mean=-4,min=-4,p50=-4,p90=-4,p99=-4,sum=-4")
	f("c:0|c", time.Hour, "c total=3,value=0", "g value=4")
	f("", time.Hour+20*time.Second) // an hour has passed since the gauge came
	f("c:1|c\ng:-1|g", 2*time.Hour-time.Second, "c total=4,value=1", "g value=-1")
	f("", 3*time.Hour)
	f("c:1|c", 4*time.Hour, "c total=1,value=1")
	if n, m := len(table.metrics), len(table.byForm); n != 1 || m != 2 {
		t.Errorf("%d metrics under %d keys are kept, want 1 under 2", n, m)
	}
	if table.samples != 0 || table.values != 0 {
		t.Errorf("%d samples, %d values after the flush", table.samples, table.values)
	}
}

// A metric of which no more than values with their own time came has no value to be told.
func TestFlushOfTimed(t *testing.T) {
	table := testTable()
	table.take([]byte("g:1|g|T1600000000\ng:nan|g"))
	table.takeDirect()
	for range 2 {
		if got, _ := flushed(table, at); len(got) != 0 {
			t.Errorf("told: %q", got)
		}
	}
}

func TestMetricsAreBounded(t *testing.T) {
	table := newTable("h", "statsd", 100, "")
	for i := range 1000 {
		table.take(fmt.Appendf(nil, "c:1|c|#user:%d", i))
		table.take([]byte("c:1|c|#user:7"))
	}
	if n := table.losses.counts[metricsFull]; n != 900 {
		t.Errorf("%d messages lost, want 900", n)
	}
	if len(table.metrics) != 100 || len(table.byForm) != 200 {
		t.Errorf("%d metrics, %d keys", len(table.metrics), len(table.byForm))
	}
	got, _ := flushed(table, at)
	if len(got) != 100 || !slices.Contains(got, "c,user=7 total=1001,value=1001") {
		t.Errorf("%d points: %q", len(got), got)
	}
}

// One metric that is written in ever another way is one metric, and its ways are not all kept.
func TestFormsAreBounded(t *testing.T) {
	table := testTable()
	for i := range 1000 {
		table.take(fmt.Appendf(nil, "c:1|c|#user:%d,user:a", i))
	}
	if len(table.metrics) != 1 || len(table.byForm) > maxForms {
		t.Errorf("%d metrics, %d keys", len(table.metrics), len(table.byForm))
	}
	if got, _ := flushed(table, at); !slices.Equal(got, []string{"c,user=a total=1000,value=1000"}) {
		t.Errorf("%q", got)
	}
}

// Long names cost many short ones their place, and memory stays what it is.
func TestTextIsBounded(t *testing.T) {
	table := testTable()
	table.take([]byte("c:1|c|#a:b"))
	others := allText - 2*table.text // as if others had nearly all
	table.text += others
	table.take([]byte("c:1|c|#user:1\nc:1|c|#x:y,z:w,x:y,z:w"))
	table.take([]byte("c:1|c|#b:1\nc:1|c|#b:2"))
	if n := table.losses.counts[metricsFull]; n < 2 || table.text > allText {
		t.Errorf("%d messages lost, %d bytes", n, table.text)
	}
	kept := len(table.metrics)
	table.text -= others
	flushed(table, at)
	flushed(table, at.Add(time.Hour))
	if table.text != 0 || len(table.byForm) != 0 || kept == 0 {
		t.Errorf("%d bytes under %d keys are left of %d metrics", table.text, len(table.byForm), kept)
	}
}

func TestSamplesAreBounded(t *testing.T) {
	table := testTable()
	table.samples = allSamples // as if others had them all
	table.take([]byte("t:1:2:3|ms"))
	got, lost := flushed(table, at)
	if len(got) != 1 || !strings.HasPrefix(got[0], "t count=3,max=3,mean=2,min=1,") || lost != "" {
		t.Errorf("%q, lost %q", got, lost)
	}
	table.values = allValues
	table.take([]byte("s:a|s\ns:b|s"))
	if _, lost := flushed(table, at.Add(time.Second)); lost != "sets_full=2" {
		t.Errorf("lost %q", lost)
	}
}

// Of more values than are kept, those that are chosen stand for all.
func TestQuantiles(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2)).Uint64N
	f := func(n int, weight float64, within float64, want ...float64) {
		t.Helper()
		var s spread
		for _, v := range rand.New(rand.NewPCG(3, 4)).Perm(n) {
			if _, r := s.add(float64(v+1), weight, true, draw); r != fine {
				t.Fatal(r)
			}
		}
		if len(s.samples) > maxSamples || s.min != 1 || s.max != float64(n) || s.count != float64(n)*weight {
			t.Errorf("%d: %d samples, %v to %v, count %v", n, len(s.samples), s.min, s.max, s.count)
		}
		for i, got := range s.quantiles(0.5, 0.9, 0.99) {
			if diff := got - want[i]; diff > within || diff < -within {
				t.Errorf("%d: quantile %v, want %v", n, got, want[i])
			}
		}
	}
	f(1, 1, 0, 1, 1, 1)
	f(2, 1, 0, 1, 2, 2)
	f(10, 1, 0, 5, 9, 10)
	f(100, 1, 0, 50, 90, 99)
	f(100, 4, 0, 50, 90, 99)
	f(1000, 1, 0, 500, 900, 990)
	f(100_000, 1, 5000, 50_000, 90_000, 99_000) // three times what such a choice is off by
}

// Flushes come at whole multiples of their interval.
func TestFlushesAreAligned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listener{cfg: defaults(), log: testEnv(t).Log, table: testTable(), wake: make(chan struct{}, 1)}
		time.Sleep(3 * time.Second)
		var e emitter
		over, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			l.flushes(over, &e)
		}()
		tell := func(text string) {
			l.table.mu.Lock()
			defer l.table.mu.Unlock()
			l.table.take([]byte(text))
		}
		begun := time.Now().UnixNano() / 1e9 * 1e9 / 10e9 * 10e9
		want := func(after time.Duration, points ...string) {
			t.Helper()
			synctest.Wait()
			for i := range points {
				points[i] += fmt.Sprintf(" %d", begun+after.Nanoseconds())
			}
			if got := e.take(); !slices.Equal(got, points) {
				t.Errorf("%q, want %q", got, points)
			}
		}
		tell("c:1|c")
		time.Sleep(6 * time.Second)
		want(0)
		time.Sleep(time.Second)
		want(10*time.Second, "c total=1,value=1")
		tell("c:2|c")
		time.Sleep(10 * time.Second)
		want(20*time.Second, "c total=3,value=2")
		tell("_sc|db|0|d:1600000000")
		l.wake <- struct{}{}
		synctest.Wait()
		if got := e.take(); !slices.Equal(got, []string{`check_state,check=db state=0i,text="" 1600000000000000000`}) {
			t.Errorf("at once: %q", got)
		}
		tell("c:3|c")
		time.Sleep(4 * time.Second)
		close(over)
		<-ended
		want(24*time.Second, "c total=6,value=3")
	})
}

// One name of two types is told as it comes, and an operator hears of it; with a tag for the type they are two series.
func TestTwins(t *testing.T) {
	f := func(tag, text, twin string, want ...string) {
		t.Helper()
		table := newTable("h", "statsd", 100, tag)
		table.take([]byte(text))
		if got, lost := flushed(table, at); !slices.Equal(got, want) || lost != "" || table.twin != twin {
			t.Errorf("%q: %q, twin %q, lost %q; want %q", text, got, table.twin, lost, want)
		}
	}
	f("", "a:1|c\na:5|g", "a", "a total=1,value=1", "a value=5")
	f("", "a:5|g\na:x|s", "a", "a value=1", "a value=5")
	f("", "a:5|g|#k:v\na:1|c|#k:w\na:1|c", "", "a total=1,value=1", "a,k=v value=5", "a,k=w total=1,value=1")
	f("", "a:1|c\na:3|ms", "", "a count=1,max=3,mean=3,min=3,p50=3,p90=3,p99=3,sum=3", "a total=1,value=1") // no field of both
	f("type", "a:1|c|#z:1\na:1|c|#z:1\na:5|g|#z:1\na:x|s\na:3|h\na:3|ms", "",
		"a,type=counter,z=1 total=2,value=2", "a,type=gauge,z=1 value=5", "a,type=set value=1",
		"a,type=timing count=2,max=3,mean=3,min=3,p50=3,p90=3,p99=3,sum=6")
	f("type", "a:1|c|#type:x", "", "a,type=counter total=1,value=1")
}
