package uplink

import (
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// What the limits take before the bus of the fleet was ever reached is counted too, what waits is shown, and told when the bus is there.
func TestLostBeforeTheFirstContact(t *testing.T) {
	r := newRig(t)
	r.local.Limit(t, bus.StreamMetrics, bustest.Limits{MaxBytes: 1 << 20})
	r.link.Cut()
	r.run()
	r.make(10, 100)
	bustest.Wait(t, within, "what waits is shown", func() bool { return r.up.Status().Messages == 10 })
	r.make(300, 8<<10)
	s, err := r.local.Conn(t, "operator").StreamInfo(t.Context(), bus.StreamMetrics)
	lost := int(s.FirstSeq) - 1
	if err != nil || lost < 100 {
		t.Fatalf("INVALID: %+v, %v", s, err)
	}
	bustest.Wait(t, within, "the loss is seen", func() bool { return int(r.up.Status().Lost) == lost })
	bustest.Wait(t, within, "the loss is told", func() bool { return len(r.told("lost_spool")) > 0 })
	bustest.Wait(t, within, "the outage is told", func() bool { return len(r.told("uplink_down")) > 0 })
	waiting := r.up.Status().Messages
	r.link.Heal()
	r.await(r.next - lost)
	bustest.Wait(t, within, "the end is told", func() bool { return len(r.told("uplink_up")) > 0 })
	if text := r.told("uplink_up")[0]; waiting == 0 || strings.Contains(text, " 0 messages") {
		t.Errorf("%d waited: %s", waiting, text)
	}
	if s := r.up.Status(); int(s.Lost) != lost || s.LostAt == 0 {
		t.Errorf("%d were counted as lost, at %d, want %d", s.Lost, s.LostAt, lost)
	}
}

// Credentials that the bus of the fleet does not take are no outage.
func TestBarred(t *testing.T) {
	r := newRig(t)
	other := bustest.Guarded(t)
	r.o.Central.URL = r.central.URL                                                           // a link that is reset may lose what the bus says last
	r.o.Central.CredsFile = grant(t, other, bus.User(host, bus.Agent), bus.SpoolRights(host)) // of another bus
	r.run()
	r.make(3, 100)
	bustest.Wait(t, within, "it is denied", func() bool {
		s := r.up.Status()
		return s.State == telemetry.UplinkDenied && s.Cut && s.Messages == 3
	})
	if s := r.up.Status(); !strings.Contains(s.Reason, "Authorization Violation") || !strings.Contains(s.Reason, "check bus.creds_file") {
		t.Errorf("reason %q", s.Reason)
	}
	bustest.Wait(t, within, "it is told", func() bool { return len(r.told("uplink_down")) > 0 })
	if text := r.told("uplink_down")[0]; !strings.Contains(text, "does not let this host in") {
		t.Error(text)
	}
}
