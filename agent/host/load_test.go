package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

// external puts a rig on the bus of somebody else.
func external(o *Options) { o.InProcess = nil }

// keptIn lets a rig find what another one has loaded.
func keptIn(dir string) func(*Options) {
	return func(o *Options) { o.Config.Loaded = dir }
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

// fails checks why an operation was not done.
func fails(t *testing.T, err error, code, want string) {
	t.Helper()
	if err == nil || faultOf(err).Code != code || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %s: %q", err, code, want)
	}
}

// What was loaded runs until it is unloaded, also in the next agent.
func TestLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "loaded")
	r := rigged(t, pair, keptIn(dir))
	before := r.pids()
	list, err := r.h.Load(t.Context(), "collect: { more: { use: numbers } }\npublish: { out: { use: sink, from: [more, numbers] } }", false)
	if err != nil || len(list.Changes) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, name := range []string{"more", "out"} {
		if c := byName(list)[name]; c.Action != telemetry.ChangeStart || c.Error != "" {
			t.Errorf("%+v", c)
		}
		r.inForce(name)
	}
	if got := files(t, dir); !slices.Equal(got, []string{"more.yaml", "out.yaml"}) {
		t.Errorf("files %q", got)
	}
	if names := r.h.names(); !slices.Equal(names, []string{"numbers", "more", "sink", "out"}) {
		t.Errorf("plugins %q", names)
	}
	for name, pid := range before {
		if r.pids()[name] != pid {
			t.Errorf("%s was touched", name)
		}
	}
	if changes := r.reloaded(pair); changes["more"].Action != telemetry.ChangeNone || changes["sink"].Action != telemetry.ChangeNone {
		t.Errorf("a reload does %+v", changes)
	}
	r.settled(4)
	r.stop()
	r.settled(0)

	r = rigged(t, pair, keptIn(dir))
	r.inForce("more")
	_, err = r.h.Unload(t.Context(), "more") // somebody reads it
	fails(t, err, telemetry.FaultInvalid, "out read more: unload them too")
	r.inForce("more")
	for _, name := range []string{"out", "more"} {
		if list, err := r.h.Unload(t.Context(), name); err != nil || byName(list)[name].Action != telemetry.ChangeStop || len(list.Changes) != 1 {
			t.Errorf("%+v, %v", list, err)
		}
	}
	if got := files(t, dir); len(got) > 0 || r.h.find("more") != nil {
		t.Errorf("files %q", got)
	}
	r.settled(2)
}

// What is refused changes nothing.
func TestLoadRefused(t *testing.T) {
	r := rigged(t, pair)
	before := r.pids()
	f := func(text string, replace bool, code, want string) {
		t.Helper()
		_, err := r.h.Load(t.Context(), text, replace)
		fails(t, err, code, want)
		r.settled(2)
		if got := files(t, r.h.o.Config.Loaded); len(got) > 0 || len(r.h.pieces) > 0 || len(r.h.entries()) != 2 {
			t.Errorf("%s: left are %q", text, got)
		}
		for name, pid := range before {
			if r.pids()[name] != pid {
				t.Errorf("%s: %s was touched", text, name)
			}
		}
	}
	f("collect: { numbers: { every: 1m } }", false, telemetry.FaultInvalid, "piece:1:12: there are two plugins numbers")
	f("collect: { x: { use: numbers, no: 1 } }", false, telemetry.FaultInvalid, "piece:1:31: numbers has no setting no")
	f("collect: {", false, telemetry.FaultInvalid, "piece:")
	f("every: 5s", false, telemetry.FaultInvalid, "what is loaded holds plugins only")
	f("collect: {}", false, telemetry.FaultInvalid, "the piece has no plugin")
	f("publish: { sink: { use: other, from: numbers, mode: boom } }", true, telemetry.FaultInternal, "swap sink: it has failed: start: boom")
	// One of two fails: the other one is taken back.
	f("collect: { numbers: { use: numbers, mode: invalid } }\npublish: { out: { use: sink, from: numbers } }", true, telemetry.FaultInternal, "mode: invalid is no good")
}

// A plugin that was loaded and does not work is told; it stays, and can be mended.
func TestLoadFails(t *testing.T) {
	r := rigged(t, pair)
	list, err := r.h.Load(t.Context(), "collect: { bad: { use: numbers, mode: boom } }", false)
	if c := byName(list)["bad"]; err != nil || c.Error != "it is loaded, but does not work: it has failed: start: boom" || c.PID == 0 {
		t.Errorf("%+v, %v", c, err)
	}
	r.state("bad", failed)
	if _, err := r.h.Load(t.Context(), "collect: { bad: { use: numbers } }", true); err != nil {
		t.Error(err)
	}
	r.inForce("bad")
	r.settled(3)
}

// What cannot be kept is not loaded, not even in part.
func TestLoadUnwritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "loaded")
	r := rigged(t, pair, keptIn(dir))
	if _, err := r.h.Load(t.Context(), "publish: { out: { use: sink, from: more } }\ncollect: { more: { use: numbers } }", false); err != nil {
		t.Fatal(err)
	}
	written := func(name string) os.FileInfo {
		t.Helper()
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	if more, out := written("more.yaml"), written("out.yaml"); out.ModTime().Before(more.ModTime()) {
		t.Error("who reads is written before what it reads")
	}
	text, err := os.ReadFile(filepath.Join(dir, "more.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(entries string) {
		t.Helper()
		_, err := r.h.Load(t.Context(), entries, true)
		fails(t, err, telemetry.FaultInternal, "keep plugin ")
		if names := r.h.names(); !slices.Equal(names, []string{"numbers", "more", "sink", "out"}) || len(r.h.pieces) != 2 {
			t.Errorf("%s: plugins %q", entries, names)
		}
		r.inForce("more")
		r.settled(4)
	}
	if err := os.MkdirAll(filepath.Join(dir, "last.yaml", "x"), 0o700); err != nil { // nothing can take its place
		t.Fatal(err)
	}
	f("publish: { last: { use: sink, from: [more, fresh] } }\ncollect: { more: { use: numbers, every: 1h }, fresh: { use: numbers } }")
	if got := files(t, dir); !slices.Equal(got, []string{"last.yaml", "more.yaml", "out.yaml"}) {
		t.Errorf("files %q", got)
	}
	if now, err := os.ReadFile(filepath.Join(dir, "more.yaml")); err != nil || string(now) != string(text) {
		t.Errorf("%q, %v; want %q", now, err, text)
	}
	r.h.o.Config.Loaded = r.file // a file is no folder
	f("collect: { fresh: { use: numbers } }")
}

// A plugin of the files that was replaced comes back when its stand-in is unloaded.
func TestReplace(t *testing.T) {
	r := rigged(t, pair)
	const other = "publish: { sink: { use: other, from: numbers } }"
	list, err := r.h.Load(t.Context(), other, true)
	if err != nil || byName(list)["sink"].Action != telemetry.ChangeSwap || len(list.Changes) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	list, err = r.reload(pair)
	if c := byName(list)["sink"]; err != nil || c.Action != telemetry.ChangeNone || r.status("sink").Program != "other" {
		t.Errorf("a reload does %+v, %v", c, err)
	}
	if len(list.Warnings) != 1 || !strings.Contains(list.Warnings[0], "another was loaded in its place") {
		t.Errorf("warnings %q", list.Warnings)
	}
	list, err = r.h.Unload(t.Context(), "sink")
	if err != nil || byName(list)["sink"].Action != telemetry.ChangeSwap || r.status("sink").Program != "sink" {
		t.Errorf("%+v, %v", list, err)
	}
	r.inForce("sink")
	r.settled(2)
}

// A swap names another program, another command, or a whole entry; what else stands in the entry stays.
func TestSwapTarget(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := rigged(t, "collect: { numbers: { every: 20ms } }\npublish: { sink: { from: numbers, journal: $J } }\n")
	f := func(to Target, program string) {
		t.Helper()
		old := r.status("sink").PID
		if _, err := r.h.Swap(t.Context(), "sink", to); err != nil {
			t.Fatalf("%+v: %v", to, err)
		}
		s := r.status("sink")
		if s.PID == old || s.Program != program || !strings.Contains(string(r.h.find("sink").plan().work.Config), r.journal) {
			t.Errorf("%+v: %+v, %s", to, s, r.h.find("sink").plan().work.Config)
		}
		r.inForce("sink")
		r.settled(2)
	}
	f(Target{Use: "other"}, "other")
	f(Target{Run: []string{self, "plugin", "run", "publisher.sink"}}, self)
	f(Target{Config: "publish: { sink: { use: other, from: numbers, journal: " + r.journal + " } }"}, "other")
	if got := files(t, r.h.o.Config.Loaded); !slices.Equal(got, []string{"sink.yaml"}) {
		t.Errorf("files %q", got)
	}
	no := func(to Target, code, want string) {
		t.Helper()
		old := r.status("sink").PID
		_, err := r.h.Swap(t.Context(), "sink", to)
		fails(t, err, code, want)
		if s := r.status("sink"); s.PID != old || s.Program != "other" {
			t.Errorf("%+v: %+v", to, s)
		}
		r.settled(2)
	}
	no(Target{Use: "nothing"}, telemetry.FaultInternal, "pacewire-nothing")
	no(Target{Run: []string{"/nowhere/program"}}, telemetry.FaultInternal, "no such file")
	no(Target{Config: "publish: { out: { use: sink, from: numbers } }"}, telemetry.FaultInvalid, "the new entry is of out, but sink was to be swapped")
	if _, err := r.h.Unload(t.Context(), "sink"); err != nil || r.status("sink").Program != "sink" {
		t.Errorf("%v, %+v", err, r.status("sink"))
	}
}

// Over a bus of others only programs are taken, for whoever may write there could run anything here.
func TestRemoteRun(t *testing.T) {
	r := rigged(t, pair, external)
	const piece = "collect: { x: { run: [sh, -c, 'exit 78'] } }"
	f := func(allowed bool) {
		t.Helper()
		list, load := r.h.Load(t.Context(), piece, false)
		_, swap := r.h.Swap(t.Context(), "sink", Target{Run: []string{"sh", "-c", "exit 78"}})
		if allowed {
			fails(t, errors.Join(load, failures(list.Changes)), telemetry.FaultInternal, "exit code 78")
			fails(t, swap, telemetry.FaultInternal, "exit code 78")
		} else {
			fails(t, load, telemetry.FaultDenied, "load and swap are not taken over an external bus")
			fails(t, swap, telemetry.FaultDenied, "load and swap are not taken over an external bus")
		}
		if r.h.find("x") != nil != allowed {
			t.Errorf("x: %v", r.h.names())
		}
	}
	f(false)
	conn := r.b.Conn(t, "operator")
	reply := command(t, conn, telemetry.MsgPack, "load", map[string]any{"config": piece})
	if reply.OK || reply.Error == nil || reply.Error.Code != telemetry.FaultDenied {
		t.Errorf("%+v", reply)
	}
	_, err := r.h.Load(t.Context(), "collect: { y: { use: numbers } }", false) // a built-in may write to any file
	fails(t, err, telemetry.FaultDenied, "remote_run")
	r.reloaded("discover: { remote_run: true }\n" + pair)
	f(true)
	r.settled(2)
}

// A plugin of the files that was unloaded stays away until these are read again.
func TestDropped(t *testing.T) {
	r := rigged(t, chain)
	if _, err := r.h.Unload(t.Context(), "numbers"); err != nil { // pass reads it, and goes on
		t.Error(err)
	}
	list, err := r.h.Unload(t.Context(), "sink")
	if err != nil || byName(list)["sink"].Action != telemetry.ChangeStop || len(list.Warnings) != 1 || !strings.Contains(list.Warnings[0], r.file+":4:12: it comes back") {
		t.Errorf("%+v, %v", list, err)
	}
	if r.h.find("sink") != nil {
		t.Error("it is still there")
	}
	if _, err := r.h.Load(t.Context(), "collect: { more: { use: numbers } }", false); err != nil {
		t.Error(err)
	}
	if r.h.find("sink") != nil || r.h.find("more") == nil {
		t.Errorf("plugins %q", r.h.names())
	}
	if _, err := r.h.Load(t.Context(), "publish: { sink: { use: other, from: more } }", true); err != nil { // in its place
		t.Error(err)
	}
	r.inForce("sink")
	if _, err := r.h.Unload(t.Context(), "sink"); err != nil {
		t.Error(err)
	}
	if c := r.reloaded(chain)["sink"]; c.Error != "" || r.status("sink").Program != "sink" {
		t.Errorf("%+v", c)
	}
	r.inForce("sink")
	r.inForce("numbers")
}

// Without a config to read there is nothing to change; one that cannot be read changes nothing.
func TestFixed(t *testing.T) {
	h := connected(t, rigged(t, pair).b, pair)
	for _, do := range []func() error{
		func() error { _, err := h.Reload(t.Context(), true); return err },
		func() error { _, err := h.Load(t.Context(), pair, false); return err },
		func() error { _, err := h.Unload(t.Context(), "sink"); return err },
		func() error { _, err := h.Swap(t.Context(), "sink", Target{Use: "other"}); return err },
	} {
		fails(t, do(), telemetry.FaultDenied, "cannot be changed while it runs")
	}
}

func TestReloadUnreadable(t *testing.T) {
	r := rigged(t, pair)
	before := r.pids()
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	_, err := r.h.Reload(t.Context(), false)
	fails(t, err, telemetry.FaultInvalid, "there is no such file")
	away := errors.New("disk is away")
	r.h.o.Config.Read = func() ([]config.Source, error) { return nil, away }
	if _, err := r.h.Reload(t.Context(), false); !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
	for name, pid := range r.pids() {
		if before[name] != pid {
			t.Errorf("%s was touched", name)
		}
	}
}

// A start that comes too late for the reader is told, with what gives it the past.
func TestStartOfOneThatReads(t *testing.T) {
	r := rigged(t, pair)
	f := func(start string, told bool) {
		t.Helper()
		list, err := r.reload("collect: { numbers: }\npublish: { sink: { from: numbers" + start + " } }\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(list.Warnings, "\n"), "pacewire replay sink --since 2h"); got != told {
			t.Errorf("%q: warnings %q", start, list.Warnings)
		}
	}
	f("", false)
	f(", start: all", true)
	f(", start: all", true) // it still reads from where it was
	f("", false)
}

// What a running agent cannot follow is told.
func TestUnchangeable(t *testing.T) {
	r := rigged(t, pair)
	list, err := r.reload("host: h2\nlog: { level: debug }\nbus: nats://127.0.0.1:4222\n" + pair)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"host", "log", "bus"} {
		if !slices.Contains(list.Warnings, key+": the change takes effect when the agent is started again") {
			t.Errorf("%s: warnings %q", key, list.Warnings)
		}
	}
}
