package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	mostEvents = 1000             // of a list
	mostLooked = 20_000           // messages that are read for a list
	mostWindow = 20_000           // messages of the stream that are looked through at once
	eventTime  = 10 * time.Second // for all of it
)

// eventPage is a list of events, the oldest first.
type eventPage struct {
	Events []event `json:"events"`
	Next   uint64  `json:"next"`           // ask with it as after for those behind
	More   bool    `json:"more,omitzero"`  // there are some behind already
	Older  bool    `json:"older,omitzero"` // there may be some before
}

var errEnough = errors.New("enough")

func (c *call) events() error {
	conn, err := c.s.conn()
	if err != nil {
		return err
	}
	most, err := c.limit(100, mostEvents)
	if err != nil {
		return err
	}
	since, err := c.since("since")
	if err != nil {
		return err
	}
	after, err := c.sequence(c.query.Get("after"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), eventTime)
	defer cancel()
	l := eventLister{conn: conn, budget: c.s.events, filters: c.eventFilters(), most: most, since: since}
	switch {
	case !c.query.Has("after"):
		err = l.latest(ctx)
	case since.IsZero():
		err = l.behind(ctx, after)
	default:
		err = invalid("since", "since and after: want one of the two")
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return late(err)
	}
	return c.json(http.StatusOK, l.page)
}

// An eventLister makes a list of events.
type eventLister struct {
	conn    *bus.Conn
	budget  *budget
	filters []string
	most    int
	since   time.Time

	page   eventPage
	batch  telemetry.Batch
	looked int  // messages
	cut    bool // events were left out, as there were newer ones enough
}

// behind lists the first events behind one.
func (l *eventLister) behind(ctx context.Context, after uint64) error {
	l.page = eventPage{Events: []event{}, Next: after}
	return l.read(ctx, after+1, func(m bus.Tapped) error {
		found := eventsOf(&l.batch, m)
		if n := len(l.page.Events); n > 0 && n+len(found) > l.most || l.looked > mostLooked {
			l.page.More = true
			return errEnough // the message comes whole, with the next page
		}
		l.page.Events = append(l.page.Events, found[:min(len(found), l.most)]...)
		l.page.Next = m.Seq
		return nil
	})
}

// latest lists the last events: it looks through the stream from its end, a window at a time, until it has enough or there are no
// more of the time asked for.
func (l *eventLister) latest(ctx context.Context) error {
	state, err := l.conn.StreamInfo(ctx, bus.StreamEvents)
	if err != nil {
		return err
	}
	l.page = eventPage{Events: []event{}, Next: state.LastSeq}
	first, end, window := max(1, state.FirstSeq), state.LastSeq+1, uint64(l.most)
	if len(l.filters) > 0 {
		window = mostWindow // the bus looks through it, so only what fits is read
	}
	for whole := true; whole && end > first && len(l.page.Events) < l.most && l.looked < mostLooked; window = min(4*window, mostWindow) {
		begin := first
		if end > first+window {
			begin = end - window
		}
		if whole, err = l.window(ctx, begin, end); err != nil {
			return err
		}
		end = begin
		l.page.Older = whole && begin > first
	}
	l.page.Events = l.last(l.page.Events)
	l.page.Older = l.page.Older || l.cut
	return nil
}

// last returns as many of the last events as are wanted.
func (l *eventLister) last(all []event) []event {
	extra := max(0, len(all)-l.most)
	l.cut = l.cut || extra > 0
	return all[extra:]
}

// window puts the events of [begin, end) before those that are there, and reports whether all of them are of the time asked for.
func (l *eventLister) window(ctx context.Context, begin, end uint64) (whole bool, err error) {
	var found []event
	whole = true
	err = l.read(ctx, begin, func(m bus.Tapped) error {
		switch {
		case m.Seq >= end:
			return errEnough
		case m.Stored.Before(l.since):
			whole = false
			return nil
		}
		found = l.last(append(found, eventsOf(&l.batch, m)...))
		return nil
	})
	l.page.Events = append(found, l.page.Events...)
	return whole, err
}

// read gives f the messages from one on, until there are no more or it has enough.
func (l *eventLister) read(ctx context.Context, from uint64, f func(bus.Tapped) error) error {
	o := bus.TapOptions{Stream: bus.StreamEvents, Filters: l.filters, From: from, Once: true}
	err := l.conn.Tap(ctx, o, func(m bus.Tapped) error {
		l.looked++
		if !l.budget.take(ctx, len(m.Body)) {
			return ctx.Err()
		}
		return f(m)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
