package liveness

import (
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func TestMaintenanceSilences(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.take()
	r.got = r.w.Silence("a", r.at().Wall.Add(10*time.Minute), r.at())
	r.run(5 * time.Minute)
	for _, c := range r.take() {
		if !c.Silenced {
			t.Errorf("told %s", say(c))
		}
	}
	p, _ := r.w.Peer("a")
	if p.State != telemetry.HostDown || !slices.Contains(p.Flags, FlagMaintenance) || p.Until.IsZero() {
		t.Errorf("%s %v until %v", p.State, p.Flags, p.Until)
	}
	r.run(4*time.Minute + 59*time.Second)
	r.wants()
	r.run(time.Second)
	if c := r.take(); len(c) != 1 || c[0].Type != TypeMaintenance || c[0].Silenced || c[0].To != telemetry.HostDown {
		t.Errorf("it is DOWN and nobody was told: %+v", c)
	}
	if p, _ := r.w.Peer("a"); len(p.Flags) != 0 || !p.Until.IsZero() {
		t.Errorf("%v until %v", p.Flags, p.Until)
	}
}

func TestMaintenanceEndedByHand(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.take()
	f := func(host string, until time.Time, silenced bool, told ...string) {
		t.Helper()
		r.got = r.w.Silence(host, until, r.at())
		for _, c := range r.got {
			if c.Silenced != silenced {
				t.Errorf("%s: silenced %v", say(c), c.Silenced)
			}
		}
		r.wants(told...)
	}
	f("a", time.Time{}, true)
	f("nobody", r.at().Wall.Add(time.Hour), true)
	f("a", r.at().Wall.Add(-time.Hour), true)
	f("a", r.at().Wall.Add(time.Hour), true, "a maintenance begun")
	f("a", r.at().Wall.Add(2*time.Hour), true, "a maintenance begun")
	f("a", time.Time{}, true, "a maintenance ended")
	f("a", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), true, "a maintenance begun")
	if rec, _ := r.w.Record("a"); rec.Until < r.at().Wall.UnixNano() {
		t.Errorf("until %d", rec.Until)
	}
}

func TestMaintenanceOutlivesTheWatcher(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.w.Silence("a", r.at().Wall.Add(10*time.Minute), r.at())
	after := r.restart(5 * time.Minute)
	after.run(4*time.Minute+59*time.Second, "a")
	after.wants()
	after.run(time.Second, "a")
	after.wants("a maintenance ended")
}
