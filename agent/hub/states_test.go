package hub

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// Acceptance 5 and 6: the reason of a DOWN says what a person would find, and who says goodbye is not DOWN.
func TestEnds(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	f := crowd(t, b, fleet.Options{Hosts: 8, Plugins: 1, Owner: "ops", Sites: 2})
	names := f.Names()
	killed, frozen, left := names[0], names[1], names[2]
	r.allUp(t, 8)
	f.Kill(killed)
	f.Freeze(frozen)
	f.Bye("shutdown", left)
	all := told(t, b, "two DOWN", is(2, "down", ""))
	check := func(typ, host, reason, from string) {
		t.Helper()
		for _, e := range of(all, typ, host) {
			if e.Reason != reason || e.From != from || e.Owner != "ops" || !strings.HasPrefix(e.Site, "site-") || e.Name != host || e.Term == 0 || e.Message == "" {
				t.Errorf("event %+v, want reason %s from %s", e, reason, from)
			}
		}
		s, err := r.Host(host)
		if err != nil || s.Reason != reason {
			t.Errorf("%s is %+v, %v", host, s, err)
		}
	}
	check("down", killed, "disconnected", telemetry.HostOverdue)
	check("down", frozen, "silent", telemetry.HostOverdue)
	check("left", left, "shutdown", telemetry.HostUp)
	each(t, all, 1, "left", left)

	f.Thaw(frozen)
	if err := f.Restart(killed); err != nil {
		t.Fatal(err)
	}
	all = told(t, b, "both UP again", func(all []telemetry.Event) bool {
		return len(of(all, "up", killed)) == 2 && len(of(all, "up", frozen)) == 2
	})
	all = witness(t, b, r, f, names[7])
	each(t, all, 1, "down", killed, frozen, names[7])
	each(t, all, 1, "restarted", killed)
	if n := len(of(all, "", left)); n != 2 { // up, left
		t.Errorf("%d events of the one that left", n)
	}
}

// Acceptance 7: clocks decide nothing, and are told about.
func TestClocks(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	f := crowd(t, b, fleet.Options{Hosts: 2})
	a := agentOf(t, b, "web", "i1", 1)
	clock, day := time.Now().Add(-24*time.Hour).UnixNano(), int64(24*time.Hour)
	tick := func(b *telemetry.Heartbeat) {
		clock += int64(time.Second)
		b.Mono1 += int64(time.Second)
		b.T1 = clock
	}
	for range 5 { // a day behind from the beginning: that is skew, if it lasts
		a.beat(tick)
	}
	clock += day
	for range 15 {
		a.beat(tick)
	}
	clock -= day
	for range 15 {
		a.beat(tick)
	}
	for _, t1 := range []int64{0, 1, -1 << 62, 1<<63 - 1, time.Date(2106, 2, 7, 6, 28, 15, 0, time.UTC).UnixNano()} {
		a.beat(tick, func(b *telemetry.Heartbeat) { b.T1 = t1 })
	}
	r.allUp(t, 3)
	all := witness(t, b, r, f, f.Names()[0])
	if n := len(of(all, "clock_step", "web")); n < 2 || n > 4 {
		t.Errorf("%d clock steps of two, and of some nonsense", n)
	}
	each(t, all, 1, "up", append(f.Names(), "web")...)
	for _, e := range of(all, "", "web") {
		if e.Type != "up" && e.Type != "clock_step" {
			t.Errorf("event %+v", e)
		}
	}
}

// Acceptance 8: two machines with one id are told apart, told about, and told.
func TestConflict(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b)
	a, clone := agentOf(t, b, "web", "i1", 4), agentOf(t, b, "web", "i2", 4)
	clone.Name = "web-copy"
	a.beat()
	flagged := 0
	for n := 1; n <= 3; n++ {
		if ack := clone.beat(); ack.State != telemetry.Refused || ack.Reason != "conflict" {
			t.Errorf("the clone got %+v", ack)
		}
		if slices.Contains(a.beat().Flags, "conflict") && flagged == 0 {
			flagged = n
		}
	}
	if flagged == 0 || flagged > 2 {
		t.Errorf("conflict is told at beat %d", flagged)
	}
	all := told(t, b, "the conflict", is(1, "conflict", "web"))
	if e := of(all, "conflict", "web")[0]; !strings.Contains(e.Message, "web-copy") || !strings.Contains(e.Message, `"web"`) {
		t.Errorf("event %+v", e)
	}
	list := hostsOf(r.Hub)
	if len(list) != 2 || list[0].Host != "web" || list[1].Host != "web~i2" || list[1].Name != "web-copy" {
		t.Fatalf("hosts %+v", list)
	}
	for _, s := range list {
		if !slices.Contains(s.Flags, "conflict") {
			t.Errorf("%s has flags %v", s.Host, s.Flags)
		}
	}
	if s, err := r.Host("web~i2"); err != nil || s.Name != "web-copy" {
		t.Errorf("the clone is %+v, %v", s, err)
	}
	if s := r.Status(); s.Counts["refused_conflict"] != 3 || s.States[telemetry.HostUp] != 1 {
		t.Errorf("status %+v", s)
	}
	if n := len(of(all, "down", "")) + len(of(all, "restarted", "")); n != 0 {
		t.Errorf("told %s", summary(all))
	}
}

// Acceptance 9: a host that is called otherwise is the same.
func TestRename(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	a := agentOf(t, b, "id-1", "i1", 1)
	a.beat(func(b *telemetry.Heartbeat) { b.Name = "old" })
	a.beat(func(b *telemetry.Heartbeat) { b.Name = "new" })
	told(t, b, "the name", is(1, "renamed", "id-1"))
	for _, name := range []string{"id-1", "old", "new"} {
		if s, err := r.Host(name); err != nil || s.Host != "id-1" || s.Name != "new" || !slices.Equal(s.Aliases, []string{"old"}) {
			t.Errorf("%s is %+v, %v", name, s, err)
		}
	}
	r.stop()
	r = start(t, b)
	a.beat()
	bustest.Wait(t, limit, "UP", func() bool { return r.state("old") == telemetry.HostUp })
	a.beat(func(b *telemetry.Heartbeat) { b.Boot, b.Inst, b.Gen, b.Seq = "boot-2", "i2", 2, 0 })
	all := told(t, b, "the reboot", is(1, "rebooted", "id-1"))
	if got := len(all); got != 3 { // up, renamed, rebooted
		t.Errorf("told %s", summary(all))
	}
}

// Many that fall silent at once are one incident.
func TestMass(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, func(o *Options) { o.Rules.MassShare = 0.2 })
	f := crowd(t, b, fleet.Options{Hosts: 100, Plugins: 1, Interval: 400 * time.Millisecond, Conns: 4, Sites: 2, Owner: "ops"})
	names := f.Names()
	r.allUp(t, 100)
	f.Kill(names[:60]...)
	all := told(t, b, "60 DOWN", is(60, "down", ""))
	mass := of(all, "mass_overdue", "")
	if len(mass) != 1 || mass[0].Count < 20 || mass[0].Count > 60 || mass[0].Incident == "" || !strings.Contains(mass[0].Message, "site-0") || !strings.Contains(mass[0].Message, "ops") {
		t.Fatalf("told %+v", mass)
	}
	each(t, all, 1, "down", names[:60]...)
	for _, e := range of(all, "down", "") {
		if e.Incident != mass[0].Incident {
			t.Errorf("%s is DOWN in incident %q of %q", e.Host, e.Incident, mass[0].Incident)
		}
	}
	t.Logf("%s", mass[0].Message)
}

// Maintenance: what happens is recorded, and nobody is woken.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	f := crowd(t, b, fleet.Options{Hosts: 3, Plugins: 1})
	name := f.Names()[0]
	r.allUp(t, 3)
	if err := r.Silence(t.Context(), name, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	f.Kill(name)
	all := told(t, b, "DOWN", is(1, "down", name))
	if e := of(all, "down", name)[0]; !e.Silenced {
		t.Errorf("event %+v", e)
	}
	r.stop()
	r = start(t, b)
	s, err := r.Host(name)
	if err != nil || !slices.Contains(s.Flags, "maintenance") || s.Until == 0 {
		t.Errorf("after a restart it is %+v, %v", s, err)
	}
	if err := r.Silence(t.Context(), name, time.Time{}); err != nil {
		t.Fatal(err)
	}
	all = told(t, b, "the end", is(2, "maintenance", name))
	if e := of(all, "maintenance", name)[1]; e.Reason != "ended" || e.Silenced { // it is DOWN, and that somebody has to know now
		t.Errorf("event %+v", e)
	}
	if s, _ := r.Host(name); slices.Contains(s.Flags, "maintenance") || s.Until != 0 {
		t.Errorf("after maintenance %+v", s)
	}
}

// A host that is forgotten leaves nothing behind, and its next beat makes a new one.
func TestForget(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	f := crowd(t, b, fleet.Options{Hosts: 2, Inventory: 2000})
	name := f.Names()[0]
	r.allUp(t, 2)
	r.allHeld(t, limit, f)
	f.Bye("shutdown", name)
	bustest.Wait(t, limit, "LEFT", func() bool { return r.state(name) == telemetry.HostLeft })
	if err := r.Forget(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	told(t, b, "forgotten", is(1, "forgotten", name))
	if got := keys(t, b, "HOSTS", name) + keys(t, b, "INVENTORY", name+".>"); got != 0 {
		t.Errorf("%d keys are left", got)
	}
	if s, err := r.Host(name); err == nil {
		t.Errorf("there is still %+v", s)
	}
	for range 3 { // again and again: each time a new host
		if err := f.Restart(name); err != nil {
			t.Fatal(err)
		}
		r.allUp(t, 2)
		r.allHeld(t, limit, f)
		if err := r.Forget(t.Context(), name); err != nil { // while it beats
			t.Fatal(err)
		}
	}
	r.allUp(t, 2)
	r.allHeld(t, limit, f)
	all := told(t, b, "each time UP", is(5, "up", name))
	each(t, all, 4, "forgotten", name)
	bustest.Wait(t, limit, "record and inventory", func() bool {
		return keys(t, b, "HOSTS", name) == 1 && keys(t, b, "INVENTORY", name+".>") == 5
	})
}

// hostsOf returns all hosts that a hub lists.
func hostsOf(h *Hub) []telemetry.HostStatus {
	list, _ := h.Hosts(Filter{}, Page{})
	return list
}

// A process of a restored state folder listens under the id of a host that is dead: the question whether that one lives is not for it
// to answer, and it has the place when the host is DOWN.
func TestProbeOfAnother(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, swift)
	often := func(h *telemetry.Heartbeat) { h.IntervalMS = 200 }
	agentOf(t, b, "web", "i1", 5).beat(often)
	told(t, b, "UP", is(1, "up", "web"))
	rival := agentOf(t, b, "web", "i2", 5)
	_, err := bus.Handle(rival.conn, bus.Pattern(bus.AreaCtl, bus.Name("web"), bus.Agent, bus.Any), bus.Rules{Reply: true}, decodeRequest,
		func(_ context.Context, _ bus.Subject, q request) ([]byte, error) {
			if q.Args["inst"] != "i2" {
				return nil, nil
			}
			return telemetry.EncodeControl(telemetry.CtlReply{ID: q.ID, OK: true}, q.enc)
		})
	if err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, limit, "DOWN, and the place for the rival", func() bool { return rival.beat(often).State == telemetry.Accepted })
	told(t, b, "its end", is(1, "down", "web"))
	if r.state("web") != telemetry.HostUp {
		t.Errorf("web is %s", r.state("web"))
	}
}
