package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	limit  = time.Minute // for what has to happen
	beats  = 200 * time.Millisecond
	always = 60_000 // ms: the interval of a host that never is late
)

// quick are rules by which a silence of four seconds ends in DOWN. A process that the machine stops for a moment is not silent for long
// enough; for longer, the hub, which is stopped with it, blames itself.
func quick() liveness.Rules {
	r := liveness.DefaultRules()
	r.OverdueLeast, r.DownLeast, r.Spread, r.WarmUp = 2*time.Second, 4*time.Second, 500*time.Millisecond, 500*time.Millisecond
	r.Stall, r.MassHold, r.MassShare = time.Second, time.Second, 0
	return r
}

func small() bus.StreamSettings {
	s := bus.DefaultStreams()
	s.MetricsMaxBytes, s.EventsMaxBytes, s.DeadMaxBytes = 32<<20, 16<<20, 1<<20
	return s
}

// A running hub.
type running struct {
	*Hub
	cancel context.CancelFunc
	done   chan error
	once   sync.Once
}

// prepare makes a hub that does not run yet.
func prepare(t testing.TB, b *bustest.Bus, change ...func(*Options)) *Hub {
	t.Helper()
	o := Options{
		URL: b.URL, Log: bustest.Log(t), Interval: beats, Rules: quick(), Streams: small(), Times: Times{Sweep: 50 * time.Millisecond, Renew: 2 * time.Second},
	}
	for _, f := range change {
		f(&o)
	}
	return New(o)
}

func run(t testing.TB, h *Hub) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Hub: h, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- h.Run(ctx) }()
	t.Cleanup(r.stop)
	select {
	case <-h.Ready():
	case err := <-r.done:
		r.done <- err
		t.Fatalf("hub: %v", err)
	case <-time.After(limit):
		t.Fatal("hub is not ready")
	}
	return r
}

// start runs a hub until it speaks.
func start(t testing.TB, b *bustest.Bus, change ...func(*Options)) *running {
	t.Helper()
	r := run(t, prepare(t, b, change...))
	bustest.Wait(t, limit, "the voice", r.Speaks)
	return r
}

// stop ends a hub as an operator does.
func (r *running) stop() {
	r.once.Do(func() {
		r.cancel()
		if err := <-r.done; err != nil { // of one that was killed there may be one
			r.log.Info("hub has ended", "error", err)
		}
	})
}

// kill ends a hub as a power cut does: nobody hears of it any more.
func (r *running) kill() {
	r.conn.Load().Close()
	r.Data().Close()
	r.stop()
}

// swift is a voice that lapses within a few seconds.
func swift(o *Options) { o.Times.Renew = 1500 * time.Millisecond }

// state is that of a host; "": there is none.
func (r *running) state(host string) string {
	s, _ := r.Host(host)
	return s.State
}

func (r *running) states(want string) uint64 { return r.Status().States[want] }

func (r *running) counted(name string) uint64 { return r.Status().Counts[name] }

// crowd starts simulated hosts.
func crowd(t testing.TB, b *bustest.Bus, o fleet.Options) *fleet.Fleet {
	t.Helper()
	o.URL = b.URL
	if o.Interval == 0 {
		o.Interval = beats
	}
	f, err := fleet.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

// allUp waits until n hosts are UP and their inventories held.
func (r *running) allUp(t testing.TB, n int) {
	t.Helper()
	bustest.Wait(t, 2*limit, fmt.Sprintf("%d hosts UP", n), func() bool { return r.states(telemetry.HostUp) == uint64(n) })
}

// allHeld waits until the inventory of each host is held.
func (r *running) allHeld(t testing.TB, within time.Duration, f *fleet.Fleet) {
	t.Helper()
	names := f.Names()
	bustest.Wait(t, within, "the inventory", func() bool {
		names = slices.DeleteFunc(names, func(name string) bool { return r.holds(name) == f.Digest(name) })
		return len(names) == 0
	})
}

// holds is the digest of what is held of a host.
func (r *running) holds(name string) telemetry.Digest {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x := r.fleet[name]; x != nil {
		return x.sum
	}
	return telemetry.Digest{}
}

// told waits until EVENTS says what it should.
func told(t testing.TB, b *bustest.Bus, what string, ok func([]telemetry.Event) bool) []telemetry.Event {
	t.Helper()
	var all []telemetry.Event
	end := time.Now().Add(limit)
	for all = events(t, b); !ok(all); all = events(t, b) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for: %s; told were %s", limit, what, summary(all))
		}
		time.Sleep(100 * time.Millisecond) // each look makes a consumer
	}
	return all
}

// events returns all that EVENTS has, or has on some subjects.
func events(t testing.TB, b *bustest.Bus, subjects ...string) []telemetry.Event {
	t.Helper()
	if subjects == nil {
		subjects = []string{bus.Pattern(bus.AreaEvents) + ".>"}
	}
	c, err := bus.Dial(t.Context(), bus.Options{URL: b.URL, User: "reader", Log: slog.New(slog.DiscardHandler), Wait: limit})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var all []telemetry.Event
	err = c.Tap(t.Context(), bus.TapOptions{Stream: bus.StreamEvents, Filters: subjects, From: 1, Once: true}, func(m bus.Tapped) error {
		var batch telemetry.Batch
		if err := batch.DecodeMsgPack(m.Body); err != nil {
			return err
		}
		batch.SetHost(m.Subject.Host)
		all = append(all, telemetry.Events(&batch)...)
		return nil
	})
	if err != nil && !errors.Is(err, bus.ErrNoStream) {
		t.Fatal(err)
	}
	return all
}

// of selects events by type and host; "" is any.
func of(all []telemetry.Event, typ, host string) []telemetry.Event {
	return slices.DeleteFunc(slices.Clone(all), func(e telemetry.Event) bool {
		return typ != "" && e.Type != typ || host != "" && e.Host != host
	})
}

// is reports whether there are n events of a type and host.
func is(n int, typ, host string) func([]telemetry.Event) bool {
	return func(all []telemetry.Event) bool { return len(of(all, typ, host)) == n }
}

func summary(all []telemetry.Event) string {
	counts := map[string]int{}
	for _, e := range all {
		counts[e.Type+" "+e.Reason]++
	}
	return fmt.Sprint(counts)
}

// each checks that there are n events of a type for each host, and none of that type for others.
func each(t testing.TB, all []telemetry.Event, n int, typ string, hosts ...string) {
	t.Helper()
	counts := map[string]int{}
	for _, e := range of(all, typ, "") {
		counts[e.Host]++
	}
	for _, name := range hosts {
		if counts[name] != n {
			t.Errorf("%d events %s of %s, want %d; told were %s", counts[name], typ, name, n, summary(all))
		}
		delete(counts, name)
	}
	if len(counts) > 0 {
		t.Errorf("events %s of %v", typ, counts)
	}
}

// An agent beats when the test says so.
type agent struct {
	t    testing.TB
	conn *bus.Conn
	telemetry.Heartbeat
}

func agentOf(t testing.TB, b *bustest.Bus, host, inst string, gen uint64) *agent {
	t.Helper()
	return &agent{t: t, conn: b.Conn(t, bus.User(host, bus.Agent)), Heartbeat: telemetry.Heartbeat{
		Version: telemetry.ProtocolVersion, Host: host, Plugin: bus.Agent, Name: host, Boot: "boot-1", Inst: inst, Gen: gen, IntervalMS: always,
		Manifest: &telemetry.Manifest{Kind: "agent", Program: "pacewire", Version: "1", API: 1, OS: "linux", Arch: "amd64"},
	}}
}

// beat sends the next beat and returns its ACK. A hub that has no voice for a moment has none: then there is one more beat.
func (a *agent) beat(change ...func(*telemetry.Heartbeat)) telemetry.Ack {
	a.t.Helper()
	for _, f := range change {
		f(&a.Heartbeat)
	}
	for end := time.Now().Add(limit); ; {
		ack, err := a.once()
		if errors.Is(err, bus.ErrTimeout) && time.Now().Before(end) {
			continue
		}
		if err != nil {
			a.t.Fatalf("beat %d of %s: %v", a.Seq, a.Host, err)
		}
		if ack.Seq != a.Seq || ack.Server == "" || ack.Term == 0 {
			a.t.Errorf("ACK of beat %d of %s: %+v", a.Seq, a.Host, ack)
		}
		return ack
	}
}

// once sends one beat.
func (a *agent) once() (telemetry.Ack, error) {
	a.Seq++
	if a.Mono1 == 0 {
		now := time.Now()
		defer func(t1, mono int64) { a.T1, a.Mono1 = t1, mono }(a.T1, 0)
		a.T1, a.Mono1 = now.UnixNano(), int64(time.Since(begun))+1
	}
	return a.ask(bus.HeartbeatSubject(a.Host, bus.Agent, bus.HTB), a.Heartbeat)
}

var begun = time.Now()

func (a *agent) ask(subject string, b telemetry.Heartbeat) (telemetry.Ack, error) {
	body, err := telemetry.EncodeControl(b, telemetry.MsgPack)
	if err != nil {
		return telemetry.Ack{}, err
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), 10*time.Second)
	defer cancel()
	reply, err := a.conn.Request(ctx, subject, body)
	if err != nil {
		return telemetry.Ack{}, err
	}
	ack, _, err := telemetry.DecodeAck(reply)
	return ack, err
}

// keys counts what a bucket has under a pattern.
func keys(t testing.TB, b *bustest.Bus, bucket, pattern string) int {
	t.Helper()
	c, err := bus.Dial(t.Context(), bus.Options{URL: b.URL, User: "reader", Log: slog.New(slog.DiscardHandler), Wait: limit})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := 0
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	kv, err := c.Bucket(ctx, bucket)
	if err == nil {
		err = kv.Watch(ctx, pattern, func(v bus.KV) error { n++; return nil }, cancel)
	}
	if err != nil && !errors.Is(err, bus.ErrNoStream) {
		t.Fatal(err)
	}
	return n
}
