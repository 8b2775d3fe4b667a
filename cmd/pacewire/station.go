package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/host"
	"github.com/pacewire/pacewire/agent/identity"
	"github.com/pacewire/pacewire/agent/trust"
	"github.com/pacewire/pacewire/agent/uplink"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/internal/process"
)

// A station is what an agent has while it runs: its bus, its run folder, and the certainty that no process survives it.
type station struct {
	host.Options
	host      atomic.Pointer[host.Host]
	operators string // file by which the verbs on this machine reach the bus
	hub       string // file by which the hub does
	uplink    *uplink.Uplink
	undo      []func() // in the order in which things were done
}

// takeStation takes the station of the agent on this machine, before anything is counted or written: an agent that is here
// already keeps it, and does not notice.
func takeStation(s *config.Settings, log *slog.Logger) (*station, error) {
	p := new(station)
	if err := p.claim(s, log); err != nil {
		p.leave()
		return nil, err
	}
	return p, nil
}

// identify says who this machine is to the hubs, and what it is called now. Nobody else is while the station is taken.
func (p *station) identify(s *config.Settings, log *slog.Logger) (id *identity.Identity, err error) {
	if id, p.Name, err = identify(s, log); err != nil {
		return nil, err
	}
	p.undo = append(p.undo, func() { _ = id.Close() })
	p.Gen, p.GenAbove = id.Gen(), above(id, log)
	return id, nil
}

// settle brings the station on the bus, as the agent of host name.
func (p *station) settle(ctx context.Context, c *configured, name string, log *slog.Logger) error {
	users := new(embedded.Users)
	if err := p.openBus(ctx, c.Settings, name, users, log); err != nil {
		return err
	}
	if !c.Bus.Own() {
		p.operators = p.Creds
		return nil
	}
	if err := p.leaveAddress(); err != nil {
		return err
	}
	d, err := newDoor(name, users)
	if err != nil {
		return err
	}
	p.undo = append(p.undo, d.close)
	p.Admit = d.admit
	if p.Creds, p.operators, p.hub, err = d.insiders(); err != nil || c.Bus.Spool == nil {
		return err
	}
	return p.spool(c.Settings, d, name, log)
}

// claim takes the run folder, ends what an earlier agent has left there and nobody wants, and makes sure that nothing is left of
// this one.
func (p *station) claim(s *config.Settings, log *slog.Logger) error {
	id, release, err := claimRun()
	if err != nil {
		return err
	}
	p.undo = append(p.undo, release)
	if p.RunDir, err = runDir(); err != nil {
		return err
	}
	kept := host.KeepDirs(p.RunDir, s)
	done, err := leaveNothing(id, log, kept...)
	if err != nil {
		return err
	}
	p.undo = append(p.undo, done)
	if err := process.ClearKept(host.KeptIn(p.RunDir), kept); err != nil {
		log.Warn("folders of kept processes are left", "error", err)
	}
	p.Trust, err = trust.New(filepath.Join(p.RunDir, "programs"))
	return err
}

// tell leaves word for the verbs on this machine.
func (p *station) tell(c *configured, name string) error {
	gone, err := leaveNote(note{URL: p.URL, Creds: p.operators, TLS: p.TLS, Host: name, PID: os.Getpid(), Embedded: c.Bus.Own(), Fleet: fleetNote(c.Settings), Config: c.whole()})
	if err != nil {
		return err
	}
	p.undo = append(p.undo, gone)
	return nil
}

// leave gives everything back, the last first.
func (p *station) leave() {
	for _, undo := range slices.Backward(p.undo) {
		undo()
	}
}

// openBus starts the embedded bus, or only says where the external one is.
func (p *station) openBus(ctx context.Context, s *config.Settings, name string, users *embedded.Users, log *slog.Logger) error {
	p.Streams = streamsOf(s)
	if !s.Bus.Own() {
		p.URL, p.Creds, p.TLS = busURLs(s), s.Bus.CredsFile, bus.TLS(s.Bus.TLS)
		return nil
	}
	state, err := stateDir()
	if err != nil {
		return err
	}
	store := s.Bus.Store
	if store == "" {
		store = filepath.Join(state, "bus")
	}
	listen := s.Bus.Listen
	if listen == "" {
		listen = lastAddress()
	}
	server, err := embedded.Start(ctx, embedded.Options{
		Dir: store, Listen: listen, ServerName: name, Sync: s.Bus.Sync,
		Users: users, Log: log.With("part", "bus"),
		OnDenied: func(user string) {
			if h := p.host.Load(); h != nil {
				h.Denied(user)
			}
		},
		OnHealth: func(err error) {
			if err != nil {
				log.Error("bus is not well", "error", err)
			}
			if h := p.host.Load(); h != nil {
				h.DiskFull(errors.Is(err, embedded.ErrDiskFull))
			}
		},
	})
	if err != nil {
		return exitWith(exitConfig, err)
	}
	p.undo = append(p.undo, server.Shutdown)
	p.URL, p.InProcess = server.URL(), server
	if p.Streams.Store, err = roomOf(server, storeOf(s), log); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(busGC)
	}
	return nil
}

// busURLs returns the servers of an external bus, as the bus takes them.
func busURLs(s *config.Settings) string { return strings.Join(s.Bus.URLs, ",") }

// streamsOf returns the limits of the streams that the config says.
func streamsOf(s *config.Settings) bus.StreamSettings {
	streams := bus.DefaultStreams()
	if s.Bus.Own() {
		streams = bus.StreamsWithin(storeOf(s))
	} else { // one of this machine has one server, whatever that is which an uplink leads to
		streams.Replicas = s.Bus.Replicas
	}
	if s.Bus.Spool != nil {
		streams.MetricsMaxAge = spoolAge
	}
	if s.Bus.MaxAge > 0 {
		streams.MetricsMaxAge = s.Bus.MaxAge
	}
	return streams
}

// storeOf is what the embedded bus is to hold at most, with all that is in it.
func storeOf(s *config.Settings) int64 { return cmp.Or(s.Bus.MaxStore, bus.DefaultStore) }

// roomOf is what of that the disk has room for.
func roomOf(server *embedded.Server, wish int64, log *slog.Logger) (int64, error) {
	room, err := server.Room(wish)
	if err == nil && room < wish {
		log.Warn("the disk has less room than bus.max_store: new limits are cut to what it has, and what is stored stays: free some of it, set bus.store to another one, or max_store lower",
			"max_store", bytesText(uint64(wish)), "room", bytesText(uint64(room)), "metrics", bytesText(uint64(bus.StreamsWithin(room).MetricsMaxBytes)), "store", server.Dir())
	}
	return room, err
}

// busGC is how much garbage may gather beside what the bus holds, in percent. That is mostly the store's caches, which have
// no pointers: collecting often costs no CPU that could be measured, and saves a third of the memory. A limit of the memory does not: at
// 420 MiB it more than doubled the CPU of the bus at full speed, whose peak was still 606 MB.
const busGC = 25

// lastAddress returns where the embedded bus listens when nobody says: where it did before, because processes that were kept
// or that others have started look for it there; anywhere when somebody else is there by now.
func lastAddress() string {
	const anywhere = "127.0.0.1:0"
	run, err := runDir()
	if err != nil {
		return anywhere
	}
	address, err := os.ReadFile(filepath.Join(run, addressName))
	if err != nil || !free(string(address)) {
		return anywhere
	}
	return string(address)
}

// addressName is the file of the run folder that says where the bus listened last.
const addressName = "bus.address"

// leaveAddress notes for the next agent where the bus listens.
func (p *station) leaveAddress() error {
	u, err := url.Parse(p.URL)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.RunDir, addressName), []byte(u.Host), 0o600)
}

// free reports whether nobody listens at an address.
func free(address string) bool {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	return l.Close() == nil
}
