package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// seen is what heartbeats tell of the work, and what acks have told of it.
type seen struct {
	state      string
	hung       bool
	failing    bool
	standby    bool   // another process of the plugin reads
	alone      bool   // it cannot work beside the process that works now
	refreshing int    // surveys that were asked for and are under way
	bye        string // why it ends
	rev        uint64 // config in force
	offered    uint64 // config that was offered last
	declined   bool   // it could not be used
}

// beatLoop beats until ctx ends, when something has changed at once. A refusal ends the life.
func (l *life) beatLoop(ctx context.Context, stop context.CancelCauseFunc) error {
	var rest rester
	for {
		if l.works() {
			rest.look(&l.count, time.Now())
		}
		if err := l.beat(ctx, ""); errors.Is(err, ErrRefused) {
			stop(err)
			return err
		}
		if !l.awaitBeat(ctx) {
			return nil
		}
	}
}

// awaitBeat returns when the next heartbeat is due; it reports whether that was before the end of ctx.
func (l *life) awaitBeat(ctx context.Context) bool {
	for {
		t := time.NewTimer(l.untilNext())
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-l.beatNow:
			t.Stop()
			return true
		case <-t.C:
			return true
		case <-l.back: // it may be due sooner
			t.Stop()
		}
	}
}

func (l *life) untilNext() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sender.Wait(l.clock.Now())
}

// connected returns what is to be done after each connect: the first time a heartbeat is due, later not by all at once.
func (l *life) connected() func() {
	again := false
	return func() {
		if !again {
			again = true
			nudge(l.beatNow)
			return
		}
		l.mu.Lock()
		l.sender.Reconnected(l.clock.Now())
		l.mu.Unlock()
		nudge(l.back)
	}
}

// beat sends one heartbeat and obeys the ack. One that cannot be sent is not sent later: the next one is fresh.
func (l *life) beat(ctx context.Context, bye string) error {
	h, limit := l.heartbeat(bye)
	body, err := telemetry.EncodeControl(h, telemetry.MsgPack)
	if err != nil {
		l.log.Error("heartbeat cannot be encoded", "error", err)
		l.unanswered(err)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reply, err := l.control.Request(ctx, bus.HeartbeatSubject(l.o.Host, l.o.Process, bus.HTB), body)
	if err != nil {
		l.unanswered(err)
		return err
	}
	ack, _, err := telemetry.DecodeAck(reply)
	if err != nil {
		l.count.fail("ack", err)
		l.unanswered(err)
		return err
	}
	return l.obey(ack)
}

// heartbeat returns the next one, and how long its ack may take.
func (l *life) heartbeat(bye string) (telemetry.Heartbeat, time.Duration) {
	items, digest := l.inventory.short()
	stats := l.stats()
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &l.seen
	h := telemetry.Heartbeat{
		Bye: bye, ConfigRev: v.rev, State: v.state, Error: stats.LastError, Stats: stats, Digest: digest, Items: uint64(len(items)),
		Flags: l.flags(),
	}
	stats.LastError = nil // it is in the heartbeat already
	l.sender.Beat(&h, l.clock.Now())
	if h.Hello {
		h.Manifest = l.def.Manifest()
	}
	if l.sender.Lists(digest) {
		h.Inventory = items
	}
	if bye != "" {
		return h, byeTime
	}
	return h, l.sender.Patience()
}

// stats returns what is counted, what waits for the bus now, and what was sent to it again.
func (l *life) stats() *telemetry.Stats {
	s := l.count.stats()
	n, bytes := l.queue.state()
	out := l.link.out.Stats()
	s.Queue, s.QueueBytes = uint64(n+out.InFlight), uint64(bytes+out.InFlightBytes)
	s.Resent, s.LateResent = out.Resent, out.LateResent
	return s
}

// flags returns those of a heartbeat. The caller has the lock.
func (l *life) flags() (flags []string) {
	v := &l.seen
	if v.hung {
		flags = append(flags, "hung")
	}
	if v.failing {
		flags = append(flags, "failing")
	}
	flags = append(flags, l.alarms.names(time.Now())...)
	if v.refreshing > 0 {
		flags = append(flags, "refreshing")
	}
	if v.standby {
		flags = append(flags, telemetry.FlagStandby)
	}
	if v.alone || l.gate.closed() && l.def.Kind == Collector { // two would collect twice
		flags = append(flags, telemetry.FlagExclusive)
	}
	return flags
}

// unanswered notes that no ack came.
func (l *life) unanswered(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sender.Missed()
	l.complain(err)
}

// complain tells once that nobody answers. The caller has the lock.
func (l *life) complain(err error) {
	switch {
	case !l.sender.Unwatched():
	case l.seen.offered > 0 || l.seen.rev > 0:
		l.log.Warn("agent does not answer, work goes on with the last config", "error", err)
	default:
		l.log.Warn("no agent answers, nothing can be done before one does", "host", l.o.Host, "error", err)
	}
}

// take takes the ack of the last heartbeat. Who has lost the say is not obeyed any more.
func (l *life) take(ack telemetry.Ack) (fresh bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	away := l.sender.Missing()
	if err := l.sender.Obey(ack, l.clock.Now()); err != nil {
		l.complain(err)
		return false, err
	}
	if ack.State == telemetry.Refused {
		return false, fmt.Errorf("%w: %s", ErrRefused, ack.Reason)
	}
	if away {
		l.log.Info("agent answers again")
	}
	v := &l.seen
	fresh = ack.Work != nil && ack.ConfigRev != v.offered
	switch {
	case fresh:
		v.offered, v.declined = ack.ConfigRev, false
	case v.declined && ack.ConfigRev == v.rev: // the agent has given it up: it may offer it again
		v.offered = 0
	}
	return fresh, nil
}

// obey does what ack wants.
func (l *life) obey(ack telemetry.Ack) error {
	fresh, err := l.take(ack)
	if err != nil {
		return err
	}
	if !slices.Contains(ack.Flags, telemetry.FlagHold) {
		l.gate.open()
	}
	if fresh {
		l.offer(offer{ack.ConfigRev, *ack.Work})
	}
	return nil
}

// offer leaves o for work; one that was not taken yet is replaced.
func (l *life) offer(o offer) {
	select {
	case <-l.offers:
	default:
	}
	l.offers <- o
}

// greetAgain makes the next heartbeat, which leaves at once, a hello.
func (l *life) greetAgain() {
	l.mu.Lock()
	l.sender.GreetAgain(l.clock.Now())
	l.mu.Unlock()
	nudge(l.beatNow)
}

// leaves notes why the agent wants an end of it. What is no reason of a goodbye is shutdown.
func (l *life) leaves(reason string) {
	switch reason {
	case byeUpgrade, byeMaintenance, byeSuspend:
	default:
		reason = byeShutdown
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.bye = reason
}

// sayBye tells the agent that this is the end.
func (l *life) sayBye() {
	l.setState("draining")
	l.mu.Lock()
	reason := cmp.Or(l.seen.bye, byeShutdown)
	l.mu.Unlock()
	_ = l.beat(context.Background(), reason) // nobody is left to tell of an error
}

// Reasons of a goodbye.
const (
	byeShutdown    = "shutdown"
	byeUpgrade     = "upgrade"
	byeMaintenance = "maintenance"
	byeSuspend     = "suspend"
)

// works reports whether the work has begun: before, memory is still needed.
func (l *life) works() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen.state == "running" || l.seen.state == "idle"
}

func (l *life) setState(state string) {
	l.mu.Lock()
	changed := l.seen.state != state
	l.seen.state = state
	l.mu.Unlock()
	if changed {
		nudge(l.beatNow)
	}
}

// standsBy notes whether another process reads in our place.
func (l *life) standsBy(by bool) {
	l.mu.Lock()
	changed := l.seen.standby != by
	l.seen.standby = by
	l.mu.Unlock()
	if changed {
		nudge(l.beatNow)
	}
}

// inForce notes the config that is in use from here on.
func (l *life) inForce(rev uint64) {
	l.mu.Lock()
	l.seen.rev = rev
	l.mu.Unlock()
	l.setState("starting")
}

// failed notes that the work cannot go on as it is.
func (l *life) failed(err error) {
	l.count.fail("failed", err)
	l.log.Error("work failed", slog.Any("error", err), stackOf(err))
	l.setState("failed")
}

// sessionStatus is how sessions reach the heartbeat.
type sessionStatus struct {
	*life
	started chan<- struct{}
}

func (s sessionStatus) running() {
	s.setState("running")
	s.started <- struct{}{}
}

func (s sessionStatus) ready(alone bool) {
	s.mu.Lock()
	s.seen.alone = s.seen.alone || alone
	s.mu.Unlock()
	s.setState("ready")
	s.started <- struct{}{}
}

func (s sessionStatus) idle(err error) {
	s.log.Info("nothing to do here", "reason", err)
	s.setState("idle")
	s.started <- struct{}{}
}

func (s sessionStatus) hung(hangs bool) {
	s.mu.Lock()
	s.seen.hung = hangs
	s.mu.Unlock()
	if hangs {
		s.log.Error("a call does not come back")
	}
	nudge(s.beatNow)
}

func (s sessionStatus) failing(fails bool) {
	s.mu.Lock()
	s.seen.failing = fails
	s.mu.Unlock()
	nudge(s.beatNow)
}

func (s sessionStatus) keeps(f *facts) {
	if !s.inventory.keep(f) {
		return
	}
	nudge(s.beatNow)
	messages, err := s.inventory.messages([]string{s.o.Process + "/" + telemetry.DataInfo})
	for _, m := range messages {
		if err == nil {
			err = s.link.data(m)
		}
	}
	if err != nil {
		s.log.Warn("facts not sent", "error", err)
	}
}

// alarm raises one event for each new reason why somebody has to act; nil says that the last one is gone.
func (s sessionStatus) alarm(err error) {
	s.mu.Lock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	again := s.alarmed == text
	s.alarmed = text
	s.mu.Unlock()
	if !again && err != nil {
		s.raise("denied", err.Error())
	}
}

// raise sends one event of the plugin itself.
func (l *life) raise(kind, text string) { l.tell(l.hard, kind, text) }

// tell sends one event of the plugin itself, unless ctx ends while the bus takes none.
func (l *life) tell(ctx context.Context, kind, text string) {
	var b telemetry.Batch
	b.Add("event", telemetry.Fields{"message": text}, telemetry.Tags{"plugin": l.o.Plugin, "type": kind})
	m := message{host: l.o.Host, event: kind, body: b.AppendMsgPack(nil)}
	if err := l.link.send(ctx, m, func(error) {}); err != nil {
		l.log.Warn("event not sent", "type", kind, "error", err)
	}
}

// unread counts batches that the limits of the stream took before this plugin had read them. What they take while nobody reads, or
// several do, its agent tells.
func (l *life) unread(n uint64) { l.count.drop(dropUnread, int(n)) }

// publishes notes how it goes with what is sent to the bus.
func (l *life) publishes(state bus.PublisherState) {
	l.alarms.set(telemetry.FlagStorageFull, state == bus.StateStorageFull)
}
