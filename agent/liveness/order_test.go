package liveness

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// as is a beat of another instance.
func as(inst string, gen uint64) func(*telemetry.Heartbeat) {
	return func(b *telemetry.Heartbeat) { b.Inst, b.Gen = inst, gen }
}

func TestTableOfInstances(t *testing.T) {
	f := func(gen uint64, silent time.Duration, change func(*telemetry.Heartbeat), order Order, reason string, told ...string) {
		t.Helper()
		r := newRig(t)
		r.run(30*time.Second, "b", "c", "d")
		r.hear(r.beat("a", gen, as("known", gen)))
		r.run(silent, "b", "c", "d")
		r.take()
		if h := r.hear(r.beat("a", gen, change)); h.Order != order || h.Reason != reason {
			t.Errorf("%s %s, want %s %s", h.Order, h.Reason, order, reason)
		}
		r.wants(told...)
	}
	f(5, time.Second, as("new", 6), Fresh, "", "a restarted")
	f(5, time.Second, func(b *telemetry.Heartbeat) { b.Inst, b.Gen, b.Boot = "new", 6, "boot-2" }, Fresh, "", "a rebooted")
	f(5, time.Second, as("new", 5), Refused, ReasonConflict)
	f(5, time.Second, as("new", 4), Refused, ReasonConflict)
	f(5, 30*time.Second, as("new", 5), Refused, ReasonConflict) // OVERDUE is not DOWN
	f(5, time.Minute, as("new", 5), Fresh, "", "a up", "a restarted")
	f(5, time.Second, as("new", 0), Refused, ReasonNameTaken)
	f(0, time.Second, as("new", 0), Refused, ReasonNameTaken)
	f(0, 10*time.Second, as("new", 0), Refused, ReasonNameTaken) // it may only be late
	f(0, 11*time.Second, as("new", 0), Fresh, "", "a restarted")
	f(0, time.Second, as("new", 1), Fresh, "", "a restarted")
}

func TestRefusedLearnsTheHighestGeneration(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 5))
	if h := r.hear(r.beat("a", 5, as("new", 3))); h.Order != Refused || h.Gen != 5 {
		t.Errorf("%s, gen %d", h.Order, h.Gen)
	}
}

func TestAfterGoodbyeAnybodyMayCome(t *testing.T) {
	f := func(gen uint64) {
		t.Helper()
		r := newRig(t)
		r.hear(r.beat("a", 5))
		r.hear(r.beat("a", 5, bye("shutdown")))
		r.take()
		r.hear(r.beat("a", gen, as("new", gen)))
		r.wants("a up", "a restarted")
	}
	f(0)
	f(4)
	f(5)
	f(6)
}

func TestRetiredTwiceIsConflict(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 1))
	r.hear(r.beat("a", 2))
	r.take()
	one := r.beat("a", 1)
	f := func(b telemetry.Heartbeat, reason string, told ...string) {
		t.Helper()
		if h := r.hear(b); h.Order != Retired || h.Reason != reason || h.Peer.Last.Gen != 2 {
			t.Errorf("%s %q, and the last beat is of %d", h.Order, h.Reason, h.Peer.Last.Gen)
		}
		r.wants(told...)
	}
	f(one, "") // it may have been on its way
	f(one, "") // twice
	f(r.beat("a", 1), ReasonConflict, "a conflict")
	f(r.beat("a", 1), ReasonConflict)
	if p, _ := r.w.Peer("a"); p.Retired != 4 || !slices.Equal(p.Flags, []string{FlagConflict}) {
		t.Errorf("%d retired, %v", p.Retired, p.Flags)
	}
}

func TestRestoredFolderOfADeadHostIsNoConflict(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "b", "c", "d")
	r.hear(r.beat("a", 5, as("known", 5)))
	r.take()
	for range 6 { // it is dead, and its clone has to wait
		r.hear(r.beat("a", 5, as("clone", 5)))
		r.run(10*time.Second, "b", "c", "d")
	}
	r.hear(r.beat("a", 5, as("clone", 5)))
	r.wants("a overdue", "a down disconnected", "a up", "a restarted")
	if p, _ := r.w.Peer("a"); len(p.Rivals) != 0 {
		t.Errorf("rivals %v", p.Rivals)
	}
}

func TestConflictEnds(t *testing.T) {
	r := newRig(t)
	both := func() {
		r.run(10*time.Second, "a")
		r.hear(r.beat("a", 1, as("clone", 1)))
		r.run(10*time.Second, "a")
	}
	both()
	r.wants("a up", "a conflict")
	r.run(2*time.Minute, "a")
	if p, _ := r.w.Peer("a"); len(p.Rivals)+len(p.Flags) != 0 {
		t.Errorf("a minute later %v %v", p.Rivals, p.Flags)
	}
	both()
	r.wants("a conflict")
}

// TestStartedTwiceByHand is refused, and told to who did it: nobody has cloned a machine.
func TestStartedTwiceByHand(t *testing.T) {
	r := newRig(t)
	for range 5 {
		r.run(10*time.Second, "a")
		r.hear(r.beat("a", 0, as("second", 0)))
	}
	r.wants("a up")
	if p, _ := r.w.Peer("a"); len(p.Rivals) != 1 || len(p.Flags) != 0 {
		t.Errorf("%v %v", p.Rivals, p.Flags)
	}
}

func TestInstancesDoNotGrow(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 1))
	for n := range 100 {
		r.hear(r.beat("a", 1, as(fmt.Sprint("clone", n), 1)))
		r.now++
	}
	for n := range 100 {
		r.hear(r.beat("a", uint64(2+n)))
	}
	rec, _ := r.w.Record("a")
	p, _ := r.w.Peer("a")
	if len(p.Rivals) != mostRivals || len(rec.Retired) != mostRetired {
		t.Errorf("%d rivals, %d retired", len(p.Rivals), len(rec.Retired))
	}
	if p.Rivals[0].Inst != "clone96" || rec.Retired[7] != "a/100" {
		t.Errorf("kept %v, %v", p.Rivals, rec.Retired)
	}
}

func TestHighestGenerationIsKept(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 7))
	r.hear(r.beat("a", 7, bye("shutdown")))
	r.hear(r.beat("a", 3))
	if p, _ := r.w.Peer("a"); p.Gen != 7 {
		t.Errorf("gen %d: the sender would go on too low", p.Gen)
	}
	r.hear(r.beat("a", 3, func(b *telemetry.Heartbeat) { b.Gen = 8 })) // it goes on above
	if p, _ := r.w.Peer("a"); p.Gen != 8 {
		t.Errorf("gen %d", p.Gen)
	}
}

// A copy of the state folder takes the place by its higher generation, and leaves: the one that lives has its place again.
func TestRetiredReturns(t *testing.T) {
	r := newRig(t)
	old := r.beat("a", 1)
	old.Gen = 1
	r.hear(old)
	copied := r.beat("a", 2)
	copied.Gen = 2
	r.hear(copied)
	copied.Seq, copied.Bye = copied.Seq+1, "shutdown"
	r.hear(copied)
	if p, _ := r.w.Peer("a"); p.State != telemetry.HostLeft {
		t.Fatalf("%+v", p)
	}
	old.Seq++
	if h := r.hear(old); h.Order != Retired { // it may have been on its way
		t.Fatalf("a straggler is %v", h.Order)
	}
	old.Seq++
	if h := r.hear(old); h.Order != Fresh || h.Peer.State != telemetry.HostUp || h.Peer.Gen != 2 || len(h.Peer.Rivals) != 0 {
		t.Errorf("%+v", h)
	}
}
