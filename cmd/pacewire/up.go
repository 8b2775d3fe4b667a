package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/host"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/embedded"
)

func (a *app) up() *cobra.Command {
	var plain bool
	c := &cobra.Command{
		Use: "up [FILE...]", Short: "Run one machine: bus, agent and plugins",
		Long: "up runs the bus in this process and every plugin of the config as a process of its own.\n" +
			"On a terminal it shows what goes on; Ctrl-C drains and ends, a second one kills.",
		Example: "  pacewire up\n  pacewire up -c my.yaml --plain",
		RunE: func(c *cobra.Command, args []string) error {
			s, from, err := a.load(args, false, true)
			if err != nil {
				return err
			}
			return a.serve(c.Context(), s, from, !plain && isTerminal(a.out))
		},
	}
	c.Flags().BoolVar(&plain, "plain", false, "log instead of showing the live status")
	return c
}

func (a *app) agent() *cobra.Command {
	return &cobra.Command{
		Use: "agent [FILE...]", Short: "Run the plugins of one machine, on the bus of the config",
		Long:    "agent runs every plugin of the config, as up does, and logs instead of showing a status.\nThe config names an external bus, or an embedded one.",
		Example: "  pacewire agent -c /etc/pacewire/pacewire.yaml\n  pacewire agent --bus nats://bus.example:4222",
		RunE: func(c *cobra.Command, args []string) error {
			s, from, err := a.load(args, false, false)
			if err != nil {
				return err
			}
			return a.serve(c.Context(), s, from, false)
		},
	}
}

// busGC is how much garbage may gather beside what the bus holds, in percent. That is mostly the store's caches, which have
// no pointers: collecting often costs no CPU that could be measured, and saves a third of the memory. A limit of the memory does not: at
// 420 MiB it more than doubled the CPU of the bus at full speed, whose peak was still 606 MB.
const busGC = 25

// settled is when a start is over.
const settled = 10 * time.Second

// serve runs the host part, on a bus of its own if the config says so, until ctx ends.
func (a *app) serve(ctx context.Context, s *config.Settings, from string, live bool) error {
	a.override(s)
	log, screen := a.logger(a.err), (*screen)(nil)
	if live {
		screen = newScreen(a.out, a.flags.noColor)
		log = slog.New(screen.logHandler())
	}
	for _, w := range s.Warnings {
		log.Warn("config", "says", w.Message, "file", w.File, "line", w.Line, "hint", w.Hint)
	}
	name, err := hostName(s)
	if err != nil {
		return err
	}
	password := newPassword()
	o, stopBus, err := a.openBus(ctx, s, name, password, log)
	if err != nil {
		return err
	}
	defer stopBus()
	id, release, err := claimRun() // after the store, whose refusal says more
	if err != nil {
		return err
	}
	defer release()
	done, err := leaveNothing(id, log)
	if err != nil {
		return err
	}
	defer done()
	if s.Bus.Embedded {
		if o.Creds, err = leaveCreds(password); err != nil {
			return err
		}
	}
	if live {
		o.Beat = time.Second // somebody is watching
	}
	h, err := a.newHost(o, s, name, log)
	if err != nil {
		return exitWith(exitConfig, err)
	}
	gone, err := leaveNote(note{URL: o.URL, Creds: o.Creds, TLS: o.TLS, Host: name, PID: os.Getpid(), Embedded: s.Bus.Embedded})
	if err != nil {
		return err
	}
	defer gone()
	log.Info("pacewire runs", "version", version(), "host", name, "config", from, "bus", o.URL, "plugins", len(s.Plugins))
	time.AfterFunc(settled, debug.FreeOSMemory) // what the start needed should not be held for days
	ctx, calm := hangUp(ctx, log)
	defer calm()
	defer context.AfterFunc(ctx, func() {
		log.Info("draining; interrupt again to kill")
	})()
	if screen != nil {
		screen.follow(ctx, h, o, s)
		defer screen.close()
	}
	return h.Run(ctx)
}

// hangUp returns a context that ends with a hang-up too, be it of a terminal that was closed. More of them, as terminals send,
// change nothing until calm is called; where they are ignored (nohup) they remain so.
func hangUp(ctx context.Context, log *slog.Logger) (_ context.Context, calm context.CancelFunc) {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, func() {}
	}
	hung, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	told := context.AfterFunc(hung, func() {
		if ctx.Err() == nil {
			log.Warn("hang-up ends the agent: it does not read its config again, start it anew for that")
		}
	})
	return hung, func() { told(); stop() }
}

// override puts the flags over the config.
func (a *app) override(s *config.Settings) {
	if a.flags.bus != "" {
		s.Bus.Embedded, s.Bus.URLs = false, []string{a.flags.bus}
	}
	if a.flags.creds != "" {
		s.Bus.CredsFile = a.flags.creds
	}
	if t := bus.TLSFrom(os.Getenv); t != (bus.TLS{}) {
		s.Bus.TLS = config.TLS(t)
	}
	if a.flags.logFormat == "" {
		a.flags.logFormat = s.Log.Format
	}
	a.logLevel = s.Log.Level
}

// openBus starts the embedded bus, or only says where the external one is.
func (a *app) openBus(ctx context.Context, s *config.Settings, name, password string, log *slog.Logger) (host.Options, func(), error) {
	streams := bus.DefaultStreams()
	if s.Bus.MaxAge > 0 {
		streams.MetricsMaxAge = s.Bus.MaxAge
	}
	if !s.Bus.Embedded {
		return host.Options{URL: strings.Join(s.Bus.URLs, ","), Creds: s.Bus.CredsFile, TLS: bus.TLS(s.Bus.TLS), Streams: streams}, func() {}, nil
	}
	state, err := stateDir()
	if err != nil {
		return host.Options{}, nil, err
	}
	store := s.Bus.Store
	if store == "" {
		store = filepath.Join(state, "bus")
	}
	listen := s.Bus.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	users := new(embedded.Users)
	users.Restore(busUser, password, nil)
	server, err := embedded.Start(ctx, embedded.Options{
		Dir: store, Listen: listen, ServerName: name, Sync: s.Bus.Sync, MaxStore: s.Bus.MaxStore,
		Users: users, Log: log.With("part", "bus"),
		OnHealth: func(err error) {
			if err != nil {
				log.Error("bus is not well", "error", err)
			}
		},
	})
	if err != nil {
		return host.Options{}, nil, exitWith(exitConfig, err)
	}
	streams.Store = server.MaxStore()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(busGC)
	}
	return host.Options{URL: server.URL(), InProcess: server, Streams: streams}, server.Shutdown, nil
}

func (a *app) newHost(o host.Options, s *config.Settings, name string, log *slog.Logger) (*host.Host, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program itself: %w", err)
	}
	state, err := stateDir()
	if err != nil {
		return nil, err
	}
	facts := map[string]bool{}
	for _, d := range programs() {
		facts[d.Program] = facts[d.Program] || d.Inventory
	}
	o.Host, o.Settings, o.Log, o.Executable = name, s, log, exe
	o.Dir = filepath.Join(state, "plugins")
	o.Inventory = func(program string) bool { return facts[program] }
	o.Line = pluginLines(log)
	if len(s.Plugins) == 0 {
		return nil, errors.New("the config has no plugin: pacewire init writes one that has")
	}
	return host.New(o), nil
}
