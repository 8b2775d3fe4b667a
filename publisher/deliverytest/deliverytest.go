// Package deliverytest tests what every publisher promises: what the bus has acknowledged arrives at the sink.
//
// It runs a publisher as a plugin on a real bus, and takes its sink away, fills it, slows it down and kills the process at
// the worst moment.
package deliverytest

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// A Sink is an outside system of a test, and how the publisher under test reaches it. The controls that a sink does not
// have are nil: what needs them is left out.
type Sink struct {
	Settings string                               // of the publisher, a JSON object
	ReadBack func(t testing.TB) []telemetry.Point // all that the sink has confirmed, repeats too

	Away   func(away bool)     // takes the sink away, and brings it back with what it had
	Refuse func(series string) // has the sink refuse for good what holds a point of series
	Limit  func(points int)    // has the sink find too large what holds more points

	// Single says that one process alone can write to the sink.
	Single bool
}

// Run tests the publisher d. open makes a sink of its own for each part of the test.
//
// The points are of the series "delivery", some of "refused", each with the tags host and k and the fields n, an integer
// that no other point has, and v, a float. Their times are whole seconds.
//
// For the part that kills the process, Run starts the test binary again with only the test that called Run; what that test
// does before Run is done there too, what it does afterwards is not.
func Run(t *testing.T, d plugin.Definition, open func(t *testing.T) Sink) {
	t.Helper()
	if os.Getenv(victimVariable) != "" {
		os.Exit(victim(d))
	}
	for _, part := range []struct {
		name string
		test func(*run)
		able func(Sink) bool
	}{
		{"all arrive", (*run).allArrive, nil},
		{"drained and started again", (*run).handedOver, nil},
		{"sink away and back", (*run).awayAndBack, func(s Sink) bool { return s.Away != nil }},
		{"refused is set aside", (*run).refused, func(s Sink) bool { return s.Refuse != nil }},
		{"too large is split", (*run).tooLarge, func(s Sink) bool { return s.Limit != nil }},
		{"slow sink", (*run).slow, nil},
		{"two at a time", (*run).parallel, func(s Sink) bool { return !s.Single }},
		{"killed between store and ack", (*run).killed, nil},
	} {
		t.Run(part.name, func(t *testing.T) {
			s := open(t)
			if part.able != nil && !part.able(s) {
				return // the sink's kind has no such case: nothing is skipped that could be tested
			}
			part.test(newRun(t, d, s))
		})
	}
}

const (
	series        = "delivery"
	refusedSeries = "refused"
	perMessage    = 20

	// ackWait is how long the bus waits for a publisher, which a busy machine may stop for a while, and killedWait for one that
	// was killed.
	ackWait    = 20 * time.Second
	killedWait = 2 * time.Second
)

func (r *run) allArrive() {
	r.send(50, series)
	r.start(nil)
	r.send(50, series)
	r.settled()
	r.wantEach()
}

func (r *run) handedOver() {
	p := r.start(nil)
	for range 3 {
		before := len(r.sink.ReadBack(r))
		r.send(20, series)
		plugintest.Until(r, "points", func() bool { return len(r.sink.ReadBack(r)) > before })
		if err := p.Stop(r); err != nil {
			r.Errorf("drain: %v", err)
		}
		p = r.start(nil)
	}
	r.settled()
	r.wantEach()
}

func (r *run) awayAndBack() {
	r.start(nil)
	r.send(10, series)
	r.settled()
	r.sink.Away(true)
	r.send(30, series)
	plugintest.Until(r, "the publisher to notice", func() bool { return r.errors() > 0 })
	r.sink.Away(false)
	r.send(10, series)
	r.settled()
	r.wantEach()
	r.wantDead()
}

func (r *run) refused() {
	r.sink.Refuse(refusedSeries)
	r.send(10, series)
	bad := r.send(1, refusedSeries)
	r.send(10, series)
	r.start(nil)
	r.settled()
	r.numbers = slices.DeleteFunc(r.numbers, func(n int64) bool { return slices.Contains(bad, n) })
	r.wantEach()
	r.wantDead(bad...)
}

func (r *run) tooLarge() {
	r.sink.Limit(perMessage/2 - 3)
	r.send(20, series)
	r.start(nil)
	r.settled()
	r.wantEach()
	r.wantDead()
}

func (r *run) slow() {
	r.start(func(p *tampered) { p.delay = 20 * time.Millisecond })
	for range 10 {
		r.send(10, series)
	}
	r.settled()
	r.wantEach()
}

func (r *run) parallel() {
	r.work.Parallel = 2
	r.start(func(p *tampered) { p.delay = time.Millisecond })
	for range 10 {
		r.send(20, series)
	}
	r.settled()
	r.wantEach()
}

// killed ends the process after its sink has confirmed a batch, before the bus knows. What was in that batch comes twice,
// and is the same both times; nothing else does.
func (r *run) killed() {
	r.waits(killedWait)
	r.send(20, series)
	r.startVictim(1)
	r.start(nil)
	r.settled()
	got := r.points()
	if missing := r.missing(got); len(missing) > 0 {
		r.Errorf("%d of %d points are lost: %v", len(missing), len(r.numbers), some(missing))
	}
	for n, points := range got {
		for _, p := range points[1:] {
			if a, b := fmt.Sprint(p.Time.UnixNano(), p.Tags, p.Fields), fmt.Sprint(points[0].Time.UnixNano(), points[0].Tags, points[0].Fields); a != b {
				r.Errorf("point %d came as %s and as %s", n, b, a)
			}
		}
	}
}

// wantEach checks that every point that was sent came once, as it was.
func (r *run) wantEach() {
	r.Helper()
	got := r.points()
	if missing := r.missing(got); len(missing) > 0 {
		r.Errorf("%d of %d points are lost: %v", len(missing), len(r.numbers), some(missing))
	}
	for n, points := range got {
		if len(points) > 1 {
			r.Errorf("point %d came %d times", n, len(points))
		}
		r.wantPoint(n, points[0])
	}
	if len(got) > len(r.numbers) {
		r.Errorf("%d points came, %d were sent", len(got), len(r.numbers))
	}
}

func (r *run) wantPoint(n int64, p telemetry.Point) {
	r.Helper()
	if want := made(n, p.Series); !p.Time.Equal(want.Time) || p.Tags["k"] != want.Tags["k"] || p.Tags["host"] != host || p.Fields["v"] != want.Fields["v"] {
		r.Errorf("point %d came as %v, sent was %v", n, p, want)
	}
}

// points returns what the sink has, by number.
func (r *run) points() map[int64][]telemetry.Point {
	r.Helper()
	got := map[int64][]telemetry.Point{}
	for _, p := range r.sink.ReadBack(r) {
		n, err := number(p.Fields["n"])
		if err != nil {
			r.Errorf("a point came that was not sent: %v", p)
			continue
		}
		got[n] = append(got[n], p)
	}
	return got
}

func (r *run) missing(got map[int64][]telemetry.Point) []int64 {
	var missing []int64
	for _, n := range r.numbers {
		if len(got[n]) == 0 {
			missing = append(missing, n)
		}
	}
	return missing
}

func some(list []int64) []int64 { return list[:min(len(list), 10)] }

// number reads n, which a sink may keep as another type.
func number(v any) (int64, error) {
	switch v := v.(type) {
	case int64:
		return v, nil
	case uint64:
		return int64(v), nil
	case float64:
		return int64(v), nil
	}
	return 0, fmt.Errorf("%v is no number", v)
}

// wantDead checks that the dead letters are those with the points numbers, each message with a reason.
func (r *run) wantDead(numbers ...int64) {
	r.Helper()
	var got []int64
	for range r.deadLetters() {
		d := r.nextDead()
		if d.Header(bus.HeaderError) == "" || d.Header(bus.HeaderReason) == "" {
			r.Errorf("dead letter %d has no reason", d.StreamSeq)
		}
		var b telemetry.Batch
		if err := b.Decode(d.ContentType, "", d.Body, d.Stored); err != nil {
			r.Errorf("dead letter %d: %v", d.StreamSeq, err)
		}
		for p := range b.Points() {
			n, _ := number(p.Fields["n"])
			got = append(got, n)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, numbers) {
		r.Errorf("dead letters hold the points %v, want %v", got, numbers)
	}
}
