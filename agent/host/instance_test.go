package host

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// idler is a config whose process does nothing, and ends with its standard input.
const idler = "collect: { idle: { run: [sh, -c, 'read line'] } }\n"

// alive returns a host and its plugin idle, whose process runs.
func alive(t *testing.T, h *Host) *entry {
	t.Helper()
	e := h.find("idle")
	begin(t, e)
	bustest.Wait(t, soon, "the process runs", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.now.pid != 0
	})
	return e
}

// begin starts the plugin as its host does. It ends with the test.
func begin(t *testing.T, e *entry) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	e.now.start(ctx)
	t.Cleanup(func() {
		e.now.child.Kill("the test ends")
		cancel()
		<-e.now.done
		e.host.children.Wait()
	})
}

// set changes what is known of e.
func (e *entry) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

func TestHangs(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, idler)
	if reason := h.find("idle").now.hangs(time.Now().Add(time.Hour)); reason != "" {
		t.Errorf("without a process: %s", reason)
	}
	e := alive(t, h)
	begun := e.now.begun
	f := func(after time.Duration, want string) {
		t.Helper()
		if got := e.now.hangs(begun.Add(after)); got != want {
			t.Errorf("after %v: %q, want %q", after, got, want)
		}
	}
	f(0, "")
	f(20*time.Second, "")
	f(21*time.Second, "no heartbeat within 20s of its start")

	e.set(func() { e.now.refused = "api_version" }) // the next process would be refused too
	f(time.Minute, "")
	e.set(func() { e.now.refused = "" })
	beat := func(after time.Duration, interval time.Duration, flags ...string) {
		e.beat(telemetry.Heartbeat{Inst: "a", IntervalMS: interval.Milliseconds(), Flags: flags}, begun.Add(after), &telemetry.Ack{})
	}
	beat(10*time.Second, 10*time.Second)
	f(40*time.Second, "")
	f(41*time.Second, "no heartbeat for 30s")
	beat(50*time.Second, time.Second) // three seconds of silence are nothing
	f(65*time.Second, "")
	f(66*time.Second, "no heartbeat for 15s")
	beat(70*time.Second, 10*time.Second, "refreshing")
	f(70*time.Second, "")
	beat(71*time.Second, 10*time.Second, "refreshing", "hung")
	f(71*time.Second, "a call does not come back")
	beat(72*time.Second, 10*time.Second)
	f(72*time.Second, "")

	e.now.excuse(begun.Add(200 * time.Second))
	f(230*time.Second, "")
	f(231*time.Second, "no heartbeat for 30s")
}

// A process that has not come to say anything is excused as well.
func TestExcuseBeforeHello(t *testing.T) {
	b := bustest.New(t)
	e := alive(t, connected(t, b, idler))
	begun := e.now.begun
	e.now.excuse(begun.Add(time.Minute))
	if !e.now.arrived.IsZero() {
		t.Error("an excuse counts as a heartbeat")
	}
	if got := e.now.hangs(begun.Add(79 * time.Second)); got != "" {
		t.Errorf("%q", got)
	}
	if got := e.now.hangs(begun.Add(81 * time.Second)); !strings.HasPrefix(got, "no heartbeat within") {
		t.Errorf("%q", got)
	}
}

// Who hangs is replaced; nobody is while we were asleep ourselves, or the bus is away.
func TestInspect(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, idler)
	e := alive(t, h)
	now := time.Now()
	hang := func() { e.set(func() { e.now.begun, e.now.arrived = now.Add(-time.Hour), now.Add(-time.Hour) }) }
	excused := func(what string) {
		t.Helper()
		e.mu.Lock()
		defer e.mu.Unlock()
		if !e.now.begun.Equal(now) || !e.now.arrived.Equal(now) {
			t.Errorf("%s: not excused", what)
		}
	}
	hang()
	h.inspect(t.Context(), now.Add(-2*watchEvery-time.Millisecond), now)
	excused("after a stall of our own")
	b.Stop(t)
	bustest.Wait(t, soon, "the bus is away", func() bool { return !h.conn.Connected() })
	hang()
	h.inspect(t.Context(), now.Add(-watchEvery), now)
	excused("while the bus is away")
	if n := e.now.child.Status().Restarts; n != 0 {
		t.Errorf("%d restarts", n)
	}

	b.Start(t)
	bustest.Wait(t, soon, "the bus is back", h.conn.Connected)
	pid := e.now.child.Status().PID
	hang()
	e.set(func() { e.now.refused = "" })
	h.inspect(t.Context(), now.Add(-watchEvery), now)
	bustest.Wait(t, soon, "another process runs", func() bool {
		s := e.now.child.Status()
		return s.PID != 0 && s.PID != pid && s.Restarts == 1
	})
	bustest.Wait(t, soon, "it introduces itself anew", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.now.arrived.IsZero() && e.now.begun.After(now) && e.now.last.Inst == ""
	})
}

func TestStatus(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, idler)
	if s := h.Statuses()[0]; s.State != "stopped" || s.PID != 0 || s.Beat != 0 {
		t.Errorf("before the start: %+v", s)
	}
	e := alive(t, h)
	f := func(what, state, reason string) {
		t.Helper()
		if s := e.status(); s.State != state || s.Reason != reason {
			t.Errorf("%s: %s (%s), want %s (%s)", what, s.State, s.Reason, state, reason)
		}
	}
	beat := func(state, message string) {
		b := telemetry.Heartbeat{Inst: "a", IntervalMS: 1000, State: state, ConfigRev: 5, Stats: &telemetry.Stats{Ticks: 3},
			Manifest: &telemetry.Manifest{API: 1, Kind: "collector", Version: "1.2"}}
		if message != "" {
			b.Error = &telemetry.Fault{Code: "internal", Message: message}
		}
		e.beat(b, time.Now(), &telemetry.Ack{})
	}
	f("without a heartbeat", "starting", "")
	beat("", "")
	f("with a heartbeat that says nothing", "introduced", "")
	beat("running", "")
	f("at work", "running", "")
	beat("running", "timeout") // it goes on
	f("at work with an error", "running", "")
	beat("idle", "")
	f("with nothing to do", "idle", "")
	beat("failed", "port in use")
	f("failed", "failed", "port in use")
	beat("draining", "")
	f("draining", "draining", "")
	e.set(func() { e.now.refused = "api_version: too new" })
	f("refused", "refused", "api_version: too new")

	s := h.Statuses()[0]
	if s.Name != "idle" || s.Kind != "collector" || s.Program != "sh" || s.Host != "h1" || s.Version != "1.2" || s.PID == 0 ||
		s.RSS == 0 || s.Beat == 0 || s.Since == 0 || s.Config != 5 || s.Stats == nil || s.Stats.Ticks != 3 {
		t.Errorf("%+v", s)
	}
	e.now.follow(e.now.child.Status()) // the same process: nothing is forgotten
	f("still refused", "refused", "api_version: too new")
	e.now.expect("another")
	f("a new process", "starting", "")
}

// A process that ends by itself is shown with the reason, not with what it said when it lived.
func TestStatusOfEnded(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, `collect: { gone: { run: [sh, -c, 'echo "{\"level\":\"INFO\",\"msg\":\"on\"}" >&2; echo no licence >&2; exit 78'] } }`)
	e := h.find("gone")
	e.beat(telemetry.Heartbeat{Inst: "a", State: "running"}, time.Now(), &telemetry.Ack{})
	begin(t, e)
	bustest.Wait(t, soon, "it has failed", func() bool { return e.now.child.Status().State == "failed" })
	if s := e.status(); s.State != "failed" || s.Reason != "exit code 78: no licence" || s.PID != 0 || s.Restarts != 0 {
		t.Errorf("%+v", s)
	}
}
