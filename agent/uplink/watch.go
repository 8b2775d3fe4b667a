package uplink

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// A watch looks at what waits, and tells what happens to the uplink.
type watch struct {
	u *Uplink

	looking sync.Mutex // one look at a time

	mu     sync.Mutex
	begun  time.Time
	state  string // shown last, since when
	since  time.Time
	wait   backlog
	kept   backlog // what waited when it was looked at last without a link
	rate   rate
	lags   bool      // so much waits that somebody was told
	behind time.Time // since when it has to catch up; zero: it has not
	lost   uint64    // at the last look
	lostAt time.Time // when that rose last
	told   counts    // of losses and refusals
	toldAt time.Time
}

// backlog is what waits.
type backlog struct {
	messages, bytes uint64
	filled          float64 // share of what a stream may hold
}

// rate is how fast messages go on lately.
type rate struct {
	at              time.Time
	messages, bytes uint64 // counts at that time
	perSecond       float64
	bytesPerSecond  float64
}

const (
	tellEvery = time.Minute // of losses, at most
	smooth    = 0.3         // share of the latest look in a rate
)

func (w *watch) init(u *Uplink) {
	w.u, w.begun = u, time.Now()
	w.since, w.rate.at = w.begun, w.begun
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) {
	t := time.NewTicker(w.u.o.Times.Look)
	defer t.Stop()
	for {
		w.look(ctx)
		w.tell(time.Now())
		if err := w.u.places.save(); err != nil {
			w.u.log.Warn("place of the uplink not kept", "error", err)
		}
		select {
		case <-ctx.Done():
			_ = w.u.places.save() // it was tried, and logged
			return
		case <-t.C:
		}
	}
}

// look counts what waits, and what is lost, and returns how many messages wait.
func (w *watch) look(ctx context.Context) uint64 {
	w.looking.Lock()
	defer w.looking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, requests)
	defer cancel()
	var sum backlog
	for _, c := range w.u.carriers {
		b, err := c.waiting(ctx)
		if err != nil {
			w.u.log.Debug("backlog not known", "stream", c.stream, "error", err)
			return w.waiting().messages
		}
		sum.messages += b.messages
		sum.bytes += b.bytes
		sum.filled = max(sum.filled, b.filled)
	}
	n := w.u.sum()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wait = sum
	if !w.u.link.isUp() {
		w.kept = sum
	}
	w.rate.see(n, time.Now())
	if n.lost > w.lost {
		w.lost, w.lostAt = n.lost, time.Now()
	}
	return sum.messages
}

func (r *rate) see(n counts, now time.Time) {
	d := now.Sub(r.at).Seconds()
	if d < 0.5 {
		return // too short to say anything
	}
	r.perSecond += smooth * (float64(n.sent-r.messages)/d - r.perSecond)
	r.bytesPerSecond += smooth * (float64(n.bytes-r.bytes)/d - r.bytesPerSecond)
	r.at, r.messages, r.bytes = now, n.sent, n.bytes
}

// waiting returns what waits in a stream, and accounts for what its limits took meanwhile.
func (c *carrier) waiting(ctx context.Context) (b backlog, err error) {
	stream, err := c.local.StreamInfo(ctx, c.stream)
	if err != nil {
		return b, err
	}
	all, err := c.consumers(ctx)
	if err != nil {
		return b, err
	}
	for _, s := range all {
		c.account(s, stream)
		b.filled = max(b.filled, c.fills(ctx, s, stream))
		if s.end == 0 {
			b.messages += s.state.Pending + uint64(s.state.AckPending)
		} else if at := max(s.state.AckFloor, stream.FirstSeq-min(stream.FirstSeq, 1)); at < s.end {
			b.messages += s.end - at
		}
	}
	if stream.Messages > 0 {
		b.bytes = uint64(float64(stream.Bytes) / float64(stream.Messages) * float64(min(b.messages, stream.Messages)))
	}
	return b, nil
}

// fills is that of the span, by the age of what waits itself where that matters.
func (c *carrier) fills(ctx context.Context, s span, stream bus.StreamState) float64 {
	now := time.Now()
	rough := s.fills(stream, now)
	if !bus.Lags(rough, true) {
		return rough
	}
	key := c.key(s)
	if c.oldest[key] == nil {
		if len(c.oldest) >= mostSpans {
			clear(c.oldest) // spans end: they are asked anew
		}
		c.oldest[key] = &bus.Oldest{Stream: c.stream, Filters: c.filters}
	}
	share, err := c.oldest[key].Share(ctx, c.local, stream, s.place(), now)
	if err != nil {
		c.log.Debug("age of the backlog not known", "stream", c.stream, "error", err)
		return rough
	}
	return share
}

// fills returns the share of what a stream may hold that lies behind the place of a span, for which something waits: the limits take
// the oldest first, whatever has gone on beside it.
func (s span) fills(stream bus.StreamState, now time.Time) (share float64) {
	switch {
	case s.past(stream.FirstSeq):
		return 0
	case s.end == 0 && s.state.Pending == 0 && s.state.AckPending == 0:
		return 0
	}
	_, share = stream.After(s.place(), now)
	return share
}

// place is the last sequence up to which all of the span is settled.
func (s span) place() uint64 { return max(s.state.AckFloor, s.from-min(s.from, 1)) }

// sum adds up what the carriers have counted.
func (u *Uplink) sum() (n counts) {
	for _, c := range u.carriers {
		c.mu.Lock()
		n.sent += c.counts.sent
		n.bytes += c.counts.bytes
		n.known += c.counts.known
		n.aside += c.counts.aside
		n.lost += c.counts.lost
		n.stolen += c.counts.stolen
		c.mu.Unlock()
	}
	return n
}

func (w *watch) waiting() backlog {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wait
}

// states of publishers, as the uplink calls them.
func stateOf(s bus.PublisherState) string {
	switch s {
	case bus.StateStorageFull:
		return telemetry.UplinkFull
	case bus.StateNoStream:
		return telemetry.UplinkNowhere
	case bus.StateDenied:
		return telemetry.UplinkDenied
	}
	return telemetry.UplinkOK
}

// now returns the state of the uplink, why it is so, and since when the link is as it is.
func (u *Uplink) now() (state, reason string, since time.Time) {
	up, since, lost := u.link.look()
	if !up {
		if last := u.central.LastError(); last != nil {
			lost = last
		}
		if barred(lost) {
			return telemetry.UplinkDenied, fmt.Sprintf("it does not let this host in (%v): check bus.creds_file", lost), since
		}
		return telemetry.UplinkAway, text(lost), since
	}
	state = telemetry.UplinkOK
	for _, c := range u.carriers {
		c.mu.Lock()
		is, trouble, waits := c.state, c.trouble, c.waits
		c.mu.Unlock()
		switch {
		case state != telemetry.UplinkOK:
		case trouble != nil:
			state, reason = telemetry.UplinkHalted, c.stream+": "+trouble.Error()
		case waits != "":
			state, reason = telemetry.UplinkDenied, waits
		default:
			state = stateOf(is)
		}
	}
	return state, reason, since
}

// barred reports whether a server has refused the credentials; all that it says of them is this.
func barred(err error) bool {
	said := strings.ToLower(text(err))
	return strings.Contains(said, "authorization") || strings.Contains(said, "authentication")
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// status returns how the uplink gets on.
func (w *watch) status(now time.Time) telemetry.UplinkStatus {
	s := telemetry.UplinkStatus{Bus: bus.Redact(w.u.o.Central.URL), Order: "oldest"}
	if w.u.o.Live {
		s.Order = "live"
	}
	if !isClosed(w.u.dialled) {
		s.State, s.Cut = telemetry.UplinkAway, true
		return s
	}
	n := w.u.sum()
	s.Sent, s.Known, s.Lost, s.SetAside, s.ForeignDuplicate = n.sent, n.known, n.lost, n.aside, n.stolen
	state, reason, since := w.u.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != state {
		w.state, w.since = state, now
	}
	if s.Cut = !w.u.link.isUp(); s.Cut {
		w.since = since
	}
	s.State, s.Reason, s.AgeMS = state, reason, now.Sub(w.since).Milliseconds()
	s.Messages, s.Bytes, s.Rate, s.ByteRate = w.wait.messages, w.wait.bytes, w.rate.perSecond, w.rate.bytesPerSecond
	if !w.lostAt.IsZero() {
		s.LostAt = w.lostAt.UnixNano()
	}
	s.Filled, s.Lags = w.wait.filled, bus.Lags(w.wait.filled, w.lags)
	return s
}

// tell tells what has happened since it was last called.
func (w *watch) tell(now time.Time) {
	s := w.status(now)
	up, since, _ := w.u.link.look()
	away := w.u.places.awaySince() // it may be an earlier process that has told
	switch {
	case !up && away.IsZero() && now.Sub(since) >= w.u.o.Times.Away:
		w.u.places.setAway(since)
		w.say("uplink_down", s, downText(s)+": what is made here is kept and sent on later", s.Reason)
	case up && !away.IsZero():
		w.behind = now
		waited := w.waited()
		w.say("uplink_up", s, fmt.Sprintf("the bus of the fleet is back after %v: %s (%d bytes) waited to be sent on",
			since.Round(0).Sub(away).Round(time.Second), amount.Of(waited.messages, "message", "messages"), waited.bytes), "")
		w.u.places.setAway(time.Time{})
	case up && !w.behind.IsZero() && s.Messages <= liveBehind:
		w.u.log.Info("uplink has caught up", "took", now.Sub(w.behind).Round(time.Second))
		w.behind = time.Time{}
	}
	w.tellLag(s)
	w.tellLosses(s, now)
}

// waited returns what waited when the link came back: by now much of it may have gone on.
func (w *watch) waited() backlog {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.kept
	w.kept = backlog{}
	if w.wait.messages > was.messages {
		return w.wait
	}
	return was
}

// downText says why there is no link.
func downText(s telemetry.UplinkStatus) string {
	if s.State == telemetry.UplinkDenied {
		return "the bus of the fleet does not let this host in"
	}
	return "the bus of the fleet is away"
}

// tellLag tells when so much waits that the limits will take the oldest if nothing is done, and when it does no more.
func (w *watch) tellLag(s telemetry.UplinkStatus) {
	w.mu.Lock()
	was := w.lags
	w.lags = s.Lags
	w.mu.Unlock()
	switch {
	case s.Lags && !was:
		w.say(telemetry.FlagLag, s, fmt.Sprintf("what waits for the bus of the fleet fills %.0f%% of the spool (%s, %d MiB): when that is full the oldest is lost: look why it does not go on, or raise bus.max_store and bus.max_age",
			100*s.Filled, amount.Of(s.Messages, "message", "messages"), s.Bytes>>20), "begun")
	case was && !s.Lags:
		w.say(telemetry.FlagLag, s, "what waits for the bus of the fleet no longer fills the spool", "ended")
	}
}

// tellLosses tells what was lost or set aside, now and then.
func (w *watch) tellLosses(s telemetry.UplinkStatus, now time.Time) {
	if now.Sub(w.toldAt) < tellEvery {
		return
	}
	if n := s.Lost - w.told.lost; n > 0 {
		w.told.lost, w.toldAt = s.Lost, now
		w.say("lost_spool", s, amount.Of(n, "message was dropped by the limits of the spool before the bus of the fleet had it", "messages were dropped by the limits of the spool before the bus of the fleet had them")+
			": set bus.max_store or bus.max_age higher", "")
	}
	if n := s.SetAside - w.told.aside; n > 0 {
		w.told.aside, w.toldAt = s.SetAside, now
		w.say("uplink_refused", s, fmt.Sprintf("%s of this host (%s)",
			amount.Of(n, "message was refused by the bus of the fleet for good, and is a dead letter", "messages were refused by the bus of the fleet for good, and are dead letters"), bus.DeadSubject(bus.Uplink)), "")
	}
}

func (w *watch) say(what string, s telemetry.UplinkStatus, message, reason string) {
	w.u.log.Warn("uplink", "event", what, "says", message, "reason", reason, "backlog", s.Messages, "backlog_bytes", s.Bytes)
	w.u.o.Tell(telemetry.Event{Time: time.Now().UnixNano(), Type: what, To: s.State, Reason: cmp.Or(reason, s.State), Message: message})
}
