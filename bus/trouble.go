package bus

import (
	"strings"
	"time"
)

// trouble is how a publisher does while nobody answers for a stream: its cluster elects a leader, its server hangs, or there is no
// stream. The oldest message asks now and then. All others wait for its answer, and then go in their order; what of them was sent
// already, nobody may have taken.
type trouble struct {
	on     bool
	silent bool // nobody says anything; else that nobody is there
	tries  int
	next   time.Time // when the oldest message asks
	heard  time.Time // last answer
	passed time.Time // answers come in order: what was sent before and has none is lost
}

const (
	silenceAfter = 2500 * time.Millisecond // nothing is answered for so long: a server that is busy answers now and then
	silenceCalm  = 500 * time.Millisecond  // who was silent may have much to say: what it has answered need not be sent again
	troubleBase  = 250 * time.Millisecond
	troubleCap   = time.Second
)

// area tells messages of one stream from those of another.
type area uint8

const (
	areaElse area = iota
	areaMetrics
	areaEvents
	areaDead
	areas
)

func areaOf(subject string) area {
	rest, _ := strings.CutPrefix(subject, prefix)
	name, _, _ := strings.Cut(rest, ".")
	switch name {
	case AreaMetrics:
		return areaMetrics
	case AreaEvents:
		return areaEvents
	case AreaDead:
		return areaDead
	}
	return areaElse
}

// enter has the messages of an area wait for its oldest. The lock is held.
func (p *Publisher) enter(a area, silent bool, now time.Time) {
	t := &p.troubles[a]
	if !t.on {
		t.on, t.silent, t.tries, t.next = true, silent, 0, now
		for i := range p.slots {
			if s := &p.slots[i]; s.done != nil && s.area == a {
				p.postpone(s, now)
			}
		}
	}
	p.setState(StateNoStream)
	p.kick()
}

// again says when the oldest message of an area in trouble asks the next time.
func (t *trouble) again(now time.Time) {
	t.next = now.Add(backoff(troubleBase, troubleCap, t.tries))
	t.tries++
}

// answered notes that somebody has answered for s, and sends what has waited for that. The lock is held.
func (p *Publisher) answered(s *slot, now time.Time) {
	t := &p.troubles[s.area]
	t.heard = now
	if s.sends == 1 && s.sent.After(t.passed) {
		t.passed = s.sent
	}
	if t.on {
		p.leave(s.area, now)
	}
}

func (p *Publisher) leave(a area, now time.Time) {
	t := &p.troubles[a]
	due := now
	if t.silent {
		due = now.Add(silenceCalm)
	}
	t.on = false
	for i := range p.slots {
		if s := &p.slots[i]; s.done != nil && s.area == a {
			p.postpone(s, due)
		}
	}
	p.kick()
}

// forgetTroubles is for another connection, by which everything is sent again. The lock is held.
func (p *Publisher) forgetTroubles(now time.Time) {
	for a := range p.troubles {
		p.troubles[a] = trouble{heard: now}
	}
}

// troubled reports whether any stream does not answer. The lock is held.
func (p *Publisher) troubled() bool {
	for _, t := range p.troubles {
		if t.on {
			return true
		}
	}
	return false
}

// listen looks for areas that have become silent. The lock is held.
func (p *Publisher) listen(now time.Time) {
	var sent [areas]time.Time // of the message that has waited longest for its answer
	for i := range p.slots {
		s := &p.slots[i]
		if s.done == nil || s.waiting {
			continue
		}
		if at := &sent[s.area]; at.IsZero() || s.sent.Before(*at) {
			*at = s.sent
		}
	}
	for a := range areas {
		t := &p.troubles[a]
		if t.on || sent[a].IsZero() || now.Sub(sent[a]) < silenceAfter || now.Sub(t.heard) < silenceAfter {
			continue
		}
		p.log.Debug("stream is silent", "in_flight", p.inFlight())
		p.enter(a, true, now)
		p.conn.check()
	}
}

// overtaken reports whether a later message was answered, and the answer for s has had time enough. The lock is held.
func (p *Publisher) overtaken(s *slot, now time.Time) bool {
	return !s.waiting && s.sent.Before(p.troubles[s.area].passed) && now.Sub(s.sent) >= silenceAfter
}
