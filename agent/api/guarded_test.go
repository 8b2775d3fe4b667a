package api

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

// startGuarded runs a server on a bus that asks everybody for a password, with the rights of a hub and some more.
func startGuarded(t *testing.T, b *bustest.Bus, more ...string) *rig {
	t.Helper()
	rights := embedded.Rights(bus.RightsOf(bus.RoleHub, "", bus.Hub, nil))
	rights.Publish = append(rights.Publish, more...)
	_, creds := b.Grant(t, bus.Hub, &rights)
	c := b.Dial(t, bus.Options{User: bus.Hub, CredsFile: creds, Data: true})
	return start(t, nil, func(o *Options) { o.Conn = func() *bus.Conn { return c } })
}

// TestRights looks what a hub reads with no more than its rights.
func TestRights(t *testing.T) {
	b := bustest.Guarded(t)
	r := startGuarded(t, b)
	s := newSource(t, b)
	s.event("web1", "up", "one")
	var p eventPage
	if r.get("/api/v1/events", &p); len(p.Events) != 1 {
		t.Errorf("%+v", p)
	}
	if m := r.listen("/api/v1/events/stream?after=0").next(); m.id != "1" {
		t.Errorf("%+v", m)
	}
	bustest.Wait(t, soon, "values", func() bool {
		s.values("web1", "host", func(b *telemetry.Batch) { b.Add("cpu", telemetry.Fields{"v": 1}, nil) })
		return r.store.Stats().Series == 1
	})
	if n := r.o.Conn().Denied(); n != 0 {
		t.Errorf("the bus has refused %d requests", n)
	}
}

// TestStreamsNeedARight has a bus that lets the hub read no stream: who listens is told so.
func TestStreamsNeedARight(t *testing.T) {
	b := bustest.Guarded(t)
	rights := embedded.Rights{Publish: []string{"$JS.API.STREAM.INFO.>"}, Subscribe: []string{"_INBOX_" + bus.Hub + ".>"}}
	_, creds := b.Grant(t, bus.Hub, &rights)
	c := b.Dial(t, bus.Options{User: bus.Hub, CredsFile: creds, Data: true})
	r := start(t, nil, func(o *Options) { o.Conn = func() *bus.Conn { return c } })
	for _, path := range []string{"/tap/stream", "/tap/stream?plugin=cpu", "/events/stream", "/events/stream?after=0", "/events/stream?type=up"} {
		r.listen("/api/v1" + path).ends("bus_denied")
	}
}

// TestPointsNeedARight has a bus that does not let the hub write points: the client is told so, soon and clearly.
func TestPointsNeedARight(t *testing.T) {
	b := bustest.Guarded(t)
	rights := embedded.Rights{Publish: []string{"$JS.API.>"}, Subscribe: []string{"_INBOX_" + bus.Hub + ".>"}}
	_, creds := b.Grant(t, bus.Hub, &rights)
	c := b.Dial(t, bus.Options{User: bus.Hub, CredsFile: creds, Data: true})
	r := start(t, nil, func(o *Options) { o.Conn = func() *bus.Conn { return c } })
	begun := time.Now()
	a := r.ask("POST", "/api/v1/points", "cpu v=1", "Content-Type: text/x-influx")
	if a.StatusCode != 503 || a.code() != "bus_denied" || time.Since(begun) > soon {
		t.Errorf("%s %s after %v", a.Status, a.text, time.Since(begun))
	}
	allowed := startGuarded(t, bustest.Guarded(t), "pw.metrics.>")
	if a := allowed.ask("POST", "/api/v1/points", "cpu v=1", "Content-Type: text/x-influx"); a.StatusCode != 204 {
		t.Errorf("%s %s", a.Status, a.text)
	}
}
