package hub

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// Options say which bus a hub watches, and by which rules.
type Options struct {
	URL       string // of the bus
	Creds     string // file with the hub's credentials; "": none
	TLS       bus.TLS
	InProcess InProcess // an embedded bus of this process; nil: by URL

	ID       string // of this hub; "": random
	Version  string // of the program
	Host     string // name of this machine, for whoever looks for the hub that speaks
	Listen   string // address of the API, for its status
	Rules    liveness.Rules
	Most     float64       // beats a second that it takes; above, hosts are asked to beat more slowly: 2,000
	Interval time.Duration // between the beats of an agent: 10 s
	Streams  bus.StreamSettings
	Log      *slog.Logger
	Times    Times
}

// InProcess is a bus in this process, reached without a socket.
type InProcess interface{ InProcessConn() (net.Conn, error) }

// Times are those of a hub that only tests change; 0 is the default of each.
type Times struct {
	Sweep   time.Duration // between two looks at everybody: 1 s
	Renew   time.Duration // of the voice: 3 s; it lapses after 10/3 of that
	Write   time.Duration // for an answer of the registry: 5 s
	Letters time.Duration // between two looks at the dead letters: 5 s
}

const (
	mostBeats  = 2000 // a second
	askTime    = 5 * time.Second
	writeTime  = 2 * time.Second // for an event, before it is sent again
	retryEvery = time.Second     // while the bus or its store is away
	firstConn  = 10 * time.Second
)

// A Hub is the fleet's part of an agent.
type Hub struct {
	o         Options
	log       *slog.Logger
	begun     time.Time
	conn      atomic.Pointer[bus.Conn] // beats, requests
	data      atomic.Pointer[bus.Conn]
	out       *bus.Publisher
	beats     atomic.Pointer[bus.Subscription]
	plgs      atomic.Pointer[bus.Subscription] // plugin data
	kv        buckets
	cut       atomic.Bool // the bus was away since the last sweep
	providing sync.Mutex  // held while buckets are made
	ready     chan struct{}

	counts counts
	todo   todo // hosts whose record has to be written

	crowded  atomic.Int64 // until when no event is published, as there is no room, ns
	spoiltAt atomic.Int64 // when a record was told of that cannot be read, ns

	pace pacer
	jobs jobs

	mu     sync.Mutex
	watch  *liveness.Watch
	fleet  map[string]*host // by id
	sorted []string         // ids of the fleet; nil: somebody has come or gone
	voice  voice
	parts  int // bytes of entries that have come in part
	full   fullness
	status statuses
}

// New prepares a hub.
func New(o Options) *Hub {
	o.ID, o.Most, o.Interval = cmp.Or(o.ID, newID()), cmp.Or(o.Most, mostBeats), cmp.Or(o.Interval, 10*time.Second)
	o.Times.Sweep, o.Times.Renew = cmp.Or(o.Times.Sweep, time.Second), cmp.Or(o.Times.Renew, 3*time.Second)
	o.Times.Write, o.Times.Letters = cmp.Or(o.Times.Write, askTime), cmp.Or(o.Times.Letters, letterLook)
	if o.Rules == (liveness.Rules{}) {
		o.Rules = liveness.DefaultRules()
	}
	h := &Hub{o: o, log: o.Log.With("hub", o.ID), begun: time.Now(), ready: make(chan struct{}), fleet: map[string]*host{}}
	h.watch = liveness.New(o.Rules, h.now())
	h.watch.Speak(false, h.now()) // until the voice is ours, nobody would write down what it says
	h.todo.init()
	h.pace.init()
	return h
}

func newID() string {
	id := make([]byte, 4)
	_, _ = rand.Read(id)
	return hex.EncodeToString(id)
}

// now is this moment: Mono counts from the beginning of the hub.
func (h *Hub) now() liveness.Instant {
	t := time.Now()
	return liveness.Instant{Mono: t.Sub(h.begun), Wall: t}
}

// Ready is closed when the registry is loaded and beats are heard.
func (h *Hub) Ready() <-chan struct{} { return h.ready }

// Data returns the hub's connection for data, by which streams can be read; nil before Run has connected.
func (h *Hub) Data() *bus.Conn { return h.data.Load() }

// Run watches until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	if err := h.dial(ctx); err != nil {
		return err
	}
	defer h.close()
	h.pace.shelves.start(h.shelve)
	defer h.pace.wait()
	if err := h.provide(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	loaded := make(chan struct{})
	g.Go(func() error { return h.follow(ctx, sync.OnceFunc(func() { close(loaded) })) })
	g.Go(func() error { return h.followPlugins(ctx) })
	select {
	case <-loaded:
	case <-ctx.Done():
		return g.Wait()
	}
	if err := h.listen(); err != nil {
		g.Go(func() error { return err }) // which ends the others
		return g.Wait()
	}
	close(h.ready)
	g.Go(func() error { return h.followVoice(ctx) })
	g.Go(func() error { return h.speak(ctx) })
	g.Go(func() error { return h.sweep(ctx) })
	g.Go(func() error { return h.keepEvents(ctx) })
	g.Go(func() error { return h.watchLetters(ctx) })
	for range writers {
		g.Go(func() error { return h.write(ctx) })
	}
	err := g.Wait()
	h.pace.wait()
	h.fallSilent() // the next hub need not wait for the voice to lapse
	return err
}

func (h *Hub) dial(ctx context.Context) (err error) {
	o := bus.Options{
		URL: h.o.URL, CredsFile: h.o.Creds, TLS: h.o.TLS, User: bus.Hub, Name: "hub " + h.o.ID + " control", NoEcho: true, Log: h.log, Wait: firstConn,
		OnDisconnect: func(error) { h.cut.Store(true) },
	}
	if h.o.InProcess != nil {
		o.InProcess = h.o.InProcess
	}
	conn, err := bus.Dial(ctx, o)
	if err != nil {
		return err
	}
	h.conn.Store(conn)
	o.Name, o.Data, o.OnDisconnect = "hub "+h.o.ID+" data", true, nil
	data, err := bus.Dial(ctx, o)
	if err != nil {
		conn.Close()
		return err
	}
	h.data.Store(data)
	h.out, err = bus.NewPublisher(data, bus.PublisherOptions{Host: "fleet", Plugin: "hub-" + h.o.ID, Log: h.log, AckTimeout: writeTime})
	if err != nil {
		h.close()
	}
	return err
}

func (h *Hub) close() {
	if h.out != nil {
		h.out.Close()
	}
	h.data.Load().Close()
	h.conn.Load().Close()
}

// provide makes the streams and the buckets, and tries until it can.
func (h *Hub) provide(ctx context.Context) error {
	for {
		err := h.tryProvide(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if !away(err) && (h.o.InProcess != nil || !errors.Is(err, bus.ErrFull)) { // a bus of others may be given more room
			return err
		}
		h.log.Warn("bus is not ready", "error", err)
		if !sleep(ctx, retryEvery) {
			return nil
		}
	}
}

func (h *Hub) tryProvide(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 6*askTime)
	defer cancel()
	if err := h.data.Load().EnsureStreams(ctx, h.o.Streams); err != nil {
		return fmt.Errorf("streams: %w", err)
	}
	if err := h.kv.open(ctx, h.data.Load(), h.o.Streams, h.ttl()); err != nil {
		return err
	}
	if s, ok := h.o.InProcess.(interface{ Sync() error }); ok {
		return s.Sync() // else a power cut right after would lose the buckets whole
	}
	return nil
}

// provideAgain makes what somebody has removed, or the bus has forgotten. One does it at a time.
func (h *Hub) provideAgain(ctx context.Context) error {
	h.providing.Lock()
	defer h.providing.Unlock()
	return h.tryProvide(ctx)
}

// away reports whether err goes away when the bus comes back.
func away(err error) bool {
	return errors.Is(err, bus.ErrDisconnected) || errors.Is(err, bus.ErrTimeout) || errors.Is(err, bus.ErrNoResponders) || errors.Is(err, bus.ErrFewServers)
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// listen hears beats and plugin data of all hosts, and what the hub itself is asked.
func (h *Hub) listen() error {
	h.mu.Lock()
	h.voice.renewed = time.Now() // by whoever has it: we have not looked yet
	h.mu.Unlock()
	conn := h.conn.Load()
	beats, err := bus.Handle(conn, bus.Pattern(bus.AreaBeat, bus.Any, bus.Agent, bus.HTB),
		bus.Rules{Reply: true, MaxBytes: maxBeat, Pending: 1 << 16, PendingBytes: 64 << 20}, decodeBeat, h.hear)
	if err != nil {
		return err
	}
	h.beats.Store(beats)
	plgs, err := bus.Handle(conn, bus.Pattern(bus.AreaBeat, bus.Any, bus.Agent, bus.PLG),
		bus.Rules{MaxBytes: maxBeat, Pending: 1 << 14, PendingBytes: 64 << 20}, decodeData, h.learn)
	if err != nil {
		return err
	}
	h.plgs.Store(plgs)
	_, err = bus.Handle(conn, bus.Pattern(bus.AreaHub, bus.Any), bus.Rules{Reply: true, Parallel: askers, MaxBytes: maxRequest}, decodeRequest, h.asked)
	return err
}

const (
	maxBeat    = 256 << 10
	maxRequest = 64 << 10
	askers     = 16 // requests worked on at a time
)

// counts are what the hub counts, by the names that /metrics gives.
type counts struct {
	mu sync.Mutex
	m  map[string]uint64
}

func (c *counts) add(name string, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]uint64{}
	}
	c.m[name] += n
}

// Status returns how the hub itself is. Counts hold its counters by the names that /metrics gives them.
func (h *Hub) Status() telemetry.HubStatus {
	s := telemetry.HubStatus{ID: h.o.ID, Version: h.o.Version, Listen: h.o.Listen, Begun: h.begun.UnixNano(),
		States: map[string]uint64{}, Counts: map[string]uint64{}}
	select {
	case <-h.ready:
	default:
		s.Waits = append(s.Waits, "registry is being loaded")
	}
	connected := h.connected()
	if !connected {
		s.Waits = append(s.Waits, "bus is not connected")
	}
	h.counted(s.Counts)
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Term, s.Voice, s.Speaker = h.voice.term, h.voice.mine, h.voice.speaker
	for state, n := range h.watch.States() {
		if !connected {
			state = telemetry.HostUnknown
		}
		s.States[state] += n
	}
	maps.Copy(s.Counts, h.watch.Counts())
	if s.Speaker == "" {
		s.Waits = append(s.Waits, "no hub speaks yet")
	}
	if n := h.watch.Warming(); n > 0 {
		s.Waits = append(s.Waits, amount.Of(n, "host of before the restart is", "hosts of before the restart are")+" not heard and not judged yet")
	}
	if blind := h.watch.Blind(h.now()); blind != "" {
		s.Waits = append(s.Waits, "no verdicts are given for now: "+blind)
	}
	s.Ready = len(s.Waits) == 0
	return s
}

// connected reports whether the hub is on the bus.
func (h *Hub) connected() bool {
	conn := h.conn.Load()
	return conn != nil && conn.Connected()
}

// counted adds what is counted elsewhere than in the watch.
func (h *Hub) counted(to map[string]uint64) {
	h.counts.mu.Lock()
	maps.Copy(to, h.counts.m)
	h.counts.mu.Unlock()
	conn := h.conn.Load()
	if conn == nil {
		return
	}
	for rule, n := range conn.BadRequests() {
		to["refused_"+rule] = n
	}
	if beats := h.beats.Load(); beats != nil {
		to["beats_dropped"] = beats.Dropped()
	}
	if plgs := h.plgs.Load(); plgs != nil {
		to["data_dropped"] += plgs.Dropped()
	}
}
