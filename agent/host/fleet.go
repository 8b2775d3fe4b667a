package host

import (
	"context"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// Fleet is the bus of the hubs, where the plugins have one of this machine: what they make goes on by an uplink, and the agent itself
// beats and is asked there as any other.
type Fleet struct {
	URL    string
	Creds  string
	TLS    bus.TLS
	Uplink func() telemetry.UplinkStatus // how the uplink gets on
}

// dialFleet connects to the hubs. That they cannot be reached now holds up nothing.
func (h *Host) dialFleet(ctx context.Context) (err error) {
	f := h.o.Fleet
	if f == nil {
		h.hubs = h.conn
		return nil
	}
	h.hubs, err = bus.Dial(ctx, bus.Options{URL: f.URL, CredsFile: f.Creds, TLS: f.TLS, User: bus.User(h.o.Host, bus.Agent),
		Name: h.o.Host + "/agent control", NoEcho: true, Log: h.log.With("bus", "fleet"), OnConnect: h.reconnected})
	return err
}

// uplink returns how the uplink gets on; nil: there is none.
func (h *Host) uplink() *telemetry.UplinkStatus {
	if h.o.Fleet == nil || h.o.Fleet.Uplink == nil {
		return nil
	}
	s := h.o.Fleet.Uplink()
	return &s
}

// Happens tells of something that happens to the agent itself, without waiting.
func (h *Host) Happens(v telemetry.Event) { h.announce(v, bus.Agent, "") }

// addUplink adds s as one point.
func addUplink(b *telemetry.Batch, s *telemetry.UplinkStatus) {
	if s == nil {
		return
	}
	b.Add("uplink", telemetry.Fields{
		"connected": s.State == telemetry.UplinkOK, "age_ms": s.AgeMS, "backlog": s.Messages, "backlog_bytes": s.Bytes, "rate": s.Rate,
		"byte_rate": s.ByteRate, "sent": s.Sent, "known": s.Known, "lost_spool": s.Lost, "set_aside": s.SetAside,
	}, telemetry.Tags{"state": s.State})
}
