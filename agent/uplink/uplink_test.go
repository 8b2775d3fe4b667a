package uplink

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

// All three streams go on as they are, whatever was there before.
func TestCarries(t *testing.T) {
	r := newRig(t)
	r.make(20, 100)
	r.run()
	r.make(20, 100)
	send := func(subject, id string) {
		t.Helper()
		if err := r.source.Publish(t.Context(), bus.Message{Subject: subject, ID: id, ContentType: "text/plain", Body: []byte(subject)}); err != nil {
			t.Fatal(err)
		}
	}
	send(bus.EventSubject(host, "cpu", "up"), "event-1")
	send(bus.DeadSubject("file"), "dead/file/7")
	r.inOrder()
	f := func(stream, from, subject, id string) {
		t.Helper()
		bustest.Wait(t, within, stream, func() bool { return r.count(stream) == 1 })
		err := r.sees.Tap(t.Context(), bus.TapOptions{Stream: stream, From: 1, Once: true}, func(m bus.Tapped) error {
			if m.Subject.Raw != subject || m.ID != id || m.ContentType != "text/plain" || string(m.Body) != from {
				t.Errorf("%s: %+v", stream, m)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	up := bus.EventSubject(host, "cpu", "up")
	f(bus.StreamEvents, up, up, "event-1")
	f(bus.StreamDead, bus.DeadSubject("file"), "pw.dead.h1.file", "h1/dead/file/7") // plugin and number are of this host
	bustest.Wait(t, within, "it says so", func() bool {
		s := r.up.Status()
		return s.State == telemetry.UplinkOK && s.Messages == 0 && s.Sent == 42 && s.Lost+s.SetAside == 0
	})
	if n := r.up.local.Denied() + r.up.central.Denied(); n > 0 {
		t.Errorf("%d times it tried what it has no right to", n)
	}
}

// The link breaks in each way while messages are on it, and comes back.
func TestOutage(t *testing.T) {
	f := func(name string, breaks func(*bustest.Link)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.run()
			r.make(10, 100)
			r.await(10)
			r.link.Throttle(4 << 20)
			made := make(chan struct{})
			go func() {
				defer close(made)
				r.make(300, 8<<10)
			}()
			bustest.Wait(t, within, "some are over there", func() bool { return r.count(bus.StreamMetrics) > 50 })
			breaks(r.link)
			<-made
			r.make(100, 8<<10)
			r.away()
			bustest.Wait(t, within, "what waits is seen", func() bool { s := r.up.Status(); return s.Messages >= 100 && s.Bytes > 100*8<<10 })
			bustest.Wait(t, within, "somebody is told", func() bool { return len(r.told("uplink_down")) > 0 })
			r.link.Throttle(0)
			r.link.Heal()
			r.inOrder()
			bustest.Wait(t, within, "somebody is told", func() bool { return len(r.told("uplink_up")) > 0 })
			if text := r.told("uplink_up")[0]; !strings.Contains(text, "messages") {
				t.Errorf("the event says %q", text)
			}
			if s := r.up.Status(); s.Lost > 0 || s.SetAside > 0 || s.State != telemetry.UplinkOK {
				t.Errorf("%+v", s)
			}
			if n := r.up.local.Denied() + r.up.central.Denied(); n > 0 {
				t.Errorf("%d times it tried what it has no right to", n)
			}
		})
	}
	f("cut", (*bustest.Link).Cut)
	f("swallow", (*bustest.Link).Swallow)
	f("deafen", (*bustest.Link).Deafen)
}

// A bus of the fleet that says nothing any more is noticed by pings, and what waits does not fill our memory.
func TestHoleIsNoticed(t *testing.T) {
	r := newRig(t)
	r.o.Window = 1 << 20
	r.run()
	r.make(10, 100)
	r.await(10)
	r.link.Swallow()
	begin := time.Now()
	r.away()
	t.Logf("noticed after %v, with pings each %v", time.Since(begin).Round(time.Millisecond), r.o.Times.Ping)
	r.make(400, 32<<10)
	r.link.Heal()
	r.inOrder()
}

// The process is killed with messages on their way, and again before it has sent them once more.
func TestKilled(t *testing.T) {
	r := newRig(t)
	r.o.Times.Drain = 10 * time.Millisecond
	r.run()
	r.make(10, 100)
	r.await(10)
	for range 3 {
		r.link.Throttle(4 << 20)
		n := r.count(bus.StreamMetrics)
		r.make(200, 8<<10)
		bustest.Wait(t, within, "some more are over there", func() bool { return r.count(bus.StreamMetrics) > n+20 })
		r.crash()
		r.link.Throttle(0)
		r.run()
	}
	r.inOrder()
}

// The bus here is started again, with what it has.
func TestLocalBusRestarts(t *testing.T) {
	r := newRig(t)
	r.run()
	r.make(50, 100)
	r.await(50)
	r.link.Cut()
	r.away()
	r.make(50, 100)
	r.local.Restart(t)
	r.link.Heal()
	r.make(50, 100)
	r.inOrder()
}

// The stream over there has stored what was on the way, could not say so, and has forgotten the ids since. It is asked.
func TestNothingTwice(t *testing.T) {
	f := func(name string, crash bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.run()
			r.make(10, 100)
			r.await(10)
			r.link.Deafen()
			r.make(100, 1000)
			bustest.Wait(t, within, "all are over there", func() bool { return r.count(bus.StreamMetrics) == 110 })
			r.away()
			r.central.Limit(t, bus.StreamMetrics, bustest.Limits{Duplicates: 100 * time.Millisecond}) // not before: what gets no answer is sent again
			if crash {
				r.crash()
				r.run()
			}
			r.make(10, 100)
			time.Sleep(2 * time.Second) // the ids are forgotten by time alone
			r.link.Heal()
			r.inOrder()
			if s := r.up.Status(); s.Known < 50 {
				t.Errorf("the fault did not bite: %+v", s)
			}
		})
	}
	f("goes on", false)
	f("is killed", true)
}

// With order live, what is new after an outage does not wait for what was made during it. Two outages, the second one while it
// catches up.
func TestLive(t *testing.T) {
	r := newRig(t)
	r.o.Live, r.o.Window = true, 2<<20
	r.run()
	r.make(10, 100)
	r.await(10)
	for range 2 {
		r.link.Cut()
		r.away()
		r.make(1000, 16<<10)
		r.link.Throttle(1 << 20)
		r.link.Heal()
		bustest.Wait(t, within, "it is back", func() bool { return r.up.Status().State == telemetry.UplinkOK })
		before := r.count(bus.StreamMetrics)
		bustest.Wait(t, within, "it catches up", func() bool { return r.count(bus.StreamMetrics) > before })
		begin := time.Now()
		r.make(1, 100)
		fresh := r.next
		last := 0
		bustest.Wait(t, within, "a fresh one is over there", func() bool {
			err := r.sees.Tap(t.Context(), bus.TapOptions{Stream: bus.StreamMetrics, From: uint64(before), Once: true}, func(m bus.Tapped) error {
				n := 0
				for _, c := range m.Body[:8] {
					n = n*10 + int(c-'0')
				}
				last = max(last, n)
				return nil
			})
			return err == nil && last >= fresh
		})
		waiting := r.up.watch.look(t.Context())
		t.Logf("fresh after %v, %d were waiting", time.Since(begin).Round(time.Millisecond), waiting)
		if waiting < 100 {
			t.Errorf("only %d were waiting: nothing was overtaken", waiting)
		}
	}
	r.link.Throttle(0)
	r.complete(false)
	bustest.Wait(t, within, "one consumer is left", func() bool {
		all, err := r.up.carriers[0].consumers(t.Context())
		return err == nil && len(all) == 1
	})
	c := r.up.carriers[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.carried) > 1 {
		t.Errorf("%d passages are remembered", len(c.carried))
	}
}

// What the limits here take before it went on is counted and told; the rest goes on.
func TestLostSpool(t *testing.T) {
	r := newRig(t)
	r.local.Limit(t, bus.StreamMetrics, bustest.Limits{MaxBytes: 1 << 20})
	r.run()
	r.make(10, 100)
	r.await(10)
	r.link.Cut()
	r.away()
	r.make(300, 8<<10)
	s, err := r.local.Conn(t, "operator").StreamInfo(t.Context(), bus.StreamMetrics)
	lost := int(s.FirstSeq) - 1 - 10
	if err != nil || lost < 100 {
		t.Fatalf("INVALID: %+v, %v", s, err)
	}
	bustest.Wait(t, within, "the loss is seen and written down", func() bool {
		return int(r.up.Status().Lost) == lost && r.up.places.save() == nil
	})
	r.crash()
	r.run()
	r.link.Heal()
	r.await(r.next - lost)
	if n := r.count(bus.StreamMetrics); n != r.next-lost {
		t.Errorf("%d of %d are over there, and %d were counted as lost", n, r.next, lost)
	}
	if s := r.up.Status(); s.Lost != 0 {
		t.Errorf("the second start counts what the first one did: %+v", s)
	}
	if len(r.told("lost_spool")) == 0 {
		t.Error("nobody was told")
	}
}

// Somebody is told that the spool fills before it is full, and when there is room again. Nothing is lost meanwhile.
func TestLag(t *testing.T) {
	r := newRig(t)
	r.local.Limit(t, bus.StreamMetrics, bustest.Limits{MaxBytes: 4 << 20})
	r.run()
	r.make(10, 100)
	r.await(10)
	r.link.Cut()
	r.away()
	r.make(200, 8<<10)
	bustest.Wait(t, within, "what waits is known", func() bool { s := r.up.Status(); return s.Filled > 0.3 && !s.Lags })
	r.make(200, 8<<10)
	bustest.Wait(t, within, "it is told", func() bool {
		s := r.up.Status()
		return s.Lags && s.Filled > 0.7 && len(r.told(telemetry.FlagLag)) == 1
	})
	if s := r.up.Status(); s.Filled > 0.95 || s.Lost > 0 || !strings.Contains(r.told(telemetry.FlagLag)[0], "bus.max_store") {
		t.Errorf("%+v, %q", s, r.told(telemetry.FlagLag))
	}
	r.link.Heal()
	bustest.Wait(t, within, "its end is told", func() bool { return len(r.told(telemetry.FlagLag)) == 2 })
	r.inOrder()
	if s := r.up.Status(); s.Filled > 0 || s.Lags || s.Lost > 0 || len(r.told(telemetry.FlagLag)) != 2 {
		t.Errorf("%+v, %q", s, r.told(telemetry.FlagLag))
	}
}

// What the limits take first is the oldest of what waits, however much has overtaken it.
func TestFills(t *testing.T) {
	now := time.Now()
	stream := bus.StreamState{Messages: 100, Bytes: 800, MaxBytes: 1000, FirstSeq: 1, LastSeq: 100, FirstTime: now}
	f := func(s span, want float64) {
		t.Helper()
		if got := s.fills(stream, now); got < want-0.001 || got > want+0.001 {
			t.Errorf("%+v fills %v, want %v", s, got, want)
		}
	}
	f(span{state: bus.ConsumerState{Pending: 75, AckFloor: 25}}, 0.6)
	f(span{from: 1, end: 50, state: bus.ConsumerState{Pending: 75, AckFloor: 25}}, 0.6) // 51 to 100 are over there already
	f(span{from: 1, end: 50, state: bus.ConsumerState{Pending: 50, AckFloor: 50}}, 0)
	f(span{from: 51, state: bus.ConsumerState{Pending: 50}}, 0.4)
	f(span{from: 51, state: bus.ConsumerState{AckFloor: 100}}, 0)
	stream.FirstSeq, stream.Messages = 61, 40
	f(span{from: 1, end: 50, state: bus.ConsumerState{AckFloor: 25}}, 0) // gone
	f(span{state: bus.ConsumerState{Pending: 40, AckFloor: 25}}, 0.8)
}

// What is settled and old makes nothing old that waits behind it.
func TestFillsByItsOwnAge(t *testing.T) {
	const day = 24 * time.Hour
	r := newRig(t)
	r.run()
	r.make(3, 100)
	r.await(3)
	r.link.Cut()
	r.away()
	r.make(5, 100)
	c := r.up.carriers[0]
	stream, err := c.local.StreamInfo(t.Context(), c.stream)
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.consumers(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("consumers: %+v, %v", all, err)
	}
	stream.MaxAge, stream.FirstTime = 7*day, time.Now().Add(-6*day)
	if rough := all[0].fills(stream, time.Now()); !bus.Lags(rough, false) {
		t.Errorf("the test is none: %.2f", rough)
	}
	r.up.watch.looking.Lock()
	defer r.up.watch.looking.Unlock()
	if share := c.fills(t.Context(), all[0], stream); share > 0.1 {
		t.Errorf("five that are young fill %.2f", share)
	}
}

// What the bus of the fleet refuses for good is set aside, and holds up nothing.
func TestSetAside(t *testing.T) {
	r := newRig(t)
	r.o.Times.Deny = 300 * time.Millisecond
	r.central.Limit(t, bus.StreamMetrics, bustest.Limits{MaxMsgSize: 64 << 10})
	r.run()
	r.make(10, 100)
	for _, m := range []bus.Message{
		{Subject: bus.MetricsSubject(host, "cpu"), Body: make([]byte, 100<<10)},
		{Subject: bus.MetricsSubject("another", "cpu"), Body: []byte("its uplink may not send for others")},
	} {
		if err := r.source.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Wait(t, within, "both are set aside", func() bool {
		r.make(1, 100) // others are taken
		return r.up.Status().SetAside == 2
	})
	r.inOrder()
	bustest.Wait(t, within, "somebody is told", func() bool { return len(r.told("uplink_refused")) > 0 })
	reasons := map[string]bool{}
	err := r.local.Conn(t, "operator").Tap(t.Context(), bus.TapOptions{Stream: bus.StreamDead, From: 1, Once: true}, func(m bus.Tapped) error {
		reasons[m.Subject.Raw] = true
		return nil
	})
	if err != nil || !reasons[bus.DeadSubject(bus.Uplink)] {
		t.Errorf("dead letters here: %v, %v", reasons, err)
	}
	bustest.Wait(t, within, "they go on as dead letters", func() bool { return r.count(bus.StreamDead) == 2 })
}

// A user that may store nothing for the moment loses nothing: all waits, and it is told why.
func TestAllDenied(t *testing.T) {
	r := newRig(t)
	r.o.Times.Deny = time.Millisecond
	may := r.o.Central.CredsFile
	rights := bus.SpoolRights(host)
	rights.Publish = slices.DeleteFunc(rights.Publish, func(subject string) bool { return strings.HasPrefix(subject, "pw.metrics.") })
	r.o.Central.CredsFile = grant(t, r.central, bus.User("another", bus.Agent), rights)
	r.run()
	r.make(30, 100)
	bustest.Wait(t, within, "it is told", func() bool {
		s := r.up.Status()
		return s.State == telemetry.UplinkDenied && strings.Contains(s.Reason, bus.MetricsSubject(host, "cpu"))
	})
	bustest.Wait(t, within, "it has tried for long", func() bool { return r.up.central.Denied() > 400 }) // each 250 µs at most
	if s := r.up.Status(); s.SetAside+s.Lost > 0 {
		t.Errorf("%+v", s)
	}
	if s, err := r.local.Conn(t, "operator").StreamInfo(t.Context(), bus.StreamDead); err != nil || s.Messages > 0 {
		t.Errorf("dead letters here: %+v, %v", s, err)
	}
	r.crash()
	r.o.Central.CredsFile = may
	r.run()
	r.inOrder()
	bustest.Wait(t, within, "all is well", func() bool { return r.up.Status().State == telemetry.UplinkOK })
}

// What the limits take while nothing is taken over there is counted at once, and once.
func TestLostWhileDenied(t *testing.T) {
	r := newRig(t)
	may := r.o.Central.CredsFile
	rights := bus.SpoolRights(host)
	rights.Publish = slices.DeleteFunc(rights.Publish, func(subject string) bool { return strings.HasPrefix(subject, "pw.metrics.") })
	r.o.Central.CredsFile = grant(t, r.central, bus.User("another", bus.Agent), rights)
	r.local.Limit(t, bus.StreamMetrics, bustest.Limits{MaxBytes: 4 << 20})
	r.run()
	r.make(10, 8<<10)
	bustest.Wait(t, within, "it is told", func() bool { return r.up.Status().State == telemetry.UplinkDenied })
	r.make(1500, 8<<10)
	s, err := r.local.Conn(t, "operator").StreamInfo(t.Context(), bus.StreamMetrics)
	if err != nil {
		t.Fatal(err)
	}
	gone := s.FirstSeq - 1
	bustest.Wait(t, within, "the loss is told", func() bool { return r.up.Status().Lost > gone/2 }) // what is in hand may arrive yet
	r.crash()
	counted := r.up.Status().Lost // the next start sees the rest
	r.o.Central.CredsFile = may
	r.run()
	r.await(r.next - int(gone))
	counted += r.up.Status().Lost
	if n := r.count(bus.StreamMetrics); n != r.next-int(gone) || counted != gone {
		t.Errorf("%d of %d are over there, %d were gone and %d are counted", n, r.next, gone, counted)
	}
}

// A message that is as large as the bus takes goes no further, and holds up nothing.
func TestLargest(t *testing.T) {
	r := newRig(t)
	r.run()
	m := bus.Message{Subject: bus.MetricsSubject(host, "cpu")}
	m.Body = make([]byte, 1<<20-256-len(m.Subject))
	if err := r.source.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	r.make(10, 100)
	r.inOrder()
	bustest.Wait(t, within, "it is set aside", func() bool { return r.up.Status().SetAside == 1 && r.count(bus.StreamDead) == 1 })
}

// Without the right to ask, ids that the stream over there remembers still keep everything from being there twice.
func TestMayNotAsk(t *testing.T) {
	r := newRig(t)
	r.o.Central.CredsFile = grant(t, r.central, bus.User(host, bus.Agent), bus.RightsOf(bus.RoleAgent, host, bus.Agent, nil))
	r.run()
	r.make(10, 100)
	r.await(10)
	r.link.Deafen()
	r.make(100, 1000)
	bustest.Wait(t, within, "all are over there", func() bool { return r.count(bus.StreamMetrics) == 110 })
	r.away()
	r.link.Heal()
	r.inOrder()
	before := r.up.central.Denied()
	if known, err := r.up.carriers[0].arrivedSince(t.Context(), "it", 0, time.Now()); err != nil || known != nil {
		t.Errorf("%d ids, %v", len(known), err)
	}
	if r.up.central.Denied() == before {
		t.Error("it does not try again whether it may ask")
	}
}

// The bus of the fleet has no streams yet: nothing is lost, and it is told.
func TestNoStreams(t *testing.T) {
	r := newRig(t)
	bare := bustest.Bare(t, embedded.Options{})
	r.o.Central = bus.Options{URL: bare.URL}
	r.run()
	r.make(10, 100)
	bustest.Wait(t, within, "it is told", func() bool { return r.up.Status().State == telemetry.UplinkNowhere })
	r.central, r.sees = bare, bare.Conn(t, "operator")
	if err := r.sees.EnsureStreams(t.Context(), bus.StreamSettings{MetricsMaxBytes: 1 << 20, EventsMaxBytes: 1 << 20, DeadMaxBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	r.inOrder()
}

// An uplink that ends sends first what waits.
func TestDrain(t *testing.T) {
	r := newRig(t)
	r.o.Times.Drain = within
	r.run()
	r.make(10, 100)
	r.await(10)
	r.make(100, 1000)
	r.end()
	if n := r.count(bus.StreamMetrics); n != r.next {
		t.Errorf("%d of %d are over there", n, r.next)
	}
}

// A slow link is no link that is dead: what is on the way does not keep the answers to pings away for long.
func TestSlowLink(t *testing.T) {
	r := newRig(t)
	r.o.Times.Ping = 5 * time.Second // a window of 8 MiB would lie on the way for two minutes
	r.run()
	r.make(10, 100)
	r.await(10)
	_, since, _ := r.up.link.look()
	r.link.Throttle(64 << 10)
	r.make(100, 4<<10)
	most := 0
	bustest.Wait(t, 2*within, "all are over there", func() bool {
		most = max(most, r.onTheWay())
		return r.count(bus.StreamMetrics) >= r.next
	})
	r.inOrder()
	if limit := 2 * paceFirst; most == 0 || most > limit {
		t.Errorf("%d bytes were on the way, want %d at most", most, limit)
	}
	if up, now, reason := r.up.link.look(); !up || now != since {
		t.Errorf("the connection was given up: %v", reason)
	}
}

// The file with the place is older than what was settled, as after kill -9: what was settled since is no loss.
func TestOldPlace(t *testing.T) {
	r := newRig(t)
	r.run()
	r.make(10, 8<<10)
	r.await(10)
	r.end()
	old, err := os.ReadFile(r.o.Place)
	if err != nil {
		t.Fatal(err)
	}
	r.run()
	r.make(300, 8<<10)
	r.await(310)
	r.end()
	if err := os.WriteFile(r.o.Place, old, 0o600); err != nil {
		t.Fatal(err)
	}
	r.local.Limit(t, bus.StreamMetrics, bustest.Limits{MaxBytes: 1 << 20})
	r.run()
	r.make(10, 100)
	r.inOrder()
	if s := r.up.Status(); s.Lost > 0 {
		t.Errorf("a false loss: %+v", s)
	}
}

// The bus here has lost what its consumer had settled last, as at a power cut, and gives it out again: the file knows better, and the
// stream over there is asked all the same.
func TestGivenOutAgain(t *testing.T) {
	f := func(name string, forgets func(*rig)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.central.Limit(t, bus.StreamMetrics, bustest.Limits{Duplicates: 100 * time.Millisecond})
			r.run()
			for _, n := range []int{50, 100} { // of the second half it is known behind what it is over there
				r.make(50, 100)
				r.await(n)
			}
			r.end()
			c := r.local.Conn(t, "operator")
			if err := c.DeleteConsumer(t.Context(), bus.StreamMetrics, bus.Uplink); err != nil {
				t.Fatal(err)
			}
			if err := c.EnsureConsumer(t.Context(), r.up.carriers[0].input(bus.Uplink, 0)); err != nil {
				t.Fatal(err)
			}
			forgets(r)
			time.Sleep(2 * time.Second) // the ids are forgotten by time alone
			r.run()
			r.make(10, 100)
			r.inOrder()
			if s := r.up.Status(); s.Known != 100 {
				t.Errorf("%+v, want 100 known", s)
			}
		})
	}
	f("with the file", func(*rig) {})
	f("without", func(r *rig) {
		if err := os.Remove(r.o.Place); err != nil {
			r.t.Fatal(err)
		}
	})
}

// Asking for what has arrived gets on, however often it is cut short. Two that ask at once do not disturb each other.
func TestAsking(t *testing.T) {
	const n = 1500
	r := newRig(t)
	r.run()
	r.make(n, 10)
	r.await(n)
	c, long := r.up.carriers[0], time.Now().Add(-time.Hour)
	r.link.Throttle(512 << 10)
	cut := 0
	bustest.Wait(t, within, "all is heard", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		known, err := c.arrivedSince(ctx, "one", 0, long)
		if cut++; err == nil && len(known) != n {
			t.Errorf("%d ids of %d", len(known), n)
		}
		return err == nil
	})
	t.Logf("asked %d times", cut)
	if cut == 1 {
		t.Error("INVALID: it was not cut short")
	}
	r.link.Throttle(0)
	var both sync.WaitGroup
	for i := range 2 {
		both.Go(func() {
			if known, err := c.arrivedSince(t.Context(), fmt.Sprint(i), uint64(i), long); err != nil || len(known) != n-i {
				t.Errorf("%d: %d ids, %v", i, len(known), err)
			}
		})
	}
	both.Wait()
}
