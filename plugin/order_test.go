package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A fakeLease is one that can be lost.
type fakeLease struct {
	lost     chan struct{}
	doubtful atomic.Bool
	released int
}

func (l *fakeLease) Sure() bool            { return !l.doubtful.Load() }
func (l *fakeLease) Lost() <-chan struct{} { return l.lost }
func (l *fakeLease) Release()              { l.released++ }

// inOrder returns an order over a source, with its lease, and what it says of standing by.
func inOrder(src source, lanes int) (*order, *fakeLease, *[]bool) {
	held, stood := &fakeLease{lost: make(chan struct{})}, new([]bool)
	return &order{
		lanes: lanes, feeds: map[string]*feed{}, taken: make(chan struct{}),
		stand: func(by bool) { *stood = append(*stood, by) },
		take:  func(context.Context) (lease, error) { return held, nil },
		read:  func(context.Context, telemetry.Input) (source, error) { return src, nil },
	}, held, stood
}

// from makes each delivery one of so many sources.
func from(s *fakeSource, sources int) {
	for i, d := range s.waiting {
		d.plugin = "src" + strconv.Itoa(i%sources)
	}
}

// What is of one source is in one lane, in its order; the lanes share the sources, and nothing is lost between them.
func TestOrderLanes(t *testing.T) {
	const deliveries, sources, lanes = 400, 20, 4
	src, _ := gives(deliveries, 1)
	src.ends = true
	from(src, sources)
	o, held, stood := inOrder(src, lanes)
	var wg sync.WaitGroup
	got := make([][]*delivery, lanes)
	for k := range lanes {
		wg.Go(func() {
			s, err := o.lane(&fakeLink{}, k).read(t.Context(), telemetry.Input{Durable: "a"})
			if err != nil {
				t.Error(err)
				return
			}
			for {
				d, err := s.next(t.Context())
				if errors.Is(err, io.EOF) {
					return
				}
				got[k] = append(got[k], d)
			}
		})
	}
	wg.Wait()
	lane, last, n := map[string]int{}, map[string]uint64{}, 0
	for k := range got {
		for _, d := range got[k] {
			if was, known := lane[d.plugin]; known && was != k {
				t.Errorf("%s is in lane %d and %d", d.plugin, was, k)
			}
			if d.seq <= last[d.plugin] {
				t.Errorf("%s: %d after %d", d.plugin, d.seq, last[d.plugin])
			}
			lane[d.plugin], last[d.plugin] = k, d.seq
			n++
		}
	}
	if n != deliveries {
		t.Errorf("%d deliveries of %d", n, deliveries)
	}
	if len(o.feeds) != 1 || !slices.Equal(*stood, []bool{true, false}) {
		t.Errorf("%d feeds, stood by %v", len(o.feeds), *stood)
	}
	if err := o.end(t.Context()); err != nil || held.released != 1 {
		t.Errorf("released %d times, %v", held.released, err)
	}
}

// What was read and not worked on is given back by the last lane that ends.
func TestOrderGivesBack(t *testing.T) {
	src, fates := gives(100, 1)
	from(src, 7)
	o, _, _ := inOrder(src, 2)
	ctx, cancel := context.WithCancel(t.Context())
	var lanes []source
	for k := range 2 {
		s, err := o.lane(&fakeLink{}, k).read(ctx, telemetry.Input{Durable: "a"})
		if err != nil {
			t.Fatal(err)
		}
		lanes = append(lanes, s)
	}
	d, err := lanes[0].next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d.ack()
	cancel()
	for _, s := range lanes {
		if err := s.close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	acked, back := 0, 0
	for _, f := range fates {
		a, b, _ := f.counts()
		acked, back = acked+a, back+b
	}
	if left := len(src.waiting); acked != 1 || back == 0 || acked+back+left != 100 {
		t.Errorf("%d acknowledged, %d given back, %d not read", acked, back, left)
	}
}

// Who cannot be sure that nobody else reads works on nothing: neither what it has nor what comes. Then it goes on in order, or gives all back.
func TestOrderDoubt(t *testing.T) {
	f := func(lost bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			src, fates := gives(30, 1) // more than a lane has room for
			o, held, _ := inOrder(src, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := o.lane(&fakeLink{}, 0).read(ctx, telemetry.Input{Durable: "a"})
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			next := func() error {
				d, err := s.next(ctx)
				if err == nil {
					got = append(got, d.seq)
				}
				return err
			}
			if err := next(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			held.doubtful.Store(true)
			after := time.AfterFunc(time.Hour, func() { held.doubtful.Store(false) })
			if lost {
				after.Stop()
				time.AfterFunc(time.Hour, cancel)
			}
			begun := time.Now()
			err = next()
			if d := time.Since(begun); d < time.Hour {
				t.Errorf("in doubt it waits %v", d)
			}
			for err == nil && len(got) < 30 {
				err = next()
			}
			if want := errors.Is(err, context.Canceled); want != lost || !slices.IsSorted(got) || len(got) != map[bool]int{true: 1, false: 30}[lost] {
				t.Errorf("lost %v: got %v, %v", lost, got, err)
			}
			if err := s.close(t.Context()); err != nil {
				t.Error(err)
			}
			back := 0
			for _, f := range fates {
				_, b, _ := f.counts()
				back += b
			}
			if lost && back+len(src.waiting) != 29 {
				t.Errorf("%d given back, %d not read", back, len(src.waiting))
			}
		})
	}
	f(false)
	f(true)
}

// A lane that ended before it read keeps nobody from closing the input.
func TestOrderEndsEarly(t *testing.T) {
	src, _ := gives(30, 1)
	o, held, _ := inOrder(src, 4)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := o.lane(&fakeLink{}, 0).read(ctx, telemetry.Input{Durable: "a"})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := s.close(t.Context()); err != nil || held.released != 0 {
		t.Errorf("%v, released %d times", err, held.released)
	}
	if err := o.end(t.Context()); err != nil || held.released != 1 || !src.closed {
		t.Errorf("%v, released %d times, the input is closed: %v", err, held.released, src.closed)
	}
}

// A lease that is lost ends the lanes; without one nobody reads.
func TestOrderLease(t *testing.T) {
	src, _ := gives(1, 1)
	o, held, _ := inOrder(src, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.watch(ctx); err != nil {
		t.Errorf("without a lease: %v", err)
	}
	if _, err := o.lane(&fakeLink{}, 0).read(t.Context(), telemetry.Input{}); err != nil {
		t.Fatal(err)
	}
	if err := o.watch(ctx); err != nil {
		t.Errorf("at the end: %v", err)
	}
	close(held.lost)
	if err := o.watch(t.Context()); !errors.Is(err, errLeaseLost) {
		t.Errorf("lost: %v", err)
	}

	none := errors.New("no leases here")
	o, _, _ = inOrder(src, 1)
	o.take = func(context.Context) (lease, error) { return nil, none }
	if _, err := o.lane(&fakeLink{}, 0).read(t.Context(), telemetry.Input{}); !errors.Is(err, none) {
		t.Errorf("%v", err)
	}
	if err := o.end(t.Context()); err != nil {
		t.Error(err)
	}
}

// Without an order nothing is in between.
func TestNoOrder(t *testing.T) {
	l := &life{}
	o := l.orderOf(telemetry.Work{Parallel: 4}, 4)
	link := &fakeLink{}
	if o != nil || o.lane(link, 1) != link || o.watch(t.Context()) != nil {
		t.Error("there is an order")
	}
	if err := o.end(t.Context()); err != nil {
		t.Error(err)
	}
}

// A bus that is away is waited for; another error is one.
func TestPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		v, err := patient(t.Context(), func() (int, error) {
			if n++; n < 5 {
				return 0, fmt.Errorf("read: %w", []error{bus.ErrTimeout, bus.ErrDisconnected, bus.ErrNoResponders}[n%3])
			}
			return n, nil
		})
		if v != 5 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		if _, err := patient(t.Context(), func() (int, error) { return 0, bus.ErrNoConsumer }); !errors.Is(err, bus.ErrNoConsumer) {
			t.Errorf("%v", err)
		}
	})
}

// What another process had in hand comes first, in the order of the stream, and then the rest.
func TestFirstThings(t *testing.T) {
	f := func(left int, last uint64, comes, want []uint64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			src, _ := gives(len(comes), 1)
			for i, seq := range comes {
				src.waiting[i].seq = seq
			}
			s := &firstThings{source: src, left: left, last: last}
			var got []uint64
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for {
				d, err := s.next(ctx)
				if err != nil {
					break
				}
				got = append(got, d.seq)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d of up to %d: %v came, and were given as %v", left, last, comes, got)
			}
		})
	}
	f(0, 5, []uint64{9, 8}, []uint64{9, 8})
	f(2, 5, []uint64{5, 3, 6, 7}, []uint64{3, 5, 6, 7})
	f(2, 5, []uint64{6, 7, 5, 8, 4, 9}, []uint64{4, 5, 6, 7, 8, 9})
	f(3, 5, []uint64{6, 5, 4}, []uint64{4, 5, 6}) // one was settled after all
	f(1, 5, nil, nil)
}

// What was gathered and not given out goes back.
func TestFirstThingsGiveBack(t *testing.T) {
	src, fates := gives(3, 1)
	s := &firstThings{source: src, left: 3, last: 3}
	if _, err := s.next(t.Context()); err != nil || s.ready() != 2 {
		t.Fatal(err, s.ready())
	}
	if err := s.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1, 1} {
		if _, back, _ := fates[i].counts(); back != want {
			t.Errorf("delivery %d was given back %d times", i, back)
		}
	}
}
