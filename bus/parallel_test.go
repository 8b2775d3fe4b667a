package bus_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// parallel is a handler of pw.hub.* of so many calls at a time. It counts them,
// and each lasts until its context ends or something is let go.
type parallel struct {
	*bus.Subscription
	client      *bus.Conn
	now, ended  atomic.Int64
	most        atomic.Int64
	interrupted atomic.Int64
	letGo       chan struct{}
}

func newParallel(t *testing.T, b *bustest.Bus, rules bus.Rules) *parallel {
	t.Helper()
	p := &parallel{client: b.Conn(t, "page"), letGo: make(chan struct{})}
	c := b.Conn(t, "hub")
	var err error
	p.Subscription, err = bus.Handle(c, bus.Pattern(bus.AreaHub, bus.Any), rules, text, p.work)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *parallel) work(ctx context.Context, _ bus.Subject, m string) ([]byte, error) {
	now := p.now.Add(1)
	defer p.ended.Add(1)
	defer p.now.Add(-1)
	for most := p.most.Load(); now > most && !p.most.CompareAndSwap(most, now); most = p.most.Load() {
	}
	if m == "quick" {
		return []byte(m), nil
	}
	select {
	case <-p.letGo:
	case <-ctx.Done():
		p.interrupted.Add(1)
	}
	return []byte(m), nil
}

func (p *parallel) tell(t *testing.T, count int) {
	t.Helper()
	for range count {
		if err := p.client.Tell(bus.HubSubject("get"), []byte("slow")); err != nil {
			t.Fatal(err)
		}
	}
}

// A call that lasts does not keep another from its answer, and no more of them are
// under way than allowed.
func TestParallel(t *testing.T) {
	p := newParallel(t, bustest.New(t), bus.Rules{Parallel: 3})
	p.tell(t, 2)
	bustest.Wait(t, limit, "two calls", func() bool { return p.now.Load() == 2 })
	for i := range 20 { // on the third place
		if reply, err := p.client.Request(t.Context(), bus.HubSubject("get"), []byte("quick")); err != nil || string(reply) != "quick" {
			t.Fatalf("request %d: %q, %v", i, reply, err)
		}
	}
	p.tell(t, 10)
	bustest.Wait(t, limit, "three calls", func() bool { return p.now.Load() == 3 })
	if err := p.client.Flush(t.Context()); err != nil { // the others have been sent to the handler
		t.Fatal(err)
	}
	close(p.letGo)
	if err := p.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if p.ended.Load() != 32 || p.most.Load() != 3 || p.interrupted.Load() != 0 || p.Dropped() != 0 {
		t.Errorf("%d of 32 calls ended, at most %d at a time, %d interrupted", p.ended.Load(), p.most.Load(), p.interrupted.Load())
	}
}

// What finds no place waits within Pending; what is beyond is dropped and counted.
func TestParallelIsBounded(t *testing.T) {
	p := newParallel(t, bustest.New(t), bus.Rules{Parallel: 2, Pending: 10})
	p.tell(t, 100)
	bustest.Wait(t, limit, "drops", func() bool { return p.Dropped() > 50 && p.now.Load() == 2 })
	close(p.letGo)
}

// Stop ends the contexts of all calls and returns when none is left.
func TestParallelStop(t *testing.T) {
	p := newParallel(t, bustest.New(t), bus.Rules{Parallel: 4})
	p.tell(t, 40)
	bustest.Wait(t, limit, "four calls", func() bool { return p.now.Load() == 4 })
	p.Stop()
	if p.now.Load() != 0 || p.interrupted.Load() < 4 {
		t.Errorf("%d calls under way, %d interrupted", p.now.Load(), p.interrupted.Load())
	}
	ended := p.ended.Load()
	p.tell(t, 1)
	if err := p.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.ended.Load() != ended {
		t.Error("a call after Stop")
	}
}

// The end of the connection ends the calls: there is nobody left to answer.
func TestParallelOfClosedConn(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	var calls, ended sync.WaitGroup
	calls.Add(2)
	ended.Add(2)
	_, err := bus.Handle(c, bus.HubSubject("get"), bus.Rules{Parallel: 2}, text,
		func(ctx context.Context, _ bus.Subject, _ string) ([]byte, error) {
			calls.Done()
			<-ctx.Done()
			ended.Done()
			return nil, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := c.Tell(bus.HubSubject("get"), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	calls.Wait()
	c.Close()
	ended.Wait()
}
