package hub

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// witness waits until a host that was killed last is told to be DOWN: then all that were to be judged before it are.
func witness(t testing.TB, b *bustest.Bus, r *running, f *fleet.Fleet, name string) []telemetry.Event {
	t.Helper()
	f.Kill(name)
	return told(t, b, "DOWN of the witness", is(1, "down", name))
}

// Acceptance 2: the bus restarts, and nobody is DOWN.
func TestBusRestarts(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, swift, func(o *Options) {
		o.Interval = 500 * time.Millisecond
		o.Rules.Spread = time.Second
		o.Rules.MassShare = 0.2
	})
	f := crowd(t, b, fleet.Options{Hosts: 101, Plugins: 1, Interval: 500 * time.Millisecond, Conns: 4})
	r.allUp(t, 101)
	term := r.Status().Term
	b.Stop(t)
	bustest.Wait(t, limit, "all UNKNOWN", func() bool { return r.states(telemetry.HostUnknown) == 101 })
	b.Start(t)
	r.allUp(t, 101)
	bustest.Wait(t, limit, "the voice", r.Speaks)
	told(t, b, "each UP", is(101, "up", ""))
	all := witness(t, b, r, f, f.Names()[100])
	each(t, all, 1, "down", f.Names()[100])
	each(t, all, 1, "up", f.Names()...)
	t.Logf("term %d, then %d; told %s", term, r.Status().Term, summary(all))
}

// Acceptance 3: who dies while no hub watches is DOWN once, after the warm-up.
func TestDeathsUnseen(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, swift)
	f := crowd(t, b, fleet.Options{Hosts: 120, Plugins: 1, Interval: 400 * time.Millisecond, Conns: 4})
	names := f.Names()
	r.allUp(t, 120)
	told(t, b, "up of all", is(120, "up", ""))
	r.kill()
	f.Kill(names[:100]...)
	r = run(t, prepare(t, b, swift)) // which does not speak before the voice of the one before has lapsed
	if n := r.states(telemetry.HostUp); n < 100 {
		t.Errorf("%d hosts are UP after the start: a state is kept until the warm-up ends", n)
	}
	told(t, b, "100 DOWN", is(100, "down", ""))
	all := witness(t, b, r, f, names[119])
	each(t, all, 1, "down", append(names[:100:100], names[119])...)
	for _, e := range of(all, "down", "") {
		// A hub that was stopped itself in its warm-up begins to look anew: then it finds what is so now.
		if e.Host != names[119] && (e.Reason != "not_seen_since_restart" && e.Reason != "disconnected" || e.From != telemetry.HostOverdue) {
			t.Errorf("event %+v", e)
		}
	}
	each(t, all, 1, "up", names...)
}

// Acceptance 4: who was DOWN before is DOWN after, and nobody hears of it again.
func TestDownBefore(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	f := crowd(t, b, fleet.Options{Hosts: 6, Plugins: 1})
	names := f.Names()
	r.allUp(t, 6)
	f.Kill(names[0])
	before := told(t, b, "DOWN", is(1, "down", names[0]))
	r.stop()
	r = start(t, b)
	all := witness(t, b, r, f, names[1])
	if s, err := r.Host(names[0]); err != nil || s.State != telemetry.HostDown || s.Reason != "disconnected" {
		t.Errorf("after the restart it is %+v, %v", s, err)
	}
	if n, now := len(of(before, "", names[0])), len(of(all, "", names[0])); n != now {
		t.Errorf("%d events more", now-n)
	}
	each(t, all, 1, "down", names[0], names[1])
}

// A hub that dies between the record and the event leaves the event to the next one. Stored before, it is not stored twice.
func TestEventOnce(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, swift)
	a, c := agentOf(t, b, "web", "i1", 1), agentOf(t, b, "db", "i1", 1)
	a.beat()
	c.beat()
	told(t, b, "two UP", is(2, "up", ""))
	r.kill()
	lost := lose(t, b, "web")
	r = start(t, b, swift)
	all := told(t, b, "the event that was lost", func(all []telemetry.Event) bool { return len(of(all, "left", "web")) == 1 })
	if e := of(all, "left", "web")[0]; e.ID != lost.ID || e.Message != lost.Message {
		t.Errorf("told was %+v, recorded %+v", e, lost)
	}
	r.kill()
	start(t, b, swift)
	a.beat(func(b *telemetry.Heartbeat) { b.Gen++; b.Inst = "i2"; b.Seq = 0 })
	all = told(t, b, "UP again", is(2, "up", "web"))
	each(t, all, 1, "left", "web")
	each(t, of(all, "", "db"), 1, "up", "db")
}

// What is found out while the bus is away is told when it is back, though the voice was lost meanwhile.
func TestToldLater(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, swift)
	a, c := agentOf(t, b, "web", "i1", 1), agentOf(t, b, "new", "i1", 1)
	a.beat()
	told(t, b, "UP", is(1, "up", "web"))
	bustest.Wait(t, limit, "the record", func() bool { return !r.busy() })
	b.Stop(t)
	bustest.Wait(t, limit, "the hub to notice", func() bool { return !r.connected() })
	bye, hello := a.Heartbeat, c.Heartbeat
	bye.Seq, bye.Bye, hello.Seq = bye.Seq+1, "shutdown", 1
	for _, h := range []telemetry.Heartbeat{bye, hello} { // which were on their way
		s, err := bus.ParseSubject(bus.HeartbeatSubject(h.Host, bus.Agent, bus.HTB))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.hear(t.Context(), s, beat{h, telemetry.MsgPack}); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Wait(t, limit, "the loss of the voice", func() bool { return !r.Speaks() })
	term := r.Status().Term
	b.Start(t)
	told(t, b, "both", func(all []telemetry.Event) bool { return is(1, "left", "web")(all) && is(1, "up", "new")(all) })
	if r.Status().Term == term {
		t.Error("the voice was not lost")
	}
	r.stop()
	r = start(t, b)
	if r.state("web") != telemetry.HostLeft || r.state("new") != telemetry.HostUp {
		t.Errorf("recorded as %s and %s", r.state("web"), r.state("new"))
	}
	all := events(t, b)
	each(t, all, 1, "left", "web")
	each(t, all, 1, "up", "web", "new")
}

// lose writes a record whose event nobody has published, by a clock that is slow.
func lose(t testing.TB, b *bustest.Bus, name string) telemetry.Event {
	t.Helper()
	hosts, err := b.Conn(t, "hub").Bucket(t.Context(), "HOSTS")
	if err != nil {
		t.Fatal(err)
	}
	v, err := hosts.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	record, _, err := telemetry.DecodeHostRecord(v.Value)
	if err != nil {
		t.Fatal(err)
	}
	e := telemetry.Event{
		ID: "hub/web/lost", Time: time.Now().Add(-time.Hour).UnixNano(), Host: name, Plugin: bus.Agent, Type: "left", Message: "web has left",
		From: record.State, To: telemetry.HostLeft, Reason: "shutdown",
	}
	record.From, record.State, record.Reason, record.Event = record.State, telemetry.HostLeft, "shutdown", &e
	record.Change++
	body, err := telemetry.EncodeControl(record, telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hosts.Update(t.Context(), name, body, v.Revision); err != nil {
		t.Fatal(err)
	}
	return e
}
