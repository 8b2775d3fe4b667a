package plugin

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/pulse"
	"github.com/pacewire/pacewire/telemetry"
)

// beating returns a life that beats, without a bus.
func beating(o Options) *life {
	l := &life{o: o, log: slog.New(slog.DiscardHandler), offers: make(chan offer, 1), beatNow: make(chan struct{}, 1), clock: pulse.NewClock(),
		inventory: &inventory{manifest: &facts{}}, queue: newQueue(), alarms: newAlarms(func() {}), link: &busLink{out: &bus.Publisher{}},
		def: Define(Collector, Spec[struct{}, any]{Program: "p", Summary: "Waits."}, func(context.Context, *Session, any) error { return nil })}
	l.sender = pulse.New(pulse.Options{Host: "h1", Plugin: "p", Least: o.LeastBeat}, l.clock.Now())
	return l
}

// An agent cannot make a plugin beat without pause.
func TestShortestInterval(t *testing.T) {
	f := func(least time.Duration, next int64, want time.Duration) {
		t.Helper()
		l := beating(Options{LeastBeat: least})
		h, _ := l.heartbeat("")
		if err := l.obey(telemetry.Ack{Seq: h.Seq, State: telemetry.Accepted, NextMS: next}); err != nil || l.sender.Interval() != want {
			t.Errorf("next_ms %d: %v, %v; want %v", next, l.sender.Interval(), err, want)
		}
	}
	f(0, 0, 10*time.Second) // as it is
	f(0, 1, time.Second)
	f(0, 1500, 1500*time.Millisecond)
	f(0, telemetry.MaxIntervalMS, time.Hour)
	f(20*time.Millisecond, 50, 50*time.Millisecond)
	f(20*time.Millisecond, 1, 20*time.Millisecond)
}

// Who has lost the say is not obeyed: neither its work nor its refusal.
func TestTerm(t *testing.T) {
	l := beating(Options{})
	f := func(term, rev uint64, state string, want, lost uint64) {
		t.Helper()
		h, _ := l.heartbeat("")
		err := l.obey(telemetry.Ack{Seq: h.Seq, Server: "a", Term: term, State: state, ConfigRev: rev, Work: &telemetry.Work{}})
		if errors.Is(err, pulse.ErrTerm) != (lost > h.AckLost) || errors.Is(err, ErrRefused) || l.seen.offered != want {
			t.Errorf("term %d: %v, config %d, %d lost before; want config %d, %d lost", term, err, l.seen.offered, h.AckLost, want, lost)
		}
	}
	f(0, 1, telemetry.Accepted, 1, 0)
	f(5, 2, telemetry.Accepted, 2, 0)
	f(4, 3, telemetry.Accepted, 2, 1)
	f(4, 3, telemetry.Refused, 2, 2)
	f(5, 4, telemetry.Accepted, 4, 2)
	f(6, 5, telemetry.Accepted, 5, 2)
	h, _ := l.heartbeat("")
	if err := l.obey(telemetry.Ack{Seq: h.Seq, Term: 6, State: telemetry.Refused}); !errors.Is(err, ErrRefused) {
		t.Errorf("a refusal in term: %v", err)
	}
}

// A config is tried once, however often the agent offers it; one that could not be used may come again when the agent has
// given it up, for what was wrong may have gone.
func TestOfferedAgain(t *testing.T) {
	l := beating(Options{})
	f := func(wants uint64, tries bool) {
		t.Helper()
		h, _ := l.heartbeat("")
		ack := telemetry.Ack{Seq: h.Seq, State: telemetry.Accepted, ConfigRev: wants}
		if wants != l.seen.rev {
			ack.Work = &telemetry.Work{}
		}
		if err := l.obey(ack); err != nil || len(l.offers) > 0 != tries {
			t.Errorf("offered %d: tried %v, %v", wants, len(l.offers) > 0, err)
		}
		if tries {
			<-l.offers
		}
	}
	f(1, true)
	l.inForce(1)
	f(1, false)
	f(2, true)
	f(2, false)
	l.inForce(2) // New is on its way
	f(2, false)
	l.inForce(1) // it has failed
	l.rejected(2, errors.New("boom"))
	f(2, false)
	f(2, false)
	f(1, false) // given up
	f(2, true)
	l.inForce(2)
	f(2, false)
	f(1, true)
}

// When a life is closed it listens no more, so nobody begins a reply that it would have to wait for.
func TestCloseListensNoMore(t *testing.T) {
	b := bustest.New(t)
	def := Define(Collector, Spec[struct{}, any]{Program: "p", Summary: "Waits."}, func(context.Context, *Session, any) error { return nil })
	l, err := newLife(t.Context(), def, Options{Bus: b.URL, Host: "h1", Plugin: "p", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.listen(func(error) {}); err != nil {
		t.Fatal(err)
	}
	agent := b.Conn(t, bus.User("h1", bus.Agent))
	ask := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		body, err := telemetry.EncodeControl(telemetry.CtlRequest{ID: "1"}, telemetry.MsgPack)
		if err != nil {
			t.Fatal(err)
		}
		_, err = agent.Request(ctx, bus.CtlSubject("h1", "p", "ping"), body)
		return err
	}
	if err := l.control.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ask(patience); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	l.replies.Go(func() { <-release }) // a reply that takes long
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		l.close()
	}()
	// One that comes just when listening ends is never answered, so each is given up soon and asked again.
	bustest.Wait(t, patience, "nobody listens", func() bool { return errors.Is(ask(patience/60), bus.ErrNoResponders) })
	select {
	case <-closed:
		t.Error("closed before the reply was sent")
	default:
	}
	close(release)
	<-closed
}

const patience = time.Minute // of waits in these tests

// heard keeps the heartbeats of a plugin that arrive.
type heard struct {
	mu    sync.Mutex
	beats []telemetry.Heartbeat
}

// hear answers the heartbeats of p of h1.
func hear(t *testing.T, b *bustest.Bus) *heard {
	t.Helper()
	r := new(heard)
	decode := func(body []byte) (telemetry.Heartbeat, error) {
		h, _, err := telemetry.DecodeHeartbeat(body)
		return h, err
	}
	conn := b.Conn(t, bus.User("h1", bus.Agent))
	_, err := bus.Handle(conn, bus.HeartbeatSubject("h1", "p", bus.HTB), bus.Rules{}, decode,
		func(_ context.Context, _ bus.Subject, h telemetry.Heartbeat) ([]byte, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.beats = append(r.beats, h)
			now := time.Now().UnixNano()
			return telemetry.EncodeControl(telemetry.Ack{Version: 1, Server: "a", Seq: h.Seq, T2: now, T3: now, State: telemetry.Accepted,
				NextMS: 20, Digest: h.Digest}, telemetry.MsgPack)
		})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// last returns the last that has come.
func (r *heard) last() telemetry.Heartbeat {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.beats) == 0 {
		return telemetry.Heartbeat{}
	}
	return r.beats[len(r.beats)-1]
}

// alive returns a life that beats on a bus each 20 ms, until it is told to stop or the test ends.
func alive(t *testing.T, b *bustest.Bus) (l *life, stop func()) {
	t.Helper()
	def := Define(Collector, Spec[struct{}, any]{Program: "p", Summary: "Waits."}, func(context.Context, *Session, any) error { return nil })
	l, err := newLife(t.Context(), def, Options{Bus: b.URL, Host: "h1", Plugin: "p", Dir: t.TempDir(), LeastBeat: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var beats sync.WaitGroup
	beats.Go(func() { _ = l.beatLoop(ctx, func(error) {}) }) // nobody refuses
	stop = sync.OnceFunc(func() {
		cancel()
		beats.Wait()
	})
	t.Cleanup(func() {
		stop()
		l.close()
	})
	return l, stop
}

// Heartbeats that were due while the bus was away are never delivered.
func TestNoLateBeats(t *testing.T) {
	b := bustest.New(t)
	r := hear(t, b)
	l, _ := alive(t, b)
	bustest.Wait(t, patience, "heartbeats after answers that came in time", func() bool {
		h := r.last()
		return h.Seq >= 3 && !h.Hello && h.RTTUS > 0 && h.Ack == h.Seq-1
	})
	b.Stop(t)
	bustest.Wait(t, patience, "the bus is away", func() bool { return !l.control.Connected() })
	seq := func() uint64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.sender.Status(l.clock.Now()).Seq
	}
	first := seq()
	bustest.Wait(t, patience, "heartbeats that cannot be sent", func() bool { return seq() >= first+5 })
	last := seq()
	b.Start(t)
	bustest.Wait(t, patience, "fresh heartbeats", func() bool { return r.last().Seq >= last+5 })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.beats {
		if h.Seq > first && h.Seq < last {
			t.Errorf("heartbeat %d of %d to %d, when nobody could hear it, has come", h.Seq, first, last)
		}
	}
	if h := r.beats[len(r.beats)-1]; h.AckLost < 4 || h.Hello {
		t.Errorf("%+v", h)
	}
}

// While facts are collected because somebody has asked for it, heartbeats say so.
func TestRefreshing(t *testing.T) {
	l := beating(Options{})
	f := func(want bool) {
		t.Helper()
		if h, _ := l.heartbeat(""); slices.Contains(h.Flags, "refreshing") != want {
			t.Errorf("flags %v", h.Flags)
		}
	}
	l.refresh = make(chan refreshOrder)
	f(false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.surveyAnew(t.Context())
	}()
	o := <-l.refresh
	f(true)
	close(o.done)
	<-done
	f(false)
}

// A goodbye gives the reason of the agent, if it is one.
func TestByeReason(t *testing.T) {
	f := func(reason, want string) {
		t.Helper()
		b := bustest.New(t)
		r := hear(t, b)
		l, stop := alive(t, b)
		bustest.Wait(t, patience, "a heartbeat", func() bool { return r.last().Seq > 0 })
		stop()
		l.leaves(reason)
		l.sayBye()
		bustest.Wait(t, patience, "the goodbye", func() bool { return r.last().Bye != "" })
		if h := r.last(); h.Bye != want || h.State != "draining" {
			t.Errorf("asked to end for %q: goodbye %q in state %s", reason, h.Bye, h.State)
		}
	}
	f("", "shutdown")
	f("upgrade", "upgrade")
	f("maintenance", "maintenance")
	f("anything", "shutdown")
}
