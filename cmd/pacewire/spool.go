package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/host"
	"github.com/pacewire/pacewire/agent/uplink"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A reach is how a bus is reached.
type reach struct {
	URL   string  `json:"url"`
	Creds string  `json:"creds,omitempty"`
	TLS   bus.TLS `json:"tls,omitzero"`
}

// fleetNote is the bus of the hubs, for the verbs that ask them; nil: it is the agent's.
func fleetNote(s *config.Settings) *reach {
	if s.Bus.Spool == nil {
		return nil
	}
	return &reach{URL: busURLs(s), Creds: s.Bus.CredsFile, TLS: bus.TLS(s.Bus.TLS)}
}

// spool prepares the uplink from the bus of this machine to the one that the config names.
func (p *station) spool(s *config.Settings, d *door, name string, log *slog.Logger) error {
	file, revoke, err := d.let(bus.User(name, bus.Uplink), bus.UplinkRights(name), d.file(bus.Uplink), "")
	if err != nil {
		return err
	}
	p.undo = append(p.undo, revoke)
	state, err := stateDir()
	if err != nil {
		return err
	}
	far := fleetNote(s)
	p.uplink = uplink.New(uplink.Options{
		Host: name, Live: s.Bus.Spool.Order == config.SpoolLive, Window: s.Bus.Spool.Window, Place: filepath.Join(state, "uplink.json"),
		Local:   bus.Options{URL: p.URL, InProcess: p.InProcess, CredsFile: file},
		Central: bus.Options{URL: far.URL, CredsFile: far.Creds, TLS: far.TLS},
		Log:     log.With("part", "uplink"),
		Tell: func(v telemetry.Event) {
			if h := p.host.Load(); h != nil {
				h.Happens(v)
			}
		},
	})
	p.Fleet = &host.Fleet{URL: far.URL, Creds: far.Creds, TLS: far.TLS, Uplink: p.uplink.Status}
	return nil
}

// sendOn runs the uplink, if there is one, until end is called: that is after the plugins, whose last words it takes along.
func (p *station) sendOn(log *slog.Logger) (end func()) {
	if p.uplink == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.uplink.Run(ctx); err != nil && ctx.Err() == nil {
			log.Error("uplink has ended: what is made here is kept, and goes on at the next start of the agent", "error", err)
		}
	})
	return func() { cancel(); wg.Wait() }
}
