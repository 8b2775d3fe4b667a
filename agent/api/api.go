package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/agent/recent"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A Fleet is what the API shows and changes: a hub. Its methods are described there.
type Fleet interface {
	Hosts(f hub.Filter, p hub.Page) (list []telemetry.HostStatus, more bool)
	Host(id string) (telemetry.HostStatus, error)
	Plugins(f hub.Filter, p hub.Page) (list []telemetry.PluginStatus, more bool)
	Inventory(ctx context.Context, host string) ([]telemetry.RefreshItem, error)
	Facts(ctx context.Context, host, plugin, typ string) (telemetry.PluginData, error)
	Refresh(hosts []string, mode string) (telemetry.RefreshJob, error)
	Job(id string) (telemetry.RefreshJob, error)
	Forget(ctx context.Context, host string) error
	Silence(ctx context.Context, host string, until time.Time) error
	Ask(ctx context.Context, host, verb string, args map[string]any) (telemetry.CtlReply, error)
	Status() telemetry.HubStatus
}

var _ Fleet = (*hub.Hub)(nil)

// Options say what an API is about.
type Options struct {
	Hub       Fleet
	Conn      func() *bus.Conn // for data: events, taps, points; it returns nil while there is none
	Token     string           // that changes need; "": no change is taken
	TokenFile string           // where it stands, for hints
	Listen    string           // host:port; requests may name this host too
	Host      string           // whose points those are that name no host
	Version   string           // of the program
	Log       *slog.Logger
	Recent    recent.Limits

	// Budget is how many bytes of METRICS are decoded in a second for recent values; 0: 4 MiB. What is above is skipped.
	Budget int

	Times Times
}

// Times are those that only tests change; 0 is the default of each.
type Times struct {
	KeepAlive time.Duration // between two comments on a stream: 15 s
	Operate   time.Duration // how long an agent may work on an operation: 90 s
	Ask       time.Duration // how long an agent may take to tell something: 5 s
	Store     time.Duration // how long the bus may take to store points: 10 s
	Connect   time.Duration // between two looks for a bus: 1 s
	Header    time.Duration // how long a client may take to send the header of a request: 5 s
}

// A Server answers HTTP.
type Server struct {
	o      Options
	log    *slog.Logger
	begun  time.Time
	mux    *http.ServeMux
	routes []route
	names  map[string]bool // that a Host header may have
	cross  http.CrossOriginProtection

	tokens   tokens
	counts   counts
	jobs     jobs
	store    *recent.Store
	read     sampled // of METRICS, for the store
	taps     *budget // of METRICS, for all taps
	events   *budget // of EVENTS, for all who read them
	out      outlet
	drawn    cache[Graph] // of the fleet
	backlogs cache[map[durable]uint64]

	busy    chan struct{} // most requests at a time
	heavy   chan struct{} // most of those that take much work
	streams chan struct{} // most streams at a time
	working chan struct{} // most operations at a time
	closing chan struct{} // closed when the server ends
	once    sync.Once
	audit   auditor
	open    atomic.Int64 // connections
}

// Limits of a server.
const (
	mostRequests   = 256 // besides streams
	mostStreams    = 64
	mostOperations = 64
	mostConns      = 512
	reserveConns   = 32       // of these, for /-/healthy and /-/ready
	mostHeader     = 16 << 10 // bytes
	mostBody       = 1 << 20  // bytes
)

// New prepares an API.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Conn == nil {
		o.Conn = func() *bus.Conn { return nil }
	}
	if o.Budget <= 0 {
		o.Budget = 4 << 20
	}
	o.Times = o.Times.orDefault()
	s := &Server{
		o: o, log: o.Log, begun: time.Now(), names: hostNames(o.Listen), store: recent.New(o.Recent),
		busy: make(chan struct{}, mostRequests), heavy: make(chan struct{}, mostHeavy), streams: make(chan struct{}, mostStreams),
		drawn: newCache[Graph](), backlogs: newCache[map[durable]uint64](),
		working: make(chan struct{}, mostOperations), closing: make(chan struct{}),
	}
	s.taps, s.events = newBudget(tapsBudget), newBudget(eventBudget)
	s.read.own, s.read.lasts = newBudget(o.Budget), true
	s.tokens.want = hashOf(o.Token)
	s.routes = s.table()
	s.mux = http.NewServeMux()
	for i := range s.routes {
		s.mux.Handle(s.routes[i].pattern(), routed{s, &s.routes[i]})
	}
	return s
}

func (t Times) orDefault() Times {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&t.KeepAlive, 15*time.Second)
	set(&t.Operate, 90*time.Second)
	set(&t.Ask, 5*time.Second)
	set(&t.Store, 10*time.Second)
	set(&t.Connect, time.Second)
	set(&t.Header, 5*time.Second)
	return t
}

// Handler returns what answers requests. Recent values come only while Run runs.
func (s *Server) Handler() http.Handler { return s }

// Recent returns the store that Run fills.
func (s *Server) Recent() *recent.Store { return s.store }

// Times of a connection. Handlers that take longer say so themselves.
const (
	readTime  = 15 * time.Second
	writeTime = 30 * time.Second
	idleTime  = time.Minute
	endTime   = 5 * time.Second
)

// Run serves on l, and keeps recent values, until ctx ends.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	if err := CheckListen(l.Addr().String()); err != nil { // a name may have led elsewhere
		_ = l.Close() // of no more use
		return err
	}
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: s.o.Times.Header, ReadTimeout: readTime, IdleTimeout: idleTime,
		MaxHeaderBytes: 4 * mostHeader, // what is between has a problem for an answer
		ConnContext:    connContext,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := srv.Serve(s.bounded(l)); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve http on %s: %w", l.Addr(), err)
		}
		return nil
	})
	g.Go(func() error { s.readMetrics(ctx); return nil })
	g.Go(func() error {
		<-ctx.Done()
		s.close()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		if err := srv.Shutdown(ending); err != nil {
			_ = srv.Close() // who still waits is cut off
		}
		s.jobs.wait.Wait()
		s.out.close()
		return nil
	})
	return g.Wait()
}

// close ends streams and operations; no further one begins.
func (s *Server) close() {
	s.once.Do(func() {
		s.jobs.close()
		close(s.closing)
	})
}

// whileServing returns a context that ends with ctx, after a time, or when the server ends.
func (s *Server) whileServing(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	go func() {
		select {
		case <-ctx.Done():
		case <-s.closing:
			cancel()
		}
	}()
	return ctx, cancel
}
