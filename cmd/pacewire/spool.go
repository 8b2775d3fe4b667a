package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/host"
	"github.com/pacewire/pacewire/agent/uplink"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
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

// dialHubs dials the bus of the hubs: where the agent here has a spool, that is not the bus of its plugins.
func (a *app) dialHubs(ctx context.Context, denied func(error)) (*bus.Conn, error) {
	n, err := readNote()
	if a.flags.bus != "" || err != nil || n.Fleet == nil {
		conn, _, err := a.dial(ctx, denied)
		return conn, err
	}
	conn, err := bus.Dial(ctx, bus.Options{URL: n.Fleet.URL, CredsFile: cmp.Or(a.flags.creds, n.Fleet.Creds), TLS: n.Fleet.TLS,
		User: operator, Name: "pacewire " + operator, Wait: askTime, OnDenied: denied})
	if err != nil {
		return nil, exitWith(exitNoBus, fmt.Errorf("the bus of the fleet: %w: pacewire status tells how the uplink of this machine gets on", err))
	}
	return conn, nil
}

// fleetBeside returns the hubs of the agent that l leads to.
func (a *app) fleetBeside(ctx context.Context, l *link) (f fleet, end func()) {
	if n, err := readNote(); err == nil && n.Fleet != nil && a.flags.bus == "" {
		if f, err := a.fleet(ctx); err == nil {
			return f, f.close
		}
	}
	return fleet{&link{conn: l.conn}}, func() {}
}

// askUplink asks the agent here how its uplink gets on; nil: it has none, or does not answer.
func askUplink(ctx context.Context, l *link, wrong func(string, ...any)) *telemetry.UplinkStatus {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	payload, err := l.request(ctx, "pulse", nil)
	if err != nil {
		return nil
	}
	p, _, err := telemetry.DecodePulseStatus(payload)
	if err != nil || p.Uplink == nil {
		return nil
	}
	if fault := uplinkFault(p.Uplink); fault != "" {
		wrong("%s", fault)
	}
	return p.Uplink
}

// uplinkFault says what is wrong with an uplink; "" is nothing.
func uplinkFault(u *telemetry.UplinkStatus) string {
	waiting := fmt.Sprintf("%s (%s)", amount.Of(u.Messages, "message", "messages"), bytesText(u.Bytes))
	since := (time.Duration(u.AgeMS) * time.Millisecond).Round(time.Second)
	switch u.State {
	case telemetry.UplinkOK:
		if u.Lags {
			return fmt.Sprintf("uplink: what waits here fills %.0f%% of the spool: %s", 100*u.Filled, waiting)
		}
		return ""
	case telemetry.UplinkAway:
		return strings.TrimSuffix(fmt.Sprintf("the bus of the fleet is away for %v, with %s waiting here: %s", since, waiting, printable(u.Reason)), ": ")
	}
	return strings.TrimSuffix(fmt.Sprintf("uplink: %s for %v, with %s waiting here: %s", printable(u.State), since, waiting, printable(u.Reason)), ": ")
}

// uplinkText shows an uplink in two lines of status.
func uplinkText(u *telemetry.UplinkStatus) (state, waits string) {
	state = fmt.Sprintf("%s\tto %s for %v", printable(u.State), printable(u.Bus), (time.Duration(u.AgeMS) * time.Millisecond).Round(time.Second))
	waits = fmt.Sprintf("%s, %s, waiting; %.1f messages/s, %s/s go on, %s first", amount.Of(u.Messages, "message", "messages"), bytesText(u.Bytes), u.Rate, bytesText(uint64(u.ByteRate)), printable(u.Order))
	if u.Lags {
		waits += fmt.Sprintf("; that fills %.0f%% of the spool", 100*u.Filled)
	}
	if u.Lost > 0 {
		waits += fmt.Sprintf("; %d lost by the limits of the spool", u.Lost)
	}
	if u.SetAside > 0 {
		waits += fmt.Sprintf("; %d refused, see the dead letters of %s", u.SetAside, bus.Uplink)
	}
	return state, waits
}

// uplink looks how what is made here goes on.
func (d *doctor) uplink(u *telemetry.UplinkStatus) {
	if u == nil {
		return
	}
	if fault := uplinkFault(u); fault != "" && u.State != telemetry.UplinkOK {
		fix := "pacewire status"
		if u.Cut && u.State == telemetry.UplinkDenied {
			fix = "bus: { creds_file: FILE } in the config, with credentials of the fleet's bus, and start the agent again"
		}
		d.find("uplink", fix, "%s", fault)
	}
	if u.Lags {
		d.find("uplink", "bus: { max_store: 4GiB, max_age: 24h } in the config, and start the agent again",
			"what waits for the bus of the fleet fills %.0f%% of the spool: when that is full the oldest is lost", 100*u.Filled)
	}
	if u.Lost > 0 {
		d.add(finding{Where: "uplink", Fix: "bus: { max_store: 4GiB, max_age: 24h } in the config, and start the agent again",
			Problem: amount.Of(u.Lost, "message was dropped by the limits of the spool before the bus of the fleet had it", "messages were dropped by the limits of the spool before the bus of the fleet had them") +
				lastAt(u.LostAt),
			Note: u.LostAt > 0 && time.Since(time.Unix(0, u.LostAt)) > longAgo})
	}
	d.looked = append(d.looked, "uplink to "+printable(u.Bus))
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
		Central: bus.Options{URL: far.URL, CredsFile: far.Creds, TLS: far.TLS, Compress: s.Bus.Spool.Compress},
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

// spoolAge is how long points are kept for a bus that is away, unless the config says.
const spoolAge = 24 * time.Hour

// uplinkAgain is when an uplink begins anew whose settings are wrong: somebody may mend them.
const uplinkAgain = 10 * time.Second

// sendOn runs the uplink, if there is one, until end is called: that is after the plugins, whose last words it takes along.
func (p *station) sendOn(log *slog.Logger) (end func()) {
	if p.uplink == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			err := p.uplink.Run(ctx)
			if ctx.Err() != nil {
				return
			}
			log.Error("uplink cannot begin: what is made here is kept meanwhile", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(uplinkAgain):
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}
