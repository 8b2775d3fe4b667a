package hub

import (
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// What a clone tells is not what the host is: its beats are refused, and its data as well.
func TestDataOfAClone(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	a, clone := agentOf(t, b, "web", "i1", 5), agentOf(t, b, "web", "i2", 5)
	a.beat()
	if ack := clone.beat(); ack.State != telemetry.Refused {
		t.Fatalf("the clone got %+v", ack)
	}
	tell := func(inst, serial string) {
		t.Helper()
		d := telemetry.PluginData{Version: 1, Host: "web", Inst: inst, Plugin: "os", Type: telemetry.DataInfo, Time: 1, Data: telemetry.Facts{"serial": serial}}
		send(t, b, bus.HeartbeatSubject("web", bus.Agent, bus.PLG), d)
	}
	is := func(stored uint64, serial string) {
		t.Helper()
		bustest.Wait(t, limit, "the data", func() bool { return r.counted("inventory_stored") == stored })
		if d, err := r.Facts(t.Context(), "web", "os", telemetry.DataInfo); err != nil || d.Data["serial"] != serial {
			t.Errorf("facts %v, %v; want %s", d.Data, err, serial)
		}
	}
	tell("i1", "first")
	is(1, "first")
	tell("i2", "of the clone")
	r.refused(t, map[string]uint64{"refused_instance": 1, "refused_conflict": 1})
	is(1, "first")
	tell("", "of a simple client")
	is(2, "of a simple client")

	a.beat(func(h *telemetry.Heartbeat) { h.Inst, h.Gen, h.Seq = "i3", 6, 0 }) // a restart is no clone
	tell("i3", "after the restart")
	is(3, "after the restart")
	if n := r.counted("refused_instance"); n != 1 {
		t.Errorf("%d refused", n)
	}
}
