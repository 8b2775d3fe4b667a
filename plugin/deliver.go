package plugin

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/pacewire/pacewire/internal/failpoint"
	"github.com/pacewire/pacewire/telemetry"
)

// Batching is how many points a publisher is given in one call. The zero value is 8,000 points, 1 MiB, no waiting.
type Batching struct {
	Points int
	Bytes  int           // of the messages
	Wait   time.Duration // for more, when nothing else waits
}

func (b Batching) orDefaults() Batching {
	if b.Points <= 0 {
		b.Points = 8000
	}
	if b.Bytes <= 0 {
		b.Bytes = 1 << 20
	}
	return b
}

// Deliver gives the batches of the inputs to f, several in one where they wait together, and settles them when f has
// returned nil. An error means what package plugin says; without a word the same is given again, for ever.
func (s *Session) Deliver(ctx context.Context, how Batching, f func(ctx context.Context, in *telemetry.Batch) error) error {
	how = how.orDefaults()
	return s.each(ctx, func(ctx context.Context, src source) error {
		h := haul{Session: s, work: f}
		for {
			if err := h.gather(ctx, src, how); err != nil {
				h.giveBack()
				return ended(err)
			}
			if !h.deliver(ctx, h.all()) {
				h.giveBack()
				return nil
			}
		}
	})
}

// A haul is the deliveries of one call to a publisher, gathered.
type haul struct {
	*Session
	work       func(ctx context.Context, in *telemetry.Batch) error
	deliveries []*delivery // nil where settled
	points     []int       // in each
	batches    []*telemetry.Batch
	merged     telemetry.Batch
}

// gather waits for a delivery, and takes more as long as they come without waiting.
func (h *haul) gather(ctx context.Context, src source, how Batching) error {
	h.deliveries, h.points = h.deliveries[:0], h.points[:0]
	points, bytes := 0, 0
	for points < how.Points && bytes < how.Bytes {
		if ctx.Err() != nil { // what is there already would be given on and on
			return ctx.Err()
		}
		d, err := h.next(ctx, src, how.Wait)
		switch {
		case errors.Is(err, io.EOF) && len(h.deliveries) > 0:
			return nil
		case err != nil:
			return err
		case d == nil:
			return nil
		}
		if !h.admit(d) || !h.open(h.batch(len(h.deliveries)), d) {
			continue
		}
		n := h.batch(len(h.deliveries)).Len()
		points += n
		bytes += len(d.body)
		h.points = append(h.points, n)
		h.deliveries = append(h.deliveries, d)
	}
	return nil
}

// next returns the next delivery; nil when the haul has some and no more came in time.
func (h *haul) next(ctx context.Context, src source, wait time.Duration) (*delivery, error) {
	if len(h.deliveries) == 0 {
		return src.next(ctx)
	}
	if wait <= 0 && src.ready() == 0 {
		return nil, nil
	}
	// What is ready may turn out to be no delivery: a haul must not wait for the one after it.
	patient, cancel := context.WithTimeout(ctx, max(wait, 0))
	defer cancel()
	d, err := src.next(patient)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, nil
	}
	return d, err
}

// batch returns the memory for the i-th delivery.
func (h *haul) batch(i int) *telemetry.Batch {
	for len(h.batches) <= i {
		h.batches = append(h.batches, &telemetry.Batch{})
	}
	return h.batches[i]
}

// A stretch is a part of a haul: whole deliveries, or some points of one.
type stretch struct {
	from, to int  // deliveries
	points   span // of the only delivery; to 0: all
	part     int  // number of the part of a delivery, 0: whole
}

type span struct{ from, to int }

func (h *haul) all() stretch { return stretch{from: 0, to: len(h.deliveries)} }

// deliver calls the publisher with x until it is settled. It returns false when ctx has ended before.
func (h *haul) deliver(ctx context.Context, x stretch) bool {
	if x.to-x.from > 1 && h.suspected(x) {
		return h.deliverEach(ctx, x)
	}
	if x.from == x.to {
		return true
	}
	for try := 1; ; try++ {
		points := h.merge(x, try > 1 || x.part > 0 || x.to-x.from < len(h.deliveries))
		err := h.call(h.deliveries[x.from:x.to], func(ctx context.Context) error { return h.work(ctx, &h.merged) })
		switch {
		case err == nil:
			failpoint.Die(failpoint.SinkConfirmed)
			h.settle(x)
			return true
		case IsRefused(err):
			h.refuseRest(x, err)
			return true
		case errors.Is(err, ErrTooLarge), IsPermanent(err) && x.to-x.from > 1:
			return h.halve(ctx, x, points, err)
		case IsPermanent(err):
			h.refuse(x, "rejected", err)
			return true
		case !h.wait(ctx, err, try):
			return false
		}
	}
}

// suspected reports whether the plugin has died with one of x in hand before.
func (h *haul) suspected(x stretch) bool {
	for _, d := range h.deliveries[x.from:x.to] {
		if d.deliveries > 1 && h.suspect.deaths(d) > 0 {
			return true
		}
	}
	return false
}

// deliverEach calls the publisher with each delivery of x alone, so that the one that kills it is found.
func (h *haul) deliverEach(ctx context.Context, x stretch) bool {
	for i := x.from; i < x.to; i++ {
		if !h.deliver(ctx, stretch{from: i, to: i + 1}) {
			return false
		}
	}
	return true
}

// merge makes merged the points of x and returns how many they are. again: they may have been changed by a call before.
func (h *haul) merge(x stretch, again bool) int {
	h.merged.Reset()
	for i := x.from; i < x.to; i++ {
		b := h.batches[i]
		if again {
			_ = decode(b, h.deliveries[i]) // it was decoded before
		}
		if x.points.to > 0 {
			b.Slice(x.points.from, x.points.to)
		}
		if i == x.from {
			h.merged.SetHost(b.Host())
		} else if h.merged.Host() != b.Host() {
			h.merged.SetHost("")
		}
		for g := range b.Groups() {
			h.merged.Take(g)
		}
	}
	return h.merged.Len()
}

// halve gives each half of x for itself. A point that is refused alone is set aside.
func (h *haul) halve(ctx context.Context, x stretch, points int, reason error) bool {
	switch {
	case x.to-x.from > 1:
		middle := (x.from + x.to) / 2
		return h.deliver(ctx, stretch{from: x.from, to: middle}) && h.deliver(ctx, stretch{from: middle, to: x.to})
	case points <= 1:
		h.refuse(x, "too_large", reason)
		return true
	}
	all := x.points
	if all.to == 0 {
		all = span{0, points}
	}
	middle := (all.from + all.to) / 2
	ok := h.deliver(ctx, stretch{x.from, x.to, span{all.from, middle}, 2*x.part + 1}) &&
		h.deliver(ctx, stretch{x.from, x.to, span{middle, all.to}, 2*x.part + 2})
	if ok && x.part == 0 {
		h.settle(x)
	}
	return ok
}

// refuse sets x aside: a delivery, or the part of one that the merged batch holds.
func (h *haul) refuse(x stretch, code string, reason error) {
	d := h.deliveries[x.from]
	if x.part == 0 {
		h.setAside(d, d.body, 0, code, reason)
		h.deliveries[x.from] = nil
		return
	}
	h.points[x.from] -= h.merged.Len()
	h.setAside(d, h.merged.AppendMsgPack(nil), x.part, code, reason)
}

// settle tells the stream that the deliveries of x are done with. A part is not a delivery.
func (h *haul) settle(x stretch) {
	if x.part > 0 {
		return
	}
	for i := x.from; i < x.to; i++ {
		if h.deliveries[i] != nil {
			h.count.pointsOut.Add(uint64(h.points[i]))
			h.count.batchesOut.Add(1)
			h.count.bytesOut.Add(uint64(len(h.deliveries[i].body)))
			h.deliveries[i].ack()
			h.deliveries[i] = nil
		}
	}
}

// giveBack gives what is not settled to whoever asks next.
func (h *haul) giveBack() {
	for _, d := range h.deliveries {
		if d != nil {
			d.again(0)
		}
	}
	h.deliveries = h.deliveries[:0]
}
