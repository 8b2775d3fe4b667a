package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// crewed is a config with a processor of n processes.
func crewed(n int, more ...string) string {
	return fmt.Sprintf("collect: { numbers: { every: 10ms } }\nprocess: { hot: { use: pass, from: numbers, journal: $J, replicas: %d%s } }\npublish: { sink: { from: hot } }\n",
		n, strings.Join(append([]string{""}, more...), ", "))
}

func (r *rig) names() []string { return slices.Sorted(maps.Keys(r.pids())) }

// A plugin grows from one process to four and shrinks again: only those that are to come or go start and stop.
func TestCrewScales(t *testing.T) {
	r := rigged(t, crewed(1))
	before := r.pids()
	r.write(crewed(4))
	dry, err := r.h.Reload(t.Context(), true)
	if c := byName(dry)["hot.3"]; err != nil || c.Action != telemetry.ChangeStart || len(r.names()) != 3 {
		t.Errorf("dry run: %+v, %v, %v", c, err, r.names())
	}
	for name, c := range r.reloaded(crewed(4)) {
		want := telemetry.ChangeNone
		if _, was := before[name]; !was {
			want = telemetry.ChangeStart
		}
		if c.Action != want {
			t.Errorf("up: %+v, want %s", c, want)
		}
	}
	if names := r.names(); !slices.Equal(names, []string{"hot", "hot.2", "hot.3", "hot.4", "numbers", "sink"}) {
		t.Fatal(names)
	}
	for _, name := range []string{"hot", "hot.2", "hot.3", "hot.4"} {
		r.inForce(name)
	}
	four := r.pids()
	for name, pid := range before {
		if four[name] != pid {
			t.Errorf("up: %s is another process", name)
		}
	}
	for name, c := range r.reloaded(crewed(1)) {
		want := telemetry.ChangeNone
		if _, stays := before[name]; !stays {
			want = telemetry.ChangeStop
		}
		if c.Action != want {
			t.Errorf("down: %+v, want %s", c, want)
		}
	}
	if !maps.Equal(r.pids(), before) {
		t.Errorf("down: %v, was %v", r.pids(), before)
	}
	r.settled(3)
}

// What an operator does to a plugin is done to all its processes; to one, when he says its number.
func TestCrewOperations(t *testing.T) {
	r := rigged(t, crewed(3))
	crew := []string{"hot", "hot.2", "hot.3"}
	f := func(do func(context.Context, string) (telemetry.ChangeList, error), name, state string, want ...string) {
		t.Helper()
		before := r.pids()
		list, err := do(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, c := range list.Changes {
			got = append(got, c.Plugin)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: changes of %v, want %v", name, got, want)
		}
		for _, p := range r.names() {
			if touched := slices.Contains(want, p); touched == (r.pids()[p] == before[p]) {
				t.Errorf("%s: %s is process %d, was %d", name, p, r.pids()[p], before[p])
			}
		}
		for _, p := range want {
			r.state(p, state)
		}
	}
	f(r.h.Stop, "hot", stopped, crew...)
	f(r.h.Start, "hot", running, crew...)
	f(r.h.Stop, "hot.2", stopped, "hot.2")
	f(r.h.Start, "hot.2", running, "hot.2")
	f(r.h.Restart, "hot.1", running, "hot")
	f(r.h.Restart, "hot", running, crew...)
	f(r.h.Upgrade, "hot", running, crew...)
	f(r.h.Upgrade, "hot.3", running, "hot.3")
	r.settled(5)
	for _, name := range []string{"hot.4", "hot.0", "hot.x", "sink.2"} {
		if _, err := r.h.Stop(t.Context(), name); err == nil || !strings.Contains(err.Error(), "has no plugin") {
			t.Errorf("stop %s: %v", name, err)
		}
	}
	if _, err := r.h.Unload(t.Context(), "hot.2"); err == nil || !strings.Contains(err.Error(), "one process of the plugin hot") {
		t.Errorf("unload of one: %v", err)
	}
	if _, err := r.h.Swap(t.Context(), "hot.2", Target{Use: "other"}); err == nil || !strings.Contains(err.Error(), "say hot") {
		t.Errorf("swap of one: %v", err)
	}
}

// A plugin that is told by its name is told of whole where that can be: the lines of all processes are its log.
func TestCrewTold(t *testing.T) {
	r := rigged(t, crewed(2))
	ask := func(verb, name string) any {
		t.Helper()
		answer, err := r.h.do(t.Context(), verb, telemetry.CtlRequest{Args: map[string]any{"plugin": name}})
		if err != nil {
			t.Fatalf("%s %s: %v", verb, name, err)
		}
		return answer
	}
	f := func(name, process string) {
		t.Helper()
		if list := ask("info", name).(telemetry.PluginList); len(list.Plugins) != 1 || list.Plugins[0].Name != process || list.Plugins[0].PID != r.pids()[process] {
			t.Errorf("info %s: %+v", name, list)
		}
	}
	f("hot", "hot")
	f("hot.1", "hot")
	f("hot.2", "hot.2")
	works := func(name string) (n int) {
		for _, l := range ask("logs", name).(telemetry.LogPage).Lines {
			if strings.Contains(l.Text, "plugin works") {
				n++
			}
		}
		return n
	}
	if all, second := works("hot"), works("hot.2"); all != 2 || second != 1 {
		t.Errorf("%d of all tell that they work, %d of the second", all, second)
	}
}

// A crash of one process is the affair of that one: it is started again, and the others work on.
func TestCrewCrash(t *testing.T) {
	r := rigged(t, crewed(3))
	before := r.pids()
	if err := syscall.Kill(int(before["hot.2"]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, soon, "the process is another one", func() bool {
		s := r.status("hot.2")
		return s.State == running && s.PID != before["hot.2"] && s.Restarts == 1
	})
	for name, pid := range before {
		if s := r.status(name); name != "hot.2" && (s.PID != pid || s.Restarts != 0) {
			t.Errorf("%s: process %d, was %d; %d restarts", name, s.PID, pid, s.Restarts)
		}
	}
}

// A new version takes over from one process after the other, and ends with the first that it cannot replace.
func TestCrewSwap(t *testing.T) {
	r := rigged(t, crewed(3), probation(time.Second)) // so that all are seen
	_, processes, err := r.during("hot", func() error {
		list, err := r.reload(strings.Replace(crewed(3), "use: pass", "use: other", 1))
		return errors.Join(err, failures(list.Changes))
	})
	if err != nil || processes != 6 {
		t.Errorf("%d processes at a time, %v", processes, err)
	}
	for _, name := range []string{"hot", "hot.2", "hot.3"} {
		if s := r.state(name, running); s.Program != "other" {
			t.Errorf("%s runs %s", name, s.Program)
		}
	}
	before := r.pids()
	list, err := r.reload(crewed(3, "mode: boom"))
	if err != nil {
		t.Fatal(err)
	}
	changes := byName(list)
	if c := changes["hot"]; !strings.Contains(c.Error, "boom") {
		t.Errorf("the first: %+v", c)
	}
	for _, name := range []string{"hot.2", "hot.3"} {
		if c := changes[name]; !strings.Contains(c.Error, "hot could not be changed") {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if !maps.Equal(r.pids(), before) {
		t.Errorf("%v, was %v", r.pids(), before)
	}
	r.settled(5)
}

// A loaded plugin comes and goes with all its processes, and its consumer with the last of them.
func TestCrewLoad(t *testing.T) {
	r := rigged(t, pair)
	piece := "process: { hot: { use: pass, from: numbers, replicas: 3 } }\n"
	list, err := r.h.Load(t.Context(), piece, false)
	if err != nil || len(list.Changes) != 3 {
		t.Fatalf("load: %+v, %v", list, err)
	}
	for _, name := range []string{"hot", "hot.2", "hot.3"} {
		r.inForce(name)
	}
	if list, err = r.h.Load(t.Context(), strings.Replace(piece, "3", "2", 1), true); err != nil || len(list.Changes) != 1 || list.Changes[0].Plugin != "hot.3" {
		t.Errorf("load of fewer: %+v, %v", list, err)
	}
	if _, err := r.h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "hot"); err != nil {
		t.Errorf("after fewer: %v", err)
	}
	if list, err = r.h.Unload(t.Context(), "hot"); err != nil || len(list.Changes) != 2 {
		t.Errorf("unload: %+v, %v", list, err)
	}
	if _, err := r.h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "hot"); !errors.Is(err, bus.ErrNoConsumer) {
		t.Errorf("its consumer: %v", err)
	}
	r.settled(2)
}

// The processes share the work, and nothing is lost or doubled, however many there are.
func TestCrewShares(t *testing.T) {
	const batches = 200
	text, lines := "collect: { feed: { use: facts } }\nprocess: { hot: { use: pass, from: feed, journal: $J, replicas: %d } }\npublish: { sink: { from: hot, journal: $J } }\n", 0
	r := rigged(t, fmt.Sprintf(text, 4))
	feed := func() {
		t.Helper()
		for range batches {
			lines++
			b := new(telemetry.Batch)
			b.Add("feed", telemetry.Fields{"n": lines}, nil)
			m := bus.Message{Subject: bus.MetricsSubject("h1", "feed"), ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
			if err := r.h.out.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	feed()
	r.reloaded(fmt.Sprintf(text, 1))
	feed()
	r.reloaded(fmt.Sprintf(text, 3))
	feed()
	bustest.Wait(t, soon, "all is read", func() bool {
		return !r.h.behind(t.Context(), r.h.readBy("processor")) && !r.h.behind(t.Context(), r.h.readBy("publisher"))
	})
	r.stop()
	sums := ends(t, r.lines())
	if sums["hot"] != lines || sums["sink"] != lines {
		t.Errorf("%d points were sent, %v", lines, sums)
	}
}

// Processes that somebody else starts are told apart by their environment.
func TestCrewAttached(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, "collect: { numbers: {} }\nprocess: { hot: { attached: true, from: numbers, replicas: 2 } }\n")
	f := func(name, want string) {
		t.Helper()
		answer, err := h.do(t.Context(), "env", telemetry.CtlRequest{Args: map[string]any{"plugin": name}})
		if err != nil {
			t.Fatal(err)
		}
		env := answer.(telemetry.PluginEnv).Environ
		if !slices.Contains(env, "PACEWIRE_PLUGIN=hot") || slices.Contains(env, "PACEWIRE_PROCESS=hot.2") != (want != "") {
			t.Errorf("%s: %q", name, env)
		}
	}
	f("hot", "")
	f("hot.1", "")
	f("hot.2", "hot.2")
}
