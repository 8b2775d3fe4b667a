package host

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// A rig is a host that runs, with a config that can be changed.
type rig struct {
	*testing.T
	h       *Host
	b       *bustest.Bus
	file    string // of the config
	journal string
	lines   func() []string
	stop    func()

	mu       sync.Mutex
	admitted int // credentials that were given
	revoked  int
}

// rigged runs a host with a config, $J in it is a file for the journals of its plugins, and waits until all of them work.
func rigged(t *testing.T, text string, edit ...func(*Options)) *rig {
	t.Helper()
	r := &rig{T: t, b: bustest.New(t), file: filepath.Join(t.TempDir(), "pacewire.yaml")}
	text, r.lines = journaling(t, text+"\n#$J")
	_, r.journal, _ = strings.Cut(text, "#")
	r.write(text)
	r.h = newHost(t, r.b.URL, text)
	o := r.h.o
	o.Config = Config{
		Read:   func() ([]config.Source, error) { return config.Files(r.file), nil },
		Join:   func(s []config.Source) (*config.Settings, error) { return config.Join(options(), s...) },
		Loaded: filepath.Join(t.TempDir(), "loaded"),
	}
	o.Files, o.Admit, o.InProcess = config.Files(r.file), r.admit, r.b.Server()
	o.Times = Times{Hello: soon, Ready: soon, Probation: 250 * time.Millisecond, Take: soon, Start: soon}
	for _, e := range edit {
		e(&o)
	}
	pieces, err := config.Pieces(o.Config.Loaded)
	if err != nil {
		t.Fatal(err)
	}
	o.Pieces = pieces
	var sources []config.Source
	for _, p := range pieces {
		sources = append(sources, p.Source(o.Config.Loaded))
	}
	if o.Settings, err = config.Join(options(), append(slices.Clone(o.Files), sources...)...); err != nil {
		t.Fatal(err)
	}
	r.h = New(o)
	r.stop = run(t, r.h)
	<-r.h.Ready()
	for _, e := range r.h.entries() {
		if !e.current().attached() {
			r.state(e.name, running)
		}
	}
	return r
}

// admit gives no credentials: it counts them.
func (r *rig) admit(config.Plugin, string, []bus.Input) (string, func(), error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.admitted++
	return "", func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.revoked++
	}, nil
}

// credentials returns how many are valid.
func (r *rig) credentials() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admitted - r.revoked
}

// write writes the config.
func (r *rig) write(text string) {
	r.Helper()
	if err := os.WriteFile(r.file, []byte(strings.ReplaceAll(text, "$J", r.journal)), 0o600); err != nil {
		r.Fatal(err)
	}
}

// reload writes the config and lets the host read it.
func (r *rig) reload(text string) (telemetry.ChangeList, error) {
	r.Helper()
	r.write(text)
	return r.h.Reload(r.Context(), false)
}

// reloaded is reload, and nothing may go wrong.
func (r *rig) reloaded(text string) map[string]telemetry.Change {
	r.Helper()
	list, err := r.reload(text)
	if err == nil {
		err = failures(list.Changes)
	}
	if err != nil {
		r.Fatalf("%s\n%v", text, err)
	}
	return byName(list)
}

func byName(list telemetry.ChangeList) map[string]telemetry.Change {
	m := map[string]telemetry.Change{}
	for _, c := range list.Changes {
		m[c.Plugin] = c
	}
	return m
}

// status returns what is known of a plugin.
func (r *rig) status(name string) telemetry.PluginStatus {
	r.Helper()
	e := r.h.find(name)
	if e == nil {
		r.Fatalf("there is no %s", name)
	}
	return e.status()
}

// state waits until a plugin is in a state.
func (r *rig) state(name, want string) telemetry.PluginStatus {
	r.Helper()
	var s telemetry.PluginStatus
	bustest.Wait(r, soon, name+" is "+want, func() bool {
		s = r.status(name)
		return s.State == want
	})
	return s
}

// pids returns the processes of all plugins.
func (r *rig) pids() map[string]int64 {
	m := map[string]int64{}
	for _, s := range r.h.Statuses() {
		m[s.Name] = s.PID
	}
	return m
}

// inForce checks that a plugin works with what its plan says.
func (r *rig) inForce(name string) {
	r.Helper()
	if s := r.state(name, running); s.Config != r.h.find(name).plan().rev {
		r.Errorf("%s: revision %d in force, want %d", name, s.Config, r.h.find(name).plan().rev)
	}
}

// none checks that there are so many processes and credentials, once what ends has ended.
func (r *rig) settled(n int) {
	r.Helper()
	bustest.Wait(r, soon, strconv.Itoa(n)+" processes and credentials are left", func() bool {
		return len(offspring(r)) == n && r.credentials() == n
	})
}

// offspring returns the processes whose parent we are.
func offspring(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, f := range files {
		text, _ := os.ReadFile(f) // the thread may be gone
		list = append(list, strings.Fields(string(text))...)
	}
	return list
}

// during looks at a plugin again and again while do runs, and returns what it has seen: each state and pid once in a row.
func (r *rig) during(name string, do func() error) (seen []telemetry.PluginStatus, processes int, err error) {
	r.Helper()
	done := make(chan error, 1)
	seen = append(seen, r.status(name)) // before, however busy the machine is
	go func() { done <- do() }()
	for over := false; ; {
		if s := r.status(name); seen[len(seen)-1].State != s.State || seen[len(seen)-1].PID != s.PID {
			seen = append(seen, s)
		}
		processes = max(processes, len(offspring(r)))
		if over {
			return seen, processes, err
		}
		select {
		case err = <-done:
			over = true
		case <-time.After(2 * time.Millisecond):
		}
	}
}
