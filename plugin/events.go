package plugin

import (
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// part divides b, which a collector has filled: what it says that has happened becomes messages of their own, and out takes the
// other points. b stays as it is.
func (s *Session) part(b, out *telemetry.Batch) (events []message) {
	for g := range b.Groups() {
		if g.Series != telemetry.EventSeries {
			out.Take(g)
			continue
		}
		for row := range g.Len() {
			p := g.Point(row)
			if s.raises(p) {
				events = append(events, s.eventOf(p))
			} else {
				out.Append(p)
			}
		}
	}
	return events
}

// raises reports whether p is an event that this plugin raises, and no point of somebody who calls a series so for reasons of
// his own.
func (s *Session) raises(p telemetry.Point) bool {
	_, says := p.Fields["message"].(string)
	return says && p.Tags["plugin"] == s.Env.Name && p.Tags["type"] != ""
}

// eventOf returns the message of one event. An event that has an id is stored once, even if a plugin that was killed sends it again
// when it is back, unless that takes longer than the stream remembers.
func (s *Session) eventOf(p telemetry.Point) message {
	var b telemetry.Batch
	b.Append(p)
	for _, t := range s.tags {
		b.DefaultTag(t.Key, t.Value)
	}
	m := message{host: s.Env.Host, event: p.Tags["type"], body: b.AppendMsgPack(nil)}
	if id, _ := p.Fields["id"].(string); id != "" {
		m.id = bus.Token(s.Env.Host) + "/" + bus.Token(s.Env.Name) + "/event/" + bus.Token(id)
	}
	return m
}
