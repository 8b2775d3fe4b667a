// Package uplink sends what the bus of this machine has stored on to the bus of the fleet.
package uplink

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// Options say from where to where, and how.
type Options struct {
	Host    string
	Local   bus.Options // the bus of this machine: its address, and the credentials of an uplink, see bus.UplinkRights
	Central bus.Options // the bus of the fleet: its address, and the credentials of the agent, see bus.SpoolRights

	Live   bool   // what is new after an outage goes at once, and what has waited beside it; else what waits longest goes first
	Window int64  // bytes that are on the way at a time; 0: 8 MiB
	Place  string // file that tells the next start what may have been on the way; "": none

	Tell  func(telemetry.Event) // is told what happens, and must not block; nil: nobody
	Log   *slog.Logger
	Times Times
}

// Times bound what an uplink waits for; 0 is the default of each.
type Times struct {
	Look  time.Duration // between two looks at what waits: 2 s
	Away  time.Duration // that a link is away before somebody is told: 5 s
	Ping  time.Duration // between two questions whether the bus of the fleet is there: 3 s
	Deny  time.Duration // that a subject may be refused while others are not, and somebody mend it, before its messages are set aside: 1 min
	Stuck time.Duration // without an answer to a message, after which it is asked for: 1 min, half of what the stream remembers ids
	Drain time.Duration // for what waits, when the uplink is to end: 3 s
}

func (t Times) orDefaults() Times {
	return Times{
		Look: cmp.Or(t.Look, 2*time.Second), Away: cmp.Or(t.Away, 5*time.Second), Ping: cmp.Or(t.Ping, 3*time.Second),
		Deny: cmp.Or(t.Deny, time.Minute), Stuck: cmp.Or(t.Stuck, time.Minute), Drain: cmp.Or(t.Drain, 3*time.Second),
	}
}

const (
	defaultWindow = 8 << 20
	leastWindow   = 1 << 20 // a message may be as large
	mostMessages  = 1024    // on the way at a time
)

// An Uplink carries the streams of a machine. A stream is read in order, by consumers that only it has; what the bus of the fleet has
// stored is settled here in the same order, so that a consumer's place says what is over there.
type Uplink struct {
	o        Options
	log      *slog.Logger
	local    *bus.Conn
	central  *bus.Conn
	backlog  *bus.Conn     // to the same, for what waits while what is new goes by central; nil: order is oldest
	dialled  chan struct{} // closed when both are there
	link     gate
	places   *places
	carriers []*carrier
	watch    watch
	letters  *bus.Publisher // of what is set aside
	seed     maphash.Seed
}

// New prepares an uplink. Run carries.
func New(o Options) *Uplink {
	o.Times = o.Times.orDefaults()
	o.Window = max(cmp.Or(o.Window, defaultWindow), leastWindow)
	if o.Tell == nil {
		o.Tell = func(telemetry.Event) {}
	}
	u := &Uplink{o: o, log: o.Log, places: newPlaces(o.Place, bus.Redact(o.Central.URL)), seed: maphash.MakeSeed(), dialled: make(chan struct{})}
	u.link.init()
	h := bus.Name(o.Host)
	u.carriers = []*carrier{
		newCarrier(u, bus.StreamMetrics, nil, bus.Pattern(bus.AreaMetrics, h, ">")),
		newCarrier(u, bus.StreamEvents, nil, bus.Pattern(bus.AreaEvents, h, ">")),
		newCarrier(u, bus.StreamDead, []string{bus.Pattern(bus.AreaDead, bus.Any)}, ""),
	}
	u.watch.init(u)
	return u
}

// Run carries until ctx ends, and then for a moment what still waits. That the bus of the fleet is away is no error.
func (u *Uplink) Run(ctx context.Context) error {
	if err := u.dial(ctx); err != nil {
		return err
	}
	defer u.hangUp()
	if err := u.places.load(); err != nil {
		u.log.Warn("place of the uplink not read: it asks the bus of the fleet for all it has", "error", err)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g, life := errgroup.WithContext(life)
	for _, c := range u.carriers {
		g.Go(func() error { c.run(life); return nil })
	}
	g.Go(func() error { u.watch.run(life); return nil })
	select {
	case <-ctx.Done():
		u.drain(life)
	case <-life.Done():
	}
	end()
	return g.Wait()
}

func (u *Uplink) dial(ctx context.Context) (err error) {
	local := u.o.Local
	local.User, local.Name, local.Data, local.Log = bus.User(u.o.Host, bus.Uplink), u.o.Host+"/agent uplink", true, u.log
	if u.local, err = bus.Dial(ctx, local); err != nil {
		return fmt.Errorf("uplink: bus of this machine: %w", err)
	}
	u.letters, err = bus.NewPublisher(u.local, bus.PublisherOptions{Host: u.o.Host, Plugin: bus.Uplink, Log: u.log})
	if err != nil {
		u.local.Close()
		return fmt.Errorf("uplink: %w", err)
	}
	central := u.o.Central
	central.User, central.Name, central.Data, central.Log = bus.User(u.o.Host, bus.Agent), u.o.Host+"/agent uplink", true, u.log
	central.Ping, central.OnConnect, central.OnDisconnect = u.o.Times.Ping, u.link.open, u.link.shut
	u.central, err = bus.Dial(ctx, central)
	if err == nil && u.o.Live {
		central.OnConnect, central.OnDisconnect, central.Name = nil, nil, u.o.Host+"/agent uplink backlog"
		u.backlog, err = bus.Dial(ctx, central)
	}
	if err != nil {
		u.hangUp()
		return fmt.Errorf("uplink: bus of the fleet: %w", err)
	}
	close(u.dialled)
	return nil
}

// hangUp closes what dial has opened.
func (u *Uplink) hangUp() {
	u.letters.Close()
	for _, conn := range []*bus.Conn{u.local, u.central, u.backlog} {
		if conn != nil {
			conn.Close()
		}
	}
}

// drain waits until nothing waits any more, but not for long.
func (u *Uplink) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, u.o.Times.Drain)
	defer cancel()
	for u.link.isUp() && u.watch.look(ctx) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(drainPoll):
		}
	}
}

const drainPoll = 50 * time.Millisecond

// Status returns how the uplink gets on.
func (u *Uplink) Status() telemetry.UplinkStatus { return u.watch.status(time.Now()) }
