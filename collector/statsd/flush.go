package statsd

import (
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	flushAtOnce = 16   // metrics, while which nothing is received: to sort the samples of a timer takes its time
	postAtOnce  = 2000 // points
)

// The fields of what is flushed.
var (
	valueField    = fields("value")
	counterFields = fields("total", "value")
	timerFields   = fields("count", "max", "mean", "min", "p50", "p90", "p99", "sum")
)

func fields(names ...string) (list []telemetry.Field) {
	for _, name := range names {
		list = append(list, telemetry.Field{Name: name, Type: telemetry.TypeFloat})
	}
	return list
}

// flush hands over the points of all metrics that have something to tell at a time, and forgets those that had nothing for keep.
// Metrics are received meanwhile.
func (t *table) flush(at time.Time, keep time.Duration, out collector.Emitter) {
	t.mu.Lock()
	t.events = 0
	t.mu.Unlock()
	b, n := out.Batch(), 0
	for from, more := 0, true; more; {
		var points int
		from, points, more = t.flushSome(b, from, at, keep)
		n += points
		if n > 0 && (n >= postAtOnce || !more) {
			hand(b, n, out)
			b, n = out.Batch(), 0
		}
	}
	b.Reset()
	_ = out.Post(b, 0) // to be used again
}

// hand hands over n points.
func hand(b *telemetry.Batch, n int, out collector.Emitter) {
	if err := out.Post(b, postWait); err != nil {
		out.Drop("not_sent", n)
	}
}

// flushSome adds the points of some metrics to b.
func (t *table) flushSome(b *telemetry.Batch, from int, at time.Time, keep time.Duration) (next, points int, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next = from
	for range flushAtOnce {
		if next >= len(t.metrics) {
			return next, points, false
		}
		m := t.metrics[next]
		if m.news || m.seen.IsZero() {
			m.seen = at
		}
		if at.Sub(m.seen) >= keep && !m.news {
			t.forget(next)
			continue
		}
		switch {
		case m.news || m.kind == gauge && m.told:
			t.tell(m, b, at)
			points++
		case m.kind == timer:
			m.spread.samples = nil // memory for those that are in use
		}
		m.news = false
		next++
	}
	return next, points, true
}

// tell adds the point of m to b, and makes m ready for the next flush.
func (t *table) tell(m *metric, b *telemetry.Batch, at time.Time) {
	add := func(fields []telemetry.Field, values ...float64) {
		t.row = t.row[:0]
		for _, v := range values {
			t.row = append(t.row, telemetry.Float(v))
		}
		b.Group(m.name, m.keys, fields).Row(at, m.tags, t.row...)
	}
	switch m.kind {
	case gauge:
		add(valueField, m.value)
	case counter:
		m.total += m.value
		add(counterFields, m.total, m.value)
		m.value = 0
	case set:
		add(valueField, float64(len(m.values)))
		t.values -= len(m.values)
		m.values = map[uint64]struct{}{}
	case timer:
		s := m.spread
		q := s.quantiles(0.5, 0.9, 0.99)
		add(timerFields, s.count, s.max, s.sum/s.count, s.min, q[0], q[1], q[2], s.sum)
		t.samples -= len(s.samples)
		s.reset()
	}
}
