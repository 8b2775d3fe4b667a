package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// Options say what a host part looks after, and by which bus.
type Options struct {
	Host     string
	Settings *config.Settings
	Streams  bus.StreamSettings

	URL       string // of the bus, which the plugins get too
	Creds     string // file with credentials for it; "": none
	TLS       bus.TLS
	InProcess InProcess // an embedded bus of this process; nil: by URL

	Executable string                    // runs built-ins as "Executable plugin run KIND.PROGRAM"
	Inventory  func(program string) bool // whether a built-in collector reports facts instead of points
	Dir        string                    // for the state of plugins, a folder each
	Beat       time.Duration             // interval of the plugins' heartbeats; 0: 10 s
	Log        *slog.Logger
	Line       func(plugin, stream string, line []byte) // gets what plugins print
}

// InProcess is a bus in this process, reached without a socket.
type InProcess interface{ InProcessConn() (net.Conn, error) }

// A Host is the host part of an agent.
type Host struct {
	o    Options
	log  *slog.Logger
	inst string

	conn    *bus.Conn // control
	data    *bus.Conn
	out     *bus.Publisher
	plugins []*entry // in the order of the config: collectors, processors, publishers
	ready   chan struct{}
}

const (
	watchEvery = 2 * time.Second
	askTime    = 5 * time.Second  // for one request on the bus
	retryEvery = 2 * time.Second  // while the bus is away
	firstConn  = 10 * time.Second // how long the first connection is waited for before it is reported
)

// New prepares a host part. Run starts the plugins.
func New(o Options) *Host {
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	h := &Host{o: o, log: o.Log, inst: hex.EncodeToString(id), ready: make(chan struct{})}
	if h.o.Beat == 0 {
		h.o.Beat = beatInterval
	}
	for _, p := range o.Settings.Plugins {
		if !p.Enabled {
			continue
		}
		h.plugins = append(h.plugins, h.entry(p))
	}
	return h
}

// Ready is closed when the streams and consumers are there and every plugin has been started.
func (h *Host) Ready() <-chan struct{} { return h.ready }

// Run looks after the plugins until ctx ends; then it stops them, collectors first, and returns when all are gone.
func (h *Host) Run(ctx context.Context) error {
	if err := h.dial(ctx); err != nil {
		return err
	}
	defer h.close()
	if err := h.provide(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	if err := h.listen(); err != nil {
		return err
	}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var children sync.WaitGroup
	for _, e := range h.plugins {
		children.Go(func() { e.run(running) })
	}
	close(h.ready)
	g, watching := errgroup.WithContext(ctx)
	g.Go(func() error { return h.watch(watching) })
	g.Go(func() error { return h.report(watching) })
	err := g.Wait()
	h.stop(context.WithoutCancel(ctx))
	end() // for those whose run had not begun when they were to stop
	children.Wait()
	return err
}

func (h *Host) dial(ctx context.Context) (err error) {
	o := bus.Options{URL: h.o.URL, CredsFile: h.o.Creds, TLS: h.o.TLS, User: bus.User(h.o.Host, bus.Agent),
		Name: h.o.Host + "/agent control", NoEcho: true, Log: h.log, Wait: firstConn}
	if h.o.InProcess != nil {
		o.InProcess = h.o.InProcess
	}
	if h.conn, err = bus.Dial(ctx, o); err != nil {
		return err
	}
	o.Name, o.NoEcho, o.Data = h.o.Host+"/agent data", false, true
	if h.data, err = bus.Dial(ctx, o); err != nil {
		h.conn.Close()
		return err
	}
	h.out, err = bus.NewPublisher(h.data, bus.PublisherOptions{Host: h.o.Host, Plugin: bus.Agent, Log: h.log})
	if err != nil {
		h.close()
	}
	return err
}

func (h *Host) close() {
	if h.out != nil {
		h.out.Close()
	}
	h.data.Close()
	h.conn.Close()
}

// provide makes the streams, and the consumers of the plugins, before any plugin starts: so that what begins with the new
// points misses none.
func (h *Host) provide(ctx context.Context) error {
	for {
		err := h.tryProvide(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, bus.ErrDisconnected) && !errors.Is(err, bus.ErrTimeout) && !errors.Is(err, bus.ErrNoResponders):
			return err
		}
		h.log.Warn("bus is not ready", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryEvery):
		}
	}
}

func (h *Host) tryProvide(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 6*askTime)
	defer cancel()
	if err := h.conn.EnsureStreams(ctx, h.o.Streams); err != nil {
		return fmt.Errorf("streams: %w", err)
	}
	for _, e := range h.plugins {
		for _, in := range e.inputs {
			if err := h.conn.EnsureConsumer(ctx, in); err != nil {
				return fmt.Errorf("consumer of %s: %w", e.conf.Name, err)
			}
		}
	}
	return nil
}

// find returns the plugin called name, nil when the config has none.
func (h *Host) find(name string) *entry {
	i := slices.IndexFunc(h.plugins, func(e *entry) bool { return e.conf.Name == name })
	if i < 0 {
		return nil
	}
	return h.plugins[i]
}

// watch replaces plugins that hang, until ctx ends.
func (h *Host) watch(ctx context.Context) error {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		now := time.Now()
		h.inspect(last, now)
		last = now
	}
}

// inspect replaces plugins that hang at now; last is when it did so before. Our own delay is nobody's silence, nor is that of
// the bus.
func (h *Host) inspect(last, now time.Time) {
	blind := now.Sub(last) > 2*watchEvery || !h.conn.Connected()
	for _, e := range h.plugins {
		if blind {
			e.excuse(now)
			continue
		}
		if reason := e.hangs(now); reason != "" {
			h.log.Warn("plugin hangs and is replaced", "plugin", e.conf.Name, "reason", reason)
			e.child.Replace(reason)
		}
	}
}

// Statuses returns what is known of each plugin.
func (h *Host) Statuses() []telemetry.PluginStatus {
	list := make([]telemetry.PluginStatus, len(h.plugins))
	for i, e := range h.plugins {
		list[i] = e.status(h.o.Host)
	}
	return list
}
