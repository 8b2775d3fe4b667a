package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/agent/api"
	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
)

func (a *app) hub() *cobra.Command {
	return &cobra.Command{
		Use: "hub [FILE...]", Short: "Watch the fleet: who is alive, what it consists of, what happens to it",
		Long: "hub listens to the agents of all machines on the bus of the config, and serves the HTTP API. With --bus it needs no config.\n" +
			"Several of them may run: one speaks, the others take over within 15 s. Where the bus is pacewire up's own, so is a hub.",
		Example: "  pacewire hub -c /etc/pacewire/pacewire.yaml\n  pacewire hub --bus nats://bus.example:4222",
		RunE: func(c *cobra.Command, args []string) error {
			found, err := a.configure(configured{named: args, options: lenient, withBus: "{}"}, true)
			if err != nil {
				return err
			}
			log := a.logger(a.err)
			if found.Bus.Embedded {
				return exitWith(exitConfig, errEmbeddedHub)
			}
			o := hub.Options{URL: busURLs(found.Settings), Creds: found.Bus.CredsFile, TLS: bus.TLS(found.Bus.TLS), Streams: streamsOf(found.Settings)}
			l, err := listenWeb(found.Web, log)
			if err != nil {
				return err
			}
			return a.serveHub(c.Context(), found.Settings, o, l, log)
		},
	}
}

// serveHub runs a hub, and its API on l, until ctx ends; nil: it has none.
func (a *app) serveHub(ctx context.Context, s *config.Settings, o hub.Options, l net.Listener, log *slog.Logger) error {
	o.Version, o.Rules, o.Most, o.Interval, o.Log = version(), rulesOf(s.Hub), float64(s.Hub.MaxBeats), s.Hub.Interval, log.With("part", "hub")
	name, err := hostName(s)
	if err != nil {
		return err
	}
	o.Host = name
	if l == nil {
		return hub.New(o).Run(ctx)
	}
	defer l.Close()
	token, err := leaveToken(l.Addr())
	if err != nil {
		return err
	}
	defer token.remove()
	o.Listen = l.Addr().String()
	h := hub.New(o)
	server := api.New(api.Options{Hub: h, Conn: h.Data, Token: token.text, TokenFile: token.file, Listen: o.Listen, Host: name, Version: version(), Log: log.With("part", "api")})
	log.Info("api listens", "address", "http://"+o.Listen)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.Run(ctx) })
	g.Go(func() error { return server.Run(ctx, l) })
	return g.Wait()
}

// listenWeb opens the address of the API; nil when it is to have none. The usual one may be another agent's: then any will do.
func listenWeb(w config.Web, log *slog.Logger) (net.Listener, error) {
	address := w.Listen
	if w.Off {
		return nil, nil
	}
	if err := api.CheckListen(address); err != nil {
		return nil, exitWith(exitConfig, err)
	}
	l, err := net.Listen("tcp", address)
	if err == nil || address != config.WebListen {
		if err != nil {
			err = exitWith(exitConfig, fmt.Errorf("web.listen: %w: set another address, or web: off", err))
		}
		return l, err
	}
	log.Warn("address of the api is in use, another one is taken", "address", address, "hint", "web: { listen: 127.0.0.1:PORT }")
	return net.Listen("tcp", "127.0.0.1:0")
}

// besides runs the hub of an agent whose bus is its own, until end is called. Whatever becomes of it, the plugins go on.
func (a *app) besides(p *station, s *config.Settings, log *slog.Logger) (end func(), err error) {
	if !s.Bus.Embedded {
		if !s.Web.Off && s.Web.Listen != config.WebListen {
			log.Warn("web.listen has no effect here: the API is the hub's, and this bus is not of this process", "hint", "pacewire hub")
		}
		return func() {}, nil
	}
	l, err := listenWeb(s.Web, log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { a.keepHub(ctx, p, s, l, log) })
	return func() { cancel(); wg.Wait() }, nil
}

// keepHub runs a hub, and another one when it fails.
func (a *app) keepHub(ctx context.Context, p *station, s *config.Settings, l net.Listener, log *slog.Logger) {
	o := hub.Options{URL: p.URL, Creds: p.hub, Streams: p.Streams, InProcess: p.InProcess}
	for {
		err := a.serveHub(ctx, s, o, l, log)
		if ctx.Err() != nil {
			return
		}
		log.Error("hub has ended and is started again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(hubAgain):
		}
		if l, err = listenWeb(s.Web, log); err != nil {
			log.Error("hub runs without api", "error", err)
		}
	}
}

// hubAgain is when a hub that has failed is started again.
const hubAgain = 5 * time.Second

// errEmbeddedHub is why a hub does not run alone on an embedded bus.
var errEmbeddedHub = errors.New("bus: embedded is the bus of one agent, whose own hub watches it: run pacewire up, or name an external bus by --bus")

// rulesOf returns the limits that the config says.
func rulesOf(c config.Hub) liveness.Rules {
	r := liveness.DefaultRules()
	set := func(to *time.Duration, d time.Duration) {
		switch {
		case d == config.None:
			*to = 0
		case d > 0:
			*to = d
		}
	}
	set(&r.Spread, c.Spread)
	set(&r.WarmUp, c.WarmUp)
	set(&r.ForgetDown, c.Forget)
	set(&r.ForgetLeft, c.ForgetLeft)
	if c.Overdue > 0 {
		r.Overdue = c.Overdue
	}
	if c.Down > 0 {
		r.Down = c.Down
	}
	if c.MaxHosts > 0 {
		r.Most = c.MaxHosts
	}
	return r
}
