package pacewire

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/internal/golden"
	"github.com/pacewire/pacewire/internal/machinetest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// release is what the linker noted of a release.
func release() (*debug.BuildInfo, bool) {
	return &debug.BuildInfo{
		Main: debug.Module{Path: "github.com/pacewire/pacewire", Version: "v1.4.2"},
		Deps: []*debug.Module{
			{Path: "github.com/nats-io/nats.go", Version: "v1.48.0"},
			{Path: "golang.org/x/sys", Version: "v0.1.0", Replace: &debug.Module{Path: "golang.org/x/sys", Version: "v0.39.0"}},
		},
		Settings: []debug.BuildSetting{
			{Key: "-tags", Value: "timetzdata"}, {Key: "GOOS", Value: "linux"}, {Key: "vcs", Value: "git"},
			{Key: "vcs.revision", Value: "4d5ae3f"}, {Key: "vcs.time", Value: "2025-11-20T12:00:00Z"}, {Key: "vcs.modified", Value: "false"},
		},
	}, true
}

// program returns a program whose file has a text.
func program(t *testing.T, text string) self {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pacewire")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return self{host: "web-1", plugin: "build", path: path, running: path, build: release}
}

func look(t *testing.T, s self) (telemetry.Facts, error) {
	t.Helper()
	facts := telemetry.Facts{}
	err := s.Survey(t.Context(), facts)
	return facts, err
}

func TestRelease(t *testing.T) {
	s := program(t, "abc")
	facts, err := look(t, s)
	want := file{Path: s.path, Size: 3, SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
	if err != nil || facts["program"] != want {
		t.Errorf("program = %+v, %v; want %+v", facts["program"], err, want)
	}
	if g := facts["go"].(map[string]string); g["version"] != runtime.Version() || g["os"] != runtime.GOOS || g["arch"] != runtime.GOARCH {
		t.Errorf("go = %v", g)
	}
	maps.DeleteFunc(facts, func(key string, _ any) bool { return key == "go" || key == "program" }) // which are the tester's
	golden.Equal(t, "testdata/release.golden", machinetest.Show(t, facts))
}

// A build without notes has fewer facts.
func TestUnknownBuild(t *testing.T) {
	s := program(t, "abc")
	s.build = func() (*debug.BuildInfo, bool) { return nil, false }
	facts, err := look(t, s)
	if got := slices.Sorted(maps.Keys(facts)); err != nil || strings.Join(got, " ") != "go host plugin program" {
		t.Errorf("facts = %v, %v", got, err)
	}
}

// An upgrade that waits for a restart is seen.
func TestReplaced(t *testing.T) {
	s := program(t, "old")
	s.running = filepath.Join(filepath.Dir(s.path), "running")
	if err := os.Rename(s.path, s.running); err != nil {
		t.Fatal(err)
	}
	f := func() {
		t.Helper()
		facts, err := look(t, s)
		if p := facts["program"].(file); err != nil || !p.Replaced || p.Size != 3 {
			t.Errorf("program = %+v, %v", p, err)
		}
	}
	f()
	if err := os.WriteFile(s.path, []byte("newer"), 0o600); err != nil {
		t.Fatal(err)
	}
	f()
}

func TestFaults(t *testing.T) {
	s := program(t, "abc")
	s.running = filepath.Join(t.TempDir(), "away")
	facts, err := look(t, s)
	if !errors.Is(err, fs.ErrNotExist) || facts["version"] != "v1.4.2" || facts["program"] != (file{Path: s.path}) {
		t.Errorf("facts = %v, %v", facts, err)
	}
	s.running = t.TempDir()
	if facts, err = look(t, s); err == nil || facts["version"] != "v1.4.2" {
		t.Errorf("a folder as program: %v, %v", facts, err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := program(t, "abc").Survey(ctx, telemetry.Facts{}); !errors.Is(err, context.Canceled) {
		t.Errorf("survey after the end of its context: %v", err)
	}
}

func TestThisProgram(t *testing.T) {
	d := Define()
	made, err := d.Build(t.Context(), d.Defaults(), plugin.Env{Host: "web-1", Name: "build"})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := look(t, made.(self))
	if p := facts["program"].(file); err != nil || p.Size == 0 || len(p.SHA256) != 64 || p.Replaced {
		t.Errorf("program = %+v, %v", p, err)
	}
}
