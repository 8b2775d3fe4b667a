package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/trust"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// Options say what a host part looks after, and by which bus.
type Options struct {
	Host     string                  // stable id
	Name     string                  // of the machine now, as people call it
	Version  string                  // of the program
	Gen      uint64                  // counts the starts of the agent; 0: nobody does
	GenAbove func(gen uint64) uint64 // keeps a higher one than gen for the next start, and returns it; nil: nobody does

	Settings *config.Settings
	Config   Config          // where settings come from later; its zero value: they stay as they are
	Files    []config.Source // what Settings are made of
	Pieces   []config.Piece  // and what was loaded besides
	Streams  bus.StreamSettings

	URL       string // of the bus, which the plugins get too
	Creds     string // file with the agent's credentials for it; "": none
	TLS       bus.TLS
	InProcess InProcess // an embedded bus of this process; nil: by URL
	Admit     Admit     // gives each process credentials of its own; nil: all have Creds
	Fleet     *Fleet    // the bus with the hubs, when that is another one; nil: they are on this one

	Trust  *trust.Checker // checks commands before they are started; nil: nobody does
	RunDir string         // for processes that are kept when the agent ends

	Executable string                    // runs built-ins as "Executable plugin run KIND.PROGRAM"
	Inventory  func(program string) bool // whether a built-in collector reports facts instead of points
	Dir        string                    // for the state of plugins, a folder each
	State      string                    // folder of all that the agent keeps, for whoever looks for it; "": nobody says

	// InventoryDir is a folder for what plugins have told of themselves and of the host, so that an agent that starts again need
	// not ask; "": it asks.
	InventoryDir string

	Beat  time.Duration // interval of the plugins' heartbeats; 0: 10 s
	Log   *slog.Logger
	Line  func(plugin, stream string, line []byte) // gets what plugins print
	Times Times
}

// Times bound what the host waits for; 0 is the default of each.
type Times struct {
	Hello     time.Duration // from the start of a process to its first heartbeat: 20 s
	Ready     time.Duration // until a process that is to take over could work, or a running one has taken a new config: 30 s
	Probation time.Duration // for which a new process does well, before the old one is let go: 3 s
	Take      time.Duration // from there until it works: 10 s
	Start     time.Duration // how long an operation waits for a plugin to work; it goes on all the same: 20 s
	Survey    time.Duration // for a collector to survey anew: 10 s
	Beat      time.Duration // the shortest interval of the agent's own beats that a hub gets: 1 s
}

func (t Times) orDefaults() Times {
	return Times{
		Hello: cmp.Or(t.Hello, 20*time.Second), Ready: cmp.Or(t.Ready, 30*time.Second), Probation: cmp.Or(t.Probation, 3*time.Second),
		Take: cmp.Or(t.Take, 10*time.Second), Start: cmp.Or(t.Start, 20*time.Second), Survey: cmp.Or(t.Survey, 10*time.Second), Beat: cmp.Or(t.Beat, time.Second),
	}
}

// InProcess is a bus in this process, reached without a socket.
type InProcess interface{ InProcessConn() (net.Conn, error) }

// Admit lets one process of p, which is called process and reads inputs, on the bus: with the credentials in a file, until
// revoke is called.
type Admit func(p config.Plugin, process string, inputs []bus.Input) (file string, revoke func(), err error)

// A Host is the host part of an agent.
type Host struct {
	o     Options
	log   *slog.Logger
	inst  string
	begun time.Time

	conn     *bus.Conn // control
	hubs     wayToHubs // control: conn, or that of another bus
	data     *bus.Conn
	out      *bus.Publisher
	heart    *heart // beats to the hub
	revised  atomic.Pointer[revised]
	sourced  atomic.Pointer[[]any] // the texts of the config, as facts
	ready    chan struct{}
	children sync.WaitGroup
	until    context.Context //nolint:containedctx // of Run: no operation is begun after it
	life     context.Context //nolint:containedctx // of the plugins: it ends when all of them have been stopped

	inventory *inventory
	errands   errands
	places    places
	gathering *gathering
	diary     *diary
	letters   lostLetters
	disk      chan bool       // 1: whether that of the bus is full, the last word
	wishing   atomic.Bool     // somebody looks at what others want of the consumers
	homeless  bool            // its run folder was removed; of the goroutine of watch
	operating chan struct{}   // as many as there may be operations at a time
	changing  chan struct{}   // 1: who changes which plugins there are; he has the next three
	files     []config.Source // as they were read last
	pieces    []config.Piece  // that were loaded
	dropped   []string        // plugins of the files that were unloaded

	mu       sync.RWMutex
	settings *config.Settings
	plugins  []*entry // a process each, in the order of the config: collectors, processors, publishers
}

const (
	watchEvery = 2 * time.Second
	askTime    = 5 * time.Second  // for one request on the bus
	retryEvery = 2 * time.Second  // while the bus is away
	firstConn  = 10 * time.Second // how long the first connection is waited for before it is reported
)

// New prepares a host part. Run starts the plugins.
func New(o Options) *Host {
	h := &Host{o: o, log: o.Log, inst: newID(), begun: time.Now(), ready: make(chan struct{}), settings: o.Settings, changing: make(chan struct{}, 1),
		operating: make(chan struct{}, operators), disk: make(chan bool, 1),
		inventory: newInventory(o.InventoryDir, o.Log), gathering: newGathering(), diary: newDiary(),
		places: newPlaces(o.Dir, busOf(o)), files: o.Files, pieces: o.Pieces, until: context.Background(), life: context.Background()}
	h.o.Beat, h.o.Times = cmp.Or(o.Beat, beatInterval), o.Times.orDefaults()
	for _, p := range h.plans(o.Settings) {
		h.plugins = append(h.plugins, h.entry(p))
	}
	h.noteSources()
	h.heart = newHeart(h)
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
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	h.until, h.life = ctx, life
	if err := h.inventory.load(func(plugin string) bool { return !h.gone(plugin) }); err != nil {
		h.log.Warn("inventory not read: plugins are asked for it", "error", err)
	}
	if err := h.listen(); err != nil {
		return err
	}
	goodbye := h.heart.start()
	defer goodbye()
	for _, e := range h.entries() {
		h.inventory.stirs(e.name)
		e.now.start(life)
	}
	close(h.ready)
	g, watching := errgroup.WithContext(ctx)
	g.Go(func() error { return h.watch(watching) })
	g.Go(func() error { return h.report(watching) })
	g.Go(func() error { return h.tend(watching) })
	g.Go(func() error { return h.tellEvents(watching) })
	g.Go(func() error { return h.followDisk(watching) })
	g.Go(func() error { return h.watchLag(watching) })
	err := g.Wait()
	h.stop(context.WithoutCancel(ctx))
	end() // for those whose run had not begun when they were to stop
	h.children.Wait()
	return err
}

func (h *Host) dial(ctx context.Context) (err error) {
	o := bus.Options{URL: h.o.URL, CredsFile: h.o.Creds, TLS: h.o.TLS, User: bus.User(h.o.Host, bus.Agent),
		Name: h.o.Host + "/agent control", NoEcho: true, Log: h.log, Wait: firstConn, OnConnect: h.reconnected}
	if h.o.InProcess != nil {
		o.InProcess = h.o.InProcess
	}
	if h.conn, err = bus.Dial(ctx, o); err != nil {
		return err
	}
	o.Name, o.NoEcho, o.Data, o.OnConnect = h.o.Host+"/agent data", false, true, nil
	if h.data, err = bus.Dial(ctx, o); err != nil {
		h.conn.Close()
		return err
	}
	h.out, err = bus.NewPublisher(h.data, bus.PublisherOptions{Host: h.o.Host, Plugin: bus.Agent, Log: h.log})
	h.reachHubs()
	if err != nil {
		h.close()
	}
	return err
}

func (h *Host) close() {
	if h.out != nil {
		h.out.Close()
	}
	h.leaveHubs()
	h.data.Close()
	h.conn.Close()
}

// credentials lets one process of p on the bus.
func (h *Host) credentials(p plan) (file string, revoke func(), err error) {
	if h.o.Admit == nil {
		return h.o.Creds, func() {}, nil
	}
	file, revoke, err = h.o.Admit(p.conf, p.name, p.inputs)
	if err != nil {
		return "", nil, fmt.Errorf("credentials for the bus: %w", err)
	}
	return file, revoke, nil
}

// provide makes the streams, and the consumers of the plugins, before any plugin starts: so that what begins with the new
// points misses none.
func (h *Host) provide(ctx context.Context) error {
	if err := h.places.load(); err != nil {
		h.log.Warn("nobody knows where readers were whose consumers are lost", "error", err)
	}
	for {
		err := h.tryProvide(ctx)
		switch {
		case err == nil:
			h.places.found = nil // who has none from now on is new
			return nil
		case ctx.Err() != nil:
			return nil
		case !h.mayPass(err):
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

// mayPass reports whether waiting may help: for a bus that is away, and for others to give theirs what it lacks.
func (h *Host) mayPass(err error) bool {
	for _, passing := range []error{bus.ErrDisconnected, bus.ErrTimeout, bus.ErrNoResponders, bus.ErrFewServers} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return h.o.InProcess == nil && errors.Is(err, bus.ErrFull)
}

func (h *Host) tryProvide(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 6*askTime)
	defer cancel()
	if err := h.conn.EnsureStreams(ctx, h.o.Streams); err != nil {
		return fmt.Errorf("streams: %w", err)
	}
	h.sync()
	for _, e := range h.entries() {
		if err := e.findErrands(ctx); err != nil {
			return err
		}
		if err := e.found(ctx); err != nil {
			return err
		}
		if err := e.give(ctx, same); err != nil {
			return err
		}
		if err := e.narrowEarly(ctx); err != nil {
			return err
		}
	}
	return h.forgetGone(ctx)
}

// Statuses returns what is known of each plugin.
func (h *Host) Statuses() []telemetry.PluginStatus {
	entries := h.entries()
	list := make([]telemetry.PluginStatus, len(entries))
	for i, e := range entries {
		list[i] = e.status()
	}
	return list
}
