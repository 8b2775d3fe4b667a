package host

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// Some heartbeats in a second are admitted, and so many seconds in a row with more are a flood.
func TestFloodCounts(t *testing.T) {
	at := time.Now()
	var fl flood
	second := func(beats, want, floods int) {
		t.Helper()
		taken := 0
		for range beats {
			if ok, _ := fl.admits(at); ok {
				taken++
			}
		}
		if taken != want || fl.floods != floods {
			t.Errorf("%d beats: %d taken, %d seconds of flood; want %d, %d", beats, taken, fl.floods, want, floods)
		}
		at = at.Add(time.Second)
	}
	second(1, 1, 0)
	second(20, 20, 0)
	second(21, 20, 1)
	second(10000, 20, 2)
	second(30, 20, 3)
	second(20, 20, 3) // a quiet second, as the next one finds
	second(30, 20, 1)
	at = at.Add(3 * time.Second)
	second(30, 20, 1)
	if fl.dropped != 1+9980+10+10+10 {
		t.Errorf("%d dropped", fl.dropped)
	}
}

// Who floods for five seconds is replaced; a stranger who does so under its name does it no harm.
func TestFlooderIsReplaced(t *testing.T) {
	h := connected(t, bustest.New(t), idler)
	e := alive(t, h)
	pid := e.pid()
	at := time.Now()
	e.beat(telemetry.Heartbeat{Inst: "a"}, at, &telemetry.Ack{})
	flooded := func(inst string, seconds int) {
		for range seconds {
			for range 100 {
				e.admits(inst, at)
			}
			if !e.admits("a", at) && inst != "a" {
				t.Error("its own heartbeat is not heard")
			}
			at = at.Add(time.Second)
		}
	}
	flooded("b", 20)
	flooded("", 20)
	flooded("a", mostFloods-1)
	at = at.Add(2 * time.Second)
	flooded("a", mostFloods-1)
	if s := e.now.child.Status(); s.PID != int(pid) || s.State != "running" {
		t.Errorf("%+v", s)
	}
	flooded("a", 1)
	bustest.Wait(t, soon, "another process runs", func() bool { return e.pid() != 0 && e.pid() != pid })
	if s := e.now.child.Status(); s.Restarts != 1 {
		t.Errorf("%+v", s)
	}
	if floods := func() int { e.mu.Lock(); defer e.mu.Unlock(); return e.now.flood.floods }(); floods != 0 {
		t.Errorf("the new process has the floods of the old one: %d", floods)
	}
	f := func(text string) {
		t.Helper()
		for _, l := range e.journal.Page(0, 0, 0).Lines {
			if strings.Contains(l.Text, text) {
				return
			}
		}
		t.Errorf("no line tells %q", text)
	}
	f("plugin beats too often")
}

// While one plugin beats without end, the heartbeats of the others are answered.
func TestFlood(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	ctx, cancel := context.WithCancel(t.Context())
	noisy := newPulse(t, b, "numbers", "collector", "a")
	noisy.Seq = 1
	body, err := telemetry.EncodeControl(noisy.Heartbeat, telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	var all sync.WaitGroup
	for range 200 { // at a time: those without an answer wait for a while
		all.Go(func() {
			for ctx.Err() == nil {
				once, done := context.WithTimeout(ctx, 50*time.Millisecond)
				_, _ = noisy.conn.Request(once, bus.HeartbeatSubject("h1", "numbers", bus.HTB), body)
				sent.Add(1)
				done()
			}
		})
	}
	quiet := newPulse(t, b, "sink", "publisher", "b")
	for n := uint64(1); sent.Load() < 2000; n++ {
		if ack := quiet.accepted(); ack.Received != n || ack.Lost != 0 {
			t.Errorf("%+v", ack)
		}
		time.Sleep(time.Second / mostBeats) // it beats as often as it may
	}
	cancel()
	all.Wait()
	e := h.find("numbers")
	e.mu.Lock()
	defer e.mu.Unlock()
	if dropped := e.now.flood.dropped + e.others.dropped; dropped < 1000 || e.now.track.Received > 20*60 {
		t.Errorf("%d of %d dropped, %d taken", dropped, sent.Load(), e.now.track.Received)
	}
}
