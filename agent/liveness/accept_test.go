package liveness

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// The acceptance tests of liveness by their number, as far as the state machine alone can show them.

func TestAccept1FrozenWatcherBlamesItself(t *testing.T) {
	r := newRig(t)
	hosts := names(2000)
	r.run(40*time.Second, hosts...)
	r.take()
	r.now += 240 * time.Second // six DOWN limits without a sweep
	r.sweep()
	if blind := r.w.Blind(r.at()); blind != "stalled" {
		t.Errorf("blind %q", blind)
	}
	r.run(time.Minute, hosts...)
	r.wants()
	if blind := r.w.Blind(r.at()); blind != "" {
		t.Errorf("blind %q a minute later", blind)
	}
}

func TestAccept2BusRestart(t *testing.T) {
	r := newRig(t)
	hosts := names(1000)
	r.run(40*time.Second, hosts...)
	r.take()
	r.self.Connected = false
	r.run(3 * time.Second)
	r.self.Connected = true
	for n := range 20 { // they come back within 20 s
		for _, host := range hosts[n*50 : (n+1)*50] {
			r.hear(r.beat(host, 1))
		}
		r.run(time.Second, hosts[:(n+1)*50]...)
	}
	r.run(2*time.Minute, hosts...)
	r.wants()
}

func TestAccept2BusRestartUnseenByTheWatcher(t *testing.T) {
	r := newRig(t)
	hosts := names(1000)
	r.outcome = func(string) Outcome { return Disconnected } // at 25 s they are on their way back
	r.run(40*time.Second, hosts...)
	r.take()
	r.run(3 * time.Second)
	for n := range 20 {
		for _, host := range hosts[n*50 : (n+1)*50] {
			r.hear(r.beat(host, 1))
		}
		r.run(time.Second, hosts[:(n+1)*50]...)
	}
	r.run(2*time.Minute, hosts...)
	if down, _ := count(r.take(), TypeDown); down != 0 {
		t.Errorf("%d DOWN", down)
	}
}

func TestAccept3KilledWhileTheWatcherIsAway(t *testing.T) {
	r := newRig(t)
	hosts := names(200)
	r.run(40*time.Second, hosts...)
	after := newRig(t)
	after.seqs = r.seqs
	after.w.Restore(r.records(), time.Minute, after.at())
	if p, _ := after.w.Peer("h199"); p.State != telemetry.HostUp || len(p.Flags) != 1 || p.Flags[0] != FlagWarmUp {
		t.Errorf("after the restart %v %v", p.State, p.Flags)
	}
	after.run(59*time.Second, hosts[:100]...)
	after.wants()
	after.run(35*time.Second, hosts[:100]...) // so many are one incident, and held back
	incident := after.got[len(after.got)-1].Incident
	for _, c := range after.got {
		if c.Type == TypeDown && (c.Reason != ReasonNotSeen || c.From != telemetry.HostOverdue || c.LastSeen < 2*time.Minute || c.Incident != incident) {
			t.Errorf("%+v", c)
		}
	}
	if len(after.asked) != 100 {
		t.Errorf("%d of 100 were asked before they were called DOWN", len(after.asked))
	}
	if mass, _ := count(after.got, TypeMass); mass != 1 || incident == "" {
		t.Errorf("%d incidents, of %q", mass, incident)
	}
	if down, _ := count(after.take(), TypeDown); down != 100 {
		t.Errorf("%d DOWN of 100", down)
	}
	after.run(time.Hour, hosts[:100]...)
	after.wants()
}

func TestAccept4DownBeforeTheRestart(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a", "b", "c", "d")
	r.run(2*time.Minute, "a", "b", "c")
	after := newRig(t)
	after.seqs = r.seqs
	after.w.Restore(r.records(), time.Minute, after.at())
	after.run(time.Hour, "a", "b", "c")
	after.wants()
	if p, _ := after.w.Peer("d"); p.State != telemetry.HostDown || p.Reason != ReasonDisconnected {
		t.Errorf("%v %v", p.State, p.Reason)
	}
	after.hear(after.beat("d", 1))
	after.wants("d up")
}

func TestAccept5ReasonOfDown(t *testing.T) {
	f := func(o Outcome, reason string, asked int) {
		t.Helper()
		r := newRig(t)
		r.outcome = func(string) Outcome { return o }
		r.run(30*time.Second, "a")
		r.run(2 * time.Minute)
		r.wants("a up", "a overdue", "a down "+reason)
		if len(r.asked) != asked {
			t.Errorf("asked %d times, want %d", len(r.asked), asked)
		}
	}
	f(Silent, ReasonSilent, 2)
	f(Disconnected, ReasonDisconnected, 1)
}

func TestAccept5StoppedThenDropped(t *testing.T) {
	r := newRig(t)
	r.outcome = func(string) Outcome {
		if r.now < 56*time.Second {
			return Silent
		}
		return Disconnected // the server has given it up
	}
	r.run(30*time.Second, "a")
	r.run(2 * time.Minute)
	r.wants("a up", "a overdue", "a down disconnected")
}

func TestAccept6Bye(t *testing.T) {
	f := func(reason string) {
		t.Helper()
		r := newRig(t)
		r.run(30*time.Second, "a", "b", "c")
		r.take()
		b := r.beat("a", 1)
		late := r.beat("a", 1)
		late.Seq, b.Seq = b.Seq, late.Seq
		b.Bye = reason
		r.hear(b)
		r.hear(late) // it was sent before the goodbye
		r.run(30*time.Minute, "b", "c")
		r.wants("a left " + reason)
	}
	f("shutdown")
	f("suspend")
	f("maintenance")
}

func TestAccept6UpgradeThatDoesNotComeBack(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.hear(r.beat("a", 1, bye("upgrade")))
	r.take()
	r.run(119 * time.Second)
	r.wants()
	r.run(time.Second)
	r.wants("a down upgrade")
}

func TestAccept7ClockOfTheHost(t *testing.T) {
	r := newRig(t)
	r.run(40*time.Second, "a")
	r.take()
	for range 12 {
		r.hear(r.beat("a", 1, func(b *telemetry.Heartbeat) { b.T1 -= int64(24 * time.Hour) }))
		r.run(10 * time.Second)
	}
	r.wants("a clock_step")
}

func TestAccept7ClockOfTheWatcher(t *testing.T) {
	r := newRig(t)
	hosts := names(50)
	r.run(40*time.Second, hosts...)
	r.take()
	sent := r.at().Wall.UnixNano() - int64(r.now) // what the hosts go on to say
	r.wall = 24 * time.Hour
	for n := range 120 {
		r.now += 10 * time.Second
		for _, host := range hosts {
			r.hear(r.beat(host, 1, func(b *telemetry.Heartbeat) {
				b.T1, b.RTTUS = sent+int64(r.now), 200
				if n > 8 {
					b.OffsetUS = (24 * time.Hour).Microseconds() // the filter follows
				}
			}))
		}
		for range 10 {
			r.sweep()
		}
	}
	if len(r.got) == 0 || r.got[0].Type != TypeClockStep || r.got[0].Host != "" || r.got[0].Reason != ReasonSelf {
		t.Fatalf("told %+v", r.got)
	}
	for _, c := range r.got[1:] {
		if c.Host != "" {
			t.Errorf("%s: the clock here was set, and it says %q", c.Host, c.Message)
		}
	}
	if skew, _ := count(r.take(), TypeClockSkew); skew != 1 {
		t.Errorf("%d clock_skew, want one for all", skew)
	}
}

func TestAccept8TwoAgentsOfOneFile(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.take()
	clone := func() Heard {
		return r.hear(r.beat("a", 1, func(b *telemetry.Heartbeat) { b.Inst, b.Name = "other", "a-clone" }))
	}
	for range 2 {
		if h := clone(); h.Order != Refused || h.Reason != ReasonConflict {
			t.Errorf("clone is %v %v", h.Order, h.Reason)
		}
		r.run(10*time.Second, "a")
	}
	r.wants("a conflict")
	p, _ := r.w.Peer("a")
	if p.Name != "a" || len(p.Rivals) != 1 || p.Rivals[0].Inst != "other" || p.Rivals[0].Name != "a-clone" || p.Flags[0] != FlagConflict {
		t.Errorf("%v %v %v", p.Name, p.Rivals, p.Flags)
	}
}

func TestAccept9Renamed(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.take()
	r.hear(r.beat("a", 1, func(b *telemetry.Heartbeat) { b.Name = "new" }))
	r.wants("a renamed")
	p, _ := r.w.Peer("a")
	if p.Name != "new" || len(p.Aliases) != 1 || p.Aliases[0] != "a" || p.State != telemetry.HostUp {
		t.Errorf("%v %v %v", p.Name, p.Aliases, p.State)
	}
}

func TestAccept13TakeOver(t *testing.T) {
	one, two := newRig(t), newRig(t)
	two.w.Speak(false, two.at())
	hosts := append(names(50), "dead", "back", "left", "again")
	both := func(b telemetry.Heartbeat) { one.hear(b); two.hear(b) }
	beat := func(list ...string) {
		for _, host := range list {
			both(one.beat(host, 1))
		}
		for range 10 {
			one.now, two.now = one.now+time.Second, two.now+time.Second
			one.sweep()
			two.sweep()
			for _, r := range one.records() {
				two.w.Adopt(r, two.at())
			}
		}
	}
	beat(hosts...)
	beat(hosts...)
	for range 6 {
		beat(hosts[:50]...)
	}
	one.take()
	two.wants()
	// The voice dies: one.w is no more. Its last word: dead, back, left and again are DOWN.
	alone := func(list ...string) {
		for _, host := range list {
			two.hear(one.beat(host, 1))
		}
		two.now += 5 * time.Second
		for range 2 {
			two.sweep()
		}
	}
	two.now += time.Second
	two.sweep()
	two.hear(one.beat("back", 1))
	two.hear(one.beat("left", 1, bye("shutdown")))
	two.hear(one.beat("again", 2, func(b *telemetry.Heartbeat) { b.Boot = "boot-2" }))
	two.w.Speak(true, two.at())
	alone(hosts[:50]...)
	told := map[string]bool{}
	for _, c := range two.take() {
		told[say(c)] = true
	}
	if len(told) != 4 || !told["back up"] || !told["left left shutdown"] || !told["again up"] || !told["again rebooted"] {
		t.Errorf("told at takeover: %v", told)
	}
	for range 20 {
		two.now += time.Second
		two.sweep()
	}
	two.wants()
}

func TestAccept13TheSilentGoTheNormalWay(t *testing.T) {
	one, two := newRig(t), newRig(t)
	two.w.Speak(false, two.at())
	for range 30 {
		one.now, two.now = one.now+time.Second, two.now+time.Second
		if one.now%(10*time.Second) == 0 {
			for _, host := range []string{"a", "b", "c", "d"} {
				b := one.beat(host, 1)
				one.hear(b)
				two.hear(b)
			}
		}
		one.sweep()
		two.sweep()
	}
	for _, r := range one.records() {
		two.w.Adopt(r, two.at())
	}
	two.seqs = one.seqs
	two.run(20*time.Second, "b", "c", "d")
	two.w.Speak(true, two.at())
	two.run(time.Minute, "b", "c", "d")
	two.wants("a overdue", "a down disconnected")
}

func TestAccept15Flapping(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "calm")
	r.take()
	for range 30 { // each minute it beats once, is overdue after 25 s and down after 40 s
		r.hear(r.beat("a", 1))
		r.run(time.Minute, "calm")
	}
	all := r.take()
	down, silenced := count(all, TypeDown)
	if down > 2 || down+silenced != 30 {
		t.Errorf("%d DOWN told and %d silenced", down, silenced)
	}
	if flapping, _ := count(all, TypeFlapping); flapping != 1 {
		t.Errorf("%d flapping, want its start", flapping)
	}
	r.hear(r.beat("a", 1))
	r.take()
	r.run(61*time.Minute, "calm", "a")
	r.wants("a flapping ended")
	r.run(2 * time.Minute)
	if down, _ := count(r.take(), TypeDown); down != 2 {
		t.Errorf("%d DOWN told after it has kept quiet, want those of both", down)
	}
}
