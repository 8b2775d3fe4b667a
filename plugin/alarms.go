package plugin

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// alarms tell that points are lost or held up: by an event for each kind, once a minute at most, and by a flag in heartbeats as
// long as it goes on, and a minute longer.
type alarms struct {
	wake  chan struct{} // 1: something is to be told
	flags func()        // is called when heartbeats would tell something new; it must not block

	mu    sync.Mutex
	kinds map[string]*alarm // by the reason of a counter, or a state of the bus
}

// An alarm is one kind of loss.
type alarm struct {
	n    uint64    // since it was told
	last time.Time // when it was raised last
	told time.Time // by an event
	held bool      // it goes on until somebody says that it is over
}

const (
	alarmEvery = time.Minute // between two events of a kind
	alarmStays = time.Minute // in heartbeats, after the last time
)

// dropUnread counts batches that the stream has dropped before they were read.
const dropUnread = "lost_unread_batches"

// alarmOf returns the type of the event of a kind, which is the flag in heartbeats too, and what is said of n; "" for what is not
// worth an alarm.
func alarmOf(kind string, n uint64) (event, text string) {
	points := amount.Of(n, "point was", "points were")
	switch kind {
	case dropOverflow:
		return telemetry.FlagOverflow, points + " dropped: the bus took no more, and the queue was full; look at the bus, or raise queue"
	case dropFlood:
		return telemetry.FlagFlood, points + " dropped: there were more a second than max_rate allows"
	case refusedFlood:
		return telemetry.FlagRefused, points + " refused, and kept by their senders: there were more a second than max_rate allows"
	case dropSeries:
		return telemetry.FlagSeries, points + " dropped: there were more series than max_series allows; " +
			"take away a tag that has another value each time, or raise max_series"
	case dropUnread:
		return telemetry.FlagUnread, amount.Of(n, "batch was dropped by the stream before it was read", "batches were dropped by the stream before they were read") +
			": this plugin is too slow, or max_age and max_store of the bus are too small"
	case telemetry.FlagStorageFull:
		return kind, "the bus has no room: what was made waits, and is sent when there is; free the disk of the bus, or let it have more: " +
			"bus.max_store in the config of its agent, max_file_store or the limit of the account where it is a NATS server by itself"
	}
	return "", ""
}

func newAlarms(flags func()) *alarms {
	return &alarms{wake: make(chan struct{}, 1), flags: flags, kinds: map[string]*alarm{}}
}

// add raises the alarm of a kind for n points or batches more.
func (a *alarms) add(kind string, n int) {
	a.change(kind, func(is *alarm, now time.Time) { is.n, is.last = is.n+uint64(n), now })
}

// set begins or ends an alarm that is held.
func (a *alarms) set(kind string, held bool) {
	a.change(kind, func(is *alarm, _ time.Time) {
		if held && !is.held {
			is.n++
		}
		is.held = held
	})
}

// change changes the alarm of a kind.
func (a *alarms) change(kind string, f func(is *alarm, now time.Time)) {
	if event, _ := alarmOf(kind, 0); event == "" {
		return
	}
	now := time.Now()
	a.mu.Lock()
	is := a.kinds[kind]
	if is == nil {
		is = &alarm{}
		a.kinds[kind] = is
	}
	was := is.up(now)
	f(is, now)
	changed := is.up(now) != was
	a.mu.Unlock()
	nudge(a.wake)
	if changed {
		a.flags()
	}
}

// up reports whether heartbeats tell of the alarm.
func (is *alarm) up(now time.Time) bool {
	return is.held || !is.last.IsZero() && now.Sub(is.last) < alarmStays
}

// names returns the flags of a heartbeat.
func (a *alarms) names(now time.Time) (flags []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(a.kinds)) {
		if event, _ := alarmOf(kind, 0); a.kinds[kind].up(now) && !slices.Contains(flags, event) {
			flags = append(flags, event)
		}
	}
	return flags
}

// run tells of alarms by raise, which may block while the bus does, until ctx ends.
func (a *alarms) run(ctx context.Context, raise func(ctx context.Context, kind, text string)) error {
	for ctx.Err() == nil {
		event, text, rest := a.next(time.Now())
		if event != "" {
			raise(ctx, event, text)
			continue
		}
		var later <-chan time.Time
		if rest > 0 {
			later = time.After(rest)
		}
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-later:
		}
	}
	return nil
}

// next returns what is to be told now; else how long the next rests, 0 when there is none.
func (a *alarms) next(now time.Time) (event, text string, rest time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(a.kinds)) {
		is := a.kinds[kind]
		if is.n == 0 {
			continue
		}
		left := alarmEvery - now.Sub(is.told)
		if is.told.IsZero() || left <= 0 {
			event, text = alarmOf(kind, is.n)
			is.n, is.told = 0, now
			return event, text, 0
		}
		if rest == 0 || left < rest {
			rest = left
		}
	}
	return "", "", rest
}
