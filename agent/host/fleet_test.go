package host

import (
	"errors"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// beyond has the hubs on a bus of their own.
func beyond(fleet *bustest.Bus, u telemetry.UplinkStatus) func(*Options) {
	return func(o *Options) {
		o.Fleet = &Fleet{URL: fleet.URL, Uplink: func() telemetry.UplinkStatus { return u }}
	}
}

// An agent with a spool beats to the hubs beyond it, and tells how the uplink gets on.
func TestBeatsToFleet(t *testing.T) {
	b, fleet := bustest.New(t), bustest.New(t)
	local, hub := newTestHub(t, b, "local"), newTestHub(t, fleet, "hub-1")
	u := telemetry.UplinkStatus{State: telemetry.UplinkOK, Messages: 7, Bytes: 900, Filled: 0.6, Lags: true, Lost: 2}
	h, _, _ := hearted(t, b, beyond(fleet, u))
	beat := hub.next(2)
	if beat.Load["uplink_backlog"] != 7 || beat.Load["uplink_backlog_bytes"] != 900 || beat.Load["uplink_filled"] != 0.6 || beat.Load["lost_spool"] != 2 {
		t.Errorf("load %v", beat.Load)
	}
	pulseIs(t, h, "the hub beyond", watched)
	if p := h.Pulse(); p.Server != "hub-1" || p.Uplink == nil || *p.Uplink != u {
		t.Errorf("%+v", p)
	}
	if n := len(local.heard()); n > 0 {
		t.Errorf("%d beats on the bus of the plugins", n)
	}
	fleet.Stop(t)
	pulseIs(t, h, "the fleet is away", func(p telemetry.PulseStatus) bool { return p.State == telemetry.PulseAlone })
	fleet.Start(t)
	pulseIs(t, h, "the fleet is back", watched)
}

// It is asked over either bus, but not to run programs over the one that others have too. What happens to it is told on its own.
func TestAskedFromFleet(t *testing.T) {
	fleet := bustest.New(t)
	r := rigged(t, pair, beyond(fleet, telemetry.UplinkStatus{State: telemetry.UplinkAway}))
	local, far := r.b.Conn(t, "operator"), fleet.Conn(t, "operator")
	bustest.Wait(t, soon, "it answers on the bus of the fleet", func() bool {
		_, err := far.Request(t.Context(), bus.CtlSubject("h1", bus.Agent, "ping"), []byte(`{"id":"1"}`))
		return !errors.Is(err, bus.ErrNoResponders)
	})
	if reply := command(t, far, telemetry.MsgPack, "list", nil); !reply.OK {
		t.Errorf("%+v", reply)
	}
	load := map[string]any{"config": "collect: { more: { use: numbers } }"}
	if reply := command(t, far, telemetry.MsgPack, "load", load); reply.OK || reply.Error == nil || reply.Error.Code != telemetry.FaultDenied {
		t.Errorf("%+v", reply)
	}
	if reply := command(t, local, telemetry.MsgPack, "load", load); !reply.OK {
		t.Errorf("%+v", reply.Error)
	}
	r.h.Happens(telemetry.Event{Type: "uplink_down", Message: "it is away"})
	var got []telemetry.Event
	bustest.Wait(t, soon, "the event", func() bool {
		got = nil
		var b telemetry.Batch
		o := bus.TapOptions{Stream: bus.StreamEvents, Filters: []string{bus.Pattern(bus.AreaEvents, bus.Any, bus.Any, "uplink_down")}, From: 1, Once: true}
		err := local.Tap(t.Context(), o, func(m bus.Tapped) error {
			list, err := m.Events(&b)
			got = append(got, list...)
			return err
		})
		return err == nil && len(got) > 0
	})
	if v := got[0]; v.Host != "h1" || v.Plugin != bus.Agent || v.ID == "" || v.Message != "it is away" {
		t.Errorf("%+v", v)
	}
}

// The consumers of the uplink are no plugin's: an agent that starts leaves them.
func TestUplinkIsKept(t *testing.T) {
	r := rigged(t, pair)
	c := r.b.Conn(t, "operator")
	for _, durable := range []string{bus.Uplink, bus.Uplink + "-12", "gone"} {
		if err := c.EnsureConsumer(t.Context(), bus.Input{Stream: bus.StreamMetrics, Durable: durable}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.h.forgetGone(t.Context()); err != nil {
		t.Fatal(err)
	}
	names, err := c.Consumers(t.Context(), bus.StreamMetrics)
	if text := strings.Join(names, " "); err != nil || !strings.Contains(text, bus.Token(bus.Uplink)+" ") && !strings.HasSuffix(text, bus.Token(bus.Uplink)) ||
		!strings.Contains(text, bus.Token(bus.Uplink+"-12")) || strings.Contains(text, "gone") {
		t.Errorf("consumers %q, %v", names, err)
	}
}

func TestAddUplink(t *testing.T) {
	var b telemetry.Batch
	addUplink(&b, nil)
	if b.Len() != 0 {
		t.Errorf("%d points of no uplink", b.Len())
	}
	addUplink(&b, &telemetry.UplinkStatus{State: telemetry.UplinkAway, Messages: 7, Filled: 0.6, Rate: 1.5})
	for p := range b.Points() {
		if p.Series != "uplink" || p.Tags["state"] != telemetry.UplinkAway || p.Fields["backlog"] != uint64(7) || p.Fields["filled"] != 0.6 || p.Fields["connected"] != false {
			t.Errorf("%+v", p)
		}
	}
	if b.Len() != 1 {
		t.Errorf("%d points", b.Len())
	}
}
