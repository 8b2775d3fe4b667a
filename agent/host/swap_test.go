package host

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/trust"
	"github.com/pacewire/pacewire/telemetry"
)

// entryOther is the entry of a plugin of chain with the program other, and a mode.
func entryOther(name, mode string) string {
	text := map[string]string{
		"numbers": "collect: { numbers: { use: other, every: 10ms, journal: $J, mode: '%' } }",
		"pass":    "process: { pass: { use: other, from: numbers, journal: $J, mode: '%' } }",
		"sink":    "publish: { sink: { use: other, from: pass, journal: $J, mode: '%' } }",
	}[name]
	return strings.ReplaceAll(text, "%", mode)
}

// swap swaps a plugin for another entry, while it is looked at.
func (r *rig) swap(name, entry string) (seen []telemetry.PluginStatus, processes int, err error) {
	r.Helper()
	return r.during(name, func() error {
		_, err := r.h.Swap(r.Context(), name, Target{Config: strings.ReplaceAll(entry, "$J", r.journal)})
		return err
	})
}

// Processors and publishers work side by side until the new process has proved itself. A collector must be alone: its new
// process is ready when the old one ends. Nothing is lost on the way.
func TestSwap(t *testing.T) {
	r := rigged(t, chain, probation(2*time.Second)) // so that both are seen
	for _, name := range []string{"pass", "sink", "numbers"} {
		old := r.status(name).PID
		seen, processes, err := r.swap(name, entryOther(name, ""))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if processes != 4 {
			t.Errorf("%s: %d processes side by side", name, processes)
		}
		s := r.status(name)
		if s.State != running || s.PID == old || s.PID == 0 || s.Program != "other" || s.Restarts != 0 {
			t.Errorf("%s: %+v", name, s)
		}
		for _, s := range seen {
			if name != "numbers" && s.State != running {
				t.Errorf("%s was %s (%s)", name, s.State, s.Reason)
			}
		}
		r.settled(3)
		r.inForce(name)
		if e := r.h.find(name); e.next != nil || e.leaving != nil {
			t.Errorf("%s: next %v, leaving %v", name, e.next, e.leaving)
		}
	}
	if got := r.status("numbers"); got.Reason != "" {
		t.Errorf("reason %q", got.Reason)
	}
	r.stop()
	r.settled(0)
	sums := ends(t, r.lines())
	if sums["numbers"] == 0 || sums["pass"] < sums["numbers"] || sums["sink"] < sums["pass"] {
		t.Errorf("points %v", sums)
	}
}

// ends adds up what the processes of each plugin say they had at their end.
func ends(t *testing.T, lines []string) map[string]int {
	t.Helper()
	sums := map[string]int{}
	for _, line := range lines {
		name, count, ok := strings.Cut(line, "_end_")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatal(err)
		}
		sums[name] += n
	}
	return sums
}

// Whatever is wrong with a new version, the old one has never stopped, and nothing is left of the new one.
func TestSwapFails(t *testing.T) {
	r := rigged(t, chain, probation(soon))
	before := r.pids()
	f := func(name, entry, want string) {
		t.Helper()
		seen, _, err := r.swap(name, entry)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", entry, err, want)
		}
		for _, s := range seen {
			if s.State != running || s.PID != before[name] || s.Restarts != 0 {
				t.Errorf("%s: it was %s (%s), process %d", entry, s.State, s.Reason, s.PID)
			}
		}
		r.settled(3)
		r.inForce(name)
		if e := r.h.find(name); e.next != nil || e.leaving != nil {
			t.Errorf("next %v, leaving %v", e.next, e.leaving)
		}
		if kept, _ := os.ReadDir(r.h.o.Config.Loaded); len(kept) > 0 || len(r.h.pieces) > 0 {
			t.Errorf("%s: it is kept: %v", entry, kept)
		}
	}
	for _, name := range []string{"numbers", "pass", "sink"} {
		f(name, entryOther(name, "invalid"), ": mode: invalid is no good") // it has failed, or says so before it has
		f(name, entryOther(name, "boom"), "it has failed: start: boom")
		f(name, entryOther(name, "ends"), "its process ended: exit code 3")
		f(name, strings.Replace(entryOther(name, ""), "mode", "mood", 1), "other has no setting mood")
	}
	f("sink", "publish: { sink: { run: [/nowhere/program], from: pass } }", "no such file")
	f("pass", "process: { pass: { run: [sh, -c, 'exit 78'], from: numbers } }", "exit code 78")
	for name, pid := range r.pids() {
		if pid != before[name] {
			t.Errorf("%s: process %d, was %d", name, pid, before[name])
		}
	}
	if text := strings.Join(r.lines(), " "); strings.Contains(text, "numbers_end_") {
		t.Errorf("a collector has stopped: %s", text)
	}
}

// One that hangs at hello is waited for no longer than it may take to be ready.
func TestSwapMute(t *testing.T) {
	r := rigged(t, chain)
	r.h.o.Times.Ready = 3 * time.Second
	before := r.pids()
	for _, name := range []string{"numbers", "pass", "sink"} {
		seen, processes, err := r.swap(name, strings.Replace(entryOther(name, ""), "other", "mute", 1))
		if err == nil || !strings.Contains(err.Error(), "it is not ready within 3s: no heartbeat came") {
			t.Errorf("%s: %v", name, err)
		}
		if len(seen) != 1 || seen[0].State != running || seen[0].PID != before[name] || processes != 4 {
			t.Errorf("%s: %d processes, %+v", name, processes, seen)
		}
		r.settled(3)
	}
}

// What only one process can have goes over from the old one to the new one.
func TestSwapLock(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	text := "collect: { numbers: { every: 10ms } }\npublish: { sink: { from: numbers, lock: " + lock + " } }\n"
	r := rigged(t, text, probation(2*time.Second))
	old := r.status("sink").PID
	seen, processes, err := r.swap("sink", "publish: { sink: { use: other, from: numbers, lock: "+lock+" } }")
	if err != nil || processes != 3 {
		t.Errorf("%d processes, %v", processes, err)
	}
	var states []string
	for _, s := range seen {
		states = append(states, s.State)
		if s.PID != 0 && s.State == running && s.PID != old && s.PID != r.status("sink").PID {
			t.Errorf("%+v", s)
		}
	}
	if states[0] != running || states[len(states)-1] != running || slices.Contains(states, backingOff) || slices.Contains(states, failed) {
		t.Errorf("states %q", states)
	}
	r.settled(2)
	r.stop()
	if _, err := os.Stat(lock); !os.IsNotExist(err) {
		t.Errorf("the lock is left: %v", err)
	}
}

// One that was ready, and fails when the old one has gone for it, leaves its place to the old program.
func TestRelieveFails(t *testing.T) {
	r := rigged(t, chain)
	f := func(mode, want string) {
		t.Helper()
		old := r.status("numbers").PID
		_, _, err := r.swap("numbers", entryOther("numbers", mode))
		if err == nil || !strings.Contains(err.Error(), "it was ready, but does not work; the old one is started again") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", mode, err)
		}
		if s := r.state("numbers", running); s.PID == old || s.Program != "numbers" || s.Reason != "" {
			t.Errorf("%s: %+v", mode, s)
		}
		r.settled(3)
	}
	f("late", "boom")
	f("late_end", "exit code 3")
	taken := len(r.lines())
	if _, err := r.h.Upgrade(t.Context(), "numbers"); err != nil { // it is in order again
		t.Error(err)
	}
	r.settled(3)
	r.stop()
	if len(r.lines()) <= taken {
		t.Error("nothing arrives any more")
	}
}

// The file of the program has changed: a new process of the same command takes over.
func TestUpgrade(t *testing.T) {
	r := rigged(t, chain)
	for _, name := range []string{"numbers", "pass", "sink"} {
		old := r.status(name).PID
		list, err := r.h.Upgrade(t.Context(), name)
		if err != nil || len(list.Changes) != 1 {
			t.Fatalf("%s: %+v, %v", name, list, err)
		}
		if c := list.Changes[0]; c.Plugin != name || c.Action != telemetry.ChangeUpgrade || c.OldPID != old || c.PID != r.status(name).PID || c.PID == old {
			t.Errorf("%+v", c)
		}
	}
	r.settled(3)
}

// A program whose bytes are not those of the pin is never run; one whose bytes are takes over.
func TestSwapPinned(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := rigged(t, pair, func(o *Options) {
		if o.Trust, err = trust.New(filepath.Join(t.TempDir(), "programs")); err != nil {
			t.Fatal(err)
		}
	})
	program := filepath.Join(t.TempDir(), "program")
	text := "#!/bin/sh\nexec " + self + " plugin run publisher.other\n"
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(text))
	old := r.status("sink").PID
	_, err = r.h.Swap(t.Context(), "sink", Target{Run: []string{program}, SHA256: strings.Repeat("0", 64)})
	if err == nil || !strings.HasPrefix(err.Error(), "swap sink: it is refused: checksum_mismatch: ") {
		t.Errorf("%v", err)
	}
	if s := r.status("sink"); s.PID != old || s.State != running || s.Restarts != 0 {
		t.Errorf("%+v", s)
	}
	r.settled(2)
	if _, err := r.h.Swap(t.Context(), "sink", Target{Run: []string{program}, SHA256: hex.EncodeToString(sum[:])}); err != nil {
		t.Error(err)
	}
	if s := r.status("sink"); s.PID == old || s.State != running || s.Program != program {
		t.Errorf("%+v", s)
	}
	r.settled(2)
}
