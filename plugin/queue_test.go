package plugin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A gatedBus takes a parcel for each token, or any once it is open.
type gatedBus struct {
	token chan struct{}

	mu      sync.Mutex
	sent    []int
	refused []int
	why     error // of the last one refused
}

func newGatedBus() *gatedBus { return &gatedBus{token: make(chan struct{})} }

// parcel returns number i, of size bytes all in all.
func (b *gatedBus) parcel(i, size int) parcel {
	note := func(to *[]int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		*to = append(*to, i)
	}
	return parcel{
		size: size - parcelBytes,
		send: func() {
			<-b.token
			note(&b.sent)
		},
		refuse: func(err error) {
			note(&b.refused)
			b.mu.Lock()
			b.why = err
			b.mu.Unlock()
		},
	}
}

// shaped returns a queue for four parcels of a KiB, beside the one that is being handed over.
func shaped(policy string) *queue {
	q := newQueue()
	q.shape(telemetry.Work{QueueBytes: 4 << 10, Overflow: policy})
	return q
}

// TestQueuePolicies checks what becomes of more than a queue holds.
func TestQueuePolicies(t *testing.T) {
	f := func(policy string, sent, refused []int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			b, q := newGatedBus(), shaped(policy)
			for i := range 8 {
				q.put(t.Context(), b.parcel(i, 1<<10))
				synctest.Wait() // the first one is being handed over
			}
			if n, bytes := q.state(); n != 4 || bytes != 4<<10 {
				t.Errorf("%s: %d parcels of %d bytes wait, want 4 of 4096", policy, n, bytes)
			}
			close(b.token)
			if err := q.flush(t.Context()); err != nil {
				t.Error(err)
			}
			if !slices.Equal(b.sent, sent) || !slices.Equal(b.refused, refused) || !errors.Is(b.why, ErrOverflow) {
				t.Errorf("%s: sent %v and refused %v (%v), want %v and %v", policy, b.sent, b.refused, b.why, sent, refused)
			}
			if n, bytes := q.state(); n != 0 || bytes != 0 || q.waiting != nil {
				t.Errorf("%s: %d parcels of %d bytes at the end", policy, n, bytes)
			}
		})
	}
	f(telemetry.OverflowDropNew, []int{0, 1, 2, 3, 4}, []int{5, 6, 7})
	f(telemetry.OverflowDropOldest, []int{0, 4, 5, 6, 7}, []int{1, 2, 3})
}

// TestQueueBlocks checks that who finds the queue full waits by default, and for how long.
func TestQueueBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, q := newGatedBus(), shaped("")
		in := 0
		go func() {
			for i := range 8 {
				q.put(t.Context(), b.parcel(i, 1<<10))
				in++
			}
		}()
		synctest.Wait()
		if in != 5 {
			t.Errorf("%d parcels went in, want 4 that wait and the one under way", in)
		}
		b.token <- struct{}{}
		synctest.Wait()
		if in != 6 {
			t.Errorf("%d parcels went in after one was sent", in)
		}
		close(b.token)
		synctest.Wait()
		if want := []int{0, 1, 2, 3, 4, 5, 6, 7}; !slices.Equal(b.sent, want) || len(b.refused) > 0 {
			t.Errorf("sent %v, refused %v", b.sent, b.refused)
		}
	})
	synctest.Test(t, func(t *testing.T) { // its end
		b, q := newGatedBus(), shaped(telemetry.OverflowBlock)
		life, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		for i := range 6 {
			q.put(life, b.parcel(i, 1<<10))
		}
		if !slices.Equal(b.refused, []int{5}) || !errors.Is(b.why, context.DeadlineExceeded) {
			t.Errorf("refused %v: %v", b.refused, b.why)
		}
		if err := q.flush(life); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush: %v", err)
		}
		close(b.token)
	})
}

// TestQueueTakesTheLargest checks that what is larger than the queue goes alone, whatever the policy.
func TestQueueTakesTheLargest(t *testing.T) {
	for _, policy := range []string{telemetry.OverflowBlock, telemetry.OverflowDropNew, telemetry.OverflowDropOldest} {
		synctest.Test(t, func(t *testing.T) {
			b, q := newGatedBus(), shaped(policy)
			q.put(t.Context(), b.parcel(0, 1<<10))
			synctest.Wait()
			q.put(t.Context(), b.parcel(1, 1<<20))
			close(b.token)
			if err := q.flush(t.Context()); err != nil || !slices.Equal(b.sent, []int{0, 1}) {
				t.Errorf("%s: sent %v, refused %v: %v", policy, b.sent, b.refused, err)
			}
		})
	}
}

// TestQueueKeepsCount puts and takes at random: all is sent or refused, once and in order, and no more waits than may.
func TestQueueKeepsCount(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for _, policy := range []string{telemetry.OverflowDropNew, telemetry.OverflowDropOldest} {
		synctest.Test(t, func(t *testing.T) {
			b, q := newGatedBus(), shaped(policy)
			const n = 2000
			for i := range n {
				q.put(t.Context(), b.parcel(i, parcelBytes+r.IntN(1<<10)))
				if _, bytes := q.state(); bytes > 4<<10 {
					t.Fatalf("seed %d: %d bytes wait", seed, bytes)
				}
				for range r.IntN(3) {
					select {
					case b.token <- struct{}{}:
					default:
					}
				}
			}
			close(b.token)
			if err := q.flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			all := slices.Sorted(slices.Values(append(slices.Clone(b.sent), b.refused...)))
			if len(all) != n || len(slices.Compact(all)) != n || !slices.IsSorted(b.sent) || len(b.refused) == 0 {
				t.Errorf("seed %d, %s: %d sent, %d refused of %d; in order %v", seed, policy, len(b.sent), len(b.refused), n, slices.IsSorted(b.sent))
			}
		})
	}
}

// TestEmitHearsOfOverflow checks that who waits for an answer is told that its points are dropped, and that who posts never waits.
func TestEmitHearsOfOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLink{token: make(chan struct{})}
		s, _ := fakeSession(t, &l.fakeLink)
		s.link, s.once, s.queue = l, true, newQueue()
		s.queue.shape(telemetry.Work{QueueBytes: 256 << 10, Overflow: telemetry.OverflowDropOldest})
		const posts, each = 50, 1000
		err := s.Stream(t.Context(), func(_ context.Context, out *Outlet) error {
			heard := make(chan error, 1)
			go func() { heard <- out.Emit(words(each)) }()
			synctest.Wait() // it is being handed over
			go func() { heard <- out.Emit(words(each)) }()
			synctest.Wait() // it waits
			for range posts {
				if err := out.Post(words(each), 0); err != nil {
					t.Error(err)
				}
			}
			if err := <-heard; !errors.Is(err, ErrOverflow) {
				t.Errorf("emit: %v", err)
			}
			synctest.Wait()
			close(l.token)
			if err := <-heard; err != nil {
				t.Errorf("the first emit: %v", err)
			}
			return s.queue.flush(t.Context())
		})
		dropped := int(s.count.stats().Dropped[dropOverflow])
		if err != nil || l.points+dropped != (posts+2)*each || dropped == 0 || l.points < each {
			t.Errorf("%d points sent, %d dropped of %d: %v", l.points, dropped, (posts+2)*each, err)
		}
	})
}

// TestTicksGoOnWhileTheBusIsAway checks that what a collector gathers waits in its queue, and that its memory is bounded by that.
func TestTicksGoOnWhileTheBusIsAway(t *testing.T) {
	f := func(policy string, ticks int, missed bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			l := &slowLink{token: make(chan struct{})}
			s, _ := fakeSession(t, &l.fakeLink)
			s.link, s.work.EveryMS, s.queue = l, 1000, newQueue()
			s.queue.shape(telemetry.Work{QueueBytes: 1 << 20, Overflow: policy})
			ctx, end := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(ticks)*time.Second, func() { close(l.token) })
			time.AfterFunc(time.Duration(ticks+5)*time.Second, end)
			made := 0
			for range s.Ticks(ctx) {
				s.Emit(words(2000))
				made++
			}
			if err := s.queue.flush(t.Context()); err != nil {
				t.Error(err)
			}
			stats := s.count.stats()
			if l.points+int(stats.Dropped[dropOverflow]) != made*2000 || missed != (stats.Missed > 0) || missed == (stats.Dropped[dropOverflow] > 0) {
				t.Errorf("%s: %d ticks, %d missed, %d points sent, dropped %v", policy, made, stats.Missed, l.points, stats.Dropped)
			}
		})
	}
	f(telemetry.OverflowBlock, 60, true)
	f(telemetry.OverflowDropNew, 60, false)
	f(telemetry.OverflowDropOldest, 60, false)
}

// TestQueueMemory checks that a queue of many small messages holds what it says, though they were made in large buffers.
func TestQueueMemory(t *testing.T) {
	l := &slowLink{token: make(chan struct{})}
	s, _ := fakeSession(t, &l.fakeLink)
	s.link, s.queue = l, newQueue()
	s.queue.shape(telemetry.Work{QueueBytes: 2 << 20, Overflow: telemetry.OverflowDropOldest})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for range 64 {
		s.buffers.give(make([]byte, 0, 160<<10)) // of a busier time
	}
	before := heap()
	for i := range 20_000 {
		var b telemetry.Batch
		b.Add("s", telemetry.Fields{"n": i, "text": fmt.Sprint("number ", i)}, nil)
		s.Emit(&b)
	}
	if grown := int64(heap()) - int64(before); grown > 6<<20 {
		t.Errorf("a queue of 2 MiB took %d bytes", grown)
	}
	if n, _ := s.queue.state(); n < 1000 || s.count.stats().Dropped[dropOverflow] == 0 {
		t.Errorf("%d messages wait, dropped %v", n, s.count.stats().Dropped)
	}
	close(l.token)
	if err := s.queue.flush(t.Context()); err != nil {
		t.Error(err)
	}
}
