package host

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// twins is a config with two publishers that read the same, whose points come from the test.
const twins = "collect: { numbers: { attached: true } }\npublish: { sink: { from: numbers, journal: $J }, copy: { use: sink, from: numbers, journal: $J } }\n"

// told carries out a verb as an operator asks for it, and returns the one change it has made.
func (r *rig) told(verb string, args map[string]any) (telemetry.Change, error) {
	r.Helper()
	payload, err := r.h.do(r.Context(), verb, telemetry.CtlRequest{Args: args})
	if err != nil {
		return telemetry.Change{}, err
	}
	list := payload.(telemetry.ChangeList)
	if len(list.Changes) != 1 {
		r.Fatalf("%s %v: %+v", verb, args, list)
	}
	return list.Changes[0], failures(list.Changes)
}

// through waits until nothing is left of the errands of a plugin, on the bus neither.
func through(t *testing.T, h *Host, plugin string) {
	t.Helper()
	for _, in := range bus.Errands(plugin, h.find(plugin).plan().inputs) {
		bustest.Wait(t, soon, in.Durable+" of "+in.Stream+" is gone", func() bool {
			_, err := h.conn.ConsumerInfo(t.Context(), in.Stream, in.Durable)
			return errors.Is(err, bus.ErrNoConsumer)
		})
	}
	if left := h.errands.of(plugin); len(left) > 0 {
		t.Errorf("errands %+v", left)
	}
}

// caught waits until the plugins of h have read what is there for them.
func caught(t *testing.T, h *Host, plugins ...string) {
	t.Helper()
	for _, name := range plugins {
		bustest.Wait(t, soon, name+" has read all", func() bool { return !h.behind(t.Context(), h.find(name).plan().inputs) })
	}
}

func ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339Nano) }

// A replay gives one plugin a part of the past again, and no other, while it goes on with what is new.
func TestReplay(t *testing.T) {
	r := rigged(t, twins)
	before, rev := r.pids(), r.h.find("sink").plan().rev
	publish(t, r.h, 5)
	from := ago(0)
	publish(t, r.h, 3)
	until := ago(0)
	publish(t, r.h, 2)
	caught(t, r.h, "sink", "copy")
	c, err := r.told("replay", map[string]any{"plugin": "sink", "since": from, "until": until})
	if err != nil || c.Action != telemetry.ChangeReplay || c.Reason != "5 batches" && c.Reason != "3 batches" {
		t.Errorf("%+v, %v", c, err)
	}
	publish(t, r.h, 1)
	through(t, r.h, "sink")
	r.inForce("sink")
	if got := r.h.find("sink").plan().rev; got != rev {
		t.Errorf("revision %d, before it was %d", got, rev)
	}
	c, err = r.told("replay", map[string]any{"plugin": "sink", "since": until})
	if err != nil || c.Reason != "3 batches" {
		t.Errorf("%+v, %v", c, err)
	}
	through(t, r.h, "sink")
	caught(t, r.h, "sink", "copy")
	for name, pid := range r.pids() {
		if pid != before[name] {
			t.Errorf("%s has another process", name)
		}
	}
	r.stop()
	if sums := ends(t, r.lines()); sums["sink"] != 11+3+3 || sums["copy"] != 11 {
		t.Errorf("points %v, want 11, of the sink 3 and 3 again", sums)
	}
}

func TestReplayRefused(t *testing.T) {
	r := rigged(t, twins+"process: { pass: { from: numbers, journal: $J } }\n")
	f := func(want string, args map[string]any) {
		t.Helper()
		if c, err := r.told("replay", args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("replay %v: %+v, %v; want %q", args, c, err, want)
		}
	}
	hour := ago(time.Hour)
	f("has no plugin", map[string]any{"plugin": "sunk", "since": hour})
	f("reads nothing", map[string]any{"plugin": "numbers", "since": hour})
	f("since: want a time", map[string]any{"plugin": "sink"})
	f(`since "1h": want a time`, map[string]any{"plugin": "sink", "since": "1h"})
	f(`until "x": want a time`, map[string]any{"plugin": "sink", "since": hour, "until": "x"})
	if c, err := r.told("replay", map[string]any{"plugin": "sink", "since": hour}); err != nil || c.Action != telemetry.ChangeNone {
		t.Errorf("of nothing: %+v, %v", c, err)
	}
	publish(t, r.h, 3)
	if _, err := r.h.Stop(t.Context(), "copy"); err != nil {
		t.Fatal(err)
	}
	f("pacewire plugin start copy", map[string]any{"plugin": "copy", "since": hour})
	for _, to := range []int64{2, 3} { // there are none
		if c, err := r.told("again", map[string]any{"plugin": "sink", "from": int64(3), "to": to}); err == nil {
			t.Errorf("letters from 3 to %d are given: %+v", to, c)
		}
	}
}

// A replay that is under way is refused a second one, and can be ended.
func TestReplayStopped(t *testing.T) {
	r := rigged(t, twins)
	publish(t, r.h, 300)
	caught(t, r.h, "sink", "copy")
	pid := int(r.status("sink").PID)
	args := map[string]any{"plugin": "sink", "since": ago(time.Hour)}
	r.reloaded(strings.Replace(twins, "sink: { ", "sink: { mode: fails, ", 1))
	if _, err := r.told("replay", args); err != nil {
		t.Fatal(err)
	}
	if _, err := r.told("replay", args); err == nil || !strings.Contains(err.Error(), "--stop") {
		t.Errorf("a second one: %v", err)
	}
	r.reloaded(strings.Replace(twins, "sink: { ", "sink: { mode: fails, ", 1) + "\n# as it was\n")
	if !slices.ContainsFunc(r.h.find("sink").plan().work.Inputs, func(in telemetry.Input) bool { return in.End > 0 }) {
		t.Error("a reload has ended the replay")
	}
	stop := map[string]any{"plugin": "sink", "stop": true}
	if c, err := r.told("replay", stop); err != nil || c.Action != telemetry.ChangeReplay {
		t.Errorf("%+v, %v", c, err)
	}
	through(t, r.h, "sink")
	if c, err := r.told("replay", stop); err != nil || c.Action != telemetry.ChangeNone {
		t.Errorf("ended twice: %+v, %v", c, err)
	}
	if s := r.status("sink"); int(s.PID) != pid {
		t.Errorf("another process: %+v", s)
	}
}

// An agent that starts again goes on with what it was told before, and so does who is swapped or crashes meanwhile.
func TestErrandOutlivesAgent(t *testing.T) {
	b := bustest.New(t)
	text, lines := journaling(t, "collect: { numbers: { attached: true } }\npublish: { sink: { from: numbers, journal: $J, start: all } }\n")
	begin := func(text string) (*Host, func()) {
		o := newHost(t, b.URL, text).o
		o.InProcess = b.Server() // so that it forgets what nobody has any use for
		h := New(o)
		stop := run(t, h)
		<-h.Ready()
		return h, stop
	}
	h, stop := begin(text)
	publish(t, h, 4)
	caught(t, h, "sink")
	pid := h.find("sink").pid()
	if err := syscall.Kill(int(pid), syscall.SIGSTOP); err != nil { // it takes no new work
		t.Fatal(err)
	}
	h.o.Times.Ready = 100 * time.Millisecond
	_, err := h.Replay(t.Context(), "sink", time.Now().Add(-time.Hour), time.Time{})
	if err == nil {
		t.Error("a plugin that is stopped has taken its new work")
	}
	if len(h.errands.plugins()) != 0 {
		t.Error("what came to nothing is kept")
	}
	if err := syscall.Kill(int(pid), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	stop()
	failing := strings.Replace(text, "sink: { ", "sink: { mode: fails, ", 1)
	h, stop = begin(failing)
	bustest.Wait(t, soon, "it works", func() bool { return h.find("sink").status().State == running })
	if _, err := h.Replay(t.Context(), "sink", time.Now().Add(-time.Hour), time.Time{}); err != nil {
		t.Fatal(err)
	}
	stop()
	h, stop = begin(text)
	through(t, h, "sink")
	stop()
	if sums := ends(t, lines()); sums["sink"] != 4+4 {
		t.Errorf("points %v, want 4 and the same again", sums)
	}
}

// aside puts n dead letters of the sink onto the bus, and returns how one of them is copied, and how its copy is ordered.
func (r *rig) aside(n int) (copied func(letter uint64) (seq uint64), again func(seq uint64) error) {
	r.Helper()
	other := bus.Input{Stream: bus.StreamMetrics, Durable: "other", Filters: []string{bus.MetricsFilter("numbers")}, Start: "all"}
	if err := r.h.conn.EnsureConsumer(r.Context(), other); err != nil {
		r.Fatal(err)
	}
	publish(r.T, r.h, n)
	k, err := r.h.data.Consume(r.Context(), other.Stream, other.Durable, bus.ConsumeOptions{})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(k.Stop)
	for range n {
		d, err := k.Next(r.Context())
		if err == nil {
			err = r.h.out.Dead(r.Context(), d, "sink", "other", "no", "rejected")
		}
		if err != nil {
			r.Fatal(err)
		}
	}
	copied = func(letter uint64) uint64 {
		r.Helper()
		l, err := r.h.conn.Letter(r.Context(), letter)
		if err != nil {
			r.Fatal(err)
		}
		seq, err := r.h.conn.GiveAgain(r.Context(), l)
		if err != nil {
			r.Fatal(err)
		}
		return seq
	}
	return copied, func(seq uint64) error {
		c, err := r.told("again", map[string]any{"plugin": "sink", "from": seq, "to": seq})
		if err == nil && c.Action != telemetry.ChangeAgain {
			r.Errorf("%+v", c)
		}
		return err
	}
}

// Dead letters come again by their copies, which are gone when they are through; more of them join those under way.
func TestAgain(t *testing.T) {
	r := rigged(t, twins)
	copied, again := r.aside(3)
	for _, letter := range []uint64{1, 3} {
		if err := again(copied(letter)); err != nil {
			t.Error(err)
		}
	}
	through(t, r.h, "sink")
	if s, err := r.h.conn.StreamInfo(t.Context(), bus.StreamDead); err != nil || s.Messages != 3 {
		t.Errorf("%d messages in DEAD, want the 3 letters: %v", s.Messages, err)
	}
	caught(t, r.h, "sink", "copy")
	r.stop()
	if sums := ends(t, r.lines()); sums["sink"] != 3+2 || sums["copy"] != 3 {
		t.Errorf("points %v, want 3, of the sink 2 again", sums)
	}
}

// Who has copied his letters before others, but asks after them, is refused: the consumer of theirs has begun behind his.
func TestAgainTooLate(t *testing.T) {
	failing := strings.Replace(twins, "sink: { ", "sink: { mode: fails, ", 1)
	r := rigged(t, failing)
	copied, again := r.aside(2)
	first, second := copied(1), copied(2)
	if err := again(second); err != nil {
		t.Fatal(err)
	}
	if err := again(first); err == nil || !strings.Contains(err.Error(), "try again when it has them") {
		t.Errorf("%v", err)
	}
	r.reloaded(twins)
	through(t, r.h, "sink")
	if err := again(first); err != nil { // those of others took nothing with them that nobody was given
		t.Error(err)
	}
	through(t, r.h, "sink")
	if err := again(first); err == nil || !strings.Contains(err.Error(), "has no copies") {
		t.Errorf("a copy that is settled: %v", err)
	}
	r.stop()
	if sums := ends(t, r.lines()); sums["sink"] != 2+2 {
		t.Errorf("points %v, want 2, each of them again", sums)
	}
}

// Letters under way when their plugin is taken from the config are letters again.
func TestAgainWithoutPlugin(t *testing.T) {
	r := rigged(t, strings.Replace(twins, "sink: { ", "sink: { mode: fails, ", 1))
	copied, again := r.aside(1)
	if err := errors.Join(again(copied(1)), r.h.conn.DropLetter(t.Context(), 1)); err != nil {
		t.Fatal(err)
	}
	_, err := r.h.conn.Letter(t.Context(), 2)
	if !errors.Is(err, bus.ErrNoLetter) {
		t.Errorf("a letter under way: %v", err)
	}
	r.reloaded("collect: { numbers: { attached: true } }\npublish: { copy: { use: sink, from: numbers, journal: $J } }\n")
	bustest.Wait(t, soon, "it is a letter again", func() bool {
		l, err := r.h.conn.Letter(t.Context(), 2)
		return err == nil && l.Again
	})
}

// An errand whose consumer claims that nothing is left, as one may that has just got another leader, is not over for that.
func TestErrandNotOverTooEarly(t *testing.T) {
	r := rigged(t, twins)
	copied, _ := r.aside(1)
	seq := copied(1)
	now := time.Now()
	f := func(in bus.Input, at time.Duration, want bool) {
		t.Helper()
		if got := r.h.through(t.Context(), "sink", in, now.Add(at)); got != want {
			t.Errorf("%s is over after %v: %v", in.Stream, at, got)
		}
	}
	letters := bus.Input{Stream: bus.StreamDead, Durable: "quiet", Filters: []string{bus.AgainSubject("nobody")}, From: seq, End: seq}
	past := bus.Input{Stream: bus.StreamMetrics, Durable: "quiet", Filters: []string{bus.MetricsFilter("nobody")}, From: 1, End: 1}
	for _, in := range []bus.Input{letters, past} {
		f(in, 0, true) // there is none
		if err := r.h.conn.EnsureConsumer(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		f(in, 0, false)
	}
	f(letters, time.Hour, false)
	f(past, quietLook, true)
	if err := r.h.conn.ForgetAgain(t.Context(), "sink", seq, seq); err != nil {
		t.Fatal(err)
	}
	f(letters, time.Hour, true) // its copy is gone
}

// The processes of one plugin share a replay, as they share everything that they read.
func TestReplayOfSeveral(t *testing.T) {
	r := rigged(t, "collect: { numbers: { attached: true } }\npublish: { sink: { from: numbers, journal: $J, replicas: 2 } }\n")
	publish(t, r.h, 40)
	caught(t, r.h, "sink")
	if _, err := r.told("replay", map[string]any{"plugin": "sink", "since": ago(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for _, e := range r.h.crew("sink") {
		if n := len(e.plan().work.Inputs); n != 2 && len(r.h.errands.of("sink")) > 0 {
			t.Errorf("%s has %d inputs", e.name, n)
		}
	}
	through(t, r.h, "sink")
	r.inForce("sink")
	r.inForce("sink.2")
	r.stop()
	if sums := ends(t, r.lines()); sums["sink"] != 40+40 {
		t.Errorf("points %v, want 40 and the same again", sums)
	}
}

// A replay that waits for a plugin which is stopped is shown, and can be ended without a start.
func TestStopReplayOfStopped(t *testing.T) {
	r := rigged(t, "collect: { numbers: { attached: true } }\npublish: { sink: { from: numbers, attached: true } }\n")
	publish(t, r.h, 3)
	if _, err := r.told("replay", map[string]any{"plugin": "sink", "since": ago(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, soon, "it is shown", func() bool {
		return strings.Contains(r.status("sink").Reason, "replays METRICS from 1 to 3: 3 batches to go, once it runs")
	})
	if _, err := r.h.Stop(t.Context(), "sink"); err != nil {
		t.Fatal(err)
	}
	if s := r.state("sink", stopped); !strings.Contains(s.Reason, "replays METRICS from 1 to 3: 3 batches to go, once it runs") || s.Sound {
		t.Errorf("%+v", s)
	}
	if c, err := r.told("replay", map[string]any{"plugin": "sink", "stop": true}); err != nil || c.Action != telemetry.ChangeReplay {
		t.Errorf("%+v, %v", c, err)
	}
	through(t, r.h, "sink")
	if s := r.status("sink"); strings.Contains(s.Reason, "replays") {
		t.Errorf("%+v", s)
	}
}
