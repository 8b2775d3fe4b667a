package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// event is an event, and where it stands in the stream.
type event struct {
	telemetry.Event
	Seq uint64 `json:"seq"` // as id of events/stream, and as after
}

// eventsOf returns the events of a message.
func eventsOf(b *telemetry.Batch, m bus.Tapped) []event {
	list, err := m.Events(b)
	if err != nil {
		return nil // foreign bytes; who publishes them is told of by the bus's rights, not here
	}
	all := make([]event, len(list))
	for i, e := range list {
		all[i] = event{e, m.Seq}
	}
	return all
}

// conn returns the connection for data.
func (s *Server) conn() (*bus.Conn, error) {
	if c := s.o.Conn(); c != nil {
		return c, nil
	}
	return nil, problem(http.StatusServiceUnavailable, "no_bus", "the hub has no bus yet").hint("GET /-/ready tells what it waits for")
}

// part returns what stands in a pattern for a parameter.
func (c *call) part(name string) bus.Part {
	text := c.query.Get(name)
	if text == "" {
		return bus.Any
	}
	if name == "host" {
		if h, err := c.s.o.Hub.Host(text); err == nil {
			text = h.Host // it may have been a name
		}
	}
	return bus.Name(text)
}

// eventFilters returns which events are meant; none are all.
func (c *call) eventFilters() []string {
	if !c.query.Has("host") && !c.query.Has("plugin") && !c.query.Has("type") {
		return nil
	}
	return []string{bus.Pattern(bus.AreaEvents, c.part("host"), c.part("plugin"), c.part("type"))}
}

const (
	mostEvents = 1000             // of a list
	mostLooked = 20_000           // events that are read for a list
	eventTime  = 10 * time.Second // for that
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
	ctx, cancel := context.WithTimeout(c.r.Context(), eventTime)
	defer cancel()
	o, next, err := c.whichEvents(ctx, conn, most)
	if err != nil {
		return err
	}
	p := eventPage{Events: []event{}, Next: next, Older: o.From > 1 && !c.query.Has("after")}
	err = p.read(ctx, conn, o, most, c.query.Has("after"))
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, p)
}

// whichEvents returns how to read the events that were asked for, and behind which one the next are where there are none.
func (c *call) whichEvents(ctx context.Context, conn *bus.Conn, most int) (o bus.TapOptions, next uint64, err error) {
	o = bus.TapOptions{Stream: bus.StreamEvents, Filters: c.eventFilters(), Once: true}
	after, err := c.sequence(c.query.Get("after"))
	if err != nil {
		return o, 0, err
	}
	if o.Since, err = c.since("since"); err != nil {
		return o, 0, err
	}
	if c.query.Has("after") {
		if !o.Since.IsZero() {
			return o, 0, invalid("since", "since and after: want one of the two")
		}
		o.From = after + 1
		return o, after, nil
	}
	state, err := conn.StreamInfo(ctx, bus.StreamEvents)
	if err != nil {
		return o, 0, err
	}
	if o.Since.IsZero() { // the last ones, looked for as far back as it may be
		back := uint64(most)
		if len(o.Filters) > 0 {
			back = mostLooked
		}
		o.From = max(1, state.FirstSeq, state.LastSeq+1-min(back, state.LastSeq))
	}
	return o, state.LastSeq, nil
}

// read fills the page: with the first events that come if they are to go on behind others, else with the last.
func (p *eventPage) read(ctx context.Context, conn *bus.Conn, o bus.TapOptions, most int, onward bool) error {
	var b telemetry.Batch
	looked := 0
	err := conn.Tap(ctx, o, func(m bus.Tapped) error {
		if looked++; onward && len(p.Events) >= most || looked > mostLooked {
			p.More = true
			return errEnough
		}
		p.Events = append(p.Events, eventsOf(&b, m)...)
		if extra := len(p.Events) - most; !onward && extra > 0 {
			p.Events, p.Older = p.Events[extra:], true
		}
		p.Next = m.Seq
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// sequence reads the place of an event in the stream.
func (c *call) sequence(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil {
		return 0, invalid("after", "%.80q is no place in the stream of events: want the id of one, a number", text)
	}
	return n, nil
}

// followEvents sends events as they come; Last-Event-ID, or after, begins behind one that was seen.
func (c *call) followEvents() error {
	conn, err := c.s.conn()
	if err != nil {
		return err
	}
	text := c.r.Header.Get("Last-Event-ID")
	if text == "" {
		text = c.query.Get("after")
	}
	after, err := c.sequence(text)
	if err != nil {
		return err
	}
	o := bus.TapOptions{Stream: bus.StreamEvents, Filters: c.eventFilters()}
	return c.follow(func(ctx context.Context, f *feed) error {
		if text != "" {
			if err := resume(ctx, conn, after, &o, f); err != nil {
				return err
			}
		}
		var b telemetry.Batch
		return conn.Tap(ctx, o, func(m bus.Tapped) error {
			for _, e := range eventsOf(&b, m) {
				data, err := json.Marshal(e)
				if err != nil {
					return err
				}
				f.push(frame{id: strconv.FormatUint(m.Seq, 10), data: data})
			}
			return nil
		})
	})
}

// resume lets o begin behind an event, and counts as lost what the stream has dropped since: all of it, as nobody knows any
// more which of them the filters would have selected.
func resume(ctx context.Context, conn *bus.Conn, after uint64, o *bus.TapOptions, f *feed) error {
	state, err := conn.StreamInfo(ctx, bus.StreamEvents)
	if err != nil {
		return err
	}
	if after > state.LastSeq {
		after = 0 // the stream was made anew
	}
	if after > 0 && state.FirstSeq > after+1 {
		f.lose(state.FirstSeq - after - 1)
	}
	o.From = after + 1
	return nil
}
