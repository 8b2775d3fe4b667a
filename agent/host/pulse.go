package host

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/pulse"
	"github.com/pacewire/pacewire/telemetry"
)

// A heart beats for the agent: to the hub, if there is one. A small bus has none, and an agent never minds what a hub thinks of it.
type heart struct {
	host  *Host
	log   *slog.Logger
	clock pulse.Clock
	wake  chan struct{} // 1: another time may be due
	lists lister

	mu     sync.Mutex
	sender *pulse.Sender
	silent error           // why the last beat has no ACK
	said   map[string]bool // what the log knows of the hub: refused, and the flags of an ACK
	reason string          // of the refusal in the log
	known  bool            // a hub has answered
	steps  uint64          // of the wall clock that the log knows of
	bye    string          // why the agent ends
}

// A lister has the inventory of the host.
type lister interface {
	list() ([]telemetry.InventoryItem, telemetry.Digest)
	changed() <-chan struct{} // gets a value when the list has become another one
}

// byeTime is how long a goodbye waits for its ACK.
const byeTime = 500 * time.Millisecond

// newHeart returns the heart of h, which does not beat yet.
func newHeart(h *Host) *heart {
	t := &heart{host: h, log: h.log, clock: pulse.NewClock(), lists: h.inventory, wake: make(chan struct{}, 1), said: map[string]bool{}}
	t.sender = pulse.New(pulse.Options{
		Host: h.o.Host, Plugin: bus.Agent, Inst: h.inst, Boot: pulse.Boot(), Gen: h.o.Gen, Interval: h.o.Settings.Hub.Interval,
		Least: h.o.Times.Beat, First: time.Second,
	}, t.clock.Now())
	return t
}

// start makes the heart beat until the function returned is called, which says goodbye.
func (t *heart) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var beating sync.WaitGroup
	beating.Go(func() { t.run(ctx) })
	return func() {
		cancel()
		beating.Wait()
		t.beat(context.Background(), t.goodbye())
	}
}

// run beats when it is due, until ctx ends.
func (t *heart) run(ctx context.Context) {
	for {
		due := time.NewTimer(t.wait())
		select {
		case <-ctx.Done():
			return
		case <-t.wake: // look again
		case <-t.lists.changed():
			t.change((*pulse.Sender).Hasten)
		case <-due.C:
			t.beat(ctx, "")
		}
		due.Stop()
	}
}

func (t *heart) wait() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sender.Wait(t.clock.Now())
}

// change changes when the next beat is due.
func (t *heart) change(f func(s *pulse.Sender, now pulse.Instant)) {
	t.mu.Lock()
	f(t.sender, t.clock.Now())
	t.mu.Unlock()
	t.hurry()
}

// hurry makes the heart look at when the next beat is due.
func (t *heart) hurry() {
	select {
	case t.wake <- struct{}{}:
	default: // it is about to
	}
}

// beat beats once, with the reason of a goodbye if it is one, and obeys the answer. A beat that cannot be sent is not sent later.
func (t *heart) beat(ctx context.Context, bye string) {
	b, limit := t.heartbeat(bye)
	body, err := encodeBeat(b)
	if err != nil {
		t.missed(err)
		return
	}
	hubs, err := t.host.toHubs()
	if err != nil {
		t.missed(err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reply, err := hubs.Request(ctx, bus.HeartbeatSubject(t.host.o.Host, bus.Agent, bus.HTB), body)
	if err != nil {
		t.missed(err)
		return
	}
	ack, _, err := telemetry.DecodeAck(reply)
	if err != nil {
		t.missed(err)
		return
	}
	t.answered(ack)
}

// encodeBeat encodes b, without its list of inventory when that is longer than a beat may be: the hub asks for it.
func encodeBeat(b telemetry.Heartbeat) ([]byte, error) {
	body, err := telemetry.EncodeControl(b, telemetry.MsgPack)
	if b.Inventory == nil || err == nil && len(body) <= maxBeat {
		return body, err
	}
	b.Inventory = nil
	return telemetry.EncodeControl(b, telemetry.MsgPack)
}

// heartbeat returns the next beat, and how long its ACK may take.
func (t *heart) heartbeat(bye string) (telemetry.Heartbeat, time.Duration) {
	h := t.host
	s := h.inForce()
	items, digest := t.lists.list()
	b := telemetry.Heartbeat{
		Name: h.o.Name, Owner: s.Owner, ConfigRev: h.revision(), State: running, Bye: bye, Digest: digest, Items: uint64(len(items)),
		Plugins: h.counts(time.Now()), Load: h.loads(),
	}
	if bye != "" || h.until.Err() != nil {
		b.State = draining
	}
	if h.refreshing() {
		b.Flags = append(b.Flags, "refreshing")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	t.sender.Beat(&b, now)
	if n, by := t.sender.Steps(); n > t.steps {
		t.steps = n
		t.log.Warn("wall clock of this machine was set", "by", by.Round(time.Millisecond))
	}
	b.HostUpMS = now.HostUp.Milliseconds()
	if b.Hello {
		b.Manifest = h.manifest()
	}
	if t.sender.Lists(digest) {
		b.Inventory = items
	}
	if bye != "" {
		return b, byeTime
	}
	return b, t.sender.Patience()
}

// missed notes that a beat has no ACK.
func (t *heart) missed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sender.Missed()
	t.complain(err)
}

// complain tells once that no hub answers. That there is none is nothing to talk about, that it is gone is. The caller has the lock.
func (t *heart) complain(err error) {
	t.silent = err
	switch {
	case !t.sender.Unwatched():
	case t.known:
		t.log.Warn("hub does not answer, work goes on without", "error", err)
	case errors.Is(err, bus.ErrNoResponders):
		t.log.Debug("no hub on this bus")
	default:
		t.log.Debug("no hub answers", "error", err)
	}
}

// answered obeys an ACK.
func (t *heart) answered(a telemetry.Ack) {
	if gen, outranked := t.obey(a); outranked {
		t.rise(gen, a.State == telemetry.Accepted)
	}
}

// obey returns the gen that the agent has to go on above, if it has to.
func (t *heart) obey(a telemetry.Ack) (gen uint64, outranked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	back := t.known && t.sender.Missing()
	if err := t.sender.Obey(a, t.clock.Now()); err != nil {
		t.complain(err)
		return 0, false
	}
	t.silent = nil
	t.tell(a, back)
	return t.sender.Outranked()
}

// tell tells what is new of the hub. The caller has the lock.
func (t *heart) tell(a telemetry.Ack, back bool) {
	switch {
	case back:
		t.log.Info("hub answers again", "hub", a.Server)
	case !t.known:
		t.log.Info("hub watches this host", "hub", a.Server)
	}
	t.known = true
	if kind, _, _ := strings.Cut(a.Reason, ":"); a.State == telemetry.Refused && t.reason != kind {
		t.reason = kind
		t.log.Warn("hub refuses this host, which goes on to beat", "hub", a.Server, "reason", shorten(a.Reason, shortReason))
	}
	if a.State == telemetry.Accepted && t.reason != "" {
		t.reason = ""
		t.log.Info("hub accepts this host again", "hub", a.Server)
	}
	if t.turns("conflict", a) {
		t.log.Warn("another agent beats under the id of this host: give one of the two an id of its own", "host", t.host.o.Host, "hub", a.Server)
	}
	if t.turns("maintenance", a) {
		t.log.Info("host is in maintenance: nobody is alerted of it", "hub", a.Server)
	}
}

// turns reports whether an ACK has a flag that the one before had not; the caller has the lock.
func (t *heart) turns(flag string, a telemetry.Ack) bool {
	before := t.said[flag]
	t.said[flag] = flagged(a.Flags, flag)
	return t.said[flag] && !before
}

// rise goes on above gen, which another start of this host had: the state of this one was cloned or restored. One that is refused
// does so from its next start on: a higher gen now would take the place of the one that beats.
func (t *heart) rise(gen uint64, accepted bool) {
	t.mu.Lock()
	first := !t.said["gen"]
	t.said["gen"] = true
	t.mu.Unlock()
	if !first && !accepted {
		return
	}
	higher := gen + 1
	if t.host.o.GenAbove != nil {
		higher = max(higher, t.host.o.GenAbove(gen))
	}
	if first { // two that go on above each other would fill the log
		t.log.Warn("hub knows a later start of this host: its state was cloned or restored", "gen", gen)
	}
	if accepted {
		t.change(func(s *pulse.Sender, now pulse.Instant) { s.Above(higher, now) })
	}
}

// goodbye returns why the agent ends.
func (t *heart) goodbye() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return cmp.Or(t.bye, "shutdown")
}

// Leave tells why the agent is about to end, as its goodbye gives it: upgrade, suspend, maintenance. Without it that is shutdown.
func (h *Host) Leave(reason string) {
	h.heart.mu.Lock()
	defer h.heart.mu.Unlock()
	h.heart.bye = reason
}

// Pulse returns what is known of the agent's own beat, and of the hub that watches it.
func (h *Host) Pulse() telemetry.PulseStatus {
	t := h.heart
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sender.Status(t.clock.Now())
	if s.State == telemetry.PulseAlone && t.silent != nil {
		s.Reason = shorten(t.silent.Error(), shortReason)
	}
	s.Uplink = h.uplink()
	return s
}

// beatNow makes the agent tell the hub all of itself, now: the hub asks for it.
func (h *Host) beatNow(context.Context, telemetry.CtlRequest) (any, error) {
	h.heart.change((*pulse.Sender).GreetAgain)
	return nil, nil
}

// reconnected makes the agent beat soon after the bus was away.
func (h *Host) reconnected() { h.heart.change((*pulse.Sender).Reconnected) }

// resumed reports whether the machine has slept since it was asked last. Then the hub is told at once.
func (h *Host) resumed() bool {
	t := h.heart
	t.mu.Lock()
	slept := t.sender.Resumed(t.clock.Now())
	t.mu.Unlock()
	if slept {
		t.hurry()
	}
	return slept
}
