package host

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// What the limits of a stream take before it is read, one process that reads alone counts exactly, by the numbers of its sources.
// Where several share a consumer each sees holes that the others have filled, and while nobody reads there is nobody to count. So
// the agent compares where the stream begins with the place of the reader: of what is gone in between nobody knows any more whose
// it was, so this is a bound.

const (
	unreadEvery = time.Minute      // between two events of a plugin
	unreadStays = 90 * time.Second // its flag, after an event
	exactTime   = time.Minute      // for a single reader to count by itself what it has lost

	countedUnread = "lost_unread_batches"         // by the plugin
	boundOfUnread = "lost_unread_batches_at_most" // by the agent
)

// A look is how a stream and one of its readers were at a moment.
type look struct {
	stream bus.StreamState
	reader bus.ConsumerState
	behind bool // something waits for it
}

// after returns the look as the next one after was. While a stream drops the server counts too little of what waits: who was given
// nothing is still behind.
func (l look) after(was look) look {
	l.behind = l.reader.Pending > 0 || was.behind && l.reader.Given == was.reader.Given
	return l
}

// look asks how it is with in. streams has the states that are known already.
func (h *Host) look(ctx context.Context, in bus.Input, streams map[string]bus.StreamState) (look, error) {
	s, known := streams[in.Stream]
	if !known {
		var err error
		if s, err = h.conn.StreamInfo(ctx, in.Stream); err != nil {
			return look{}, err
		}
		streams[in.Stream] = s
	}
	c, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
	return look{stream: s, reader: c}, err
}

// gone is the last sequence that the stream has dropped.
func (l look) gone() uint64 { return max(l.stream.FirstSeq, 1) - 1 }

// missed returns how many messages the stream has dropped unread since the look before: at most so many.
func (l look) missed(was look) uint64 {
	from, gone := max(was.reader.Delivered, was.gone()), l.gone()
	if l.reader.Delivered < was.reader.Delivered || l.reader.Given < was.reader.Given || gone <= from { // a consumer made anew begins where it begins
		return 0
	}
	most := gone - from
	if !was.behind { // the place of one for whom nothing comes stays where it is
		most = min(most, gone-min(gone, was.stream.LastSeq))
	}
	if was.reader.Redelivered == 0 && l.reader.Redelivered == 0 { // what was given out is not lost; given again it counts twice
		passed, given := max(l.reader.Delivered, gone)-from, l.reader.Given-was.reader.Given
		most = min(most, passed-min(passed, given))
	}
	return most
}

// settled is the place of the reader, of which what was given out may have to be given again.
func (l look) settled() uint64 {
	if l.reader.AckPending > 0 {
		return l.reader.AckFloor
	}
	return l.reader.Delivered
}

// unread is what the readers of a plugin have missed.
type unread struct {
	looks   map[string]look // the last of each consumer
	counted uint64          // by the plugin, at the last look

	away  uint64    // not told yet, and dropped while no agent looked: no plugin can count it
	held  uint64    // not told yet otherwise
	since time.Time // from when on it is held
	base  uint64    // counted by the plugin, and taken off already
	told  uint64    // in all
	at    time.Time // of the last event
}

// see compares a look with the one before, and holds what was missed in between. The first one is compared with nothing: what is
// gone behind the place of the reader was dropped while no agent looked. An answer of a server that has just begun tells nothing.
func (u *unread) see(consumer string, l look, now time.Time) {
	if u.knowsMore(consumer, l.reader) {
		return
	}
	was, known := u.looks[consumer]
	u.note(consumer, l.after(was))
	if known {
		u.hold(l.missed(was), now)
		return
	}
	u.away += l.gone() - min(l.gone(), l.settled())
}

// knowsMore reports whether is says nothing of a consumer that had a place before: it is new and has nothing, or its server has just
// begun.
func (u *unread) knowsMore(consumer string, is bus.ConsumerState) bool {
	blank := func(c bus.ConsumerState) bool { return c.Delivered == 0 && c.AckFloor == 0 && c.Quiet() }
	was, known := u.looks[consumer]
	return known && blank(is) && !blank(was.reader)
}

func (c *crew) knowsMore(consumer string, is bus.ConsumerState) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unread.knowsMore(consumer, is)
}

// note makes l the look that the next one is compared with.
func (u *unread) note(consumer string, l look) {
	if u.looks == nil {
		u.looks = map[string]look{}
	}
	u.looks[consumer] = l
}

// hold keeps n, which the plugin may count by itself, until they are due.
func (u *unread) hold(n uint64, now time.Time) {
	if u.held == 0 && n > 0 {
		u.since, u.base = now, u.counted
	}
	u.held += n
}

// due returns what is to be told now. With exact the plugin may count by itself, and has done so with as many as its count, which is
// counted now, has risen by: the rest is told when it has had its time.
func (u *unread) due(exact bool, counted uint64, now time.Time) uint64 {
	u.counted = counted
	if exact {
		u.held -= min(u.held, counted-min(counted, u.base))
		u.base = counted
	}
	n := u.away
	if !exact || now.Sub(u.since) >= exactTime {
		n += u.held
	}
	if n == 0 || now.Sub(u.at) < unreadEvery {
		return 0
	}
	u.held -= n - u.away
	u.away = 0
	u.tell(n, now)
	return n
}

// tell notes that n are told.
func (u *unread) tell(n uint64, now time.Time) { u.told, u.at = u.told+n, now }

// shared reports whether other hosts read by one of the consumers too.
func (u *unread) shared() bool {
	for _, l := range u.looks {
		if len(l.reader.Readers) > 1 {
			return true
		}
	}
	return false
}

// upAt reports whether a loss was told not long ago.
func (u *unread) upAt(now time.Time) bool { return !u.at.IsZero() && now.Sub(u.at) < unreadStays }

// firstLook looks at the consumers of the plugin that nobody has looked at, before a process reads on.
func (e *entry) firstLook(ctx context.Context) error {
	streams := map[string]bus.StreamState{}
	for _, in := range e.read() {
		e.crew.mu.Lock()
		_, known := e.crew.unread.looks[consumerOf(in)]
		e.crew.mu.Unlock()
		if known {
			continue
		}
		l, err := e.host.look(ctx, in, streams)
		if err != nil {
			return err
		}
		e.crew.sees(consumerOf(in), l)
	}
	return nil
}

func consumerOf(in bus.Input) string { return in.Stream + " " + in.Durable }

func (c *crew) sees(consumer string, l look) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread.see(consumer, l, time.Now())
}

// tellUnread tells what the readers of the plugin have missed: one of its processes does.
func (e *entry) tellUnread(now time.Time) {
	counted := e.countedUnread()
	alone := e.plan().conf.Order != "" || e.plan().conf.Parallel <= 1 && len(e.host.crew(e.plugin)) == 1
	c := e.crew
	c.mu.Lock()
	n := c.unread.due(alone && !c.unread.shared(), counted, now)
	c.mu.Unlock()
	if n > 0 {
		e.tellLost(now, "at most "+amount.Of(n, "batch was dropped by the stream before it was read", "batches were dropped by the stream before they were read")+
			": it was away or is too slow, or max_age and max_store of the bus are too small")
	}
}

// tellLost tells of batches that were not read.
func (e *entry) tellLost(now time.Time, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.say(slog.LevelWarn, "plugin has lost data", "reason", text)
	e.host.inventory.stirs(e.name)
	e.announce(telemetry.Event{Time: now.UnixNano(), Type: telemetry.FlagUnread, From: e.shown.state, To: e.shown.state, Reason: text,
		Message: e.now.plan.conf.Kind + " " + e.name + ": " + text})
}

// countedUnread returns how many batches the processes of the plugin have counted as lost.
func (e *entry) countedUnread() (n uint64) {
	for _, o := range e.host.crew(e.plugin) {
		o.mu.Lock()
		if s := o.now.last.Stats; s != nil {
			n += s.Dropped[countedUnread]
		}
		o.mu.Unlock()
	}
	return n
}

// addUnread adds what the agent knows of the losses of the plugin to what it counts by itself. The caller has the lock.
func (e *entry) addUnread(s *telemetry.PluginStatus, now time.Time) {
	e.crew.mu.Lock()
	told, up, at := e.crew.unread.told, e.crew.unread.upAt(now), e.crew.unread.at
	e.crew.mu.Unlock()
	if told == 0 || e.name != e.plugin { // once for all processes
		return
	}
	var stats telemetry.Stats
	if s.Stats != nil {
		stats = *s.Stats
	}
	stats.Dropped = maps.Clone(stats.Dropped)
	if stats.Dropped == nil {
		stats.Dropped = map[string]uint64{}
	}
	stats.Dropped[boundOfUnread] = told
	if !at.IsZero() {
		s.NoteLoss(boundOfUnread, at)
	}
	s.Stats = &stats
	if up && s.State == running && !slices.Contains(s.Flags, telemetry.FlagUnread) {
		t := troubles([]string{telemetry.FlagUnread})[0]
		s.Flags, s.Reason = append(s.Flags, t.flag), cmp.Or(s.Reason, t.text)
	}
}
