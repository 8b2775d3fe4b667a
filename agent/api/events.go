package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

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

// eventBudget is how many bytes of EVENTS all readers together decode in a second: a client that asks for all that the stream has
// must not take the machine for it.
const eventBudget = 8 << 20

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
		t := teller{feed: f, budget: c.s.events, live: text == ""}
		return conn.Tap(ctx, o, func(m bus.Tapped) error { return t.tell(ctx, m) })
	})
}

// A teller turns messages into frames. While it goes through what the stream has, it waits for a client that is slower: its
// consumer is its own, so that holds up nobody. Once it has come to the end it waits no more, for a client wants news to be new.
type teller struct {
	feed   *feed
	budget *budget
	live   bool
	batch  telemetry.Batch
}

func (t *teller) tell(ctx context.Context, m bus.Tapped) error {
	if !t.budget.take(ctx, len(m.Body)) {
		return ctx.Err()
	}
	for _, e := range eventsOf(&t.batch, m) {
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if !t.live && !t.feed.room(ctx, len(data)) {
			return ctx.Err()
		}
		t.feed.push(frame{id: strconv.FormatUint(m.Seq, 10), data: data})
	}
	t.live = t.live || m.Pending == 0
	return nil
}

// resume lets o begin behind an event, and counts as lost what the stream has dropped since: all of it, as nobody knows any
// more which of them the filters would have selected. Behind an event that the stream does not have yet, as it was made anew
// since, it begins with what is new.
func resume(ctx context.Context, conn *bus.Conn, after uint64, o *bus.TapOptions, f *feed) error {
	state, err := conn.StreamInfo(ctx, bus.StreamEvents)
	if err != nil {
		return err
	}
	if after > 0 && state.FirstSeq > after+1 {
		f.lose(state.FirstSeq - after - 1)
	}
	o.From = min(after, state.LastSeq) + 1
	return nil
}
