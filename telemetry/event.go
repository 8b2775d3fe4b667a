package telemetry

import (
	"cmp"
	"math"
	"strings"
	"time"
)

// EventSeries is the series of events: each event is one point of it.
const EventSeries = "event"

// Event is something that happened to a host or a plugin. On the bus it is a batch of one point of EventSeries, on
// pw.events.<host>.<plugin>.<type>.
type Event struct {
	ID      string `json:"id,omitzero"`     // the same for every copy of it
	Time    int64  `json:"time"`            // when it happened, ns
	Host    string `json:"host"`            // stable id
	Plugin  string `json:"plugin"`          // AgentName for what happened to a host
	Type    string `json:"type"`            // up, overdue, down, left, restarted ...
	Message string `json:"message"`         // one sentence for people
	Name    string `json:"name,omitzero"`   // display name of the host
	Owner   string `json:"owner,omitzero"`  // who is asked about it
	Site    string `json:"site,omitzero"`   // where it stands
	From    string `json:"from,omitzero"`   // state before
	To      string `json:"to,omitzero"`     // state after
	Reason  string `json:"reason,omitzero"` // of the state after

	Incident   string `json:"incident,omitzero"`     // joins the events of one cause
	LastSeenMS int64  `json:"last_seen_ms,omitzero"` // age of the last beat
	Missed     uint64 `json:"missed,omitzero"`       // beats missed
	Count      uint64 `json:"count,omitzero"`        // of hosts, where it is about several
	Term       uint64 `json:"term,omitzero"`         // of the hub that says so
	Silenced   bool   `json:"silenced,omitzero"`     // nobody needs to be told: flapping, or maintenance
}

const (
	maxEvents       = 256     // of one batch that are read
	maxEventMessage = 8 << 10 // bytes
	maxEventText    = 1 << 10 // bytes of each of the others
)

// texts are the fields of e that hold words, by their names in a point; tags are not among them.
func (e *Event) texts() map[string]*string {
	return map[string]*string{
		"id": &e.ID, "name": &e.Name, "owner": &e.Owner, "site": &e.Site, "from": &e.From, "to": &e.To, "reason": &e.Reason,
		"incident": &e.Incident,
	}
}

// counts are the fields of e that hold a number which is never negative.
func (e *Event) counts() map[string]*uint64 {
	return map[string]*uint64{"missed": &e.Missed, "count": &e.Count, "term": &e.Term}
}

// AppendTo adds e to b as one point of EventSeries, tags plugin and type. The host is the batch's, which the subject tells its
// readers; an event of another host has the tag host.
// The message is always a field, of the others those that say something. Texts that are too long are cut.
func (e Event) AppendTo(b *Batch) {
	p := Point{Series: EventSeries, Tags: Tags{"plugin": e.Plugin, "type": e.Type}, Fields: Fields{"message": cutMessage(e.Message)}}
	if e.Time != 0 {
		p.Time = time.Unix(0, e.Time)
	}
	if b.host == "" {
		b.host = e.Host
	}
	if e.Host != b.host {
		p.Tags["host"] = e.Host
	}
	for name, text := range e.texts() {
		if *text != "" {
			p.Fields[name] = clean(*text, maxEventText)
		}
	}
	for name, n := range e.counts() {
		if *n != 0 {
			p.Fields[name] = *n
		}
	}
	if e.LastSeenMS != 0 {
		p.Fields["last_seen_ms"] = e.LastSeenMS
	}
	if e.Silenced {
		p.Fields["silenced"] = true
	}
	b.Append(p)
}

// Events returns the points of EventSeries in b, 256 at most, as events that outlive it. Whoever may publish has made them:
// what has another type than it should is left out, what is too long is cut. A reader of the bus has given b the host of the
// subject (SetHost); Host, Plugin and Type may say something else, and the subject is what the bus vouches for.
func Events(b *Batch) []Event {
	var list []Event
	for g := range b.Groups() {
		if g.Series != EventSeries {
			continue
		}
		for row := range min(g.n, maxEvents-len(list)) {
			list = append(list, eventOf(b.host, g, row))
		}
	}
	return list
}

func eventOf(host string, g *Group, row int) Event {
	tag := func(key string) string { return keepText(g.Tag(key).At(row)) }
	e := Event{Time: g.Time(row), Host: cmp.Or(tag("host"), keepText(host)), Plugin: tag("plugin"), Type: tag("type")}
	for i := range g.fields {
		e.set(g.fields[i].Name, g.fields[i].Value(row))
	}
	return e
}

// set gives e the value of the field called name.
func (e *Event) set(name string, v Value) {
	switch name {
	case "message":
		e.Message = strings.Clone(cutMessage(v.Text()))
		return
	case "silenced":
		e.Silenced = v.Type() == TypeBool && v.Bool()
		return
	case "last_seen_ms":
		e.LastSeenMS = int64(min(wholeNumber(v), math.MaxInt64))
		return
	}
	if text := e.texts()[name]; text != nil {
		*text = keepText(v.Text())
	}
	if n := e.counts()[name]; n != nil {
		*n = wholeNumber(v)
	}
}

// wholeNumber returns v as a number that is not negative, 0 when it is none. A float may be one too: programs that write JSON
// know no other number.
func wholeNumber(v Value) uint64 {
	switch f := v.Float(); {
	case v.Type() == TypeInt:
		return uint64(max(0, v.Int()))
	case v.Type() == TypeUint:
		return v.Uint()
	case v.Type() == TypeFloat && f >= 0 && f < 1<<63:
		return uint64(f)
	}
	return 0
}

// cutMessage returns text as the message of an event. It may have several lines.
func cutMessage(text string) string { return cut(cleanText(text), maxEventMessage) }

// keepText returns a word of an event that does not look into the message it came in.
func keepText(text string) string { return strings.Clone(clean(text, maxEventText)) }
