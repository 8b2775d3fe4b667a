package hub

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

// A thief is a collector with its rights and no more, who has the bus send its acknowledgements where they do harm.
type thief struct {
	t testing.TB
	b *bustest.Bus
	g embedded.Grant
}

func thiefOf(t testing.TB, b *bustest.Bus) thief {
	t.Helper()
	rights := embedded.Rights(bus.RightsOf(bus.RoleCollector, "far", "thief", nil))
	g, _ := b.Grant(t, bus.User("far", "thief"), &rights)
	return thief{t, b, g}
}

func (x thief) writes(subject string) {
	x.t.Helper()
	x.b.AnswerTo(x.t, x.g, bus.MetricsSubject("far", "thief"), subject)
}

// guarded is a hub with its rights and no more.
func guarded(t testing.TB, b *bustest.Bus) func(*Options) {
	t.Helper()
	rights := embedded.Rights(bus.RightsOf(bus.RoleHub, "", bus.Hub, nil))
	_, creds := b.Grant(t, bus.Hub, &rights)
	return func(o *Options) { o.Creds = creds }
}

// recorded waits until the registry has a record of a host that can be read, behind a revision.
func (r *running) recorded(t testing.TB, host string, behind uint64) (at uint64) {
	t.Helper()
	bustest.Wait(t, limit, "a record of "+host, func() bool {
		v, err := r.kv.hosts.Load().Get(t.Context(), bus.Key(host))
		got, _, decode := telemetry.DecodeHostRecord(v.Value)
		at = v.Revision
		return err == nil && decode == nil && got.Host == host && v.Revision > behind
	})
	return at
}

// What the bus says in the place of a record is no record: the hub writes it again from what it knows, and nobody is said to be down. A
// hub that begins with it writes it at the next beat.
func TestJunkRecord(t *testing.T) {
	b := bustest.Guarded(t)
	conf := guarded(t, b)
	r := start(t, b, conf)
	x := thiefOf(t, b)
	web := agentOf(t, b, "web", "i1", 1)
	web.beat()
	at := r.recorded(t, "web", 0)
	for range 3 {
		x.writes("$KV.HOSTS.web")
		at = r.recorded(t, "web", at+1)
	}
	x.writes("$KV.HOSTS.nobody")
	x.writes("$KV.INVENTORY.web.cpu.status")
	x.writes("$KV.STATE.alive")
	x.writes("$KV.STATE.term")
	bustest.Wait(t, limit, "what cannot be read is counted", func() bool { return r.counted("records_unreadable") >= 5 })
	if s := r.state("web"); s != telemetry.HostUp || r.counted("record_errors") > 0 {
		t.Errorf("web is %q; %v", s, r.Status().Counts)
	}
	r.stop()

	r = start(t, b, conf)
	if s := r.state("web"); s != telemetry.HostUp && s != telemetry.HostUnknown {
		t.Errorf("web is %q for the next hub", s)
	}
	if s := r.state("nobody"); s != "" {
		t.Errorf("nobody is %q", s)
	}
	r.stop()

	x.writes("$KV.HOSTS.web") // while no hub is there
	r = start(t, b, conf)
	web.beat()
	r.recorded(t, "web", at+1)
	bustest.Wait(t, limit, "web is UP", func() bool { return r.state("web") == telemetry.HostUp })
	down := bus.EventSubject("web", bus.Agent, "down")
	if err := b.Conn(t, "operator").Tap(t.Context(), bus.TapOptions{Stream: bus.StreamEvents, Filters: []string{down}, From: 1, Once: true},
		func(m bus.Tapped) error { return fmt.Errorf("told: %s", m.Body) }); err != nil {
		t.Error(err)
	}
}

// What the bus says in the place of the voice is nobody: who speaks goes on, and when he is gone another one takes the voice, however
// often somebody writes over it.
func TestJunkVoice(t *testing.T) {
	b := bustest.Guarded(t)
	conf := guarded(t, b)
	first := start(t, b, conf, swift)
	term, x := first.Status().Term, thiefOf(t, b)
	said := func() (s speaker, revision uint64) {
		v, err := first.kv.hub.Load().Get(t.Context(), keyVoice)
		if err != nil {
			return s, 0
		}
		s, _ = speakerOf(v)
		return s, v.Revision
	}
	for range 3 {
		_, at := said()
		x.writes("$KV.HUB.voice")
		bustest.Wait(t, limit, "the voice is renewed", func() bool { s, now := said(); return s.ID == first.o.ID && now > at+1 })
	}
	if s := first.Status(); !s.Voice || s.Term != term {
		t.Errorf("%+v, it began with term %d", s, term)
	}
	second := run(t, prepare(t, b, conf, swift))
	first.kill()
	last := time.Time{}
	bustest.Wait(t, limit, "another one speaks", func() bool {
		if time.Since(last) > time.Second {
			last = time.Now()
			x.writes("$KV.HUB.voice")
		}
		return second.Speaks()
	})
}

// What the bus says in the place of an event says so to who reads it, and hides no other one.
func TestJunkEvent(t *testing.T) {
	b := bustest.Guarded(t)
	r := start(t, b, guarded(t, b))
	thiefOf(t, b).writes(bus.EventSubject("web", "cpu", "up"))
	agentOf(t, b, "web", "i1", 1).beat()
	var junk, good int
	bustest.Wait(t, limit, "both", func() bool {
		junk, good = 0, 0
		var batch telemetry.Batch
		err := r.Data().Tap(t.Context(), bus.TapOptions{Stream: bus.StreamEvents, From: 1, Once: true}, func(m bus.Tapped) error {
			if list, err := m.Events(&batch); err != nil || len(list) == 0 {
				junk++
			} else {
				good += len(list)
			}
			return nil
		})
		return err == nil && junk == 1 && good > 0
	})
}
