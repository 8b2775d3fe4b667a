package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/host"
	"github.com/pacewire/pacewire/bus"
)

func (a *app) up() *cobra.Command {
	var plain, watch bool
	c := &cobra.Command{
		Use: "up [FILE...]", Short: "Run one machine: bus, agent and plugins",
		Long: "up runs the bus in this process and every plugin of the config as a process of its own.\n" +
			"On a terminal it shows what goes on; Ctrl-C drains and ends, a second one kills.",
		Example: "  pacewire up\n  pacewire up -c my.yaml --plain",
		RunE: func(c *cobra.Command, args []string) error {
			found, err := a.configure(configured{named: args, starter: true, options: lenient}, true)
			if err != nil {
				return err
			}
			return a.serve(c.Context(), found, serveOptions{live: !plain && isTerminal(a.out), watch: watch})
		},
	}
	c.Flags().BoolVar(&plain, "plain", false, "log instead of showing the live status")
	c.Flags().BoolVar(&watch, "watch", false, watchHelp)
	return c
}

func (a *app) agent() *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use: "agent [FILE...]", Short: "Run the plugins of one machine, on the bus of the config",
		Long:    "agent runs every plugin of the config, as up does, and logs instead of showing a status.\nThe config names an external bus, or an embedded one. Without one, --bus is enough: then the points are those of the machine.",
		Example: "  pacewire agent -c /etc/pacewire/pacewire.yaml\n  pacewire agent --bus nats://bus.example:4222",
		RunE: func(c *cobra.Command, args []string) error {
			found, err := a.configure(configured{named: args, options: lenient, withBus: agentConfig}, true)
			if err != nil {
				return err
			}
			return a.serve(c.Context(), found, serveOptions{watch: watch, bare: true})
		},
	}
	c.Flags().BoolVar(&watch, "watch", false, watchHelp)
	return c
}

// agentConfig is what an agent runs where there is no config and --bus says where the points go.
const agentConfig = "collect: { host: {} }\n"

// lenient lets the plugins run whose programs are there: one that is not must not keep the others from their work, nor must a clock
// that is not set yet.
var lenient = config.Options{Lenient: true, ClockUnset: true}

const watchHelp = "read the config again when a file of it changes, as pacewire reload does"

// settled is when a start is over.
const settled = 10 * time.Second

// serve runs the host part, on a bus of its own if the config says so, until ctx ends.
func (a *app) serve(ctx context.Context, c *configured, o serveOptions) error {
	log, screen := a.logger(a.err), (*screen)(nil)
	if o.live {
		screen = newScreen(a.out, a.flags.noColor)
		log = slog.New(screen.logHandler())
	}
	c.overlooked(log)
	for _, w := range c.Warnings {
		log.Warn("config", "says", w.Message, "file", w.File, "line", w.Line, "hint", w.Hint)
	}
	if err := o.check(c, log); err != nil {
		return err
	}
	p, err := takeStation(c.Settings, log)
	if err != nil {
		return err
	}
	defer p.leave()
	id, err := p.identify(c.Settings, log)
	if err != nil {
		return err
	}
	if err := p.settle(ctx, c, id.ID, log); err != nil {
		return err
	}
	if o.live {
		p.Beat = time.Second // somebody is watching
	}
	p.Version = version()
	h, err := a.newHost(p.Options, c, id.ID, log)
	if err != nil {
		return exitWith(exitConfig, err)
	}
	p.host.Store(h)
	if err := p.tell(c, id.ID); err != nil {
		return err
	}
	log.Info("pacewire runs", "version", version(), "host", id.ID, "config", c.from, "bus", p.URL, "plugins", len(c.Plugins))
	time.AfterFunc(settled, debug.FreeOSMemory) // what the start needed should not be held for days
	ctx, stay := untilUpgrade(ctx, h, log)
	defer stay()
	ctx, calm := a.followConfig(ctx, h, c, o.watch, log)
	defer calm()
	defer context.AfterFunc(ctx, func() {
		log.Info("draining; interrupt again to kill")
	})()
	if screen != nil {
		screen.follow(ctx, h, p.Options, c.Settings)
		defer screen.close()
	}
	end, err := a.besides(p, c.Settings, log)
	if err != nil {
		return err
	}
	defer end()
	defer p.sendOn(log)()
	return h.Run(ctx)
}

// serveOptions are how an agent is to be run.
type serveOptions struct {
	live  bool // show what goes on, instead of logging it
	watch bool // read the config again when a file of it changes
	bare  bool // it may have no plugin
}

// check complains about a config without plugins. An agent without one has its pulse, and can be given some.
func (o serveOptions) check(c *configured, log *slog.Logger) error {
	switch {
	case len(c.Plugins) > 0:
	case !o.bare:
		return exitWith(exitConfig, errors.New("the config has no plugin: pacewire init writes one that has"))
	default:
		log.Info("config has no plugin: the agent only beats", "config", c.from)
	}
	return nil
}

// override puts the flags over the config.
func (a *app) override(s *config.Settings) {
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

func (a *app) newHost(o host.Options, c *configured, id string, log *slog.Logger) (*host.Host, error) {
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
	o.Host, o.Settings, o.Log, o.Executable = id, c.Settings, log, exe
	o.Config, o.Files, o.Pieces = c.forHost(), c.files, c.pieces
	o.State, o.Dir, o.InventoryDir = state, filepath.Join(state, "plugins"), filepath.Join(state, "inventory")
	o.Inventory = func(program string) bool { return facts[program] }
	o.Line = pluginLines(log)
	return host.New(o), nil
}
