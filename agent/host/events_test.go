package host

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// told returns what waits to be told, each as "type from-to: reason", with ! where nobody needs to be told.
func told(h *Host) []string {
	var list []string
	for {
		select {
		case v := <-h.diary.queue:
			text := fmt.Sprintf("%s %s-%s: %s", v.Type, v.From, v.To, v.Reason)
			if v.Silenced {
				text += "!"
			}
			list = append(list, text)
		default:
			return list
		}
	}
}

// Only the way from one class to another is told, and a new process under an old name.
func TestCourse(t *testing.T) {
	h := newHost(t, "nats://127.0.0.1:1", idler)
	e := h.find("idle")
	f := func(state, reason, inst, stop string, want ...string) {
		t.Helper()
		e.set(func() {
			e.now.last.Inst, e.now.stopped = inst, stop
			e.follow(e.now, state, reason, "exit code 3")
		})
		if got := told(h); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", state, got, want)
		}
	}
	f(stopped, "", "", "")
	f(starting, "", "", "")
	f(introduced, "", "a", "")
	f(running, "", "a", "", "up -running: ")
	f(idle, "", "a", "")
	f(draining, "", "a", "")
	f(stopped, "", "a", replaced)
	f(running, "", "b", "", "restarted idle-running: exit code 3")
	f(backingOff, "exit code 4", "b", "", "down running-backing_off: exit code 4")
	f(starting, "", "", "")
	f(failed, "10 starts", "", "")
	f(running, "", "c", "", "up failed-running: ")
	e.expects("restarted by an operator")
	f(running, "", "c", "")
	f(draining, "", "c", "")
	f(stopped, "", "c", "")
	f(running, "", "e", "", "restarted running-running: restarted by an operator")
	f(running, "", "c", "", "restarted running-running: exit code 3") // nobody has asked twice
	f(stopped, stoppedBy, "c", stoppedBy, "left running-stopped: "+stoppedBy)
	f(running, "", "d", "", "up stopped-running: ")
	f(lost, "no heartbeat", "d", "", "down running-lost: no heartbeat")
	f(running, "", "d", "", "up lost-running: ")
	e.expects("upgraded by an operator")
	f(refused, "config_invalid", "d", "", "down running-refused: config_invalid!", "flapping refused-refused: begun")
	f(running, "", "d", "", "up refused-running: !")
	if e.course.asked != "" {
		t.Error("what failed is still asked for")
	}
	e.calms(time.Now().Add(time.Minute))
	if got := told(h); got != nil {
		t.Errorf("calm after a minute: %q", got)
	}
	e.calms(time.Now().Add(2 * time.Hour))
	if got := told(h); !slices.Equal(got, []string{"flapping running-running: ended"}) {
		t.Errorf("%q", got)
	}
	f(stopped, "", "d", agentEnds)
}

// A queue that is full delays nobody.
func TestEventsDropped(t *testing.T) {
	h := newHost(t, "nats://127.0.0.1:1", idler)
	e := h.find("idle")
	for n := range 2 * mostEvents {
		e.set(func() { e.follow(e.now, []string{running, failed}[n%2], "", "") })
	}
	if n := h.diary.dropped.Load(); len(h.diary.queue) != mostEvents || n != mostEvents+1 { // flapping has begun once
		t.Errorf("%d wait, %d dropped", len(h.diary.queue), n)
	}
}

// An almanac has the events of h1 that are in the stream.
type almanac struct {
	mu   sync.Mutex
	list []telemetry.Event
}

func newAlmanac(t *testing.T, b *bustest.Bus) *almanac {
	t.Helper()
	a, conn := &almanac{}, b.Conn(t, "hub")
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = conn.Tap(t.Context(), bus.TapOptions{Stream: bus.StreamEvents, From: 1}, func(m bus.Tapped) error {
			var b telemetry.Batch
			if err := b.Decode(m.ContentType, "", m.Body, m.Stored); err != nil {
				t.Error(err)
			}
			b.SetHost(m.Subject.Host)
			a.mu.Lock()
			defer a.mu.Unlock()
			for _, v := range telemetry.Events(&b) {
				if v.Host != m.Subject.Host || v.Plugin != m.Subject.Plugin || v.Type != m.Subject.Verb {
					t.Errorf("on %s: %+v", m.Subject.Raw, v)
				}
				a.list = append(a.list, v)
			}
			return nil
		})
	})
	t.Cleanup(wg.Wait)
	return a
}

// of returns the events of a plugin.
func (a *almanac) of(plugin string) (list []telemetry.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, v := range a.list {
		if v.Plugin == plugin {
			list = append(list, v)
		}
	}
	return list
}

func (a *almanac) types(plugin string) string {
	var types []string
	for _, v := range a.of(plugin) {
		types = append(types, v.Type)
	}
	return strings.Join(types, " ")
}

// What happens to plugins is in the stream, and the end of the agent is nothing that happens to them.
func TestEvents(t *testing.T) {
	r := rigged(t, "owner: ops\nsite: lab\n"+pair)
	a := newAlmanac(t, r.b)
	wait := func(plugin, want string) {
		t.Helper()
		bustest.Wait(t, soon, plugin+" has "+want, func() bool { return a.types(plugin) == want })
	}
	wait("numbers", "up")
	wait("sink", "up")
	if _, err := r.h.Restart(t.Context(), "sink"); err != nil {
		t.Fatal(err)
	}
	wait("sink", "up restarted")
	if v := a.of("sink")[1]; v.Message != "publisher sink was restarted by an operator" || v.Reason != "restarted by an operator" {
		t.Errorf("%+v", v)
	}
	if _, err := r.h.Stop(t.Context(), "sink"); err != nil {
		t.Fatal(err)
	}
	wait("sink", "up restarted left")
	if _, err := r.h.Start(t.Context(), "sink"); err != nil {
		t.Fatal(err)
	}
	wait("sink", "up restarted left up")
	r.reloaded("owner: ops\nsite: lab\ncollect: { numbers: }\n")
	wait("sink", "up restarted left up left")
	last := a.of("sink")[4]
	if last.Owner != "ops" || last.Site != "lab" || last.To != stopped || last.From != running || last.ID == "" || last.Silenced ||
		last.Message != "publisher sink has left: it is not in the config any more" {
		t.Errorf("%+v", last)
	}
	r.stop()
	if got := a.types("numbers"); got != "up" {
		t.Errorf("the agent's end is told as %s", got)
	}
}

// A plugin whose process dies was restarted, or is down for a while; when that goes on nobody is told any more.
func TestEventsOfCrashes(t *testing.T) {
	r := rigged(t, pair)
	a := newAlmanac(t, r.b)
	for _, want := range []string{"up restarted", "up restarted down up"} {
		if err := syscall.Kill(int(r.state("numbers", running).PID), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		bustest.Wait(t, soon, want, func() bool { return a.types("numbers") == want })
	}
	if last := a.of("numbers")[2]; last.To != backingOff || !strings.Contains(last.Message, "collector numbers is down: ") || !strings.Contains(last.Reason, "SIGKILL") {
		t.Errorf("%+v", last)
	}
	e := r.h.find("numbers")
	for range 2 {
		e.set(func() {
			e.follow(e.now, failed, "boom", "")
			e.follow(e.now, running, "", "")
		})
	}
	bustest.Wait(t, soon, "flapping is told", func() bool { return a.types("numbers") == "up restarted down up down up down flapping up" })
	for n, v := range a.of("numbers") {
		if silenced := n == 6 || n == 8; v.Silenced != silenced {
			t.Errorf("%d: %+v", n, v)
		}
	}
}

// What was asked for is told as that, and what comes to nothing is not told later.
func TestEventsOfSwaps(t *testing.T) {
	r := rigged(t, pair)
	a := newAlmanac(t, r.b)
	f := func(plugin string, n int, want string) {
		t.Helper()
		bustest.Wait(t, soon, want, func() bool {
			list := a.of(plugin)
			return len(list) > n && list[n].Message == want
		})
	}
	f("sink", 0, "publisher sink works")
	if _, err := r.h.Upgrade(t.Context(), "sink"); err != nil {
		t.Fatal(err)
	}
	f("sink", 1, "publisher sink was upgraded by an operator")
	r.reloaded(strings.Replace(pair, "sink: {", "sink: { limits: { files: 512 },", 1))
	f("sink", 2, "publisher sink was swapped: limits changed")
	e := r.h.find("sink")
	if err := e.asked("restarted by an operator", func() error { return errEnded }); err == nil || e.course.asked != "" {
		t.Errorf("%v, %q", err, e.course.asked)
	}
}
