package bus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// answer is what the bus says to a publish.
type answer struct {
	stored    bool
	duplicate bool
	seq       uint64 // place in the stream
	code      int    // of an error, as in HTTP; 503 without errCode: no responders
	errCode   int
	text      string
}

// nobody says that there is no stream, or that nobody leads it now, or that who does waits for a quorum.
func (a answer) nobody() bool {
	switch a.errCode {
	case 0:
		return a.code == codeUnavailable
	case int(errNotAvailable), int(errNotLeader), errStreamOffline, errInProcess:
		return true
	}
	return false
}

// Codes of errors in answers of a stream.
const (
	codeTooMany        = 429
	codeUnavailable    = 503
	statusNoResponders = "503"
	errMessageTooBig   = 10054
	errInProcess       = 10158 // the first send of this message waits for a quorum
	errAccountFull     = 10002
	errStreamOffline   = 10118
)

var (
	ackStart = []byte(`{"stream":"`)
	ackQuote = []byte(`",`)
	ackSeq   = []byte(`"seq":`)
)

// parseAnswer reads an answer; false means it is none of a stream. It is strict
// because whoever knows a reply subject can make the bus answer there.
func parseAnswer(msg *nats.Msg) (answer, bool) {
	if len(msg.Header) > 0 {
		none := len(msg.Data) == 0 && msg.Header.Get(headerStatus) == statusNoResponders
		return answer{code: codeUnavailable, text: "no responders"}, none
	}
	if seq, ok := plainAck(msg.Data); ok {
		return answer{stored: true, seq: seq}, true
	}
	var full struct {
		Type      string `json:"type"`
		Stream    string `json:"stream"`
		Seq       uint64 `json:"seq"`
		Duplicate bool   `json:"duplicate"`
		Error     *struct {
			Code        int    `json:"code"`
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if json.Unmarshal(msg.Data, &full) != nil || full.Type != "" {
		return answer{}, false
	}
	if e := full.Error; e != nil {
		return answer{code: e.Code, errCode: e.ErrCode, text: e.Description}, e.Code != 0
	}
	return answer{stored: true, duplicate: full.Duplicate, seq: full.Seq}, full.Stream != "" && full.Seq > 0
}

// plainAck recognises {"stream":"METRICS", "seq":7}, nothing between and nothing
// after, without decoding; any other text goes the long way.
func plainAck(data []byte) (seq uint64, ok bool) {
	rest, ok := bytes.CutPrefix(data, ackStart)
	if !ok {
		return 0, false
	}
	_, rest, ok = bytes.Cut(rest, ackQuote)
	if !ok {
		return 0, false
	}
	rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, " "), ackSeq)
	if !ok {
		return 0, false
	}
	digits := len(rest) - len(bytes.TrimLeft(rest, "0123456789"))
	if digits == 0 || digits > maxDigits || rest[0] == '0' || string(rest[digits:]) != "}" {
		return 0, false
	}
	for _, c := range rest[:digits] {
		seq = seq*10 + uint64(c-'0')
	}
	return seq, true
}

const maxDigits = 19 // so many fit a uint64, whichever they are

// onAnswer is called for each answer, on the goroutine of the subscription.
func (p *Publisher) onAnswer(msg *nats.Msg) {
	a, ok := parseAnswer(msg)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.find(msg.Subject)
	if s == nil || !ok {
		p.stats.Answers++
		return
	}
	s.answers++
	now := time.Now()
	if !a.nobody() {
		p.answered(s, now)
	}
	if a.stored {
		p.stored(s, a)
		return
	}
	if err := p.refused(s, a, now); err != nil {
		p.finish(s, fmt.Errorf("publish %s: %w", s.msg.Subject, err))
	}
	p.kick()
}

// find returns the slot whose present message expects answers on subject.
func (p *Publisher) find(subject string) *slot {
	index, _, _ := strings.Cut(strings.TrimPrefix(subject, p.inbox), "-")
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(p.slots) {
		return nil
	}
	if s := &p.slots[i]; s.done != nil && s.msg.Reply == subject {
		return s
	}
	return nil
}

func (p *Publisher) stored(s *slot, a answer) {
	p.stats.LastSeq = max(p.stats.LastSeq, a.seq)
	if a.duplicate && s.own && s.sends == 1 {
		p.foreign(s)
		return
	}
	if a.duplicate {
		p.stats.Duplicates++
	}
	// A full stream knows what it has: that says nothing of room.
	known := a.duplicate && p.state == StateStorageFull
	if was := p.state; was != StateOK && !known && !p.troubled() {
		p.setState(StateOK)
		if was == StateStorageFull { // there is room again
			p.retryAll(func(s *slot) bool { return s.waiting })
		}
	}
	if a.duplicate && p.opts.Doubts && !s.own {
		p.finish(s, &DuplicateError{Seq: a.seq})
		return
	}
	p.finish(s, nil)
}

// foreign handles "duplicate" to the first send of an id of ours: somebody used
// it before, our message is not stored. Ids are visible to readers, so all
// further ones come from a new boot.
func (p *Publisher) foreign(s *slot) {
	p.stats.ForeignDuplicate++
	p.log.Warn("id was used by another publisher", "id", s.id[0], "subject", s.msg.Subject)
	if strings.HasPrefix(s.id[0], string(p.ids.stem)) {
		p.ids.reboot()
	}
	s.setID(p.ids.next(s.msg.Subject))
	s.renew()
	s.sends, s.answers = 0, 0
	p.postpone(s, time.Now())
	p.kick()
}

// refused decides when to send again; an error means never.
func (p *Publisher) refused(s *slot, a answer, now time.Time) error {
	s.refused++
	n := s.refused - 1
	switch {
	case a.code == codeTooMany:
		p.stats.Overloaded++
		p.postpone(s, now.Add(backoff(50*time.Millisecond, 2*time.Second, n)))
	case a.nobody():
		p.stats.NoStream++
		p.postpone(s, now)
		p.enter(s.area, false, now)
	case a.errCode == errMessageTooBig:
		return fmt.Errorf("%w: %s", ErrTooLarge, a.text)
	case a.code >= 500, a.errCode == errAccountFull: // 10023: the store is full, 10077: the stream or its disk
		p.stats.StorageFull++
		p.setState(StateStorageFull)
		p.postpone(s, now.Add(backoff(time.Second, 15*time.Second, n)))
	default:
		return fmt.Errorf("%w: %s (%d)", ErrRefused, a.text, a.errCode)
	}
	return nil
}

// retryAll makes the messages due that which selects.
func (p *Publisher) retryAll(which func(*slot) bool) {
	now := time.Now()
	for i := range p.slots {
		if s := &p.slots[i]; s.done != nil && which(s) {
			p.postpone(s, now)
		}
	}
	p.kick()
}

func (p *Publisher) onUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up {
		return // of the connect before we began to watch
	}
	p.up = true
	// Of everything under way it is unknown whether the stream has it.
	p.forgetTroubles(time.Now())
	p.retryAll(func(*slot) bool { return true })
}

func (p *Publisher) onDown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up = false
	p.kick()
}

func (p *Publisher) onDenied(v violation) {
	deaf := v.subscribe && strings.HasPrefix(v.subject, p.inbox)
	if v.subscribe && !deaf {
		return
	}
	affected := false
	p.failAll(func(s *slot) bool {
		hit := deaf || s.msg.Subject == v.subject
		affected = affected || hit
		return hit
	}, fmt.Errorf("%w: %w", ErrDenied, v.err))
	if affected || deaf {
		p.mu.Lock()
		p.setState(StateDenied)
		p.mu.Unlock()
		p.kick()
	}
}

func (p *Publisher) shown() PublisherState {
	if !p.up {
		return StateDisconnected
	}
	return p.state
}

func (p *Publisher) setState(s PublisherState) {
	if p.state != s {
		p.state = s
		p.kick() // the loop tells
	}
}

func (p *Publisher) tellState() {
	p.mu.Lock()
	now := p.shown()
	changed := now != p.told
	p.told = now
	p.mu.Unlock()
	if !changed {
		return
	}
	p.log.Info("publisher state", "state", now)
	if p.opts.OnState != nil {
		p.opts.OnState(now)
	}
}
