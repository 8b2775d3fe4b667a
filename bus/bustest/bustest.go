// Package bustest gives each test a real bus.
package bustest

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/embedded"
)

// Bus is a server with the program's streams on a free loopback port, closed
// with the test.
type Bus struct {
	URL   string
	Dir   string
	Users *embedded.Users // of a guarded bus

	opts embedded.Options
	mu   sync.Mutex
	srv  *embedded.Server
}

const (
	storeBytes = 256 << 20
	startWait  = time.Minute
	electWait  = 2 * time.Minute // a cluster takes up to 9 s for an attempt
	calmPing   = time.Minute     // a machine that is busy with other tests is no dead server
)

// New starts a bus with small streams.
func New(t testing.TB) *Bus {
	t.Helper()
	return withStreams(t, Bare(t, embedded.Options{}))
}

func withStreams(t testing.TB, b *Bus) *Bus {
	t.Helper()
	settings := bus.DefaultStreams()
	settings.MetricsMaxBytes = 128 << 20
	settings.EventsMaxBytes = 16 << 20
	settings.DeadMaxBytes = 16 << 20
	c := b.Conn(t, "hub")
	if err := c.EnsureStreams(t.Context(), settings); err != nil {
		t.Fatalf("bustest: %v", err)
	}
	return b
}

// Bare starts a bus without streams. Dir, Listen, Sync and MaxStore of o may be
// left empty: a folder of the test, a free port, no fsync for each message.
func Bare(t testing.TB, o embedded.Options) *Bus {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Sync == "" {
		o.Sync = "2m" // tests of durability ask for always
	}
	if o.MaxStore == 0 {
		o.MaxStore = storeBytes
	}
	b := &Bus{Dir: o.Dir, Users: o.Users, opts: o}
	t.Cleanup(b.stop)
	b.Start(t)
	return b
}

// Start starts the server again, on the same port and store.
func (b *Bus) Start(t testing.TB) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	srv, err := embedded.Start(ctx, b.opts)
	if err != nil {
		t.Fatalf("bustest: %v", err)
	}
	b.srv, b.URL = srv, srv.URL()
	b.opts.Listen = strings.TrimPrefix(b.URL, "nats://")
}

// Stop stops the server; connections notice and try again.
func (b *Bus) Stop(t testing.TB) {
	t.Helper()
	b.stop()
}

// Restart is Stop and Start.
func (b *Bus) Restart(t testing.TB) {
	t.Helper()
	b.Stop(t)
	b.Start(t)
}

// Resize sets the limit of the store, from the next start on.
func (b *Bus) Resize(maxStore int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opts.MaxStore = maxStore
}

// Server is the server that runs at the moment.
func (b *Bus) Server() *embedded.Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.srv
}

func (b *Bus) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.srv != nil {
		b.srv.Shutdown()
		b.srv = nil
	}
}

// Conn connects as user, and is closed with the test.
func (b *Bus) Conn(t testing.TB, user string) *bus.Conn {
	t.Helper()
	return b.Dial(t, bus.Options{User: user})
}

// Dial connects with o, whose URL, Log, Ping and Wait may be left empty. A guarded bus
// gives a user who comes without credentials all rights.
func (b *Bus) Dial(t testing.TB, o bus.Options) *bus.Conn {
	t.Helper()
	if b.Users != nil && o.CredsFile == "" {
		_, o.CredsFile = b.Grant(t, o.User, nil)
	}
	if o.URL == "" && o.InProcess == nil {
		o.URL = b.URL
	}
	if o.Ping == 0 {
		o.Ping = calmPing
	}
	return dial(t, o)
}

func dial(t testing.TB, o bus.Options) *bus.Conn {
	t.Helper()
	if o.Log == nil {
		o.Log = Log(t)
	}
	if o.Wait == 0 {
		o.Wait = startWait
	}
	c, err := bus.Dial(context.Background(), o)
	if err != nil {
		t.Fatalf("bustest: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// Log writes to the test's output.
func Log(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("test", t.Name())
}

// Wait polls until ok, and fails the test after limit.
func Wait(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited %v for: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
