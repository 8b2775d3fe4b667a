package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// sources is a config with two collectors, whose points come from the test, and one who reads: % is how.
const sources = "collect: { numbers: { attached: true }, more: { use: numbers, attached: true } }\npublish: { sink: { journal: $J, % } }\n"

func reading(how string) string { return strings.ReplaceAll(sources, "%", how) }

// filters returns what the consumer of a plugin gives out, nil when there is none.
func (r *rig) filters(stream, plugin string) []string {
	state, err := r.h.conn.ConsumerInfo(r.Context(), stream, plugin)
	if err != nil {
		return nil
	}
	return state.Filters
}

// reads checks whose points the consumer of a plugin gives out.
func (r *rig) reads(plugin string, from ...string) {
	r.Helper()
	var want []string
	for _, name := range from {
		want = append(want, bus.MetricsFilter(name))
	}
	bustest.Wait(r, soon, fmt.Sprintf("%s reads %q", plugin, want), func() bool { // on a busy machine it takes two looks
		return slices.Equal(r.filters(bus.StreamMetrics, plugin), want)
	})
}

// raw asks the bus itself.
func raw(t *testing.T, b *bustest.Bus, subject, body string) {
	t.Helper()
	answer, err := b.Conn(t, "root").Request(t.Context(), subject, []byte(body))
	if err != nil || strings.Contains(string(answer), `"error"`) {
		t.Fatalf("%s: %s, %v", subject, answer, err)
	}
}

// A swap to another input that comes to nothing has not cost a point of the old one.
func TestSwapBackReads(t *testing.T) {
	r := rigged(t, "collect: { numbers: { every: 10ms, journal: $J }, more: { use: numbers, every: 100ms } }\npublish: { sink: { from: numbers, journal: $J } }\n")
	r.h.o.Times.Ready = 300 * time.Millisecond
	_, _, err := r.swap("sink", "publish: { sink: { use: mute, from: more, journal: $J } }")
	if err == nil || !strings.Contains(err.Error(), "it is not ready") {
		t.Errorf("%v", err)
	}
	r.reads("sink", "numbers")
	r.stop()
	if sums := ends(t, r.lines()); sums["numbers"] == 0 || sums["sink"] < sums["numbers"] {
		t.Errorf("points %v", sums)
	}
}

// What is stored of the old input is brought out still when another one takes its place.
func TestReloadReadsOut(t *testing.T) {
	r := rigged(t, reading("from: numbers"))
	pid := int(r.status("sink").PID)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	const n = 300 // more than a consumer gives out at a time
	publish(t, r.h, n)
	done := make(chan error, 1)
	r.write(reading("from: more"))
	go func() { _, err := r.h.Reload(t.Context(), false); done <- err }()
	bustest.Wait(t, soon, "the consumer changes", func() bool {
		return slices.Contains(r.filters(bus.StreamMetrics, "sink"), bus.MetricsFilter("more"))
	})
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.reads("sink", "more")
	r.inForce("sink")
	r.stop()
	if sums := ends(t, r.lines()); sums["sink"] != n {
		t.Errorf("points %v, want %d", sums, n)
	}
}

// Who cannot read now keeps the input he had until he has read what was there for it, and then has the new one alone.
func TestReloadLate(t *testing.T) {
	const bad = "process: { bad: { use: pass, from: %s, mode: %s } }\n"
	r := rigged(t, reading("from: numbers"))
	r.reloaded(reading("from: numbers") + fmt.Sprintf(bad, "numbers", "boom"))
	r.state("bad", failed)
	publish(t, r.h, 3)
	r.reloaded(reading("from: numbers") + fmt.Sprintf(bad, "more", "boom"))
	r.reads("bad", "more", "numbers")
	told := slices.ContainsFunc(r.h.find("bad").journal.Page(0, 0, 0).Lines, func(l telemetry.LogLine) bool {
		return strings.HasPrefix(l.Text, "plugin has another input by now, and reads the one before to its end first")
	})
	if !told {
		t.Error("nothing is told")
	}
	r.reloaded(reading("from: numbers") + fmt.Sprintf(bad, "more", "''"))
	bustest.Wait(t, soon, "the old input is read to its end", func() bool {
		return slices.Equal(r.filters(bus.StreamMetrics, "bad"), []string{bus.MetricsFilter("more")})
	})
	if s := r.status("bad"); r.h.find("bad").wide() || s.State != running {
		t.Errorf("%+v", s)
	}
}

// A process that is killed while the new one proves itself starts again, and does not turn the consumer back.
func TestSwapKilledReads(t *testing.T) {
	r := rigged(t, reading("from: numbers"), probation(5*time.Second))
	e, done := r.h.find("sink"), make(chan error, 1)
	old := int(r.status("sink").PID)
	go func() {
		_, err := r.h.Swap(t.Context(), "sink", Target{Config: "publish: { sink: { use: other, from: more } }"})
		done <- err
	}()
	bustest.Wait(t, soon, "the new one works", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.next != nil && !e.next.hold && e.next.health().works
	})
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s := r.status("sink"); s.Restarts != 1 || s.Program != "other" {
		t.Errorf("it was not started again meanwhile: %+v", s)
	}
	r.reads("sink", "more")
	r.inForce("sink")
	bustest.Wait(t, soon, "one process is left", func() bool { return len(offspring(t)) == 1 })
}

// Consumers follow the plan in force, however it came to that.
func TestReadsInForce(t *testing.T) {
	r := rigged(t, reading("from: numbers, on: monitoring"))
	if got := r.filters(bus.StreamEvents, "sink"); len(got) != 1 {
		t.Errorf("of events %q", got)
	}
	r.reloaded(reading("from: numbers"))
	if got := r.filters(bus.StreamEvents, "sink"); got != nil {
		t.Errorf("nobody reads them, but of events %q", got)
	}
	r.reads("sink", "numbers")

	// What does not work is replaced, and what comes in its place does not work either.
	const bad = "process: { bad: { use: %s, from: %s, mode: boom } }\n"
	r.reloaded(reading("from: numbers") + fmt.Sprintf(bad, "pass", "numbers"))
	r.state("bad", failed)
	list, err := r.reload(reading("from: numbers") + fmt.Sprintf(bad, "other", "more"))
	if c := byName(list)["bad"]; err != nil || c.Action != telemetry.ChangeSwap || !strings.Contains(c.Error, "boom") {
		t.Errorf("%+v, %v", c, err)
	}
	if s := r.status("bad"); s.Program != "other" {
		t.Errorf("%+v", s)
	}
	r.reads("bad", "more")

	// One consumer that cannot be made stops all of it.
	raw(t, r.b, "$JS.API.STREAM.DELETE."+bus.StreamEvents, "")
	before := r.pids()
	_, err = r.reload(reading("from: more") + "process: { late: { use: pass, on: monitoring } }\n")
	if err == nil || !strings.Contains(err.Error(), "consumer of late") {
		t.Errorf("%v", err)
	}
	r.reads("sink", "numbers")
	r.inForce("sink")
	if r.h.find("late") != nil || r.pids()["sink"] != before["sink"] {
		t.Errorf("processes %v, were %v", r.pids(), before)
	}
}

// Who is disabled for a while reads what came meanwhile.
func TestDisabledReads(t *testing.T) {
	const text = "collect: { numbers: { every: 10ms, journal: $J } }\npublish: { sink: { from: numbers, journal: $J, enabled: % } }\n"
	r := rigged(t, strings.ReplaceAll(text, "%", "true"))
	r.reloaded(strings.ReplaceAll(text, "%", "false"))
	if r.h.find("sink") != nil {
		t.Error("it runs")
	}
	bustest.Wait(t, soon, "points are left", func() bool {
		state, err := r.h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink")
		return err == nil && state.Pending >= 5
	})
	r.reloaded(strings.ReplaceAll(text, "%", "true"))
	r.inForce("sink")
	r.stop()
	if sums := ends(t, r.lines()); sums["numbers"] == 0 || sums["sink"] != sums["numbers"] {
		t.Errorf("points %v", sums)
	}
}

// What was loaded has no consumer any more when it is unloaded, and what it has not read is told. A plugin of the files may come
// back, and so may a file that is away for a moment: it keeps its place.
func TestUnloadReads(t *testing.T) {
	const bad = "process: { bad: { use: pass, from: numbers, mode: boom } }\n"
	r := rigged(t, reading("from: numbers"))
	f := func(reason string, left ...string) {
		t.Helper()
		r.state("bad", failed)
		r.reads("bad", "numbers")
		publish(t, r.h, 3)
		list, err := r.h.Unload(t.Context(), "bad")
		if c := byName(list)["bad"]; err != nil || c.Error != "" || c.Reason != reason {
			t.Errorf("%+v, %v", c, err)
		}
		r.reads("bad", left...)
		r.reads("sink", "numbers")
	}
	if _, err := r.h.Load(t.Context(), bad, false); err != nil {
		t.Fatal(err)
	}
	f("3 batches were not read")
	r.reloaded(reading("from: numbers") + bad)
	f("it is not in the config any more", "numbers")
	r.reloaded(reading("from: numbers") + bad)
	r.state("bad", failed)
	r.reloaded(reading("from: numbers"))
	r.reads("bad", "numbers")
}

// At its start an agent removes the consumers of plugins that are gone, on a bus of its own; others are none of its business.
func TestForgetGone(t *testing.T) {
	b := bustest.New(t)
	start := func(text string, own bool) *rig {
		t.Helper()
		h := newHost(t, b.URL, text)
		if own {
			h.o.InProcess = b.Server()
		}
		if err := h.dial(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.close)
		if err := h.provide(t.Context()); err != nil {
			t.Fatal(err)
		}
		return &rig{T: t, h: h, b: b}
	}
	start("collect: { numbers: }\npublish: { sink: { from: numbers }, gone: { use: sink, from: numbers, on: monitoring }, off: { use: sink, from: numbers } }\n", true)
	raw(t, b, "$JS.API.CONSUMER.CREATE.METRICS.theirs",
		`{"stream_name":"METRICS","config":{"durable_name":"theirs","name":"theirs","ack_policy":"explicit","filter_subject":"pw.metrics.*.numbers"}}`)
	const left = "collect: { numbers: }\npublish: { sink: { from: numbers }, off: { use: sink, from: numbers, enabled: false } }\n"

	r := start(left, false)
	r.reads("gone", "numbers")
	r = start(left, true)
	r.reads("gone")
	if got := r.filters(bus.StreamEvents, "gone"); got != nil {
		t.Errorf("of events %q", got)
	}
	for _, name := range []string{"sink", "off", "theirs"} {
		r.reads(name, "numbers")
	}
}

// What a later change is about to read is not taken away by an earlier one that has caught up meanwhile.
func TestWidenWhileLate(t *testing.T) {
	r := rigged(t, reading("from: numbers"))
	e := r.h.find("sink")
	e.setUntil(map[string]uint64{bus.StreamMetrics: 0}) // an earlier change, long past
	s := settings(t, strings.ReplaceAll(reading("from: more"), "journal: $J, ", ""))
	next := r.h.plan(s, s.Plugins[slices.IndexFunc(s.Plugins, func(p config.Plugin) bool { return p.Name == "sink" })], "sink")
	r.h.changing <- struct{}{}
	e.catchesUp(t.Context()) // nobody does it for who changes the config
	if err := e.widen(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	<-r.h.changing
	e.catchesUp(t.Context())
	r.reads("sink", "more", "numbers")
	if err := e.narrowNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.reads("sink", "numbers")
}

// Who comes back with less to read reads what is there of the rest first.
func TestDisabledReadsRest(t *testing.T) {
	const n = 300
	r := rigged(t, reading("from: [numbers, more]"))
	r.reloaded(reading("from: [numbers, more], enabled: false"))
	send(t, r.h, "more", n)
	r.reloaded(reading("from: numbers"))
	bustest.Wait(t, soon, "it is narrowed in the end", func() bool {
		return slices.Equal(r.filters(bus.StreamMetrics, "sink"), []string{bus.MetricsFilter("numbers")})
	})
	r.stop()
	if sums := ends(t, r.lines()); sums["sink"] != n {
		t.Errorf("points %v, want %d", sums, n)
	}
}

// Who cannot find out what a plugin has read does not go on as if that were nothing.
func TestFound(t *testing.T) {
	h := connected(t, bustest.New(t), "collect: { feed: { use: facts } }\npublish: { hot: { use: sink, from: feed } }\n")
	e := h.find("hot")
	if err := h.conn.DeleteConsumer(t.Context(), bus.StreamMetrics, "hot"); err != nil {
		t.Fatal(err)
	}
	if err := e.found(t.Context()); err != nil {
		t.Errorf("there is none: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.found(ctx); err == nil || !strings.Contains(err.Error(), "consumer of hot") {
		t.Errorf("nobody knows: %v", err)
	}
}

// Who changes what consumers give out does not wait for another one for longer than he has time.
func TestGiveIsBounded(t *testing.T) {
	h := connected(t, bustest.New(t), "collect: { feed: { use: facts } }\npublish: { hot: { use: sink, from: feed } }\n")
	e := h.find("hot")
	e.crew.giving <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.give(ctx, same); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-e.crew.giving
	if err := e.give(t.Context(), same); err != nil {
		t.Error(err)
	}
}
