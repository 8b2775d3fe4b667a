package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// seen is what heartbeats tell, and what acks have told.
type seen struct {
	state    string
	hung     bool
	failing  bool
	alone    bool   // it cannot work beside the process that works now
	rev      uint64 // config in force
	offered  uint64 // config that was offered last
	declined bool   // it could not be used
	interval time.Duration
	term     uint64 // highest of an ack
	greeted  bool   // the agent knows us
	seq      uint64 // of heartbeats
	acked    uint64 // seq of the last ack
	unacked  int    // heartbeats since
	lost     uint64 // acks that never came
	known    telemetry.Digest
	rtt      time.Duration
}

// quiet is after how many heartbeats without an ack the agent counts as away.
const quiet = 3

// beatLoop beats until ctx ends, when something has changed at once. A refusal ends the life.
func (l *life) beatLoop(ctx context.Context, stop context.CancelCauseFunc) error {
	var rest rester
	for try := 0; ; try++ {
		if l.works() {
			rest.look(&l.count, time.Now())
		}
		if err := l.beat(ctx, ""); errors.Is(err, ErrRefused) {
			stop(err)
			return err
		}
		t := time.NewTimer(l.untilNext(try))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-l.beatNow:
			t.Stop()
		case <-t.C:
		}
	}
}

// untilNext returns the time to the next heartbeat: 1 s, 2 s ... until the agent has answered, then the interval, give or
// take a twentieth.
func (l *life) untilNext(try int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.seen.interval
	if !l.seen.greeted {
		d = min(time.Second<<min(try, 10), d)
	}
	return d - d/20 + rand.N(d/10+1)
}

// beat sends one heartbeat and obeys the ack.
func (l *life) beat(ctx context.Context, bye string) error {
	h, limit := l.heartbeat(bye)
	body, err := telemetry.EncodeControl(h, telemetry.MsgPack)
	if err != nil {
		l.log.Error("heartbeat cannot be encoded", "error", err)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	sent := time.Now()
	reply, err := l.control.Request(ctx, bus.HeartbeatSubject(l.o.Host, l.o.Plugin, bus.HTB), body)
	if err != nil {
		l.unanswered(err)
		return err
	}
	ack, _, err := telemetry.DecodeAck(reply)
	if err != nil {
		l.count.fail("ack", err)
		return err
	}
	return l.obey(ack, time.Since(sent))
}

// heartbeat returns the next one, and how long its ack may take.
func (l *life) heartbeat(bye string) (telemetry.Heartbeat, time.Duration) {
	items, digest := l.inventory.short()
	stats := l.count.stats()
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &l.seen
	v.seq++
	now := time.Now()
	h := telemetry.Heartbeat{
		Version: telemetry.ProtocolVersion, Host: l.o.Host, Plugin: l.o.Plugin, Boot: bootID(), Inst: l.inst, Seq: v.seq,
		IntervalMS: v.interval.Milliseconds(), T1: now.UnixNano(), Mono1: now.Sub(l.begun).Nanoseconds(),
		UpMS: now.Sub(l.begun).Milliseconds(), Hello: !v.greeted, Bye: bye, ConfigRev: v.rev, State: v.state,
		Error: stats.LastError, Stats: stats, Digest: digest, Items: uint64(len(items)), Ack: v.acked, AckLost: v.lost,
		RTTUS: v.rtt.Microseconds(),
	}
	stats.LastError = nil // it is in the heartbeat already
	if h.Hello {
		h.Manifest = l.def.Manifest()
	}
	if h.Hello || v.known != digest {
		h.Inventory = items
	}
	if v.hung {
		h.Flags = append(h.Flags, "hung")
	}
	if v.failing {
		h.Flags = append(h.Flags, "failing")
	}
	if v.alone || l.turn.waits() && l.def.Kind == Collector { // two would collect twice
		h.Flags = append(h.Flags, telemetry.FlagExclusive)
	}
	if bye != "" {
		return h, byeTime
	}
	return h, min(v.interval, 5*time.Second)
}

// unanswered notes that no ack came.
func (l *life) unanswered(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.unacked++
	l.seen.lost++
	switch {
	case l.seen.unacked != quiet:
	case l.seen.offered > 0 || l.seen.rev > 0:
		l.log.Warn("agent does not answer, work goes on with the last config", "error", err)
	default:
		l.log.Warn("no agent answers, nothing can be done before one does", "host", l.o.Host, "error", err)
	}
}

// newer reports whether nobody with a higher term has spoken before ack: who lost the say is not obeyed any more.
func (l *life) newer(ack telemetry.Ack) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ack.Term < l.seen.term {
		return false
	}
	l.seen.term = ack.Term
	return true
}

// obey does what ack wants.
func (l *life) obey(ack telemetry.Ack, rtt time.Duration) error {
	if !l.newer(ack) {
		err := fmt.Errorf("ack of %s: its term %d is over", ack.Server, ack.Term)
		l.unanswered(err)
		return err
	}
	if ack.State == telemetry.Refused {
		return fmt.Errorf("%w: %s", ErrRefused, ack.Reason)
	}
	l.mu.Lock()
	v := &l.seen
	if v.unacked >= quiet {
		l.log.Info("agent answers again")
	}
	v.greeted, v.acked, v.unacked, v.known, v.rtt = true, ack.Seq, 0, ack.Digest, rtt
	if ack.NextMS > 0 {
		v.interval = max(time.Duration(ack.NextMS)*time.Millisecond, cmp.Or(l.o.LeastBeat, leastInterval))
	}
	fresh := ack.Work != nil && ack.ConfigRev != v.offered
	switch {
	case fresh:
		v.offered, v.declined = ack.ConfigRev, false
	case v.declined && ack.ConfigRev == v.rev: // the agent has given it up: it may offer it again
		v.offered = 0
	}
	l.mu.Unlock()
	if !slices.Contains(ack.Flags, telemetry.FlagHold) {
		l.turn.comes()
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
	l.seen.greeted = false
	l.mu.Unlock()
	nudge(l.beatNow)
}

// sayBye tells the agent that this is the end.
func (l *life) sayBye() {
	l.setState("draining")
	_ = l.beat(context.Background(), "shutdown") // nobody is left to tell of an error
}

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
	messages, err := s.inventory.messages([]string{s.o.Plugin + "/" + telemetry.DataInfo})
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
func (l *life) raise(kind, text string) {
	var b telemetry.Batch
	b.Add("event", telemetry.Fields{"message": text}, telemetry.Tags{"plugin": l.o.Plugin, "type": kind})
	m := message{host: l.o.Host, event: kind, body: b.AppendMsgPack(nil)}
	if err := l.link.send(l.hard, m, func(error) {}); err != nil {
		l.log.Warn("event not sent", "error", err)
	}
}

// unread tells of batches that the limits of the stream took before this plugin had read them: of n while it read, or of at
// most n while it was away.
func (l *life) unread(n uint64, away bool) {
	if away {
		l.count.drop("lost_away_batches_at_most", int(n))
		l.raise("lost_unread", fmt.Sprintf("at most %d batches were dropped by the stream while nobody read here: raise max_age and max_store of the bus", n))
		return
	}
	l.count.drop("lost_unread_batches", int(n))
	l.raise("lost_unread", fmt.Sprintf("%d batches were dropped by the stream before they were read: this plugin is too slow, or max_age and max_store of the bus are too small", n))
}
