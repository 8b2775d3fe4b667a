package bus

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// slot is one message under way. Slots and their headers are reused, so that a
// send costs no memory of ours but its id.
type slot struct {
	msg   nats.Msg
	id    [1]string // backs the header values
	ctype [1]string
	index int    // in the window
	stem  string // of the reply subject
	life  int    // of the reply subject: counted up when a late answer may still come

	done    func(error) // nil: free
	size    int
	area    area   // of its subject
	own     bool   // the id is ours, so nobody else can have used it rightly
	order   uint64 // of Send
	sends   int
	answers int
	refused int  // answers "later" in a row
	waiting bool // to be sent at due; else sent, and due is when we stop waiting for the answer
	due     time.Time
	first   time.Time // first send
	sent    time.Time // last one
}

func (s *slot) init(inbox string, index int) {
	s.index, s.stem = index, inbox+strconv.Itoa(index)+"-"
	s.msg.Header = make(nats.Header, 2)
	s.renew()
}

// renew gives the slot a fresh reply subject. After a message with one send and
// one answer the old one serves again.
func (s *slot) renew() {
	s.life++
	s.msg.Reply = s.stem + strconv.Itoa(s.life)
}

func (s *slot) fill(m Message, id string) {
	s.msg.Subject, s.msg.Data, s.area = m.Subject, m.Body, areaOf(m.Subject)
	s.setID(id)
	if m.ContentType != "" {
		s.ctype[0] = m.ContentType
		s.msg.Header[headerType] = s.ctype[:]
	}
	for key, value := range m.Header {
		s.msg.Header[key] = []string{value}
	}
}

func (s *slot) setID(id string) {
	s.id[0] = id
	s.msg.Header[headerID] = s.id[:]
}

func (s *slot) clear() {
	if s.sends != 1 || s.answers != 1 { // see TellFull: as many answers as sends need not be one of each
		s.renew()
	}
	clear(s.msg.Header)
	s.msg.Subject, s.msg.Data = "", nil
	s.id[0], s.ctype[0] = "", ""
	s.sends, s.answers, s.refused = 0, 0, 0
	s.first = time.Time{}
}

func (p *Publisher) inFlight() int { return len(p.slots) - len(p.free) }

// start takes a slot for m and sends it; false means the window is full.
func (p *Publisher) start(m Message, size int, done func(error)) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false, fmt.Errorf("publish %s: %w", m.Subject, ErrClosed)
	}
	// A message larger than the window goes alone.
	if len(p.free) == 0 || p.bytes+size > p.opts.MaxBytes && p.inFlight() > 0 {
		return false, nil
	}
	i := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	s := &p.slots[i]
	id := m.ID
	if s.own = id == ""; s.own {
		id = p.ids.next(m.Subject)
	}
	s.fill(m, id)
	p.order++
	s.order, s.size, s.done = p.order, size, done
	p.bytes += size
	now := time.Now()
	// Behind others that wait, or when the client refuses, the loop sends it.
	if !p.up || p.waiting > 0 || p.send(s, now) != nil {
		p.postpone(s, now)
		p.kick()
	}
	if p.resting { // it has to look after this one from now on
		p.resting = false
		p.kick()
	}
	return true, nil
}

// send publishes a slot; an error says that it never can be. The lock is held
// throughout: an answer that came first would release the slot.
func (p *Publisher) send(s *slot, now time.Time) error {
	p.resume(s)
	s.due, s.sent = now.Add(p.opts.AckTimeout), now
	err := p.conn.nc.PublishMsg(&s.msg)
	if err != nil && notSent(err) {
		if errors.Is(err, nats.ErrMaxPayload) {
			return fmt.Errorf("publish %s: %w", s.msg.Subject, translate(err))
		}
		p.postpone(s, s.due) // onUp makes it due
		return nil
	}
	// Of any other error it is unknown whether the message went: as if sent.
	if s.sends++; s.sends == 1 {
		s.first = now
		return nil
	}
	p.stats.Resent++
	if now.Sub(s.first) > lateResend {
		p.stats.LateResent++
	}
	return nil
}

func (p *Publisher) postpone(s *slot, due time.Time) {
	if !s.waiting {
		s.waiting = true
		p.waiting++
	}
	s.due = due
}

func (p *Publisher) resume(s *slot) {
	if s.waiting {
		s.waiting = false
		p.waiting--
	}
}

// loop sends again what is due. One timer serves all messages.
func (p *Publisher) loop() {
	defer close(p.done)
	timer := time.NewTimer(p.opts.AckTimeout)
	defer timer.Stop()
	for {
		select {
		case <-p.stop:
			p.failAll(func(*slot) bool { return true }, ErrClosed)
			return
		case <-p.conn.closed:
			p.quit()
			continue
		case <-p.wake:
		case <-timer.C:
		}
		timer.Reset(p.scan(time.Now()))
		p.tellState()
	}
}

// scan sends what is due, oldest first, and returns how long it may rest.
func (p *Publisher) scan(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := p.opts.AckTimeout
	if !p.up {
		return rest // onUp makes everything due
	}
	if p.resting = p.inFlight() == 0; p.resting {
		return rest
	}
	p.listen(now)
	due, rest := p.due(now)
	for _, t := range due {
		if !t.valid() {
			continue // finish lets go of the lock
		}
		if err := p.send(t.slot, now); err != nil {
			p.finish(t.slot, err)
		}
	}
	return max(rest, time.Millisecond)
}

// due returns what is to be sent now, oldest first, and when something is the next time. Of an area in trouble that is its oldest
// message alone.
func (p *Publisher) due(now time.Time) (due []ticket, rest time.Duration) {
	rest = min(p.opts.AckTimeout, silenceAfter/2)
	var oldest [areas]*slot
	for i := range p.slots {
		s := &p.slots[i]
		switch {
		case s.done == nil:
		case p.troubles[s.area].on:
			if first := oldest[s.area]; first == nil || s.order < first.order {
				oldest[s.area] = s
			}
		case !s.due.After(now), p.overtaken(s, now):
			due = append(due, ticket{s, s.order})
		default:
			rest = min(rest, s.due.Sub(now))
		}
	}
	for a, s := range oldest {
		t := &p.troubles[a]
		switch {
		case s == nil:
			t.on = false // nobody waits any more
		case !t.next.After(now):
			t.again(now)
			due = append(due, ticket{s, s.order})
		}
		if t.on {
			rest = min(rest, t.next.Sub(now))
		}
	}
	slices.SortFunc(due, func(a, b ticket) int { return cmp.Compare(a.order, b.order) })
	return due, rest
}

// ticket is a slot as one message had it.
type ticket struct {
	*slot
	order uint64
}

func (t ticket) valid() bool { return t.done != nil && t.slot.order == t.order }

// failAll gives up the messages that which selects.
func (p *Publisher) failAll(which func(*slot) bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []ticket
	for i := range p.slots {
		if s := &p.slots[i]; s.done != nil && which(s) {
			all = append(all, ticket{s, s.order})
		}
	}
	for _, t := range all {
		if t.valid() {
			p.finish(t.slot, fmt.Errorf("publish %s: %w", t.msg.Subject, err))
		}
	}
}

func (p *Publisher) kick() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// backoff is base x 2^n with a cap, and a quarter of jitter.
func backoff(base, limit time.Duration, n int) time.Duration {
	d := min(base<<min(n, 16), limit)
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}

// finish reports the verdict on a message and then frees its slot, so that
// Flush returns after the last report. The lock is held before and after, not
// during the report.
func (p *Publisher) finish(s *slot, err error) {
	done := s.done
	s.done = nil
	p.resume(s)
	var had *DuplicateError
	switch {
	case err == nil:
		p.stats.Stored++
		p.stats.Bytes += uint64(len(s.msg.Data))
	case !errors.As(err, &had):
		p.stats.Refused++
	}
	p.mu.Unlock()
	done(err)
	p.mu.Lock()
	p.bytes -= s.size
	s.clear()
	p.free = append(p.free, s.index)
	if p.inFlight() == 0 {
		for _, empty := range p.idle {
			close(empty)
		}
		p.idle = nil
	}
	select {
	case p.room <- struct{}{}:
	default:
	}
}
