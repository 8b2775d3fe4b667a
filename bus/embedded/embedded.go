// Package embedded runs a NATS server inside this process.
package embedded

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options say where the server keeps its data and where it listens.
type Options struct {
	// Dir is the store; it is made if missing and locked while the server runs.
	Dir string

	// Listen is host:port; port 0 takes a free one. Empty means 127.0.0.1:4222.
	// Any other than a loopback address needs Users and TLS.
	Listen string

	// ServerName is shown to clients; empty means the machine's name.
	ServerName string

	// Sync is "always" (or empty): what is acknowledged is on disk; or a duration:
	// what was acknowledged in that time may be lost in a power cut.
	Sync string

	// MaxStore is what the server takes at most, in bytes, and what it lets streams
	// promise. Where they promise more than that by now, it refuses to make them
	// smaller too; 0 leaves it to who makes the streams to keep within Room.
	MaxStore int64

	// Users are who may connect, from this process too; nil asks nobody for a
	// password and allows everything.
	Users *Users

	// TLS is what the listener speaks; nil means plain text.
	TLS *tls.Config

	// Log receives what the server has to say; nil discards.
	Log *slog.Logger

	// OnDenied is told who has tried to use a subject without the right to. It
	// must not block.
	OnDenied func(user string)

	// OnHealth is told of each change of Health; it must not block.
	OnHealth func(error)

	// HealthEvery is how often the server is examined; 0 means 5 s. A write that
	// fails has it examined at once.
	HealthEvery time.Duration
}

const (
	defaultListen = "127.0.0.1:4222"
	defaultHealth = 5 * time.Second
	readyWait     = 10 * time.Second
	freeShare     = 0.7
	leastRoom     = 8 << 20 // a server whose disk is full starts all the same, and gives what it has
	maxMemory     = 64 << 20
	noLimit       = 1 << 50
)

// Server is a running server. It restarts itself on the same address when its
// disk was full and has room again.
type Server struct {
	opts Options
	log  *slog.Logger
	addr string // host:port, fixed at the first start
	lock *os.File

	stop chan struct{}
	done chan struct{}
	look chan struct{} // 1: the server should be examined now
	once sync.Once

	mu     sync.Mutex
	run    *server.Server
	health error
}

// Start starts a server and returns when it takes connections. It fails at once,
// and says what to do, when the store is in use or not writable, or the address
// is taken.
func Start(ctx context.Context, o Options) (*Server, error) {
	s, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("embedded bus: %w", err)
	}
	return s, nil
}

func start(ctx context.Context, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Listen == "" {
		o.Listen = defaultListen
	}
	if o.HealthEvery <= 0 {
		o.HealthEvery = defaultHealth
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	lock, err := lockStore(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts: o, log: o.Log, addr: o.Listen, lock: lock,
		stop: make(chan struct{}), done: make(chan struct{}), look: make(chan struct{}, 1),
	}
	if err := s.launch(ctx); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	go s.watch()
	return s, nil
}

func (o *Options) check() error {
	if o.Dir == "" {
		return errors.New("no store directory: set bus.store")
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("listen %q: want host:port", o.Listen)
	}
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	if !local && (o.Users == nil || o.TLS == nil) {
		return fmt.Errorf("listen %q is open to other machines: without users and TLS only 127.0.0.1 and the like can be listened on", o.Listen)
	}
	if _, err := o.syncInterval(); err != nil {
		return err
	}
	return nil
}

// syncInterval is 0 for always.
func (o *Options) syncInterval() (time.Duration, error) {
	if o.Sync == "" || o.Sync == "always" {
		return 0, nil
	}
	d, err := time.ParseDuration(o.Sync)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf(`sync %q: want "always" or a duration like "1s"`, o.Sync)
	}
	return d, nil
}

// denied returns what is done when a connection of run may not do what it tries.
func (s *Server) denied(run *server.Server) func(connection uint64) {
	users, tell := s.opts.Users, s.opts.OnDenied
	if users == nil || tell == nil {
		return func(uint64) {}
	}
	return func(id uint64) {
		if user, ok := users.of(link{run, id}); ok {
			tell(user)
		}
	}
}

// launch starts a server on s.addr and waits until it is ready.
func (s *Server) launch(ctx context.Context) error {
	config, err := s.config()
	if err != nil {
		return err
	}
	door := &doorman{users: s.opts.Users, log: s.log}
	if door.users != nil {
		config.CustomClientAuthentication = door
	}
	run, err := server.NewServer(config)
	if err != nil {
		return fmt.Errorf("server settings: %w", err)
	}
	door.server = run
	log := newLogger(s.log, s.denied(run), s.lookNow)
	run.SetLoggerV2(log, false, false, false)
	if err := s.await(ctx, run, log.fatal); err != nil {
		run.Shutdown()
		run.WaitForShutdown()
		return err
	}
	s.mu.Lock()
	s.run = run
	s.addr = run.Addr().String()
	s.mu.Unlock()
	return nil
}

// await starts run and ends with its readiness or its first fatal message, which
// the server only logs: it would go on and wait for a port that it never gets.
func (s *Server) await(ctx context.Context, run *server.Server, fatal <-chan string) error {
	ready := make(chan bool, 1) // 1: nobody may be left to take it
	go func() {
		run.Start()
		ready <- run.ReadyForConnections(readyWait)
	}()
	select {
	case text := <-fatal:
		return s.explain(text)
	case <-ctx.Done():
		return fmt.Errorf("start server: %w", ctx.Err())
	case <-s.stop:
		return errors.New("start server: it was shut down meanwhile")
	case ok := <-ready:
		if !ok {
			return fmt.Errorf("server is not ready after %v", readyWait)
		}
		return nil
	}
}

func (s *Server) config() (*server.Options, error) {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return nil, fmt.Errorf("listen %q: want host:port", s.addr)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("listen %q: port: %w", s.addr, err)
	}
	if number == 0 {
		number = server.RANDOM_PORT
	}
	sync, err := s.opts.syncInterval()
	if err != nil {
		return nil, err
	}
	o := &server.Options{
		ServerName: s.opts.ServerName,
		Host:       host, Port: number,
		NoSigs: true, DisableJetStreamBanner: true,
		JetStream: true, StoreDir: s.opts.Dir,
		JetStreamMaxMemory: maxMemory, JetStreamMaxStore: cmp.Or(s.opts.MaxStore, noLimit),
		SyncAlways: sync == 0, SyncInterval: sync,
		MaxPayload: 1 << 20, MaxPending: 64 << 20, WriteDeadline: 10 * time.Second,
		AuthTimeout:  10, // seconds: who starts many plugins at once keeps the first ones waiting for longer than the usual 2
		PingInterval: 20 * time.Second, MaxPingsOut: 3, LameDuckDuration: 10 * time.Second, LameDuckGracePeriod: 2 * time.Second,
	}
	if s.opts.TLS != nil {
		o.TLSConfig, o.TLSTimeout = s.opts.TLS, 5
	}
	return o, nil
}

// URL is where clients connect.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "nats://" + s.addr
}

// InProcessConn is a connection without a socket, for bus.Options.InProcess.
func (s *Server) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	run := s.run
	s.mu.Unlock()
	return run.InProcessConn()
}

// Dir is the store.
func (s *Server) Dir() string { return s.opts.Dir }

// Shutdown ends the server, which makes its store complete on disk, and unlocks
// the store.
func (s *Server) Shutdown() {
	s.once.Do(func() {
		close(s.stop)
		<-s.done
		s.halt()
		if err := s.lock.Close(); err != nil {
			s.log.Warn("unlock store", "err", err)
		}
	})
}

func (s *Server) halt() {
	s.mu.Lock()
	run := s.run
	s.mu.Unlock()
	run.Shutdown()
	run.WaitForShutdown()
}

// Room is what streams may hold together, in bytes: the wish, within 70 % of the
// disk that is free or already theirs.
func (s *Server) Room(wish int64) (int64, error) {
	free, err := freeBytes(s.opts.Dir)
	if err != nil {
		return 0, fmt.Errorf("store %s: ask for free space: %w", s.opts.Dir, err)
	}
	has := int64(freeShare * float64(free+heldBytes(s.opts.Dir)))
	return min(wish, max(has, leastRoom)), nil
}

// heldBytes is what files below dir hold; what vanishes meanwhile does not count.
func heldBytes(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
