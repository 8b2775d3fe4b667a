package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// ten writes the config of ten plugins: number 3 is as told, and all go to a file.
func (p place) ten(third string) string {
	p.t.Helper()
	config := "collect:\n"
	for i := range 9 {
		settings := "use: host, every: 1h, only: [load]"
		if i == 3 {
			settings = third
		}
		config += fmt.Sprintf("  c%d: { %s }\n", i, settings)
	}
	return p.write("pacewire.yaml", config+"publish: { file: { use: lines, from: all, path: points.lp } }\n")
}

const (
	thirdFirst   = "use: host, every: 1h, only: [load]"
	thirdLimited = "use: host, every: 1h, only: [load], limits: { files: 512 }" // wants another process
	thirdOther   = "use: host, every: 1h, only: [mem]"                          // does not
)

// reloaded are the plugins after a reload, which is brought about by do and waited for.
func (s *system) reloaded(do func()) map[string]int {
	s.t.Helper()
	count := func() int { return strings.Count(s.text(), `"msg":"config in force"`) }
	had := count()
	do()
	s.await(readyWithin, "the config is reloaded", func() bool { return count() > had })
	s.awaitRunning()
	return s.pidsOf()
}

// hangUp sends what asks for a reload.
func (s *system) hangUp() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
}

// others complains when not just the processes of these plugins are others.
func others(t testing.TB, what string, before, after map[string]int, want ...string) {
	t.Helper()
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] != before[name] {
			changed = append(changed, name)
		}
	}
	if !slices.Equal(changed, want) || len(after) != len(before) {
		t.Errorf("%s: other processes of %v, want %v; %d plugins, %d before", what, changed, want, len(after), len(before))
	}
}

// A reload touches what has changed, be it asked for by the verb, by a hang-up or by the file itself.
func TestReloadOne(t *testing.T) {
	t.Parallel()
	heedHangUps(t)
	p := newPlace(t)
	s := p.start("up", "--plain", p.ten(thirdFirst))
	s.awaitRunning()
	first := s.pidsOf()

	p.ten(thirdLimited)
	contains(t, "the plan", s.do("reload", "--dry-run"), "c3", "limits changed", "9 plugins stay")
	others(t, "dry run", first, s.pidsOf())
	contains(t, "reload", s.do("reload"), "c3", "limits changed", "9 plugins stay")
	second := s.pidsOf()
	others(t, "reload with other limits", first, second, "c3")

	p.ten(thirdFirst)
	third := s.reloaded(s.hangUp)
	others(t, "hang-up", second, third, "c3")

	p.ten(thirdOther) // that it takes while it runs
	others(t, "hang-up with another setting", third, s.reloaded(s.hangUp))
	var plan struct {
		Changes []struct{ Plugin, Action string }
	}
	if err := json.Unmarshal([]byte(s.do("reload", "-o", "json")), &plan); err != nil {
		t.Error(err)
	}
	for _, c := range plan.Changes {
		if c.Action != "none" {
			t.Errorf("a second reload: %+v", c)
		}
	}
	s.drain()
}

// With --watch the file itself is enough, and a folder with more of them.
func TestReloadWatched(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if err := os.Mkdir(p.path("conf.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := p.start("up", "--plain", "--watch", p.ten(thirdFirst), p.path("conf.d"))
	s.awaitRunning()
	first := s.pidsOf()
	second := s.reloaded(func() { p.ten(thirdLimited) })
	others(t, "the file has changed", first, second, "c3")

	third := s.reloaded(func() { p.write("conf.d/more.yaml", "collect: { more: { use: host, every: 1h, only: [load] } }\n") })
	if third["more"] == 0 {
		t.Error("a new file, and its plugin is not there")
	}
	delete(third, "more")
	others(t, "a new file", second, third)

	fourth := s.reloaded(func() {
		if err := os.Remove(p.path("conf.d/more.yaml")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	})
	others(t, "a file is gone", third, fourth)

	p.ten("use: hots")
	s.await(readyWithin, "the fault is logged", func() bool { return strings.Contains(s.text(), "config not taken, everything goes on as before") })
	others(t, "a file with a fault", fourth, s.pidsOf())
	s.drain()
}

// A config with a fault changes nothing, also where it is right, and says where the fault is.
func TestReloadError(t *testing.T) {
	t.Parallel()
	heedHangUps(t)
	p := newPlace(t)
	s := p.start("up", "--plain", p.ten(thirdFirst))
	s.awaitRunning()
	before := s.pidsOf()
	f := func(third, where string, parts ...string) {
		t.Helper()
		file := p.ten(third)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// c5 has changed as well, and is right.
		p.write("pacewire.yaml", strings.Replace(string(text), "c5: { use: host", "c5: { limits: { files: 512 }, use: host", 1))
		for _, args := range [][]string{{"reload"}, {"reload", "--dry-run"}} {
			r := s.verb(args...)
			if r.code != 78 {
				t.Errorf("%v: exit code %d", args, r.code)
			}
			contains(t, fmt.Sprint(args), r.err, append(parts, "pacewire.yaml:"+where)...)
		}
		others(t, third, before, s.pidsOf())
	}
	f("use: host, onyl: [cpu]", "5:20: ", "onyl", "did you mean only?", "^") //nolint:misspell // it is the mistake
	f("use: hots", "5:14: ", "did you mean host?")
	logged := strings.Count(s.text(), "config not taken")
	s.hangUp()
	s.await(readyWithin, "the fault is logged", func() bool { return strings.Count(s.text(), "config not taken") > logged })
	others(t, "hang-up", before, s.pidsOf())

	p.ten(thirdFirst)
	others(t, "mended", before, s.reloaded(s.hangUp))
	s.drain()
}
