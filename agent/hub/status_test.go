package hub

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// The one that speaks and the one that follows say the same of the fleet, and each what it is itself.
func TestStatus(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	first := start(t, b)
	second := run(t, prepare(t, b))
	f := crowd(t, b, fleet.Options{Hosts: 7, Plugins: 1})
	names := f.Names()
	for _, r := range []*running{first, second} {
		r.allUp(t, 7)
	}
	f.Kill(names[:2]...)
	f.Bye("shutdown", names[2])
	want := map[string]uint64{telemetry.HostUp: 4, telemetry.HostDown: 2, telemetry.HostLeft: 1}
	for _, r := range []*running{first, second} {
		bustest.Wait(t, limit, fmt.Sprint("states ", want), func() bool { return maps.Equal(r.Status().States, want) })
		var listed map[string]uint64
		var s telemetry.HubStatus
		well := func() bool { // but for a moment in which it was stopped, or too busy to look
			listed, s = map[string]uint64{}, r.Status()
			for _, h := range hostsOf(r.Hub) {
				listed[h.State]++
			}
			return maps.Equal(listed, want) && s.Ready && len(s.Waits) == 0
		}
		bustest.Wait(t, limit, "it is well", well)
		if s.ID != r.o.ID || s.Voice != (r == first) || s.Speaker != first.o.ID || s.Term == 0 {
			t.Errorf("status %+v", s)
		}
	}
	b.Stop(t)
	for _, r := range []*running{first, second} {
		bustest.Wait(t, limit, "all UNKNOWN", func() bool {
			return maps.Equal(r.Status().States, map[string]uint64{telemetry.HostUnknown: 7})
		})
		if s := r.Status(); s.Ready || !slices.Contains(s.Waits, "bus is not connected") {
			t.Errorf("without a bus: %+v", s)
		}
	}
}

// After a restart a hub says whom it waits for.
func TestStatusWarmsUp(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	var agents []*agent
	for _, id := range []string{"web", "db", "mail"} {
		agents = append(agents, agentOf(t, b, id, "i1", 1))
		agents[len(agents)-1].beat()
	}
	bustest.Wait(t, limit, "records", func() bool { return !r.busy() && keys(t, b, "HOSTS", ">") == 3 })
	r.stop()
	r = start(t, b, func(o *Options) { o.Rules.WarmUp = time.Hour })
	for left := 3; left >= 0; left-- {
		bustest.Wait(t, limit, fmt.Sprintf("%d hosts are not heard", left), func() bool {
			s := r.Status()
			told := slices.ContainsFunc(s.Waits, func(w string) bool {
				return strings.HasPrefix(w, amount.Of(left, "host of before the restart is", "hosts of before the restart are"))
			})
			return told == (left > 0) && s.Ready == (left == 0) && s.States[telemetry.HostUp] == 3
		})
		if left > 0 {
			agents[left-1].beat()
		}
	}
}

// A host that its first ACK asks to beat less often is not late by the interval it had before.
func TestAskedToBeatLessOften(t *testing.T) {
	const slow = 40 * time.Second
	h := New(Options{Log: bustest.Log(t), Interval: slow, Rules: quick()})
	h.voice.mine, h.voice.renewed = true, time.Now()
	h.watch.Speak(true, h.now())
	b := telemetry.Heartbeat{Version: telemetry.ProtocolVersion, Host: "web", Plugin: "agent", Name: "web", Boot: "boot-1", Inst: "i1", Gen: 1, Seq: 1, IntervalMS: 200}
	begun := h.now()
	var ack telemetry.Ack
	if !h.take(b, begun, &ack) || ack.NextMS != slow.Milliseconds() {
		t.Fatalf("ACK %+v", ack)
	}
	late := time.Duration(0)
	for at := begun; late == 0 && at.Mono < begun.Mono+10*slow; {
		at = liveness.Instant{Mono: at.Mono + 100*time.Millisecond, Wall: at.Wall.Add(100 * time.Millisecond)}
		h.watch.Sweep(liveness.Self{Connected: true, Bus: true}, at)
		if p, _ := h.watch.Peer("web"); p.State != telemetry.HostUp {
			late = at.Mono - begun.Mono
		}
	}
	if late < slow || late >= 10*slow {
		t.Errorf("it is late after %v, and beats each %v", late, slow)
	}
}
