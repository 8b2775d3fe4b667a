package nagios

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// tells waits until the events are some, as told has them.
func (r *rig) tells(want string) {
	r.t.Helper()
	plugintest.Until(r.t, "the events "+want, func() bool { return len(r.told()) >= len(want) })
	if got := r.told(); got != want {
		r.t.Fatalf("told %q, want %q", got, want)
	}
}

// Each change of a hard state is told once, however often it is found.
func TestEvents(t *testing.T) {
	t.Parallel()
	l := newLever(t)
	l.set(0)
	r := run(t, "", map[string]Check{"door": l.check()})
	r.runs("door", 3)
	l.set(2)
	r.tells("OK>CRITICAL")
	r.runs("door", 3)
	l.set(1)
	r.tells("OK>CRITICAL CRITICAL>WARNING")
	r.runs("door", 3)
	l.set(0)
	r.tells("OK>CRITICAL CRITICAL>WARNING WARNING>OK")
	l.set(200)
	r.tells("OK>CRITICAL CRITICAL>WARNING WARNING>OK OK>UNKNOWN")
	r.runs("door", 3)
	r.stop()

	e := r.events
	if len(e) != 4 || e[0].Incident == "" || e[1].Incident != e[0].Incident || e[2].Incident != e[0].Incident || e[3].Incident == e[0].Incident {
		t.Fatalf("incidents: %+v", e)
	}
	ids := map[string]bool{}
	for _, event := range e {
		ids[event.ID] = true
	}
	if first := e[0]; len(ids) != 4 || first.Type != EventType || first.Plugin == "" || first.Message != "door is CRITICAL: code 2" || e[3].Reason != "exit_code" {
		t.Errorf("%+v", e)
	}
}

// However much a check says, an event is short, and whole characters.
func TestLongMessage(t *testing.T) {
	t.Parallel()
	r := run(t, "", map[string]Check{"loud": shell(`yes ü | head -n 40000 | tr -d '\n'; exit 2`)})
	r.tells("PENDING>CRITICAL")
	r.stop()
	if text := r.events[0].Message; len(text) > 1100 || !utf8.ValidString(text) || !strings.HasPrefix(text, "loud is CRITICAL: üüü") {
		t.Errorf("%d bytes: %.80q", len(text), text)
	}
}

// A problem that passes before its attempts are used up raises nothing, and its points say what it was.
func TestSoftStates(t *testing.T) {
	t.Parallel()
	count := filepath.Join(t.TempDir(), "runs")
	c := shell(`echo x >>%[1]s; n=$(wc -l <%[1]s); [ $n -ge 3 ] && [ $n -le 4 ] && exit 2; [ $n -ge 7 ] && exit 1; exit 0`, count)
	c.Attempts = 3
	r := run(t, "", map[string]Check{"web": c})
	r.tells("OK>WARNING")
	r.runs("web", 1)
	r.stop()
	var got []string
	for _, p := range r.of("check_state", "web")[:10] {
		state, attempt, hard := p.Fields["state"].(int64), p.Fields["attempt"].(int64), p.Fields["hard_state"].(int64)
		got = append(got, string([]byte{'0' + byte(state), '0' + byte(attempt), '0' + byte(hard)}))
	}
	// the state, the attempt, the hard state
	if all := strings.Join(got, " "); all != "010 010 210 220 010 010 110 120 131 131" {
		t.Error(all)
	}
}

// A restart is no change, whether the state was hard by then or not.
func TestRestart(t *testing.T) {
	t.Parallel()
	l := newLever(t)
	l.set(2)
	c := l.check()
	c.Attempts = 3
	r := run(t, "", map[string]Check{"door": c})
	r.tells("PENDING>CRITICAL")
	r.stop()
	again := run(t, r.folder, map[string]Check{"door": c})
	again.runs("door", 4)
	l.set(0)
	again.tells("CRITICAL>OK")
	again.stop()
	if again.events[0].Incident != r.events[0].Incident {
		t.Errorf("incidents %+v, %+v", r.events, again.events)
	}

	l.set(2)
	slow := c
	slow.Attempts, slow.RetryEvery = 2, plugin.Duration(1<<40)
	soft := run(t, r.folder, map[string]Check{"door": slow})
	soft.runs("door", 1)
	soft.stop()
	hard := run(t, r.folder, map[string]Check{"door": slow})
	hard.tells("OK>CRITICAL")
}

// An event that is not stored is sent again, by the next process if need be: the same one.
func TestEventIsKept(t *testing.T) {
	t.Parallel()
	l := newLever(t)
	l.set(0)
	r := run(t, "", map[string]Check{"door": l.check()})
	r.runs("door", 1)
	r.refuse(errors.New("too many"))
	l.set(2)
	kept := func() []telemetry.Event { return remember(r.folder, slog.Default()).of("door").Events }
	plugintest.Until(t, "the event to be kept", func() bool { return len(kept()) == 1 })
	r.runs("door", 2) // it waits for nobody
	l.set(0)
	plugintest.Until(t, "the next to be kept", func() bool { return len(kept()) == 2 })
	r.stop()
	want := kept()
	again := run(t, r.folder, map[string]Check{"door": l.check()})
	again.tells("OK>CRITICAL CRITICAL>OK")
	again.runs("door", 2)
	again.stop()
	if len(kept()) > 0 || again.told() != "OK>CRITICAL CRITICAL>OK" {
		t.Errorf("%+v kept, %+v told", kept(), again.events)
	}
	for i, e := range again.events {
		if e.ID != want[i].ID || e.Message != want[i].Message {
			t.Errorf("%+v, want %+v", e, want[i])
		}
	}
}

// Of more events than there is room for the oldest are lost, and counted.
func TestTooManyEvents(t *testing.T) {
	t.Parallel()
	r := &emitter{dropped: map[string]int{}}
	env := plugintest.Env(t)
	c := &check{name: "door", env: env, memory: remember(env.Dir, slog.Default())}
	c.Attempts = 1
	const more = 3
	for i := range mostEvents + more {
		said := nagios.Check{State: nagios.Critical}
		if i%2 == 1 {
			said.State = nagios.OK
		}
		if !c.take(said, r) {
			t.Fatalf("run %d is no change", i)
		}
	}
	if n := len(c.memory.of("door").Events); n != mostEvents || r.dropped[tooMany] != more {
		t.Errorf("%d events wait, %v", n, r.dropped)
	}
	c.tell(t.Context(), r)
	if len(r.events) != mostEvents || r.events[mostEvents-1].To != "CRITICAL" {
		t.Errorf("%d events, %+v", len(r.events), r.events)
	}
}

// Of a check that is taken out of the config the end of its problem is told, once, and then nobody knows of it. One that is put back
// begins anew.
func TestRemoved(t *testing.T) {
	t.Parallel()
	bad, fine := shell("echo bad; exit 2"), shell("echo fine")
	soft := bad
	soft.Attempts = 1000
	r := run(t, "", map[string]Check{"door": bad, "roof": fine, "wall": soft, "other": fine})
	r.tells("PENDING>CRITICAL")
	for _, name := range []string{"roof", "wall", "other"} {
		r.runs(name, 1)
	}
	r.stop()

	mute := run(t, r.folder, map[string]Check{"other": fine})
	mute.refuse(errors.New("too many")) // perhaps too late
	mute.runs("other", 2)
	mute.stop()
	again := run(t, r.folder, map[string]Check{"other": fine})
	again.runs("other", 2)
	plugintest.Until(t, "the others to be forgotten", func() bool {
		return len(remember(r.folder, slog.Default()).others(map[string]Check{"other": fine})) == 0
	})
	again.stop()
	told := slices.Concat(mute.events, again.events)
	if len(told) != 1 || told[0].From != "CRITICAL" || told[0].To != removed || told[0].Incident != r.events[0].Incident ||
		told[0].Message != "door is checked no longer: it was CRITICAL" {
		t.Errorf("%+v", told)
	}

	back := run(t, r.folder, map[string]Check{"door": bad})
	back.tells("PENDING>CRITICAL")
	back.stop()
	if back.events[0].Incident == r.events[0].Incident {
		t.Error("it is the same incident")
	}
}

// One that is put back before anybody could be told tells it first.
func TestRemovedAndBack(t *testing.T) {
	t.Parallel()
	bad := shell("echo bad; exit 2")
	r := run(t, "", map[string]Check{"door": bad})
	r.tells("PENDING>CRITICAL")
	r.stop()
	memory := remember(r.folder, slog.Default())
	c := &check{name: "door", env: plugintest.Env(t), memory: memory}
	ended, end := context.WithCancel(t.Context())
	end()
	r.refuse(errors.New("too many"))
	c.leave(ended, r)
	if s := memory.of("door"); len(s.Events) != 1 || s.Events[0].To != removed || s.Hard != "" {
		t.Fatalf("%+v", s)
	}
	back := run(t, r.folder, map[string]Check{"door": bad})
	back.tells("CRITICAL>REMOVED PENDING>CRITICAL")
}

// An event whose confirmation is lost, and then the server too, is stored once all the same, and so is the next one.
func TestBusAway(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	link := bustest.NewLink(t, b.URL)
	l := newLever(t)
	l.set(0)
	settings, err := json.Marshal(map[string]any{"checks": map[string]any{"door": map[string]any{"command": l.check().Command, "every": "1s", "attempts": 1}}})
	if err != nil {
		t.Fatal(err)
	}
	agent := plugintest.NewAgent(t, link.URL, "web-1")
	agent.Give("checks", telemetry.Work{Config: settings})
	p := agent.Start(t, Define(), "checks")
	test := b.Conn(t, "test")
	stored := func(stream string, n uint64) func() bool {
		return func() bool {
			s, err := test.StreamInfo(t.Context(), stream)
			return err == nil && s.Messages >= n
		}
	}
	plugintest.Until(t, "the check to run", stored(bus.StreamMetrics, 1))

	link.Deafen()
	l.set(2)
	plugintest.Until(t, "the event to be stored", stored(bus.StreamEvents, 1))
	b.Stop(t)
	link.Heal()
	b.Start(t)
	l.set(0)
	plugintest.Until(t, "the second event to be stored", stored(bus.StreamEvents, 2))
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	if s, err := test.StreamInfo(t.Context(), bus.StreamEvents); err != nil || s.Messages != 2 {
		t.Errorf("%d events, %v; want 2", s.Messages, err)
	}
}
