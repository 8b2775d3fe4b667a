package main

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
)

// A store that is there takes any max_store at the next start, lower or higher; what is chosen on purpose is no warning.
func TestMaxStore(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PACEWIRE_STATE", dir)
	t.Setenv("PACEWIRE_RUN", filepath.Join(dir, "run"))
	log := new(bytes.Buffer)
	s := &config.Settings{Bus: config.Bus{Embedded: true, Sync: "1m"}}
	f := func(store, metrics int64) {
		t.Helper()
		s.Bus.MaxStore = store
		state := opened(t, s, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})))
		if state.MaxBytes != metrics {
			t.Errorf("max_store %d: METRICS has %d, not %d", store, state.MaxBytes, metrics)
		}
	}
	f(0, 1<<30)
	f(512<<20, 256<<20)
	f(16<<20, 27<<20/4)
	f(8<<20, 9<<20/4)
	f(64<<20, 32<<20)
	f(bus.DefaultStore, 1<<30)
	f(3<<30, 2<<30)
	f(1<<30, 512<<20)
	if log.Len() > 0 {
		t.Errorf("said %s", log)
	}
	s.Bus.MaxStore = 1 << 60
	if state := opened(t, s, slog.New(slog.NewTextHandler(log, nil))); state.MaxBytes >= 1<<59 || !strings.Contains(log.String(), "bus.max_store") {
		t.Errorf("more than any disk has: METRICS has %d, and is said: %s", state.MaxBytes, log)
	}
}

// opened starts the bus of s, makes all that a host and a hub do, and returns how METRICS is.
func opened(t *testing.T, s *config.Settings, log *slog.Logger) bus.StreamState {
	t.Helper()
	p := new(station)
	defer p.leave()
	if err := p.openBus(t.Context(), s, "h1", nil, log); err != nil {
		t.Fatal(err)
	}
	conn, err := bus.Dial(t.Context(), bus.Options{InProcess: p.InProcess, User: bus.Hub, Wait: time.Minute, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 2 { // the agent, and its hub
		if err := conn.EnsureStreams(t.Context(), p.Streams); err != nil {
			t.Fatalf("max_store %d: %v", s.Bus.MaxStore, err)
		}
	}
	for name, size := range map[string]int64{bus.BucketHosts: 128 << 20, bus.BucketInventory: 512 << 20, bus.BucketState: 1 << 20} {
		if _, err := conn.EnsureBucket(t.Context(), bus.BucketSettings{Name: name, MaxBytes: size, Store: p.Streams.Store}); err != nil {
			t.Fatalf("max_store %d: %v", s.Bus.MaxStore, err)
		}
	}
	state, err := conn.StreamInfo(t.Context(), bus.StreamMetrics)
	if err != nil {
		t.Fatal(err)
	}
	return state
}
