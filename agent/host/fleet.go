package host

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

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

// wayToHubs is a connection to the hubs.
type wayToHubs struct {
	conn  atomic.Pointer[bus.Conn] // nil: not yet
	there chan struct{}            // closed when there is one
	over  <-chan struct{}          // closed when nobody needs it any more
	end   context.CancelFunc
	work  sync.WaitGroup
}

// fleetAgain is when the bus of the fleet is tried again whose settings are wrong.
const fleetAgain = 10 * time.Second

// reachHubs finds the way to the hubs. Where that is another bus, nothing waits for it: it may be a black hole.
func (h *Host) reachHubs() {
	w := &h.hubs
	w.there = make(chan struct{})
	var ctx context.Context
	ctx, w.end = context.WithCancel(context.Background())
	w.over = ctx.Done()
	if h.o.Fleet == nil {
		w.conn.Store(h.conn)
		close(w.there)
		return
	}
	w.work.Go(func() { h.dialFleet(ctx) })
}

// dialFleet connects to another bus. Dial itself tries for ever but for what is wrong with the settings, which somebody may mend.
func (h *Host) dialFleet(ctx context.Context) {
	f, log := h.o.Fleet, h.log.With("bus", "fleet")
	for {
		conn, err := bus.Dial(ctx, bus.Options{URL: f.URL, CredsFile: f.Creds, TLS: f.TLS, User: bus.User(h.o.Host, bus.Agent),
			Name: h.o.Host + "/agent control", NoEcho: true, Log: log, OnConnect: h.reconnected})
		if err == nil {
			h.hubs.conn.Store(conn)
			close(h.hubs.there)
			return
		}
		log.Error("bus of the fleet cannot be reached", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(fleetAgain):
		}
	}
}

// answerHubs answers what is asked over another bus, as soon as there is a way to it.
func (h *Host) answerHubs() {
	if h.o.Fleet == nil {
		return
	}
	h.hubs.work.Go(func() {
		select {
		case <-h.hubs.there:
		case <-h.hubs.over:
			return
		}
		if err := h.listenTo(h.hubs.conn.Load(), true); err != nil {
			h.log.Error("nothing is answered over the bus of the fleet", "error", err)
		}
	})
}

// toHubs returns the connection to the hubs.
func (h *Host) toHubs() (*bus.Conn, error) {
	if conn := h.hubs.conn.Load(); conn != nil {
		return conn, nil
	}
	return nil, bus.ErrDisconnected
}

// flushHubs waits until what was told to the hubs has left.
func (h *Host) flushHubs(ctx context.Context) error {
	conn, err := h.toHubs()
	if err != nil {
		return err
	}
	return conn.Flush(ctx)
}

// leaveHubs closes the way to the hubs, if it is one of its own.
func (h *Host) leaveHubs() {
	h.hubs.end()
	h.hubs.work.Wait()
	if conn := h.hubs.conn.Load(); conn != nil && conn != h.conn {
		conn.Close()
	}
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
		"connected": s.State == telemetry.UplinkOK, "age_ms": s.AgeMS, "backlog": s.Messages, "backlog_bytes": s.Bytes, "filled": s.Filled, "rate": s.Rate,
		"byte_rate": s.ByteRate, "sent": s.Sent, "known": s.Known, "lost_spool": s.Lost, "set_aside": s.SetAside,
		"foreign_duplicate": s.ForeignDuplicate,
	}, telemetry.Tags{"state": s.State})
}
