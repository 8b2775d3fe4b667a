package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/pacewire/pacewire/internal/oracle"
)

// A pulse is how long points take through the pipeline, one after the other.
type pulse struct{ p50, p99, most time.Duration }

func (p pulse) String() string {
	return fmt.Sprintf("p50 %s, p99 %s, longest %s", round(p.p50), round(p.p99), round(p.most))
}

// patience for one point: a pipeline that stands still is a measurement too.
const pulsePatience = 20 * time.Second

// pulse sends single points for so long, each when the one before has arrived at the first sink.
func (t *trial) pulse(d time.Duration) pulse {
	from := t.oracle.Source("pulse", t.nextBoot())
	var all []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); {
		all = append(all, t.beat(from.Issue(1)))
		t.sleep(10 * time.Millisecond)
	}
	slices.Sort(all)
	return pulse{all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}
}

// beat sends a batch and returns how long it was under way.
func (t *trial) beat(b oracle.Batch) time.Duration {
	begin := time.Now()
	if err := t.source.post(t.ctx, b); err != nil {
		t.errorf("a single point: %v", err)
		return time.Since(begin)
	}
	for !b.Settled() && time.Since(begin) < pulsePatience {
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin)
}

// slower fails the row when points take much longer than before. On a busy machine one of a hundred takes up to a second anyway;
// who waits for somebody else's call to end waits for seconds.
func (t *trial) slower(before, during pulse) {
	if during.p99 > 10*before.p99+2*time.Second {
		t.errorf("the neighbours suffer: %v, before %v", during, before)
	}
}

// A drain is how fast what has waited arrives, in points a second.
type drain struct{ out, in float64 }

func (d drain) String() string {
	return fmt.Sprintf("%.0f points/s while %.0f points/s come in: %.1f times as many", d.out, d.in, d.out/d.in)
}

// drained measures from the first point that arrives after now until nothing waits any more but what is on its way always.
func (t *trial) drained(limit, usual time.Duration) drain {
	before := t.oracle.Arrived()
	t.await(limit, "points arrive again", func() error { return yet(t.oracle.Arrived() > before) })
	begin, arrived, acked := time.Now(), t.oracle.Arrived(), t.oracle.Acked()
	rate := func(now, then int) float64 { return float64(now-then) / time.Since(begin).Seconds() }
	t.await(limit, "what has waited has arrived", func() error {
		waiting := t.oracle.Acked() - t.oracle.Arrived()
		if float64(waiting) > rate(t.oracle.Acked(), acked)*usual.Seconds() {
			return fmt.Errorf("%d points still wait", waiting)
		}
		return nil
	})
	return drain{rate(t.oracle.Arrived(), arrived), rate(t.oracle.Acked(), acked)}
}
