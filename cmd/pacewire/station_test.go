package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
)

// An agent that comes second to a run folder, or to a state folder, is refused, and has counted no start of the host.
func TestSecondAgent(t *testing.T) {
	dir := t.TempDir()
	state, run := filepath.Join(dir, "state"), filepath.Join(dir, "run")
	t.Setenv("PACEWIRE_STATE", state)
	t.Setenv("PACEWIRE_RUN", run)
	log, s := slog.New(slog.DiscardHandler), &config.Settings{Host: "web-1"}
	refused := func(err error, parts ...string) {
		t.Helper()
		if codeOf(err) != exitConfig {
			t.Errorf("%v", err)
		}
		for _, part := range parts {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%v: want %q", err, part)
			}
		}
	}
	_, release, err := claimRun()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	_, err = takeStation(s, log)
	refused(err, run, "PACEWIRE_RUN")
	if _, err := os.Stat(state); err == nil {
		t.Error("who is refused has written to the state folder")
	}
	var first, second station
	defer first.leave()
	id, err := first.identify(s, log)
	if err != nil {
		t.Fatal(err)
	}
	_, err = second.identify(s, log) // in whatever run folder
	refused(err, state, "PACEWIRE_STATE", "in use by another agent")
	second.leave()
	if first.Name != "web-1" || first.Gen != 1 || id.Gen() != 1 {
		t.Errorf("%s, start %d", first.Name, first.Gen)
	}
	first.leave()
	first.undo = nil
	if _, err := second.identify(s, log); err != nil || second.Gen != 2 {
		t.Errorf("start %d: %v", second.Gen, err)
	}
	second.leave()
}
