package bus

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/internal/amount"
)

// Message is what is published to a stream.
type Message struct {
	Subject     string
	ID          string // empty: the next id of the publisher; a processor derives one, see DerivedID
	ContentType string
	Header      map[string]string // a few more headers, rarely needed
	Body        []byte
}

// PublisherOptions describe who publishes and how much may be under way.
type PublisherOptions struct {
	Host, Plugin string // names; they make the ids
	MaxMessages  int    // unacknowledged at most; 0 means 256
	MaxBytes     int    // unacknowledged at most; 0 means 4 MiB
	Log          *slog.Logger

	// Doubts has Send report a *DuplicateError where the stream says that it has the id of a message already, for ids that the message
	// brings. Without it that counts as stored. Ids are visible to readers, and the stream remembers them whatever the subject: somebody
	// may have used it before us, on a subject of his own.
	Doubts bool

	// OnState is told of each change of state; it must not block.
	OnState func(PublisherState)

	// LetterKey returns the secret of the plugin by which Dead makes ids, which its next process knows too: so that one which goes on
	// where this one died stores no second letter. It is called for each letter. Nil, or an empty key: ids are random.
	LetterKey func() []byte

	// AckTimeout is how long an answer may take before the message is sent
	// again; 0 means 10 s. Only a test needs another value.
	AckTimeout time.Duration
}

// PublisherState says whether messages get through.
type PublisherState string

// States of a publisher. It goes on trying in each of them.
const (
	StateOK           PublisherState = "ok"
	StateDisconnected PublisherState = "disconnected" // no server
	StateStorageFull  PublisherState = "storage_full" // the stream has no room
	StateNoStream     PublisherState = "no_stream"    // nobody stores: no stream, no leader, or no answer
	StateDenied       PublisherState = "denied"       // the last message was not permitted
)

// PublisherStats are counters since the start, and what is under way now.
type PublisherStats struct {
	State            PublisherState
	Stored, Bytes    uint64 // acknowledged messages and the bytes of their bodies
	Resent           uint64 // sends beyond the first of a message
	LateResent       uint64 // of these, so late that the stream may have forgotten the id
	Duplicates       uint64 // acknowledged, but the stream had them already
	ForeignDuplicate uint64 // somebody else had used our id: sent again under another
	StorageFull      uint64 // answers "no room"
	Overloaded       uint64 // answers "too many requests"
	NoStream         uint64 // answers that nobody leads the stream, or no majority of its servers is there
	Refused          uint64 // messages given up: denied, too large, refused
	LastSeq          uint64 // the last place in a stream that an answer has named
	Answers          uint64 // answers that belong to no message or are none of a stream
	InFlight         int
	InFlightBytes    int
}

// Publisher stores messages in streams, each at least once and with the same id
// however often it is sent. Its window bounds what is under way in messages and
// bytes; one goroutine looks after resending. Messages leave in the order of
// Send; only trouble reorders them.
type Publisher struct {
	conn  *Conn
	log   *slog.Logger
	opts  PublisherOptions
	inbox string // of all acks, ends in a dot
	sub   *nats.Subscription
	watch watcher

	sending chan struct{} // 1: held by the one Send that may wait for room, so nobody is overtaken
	room    chan struct{} // 1: something was released
	wake    chan struct{} // 1: the loop should look now
	stop    chan struct{}
	done    chan struct{}

	mu       sync.Mutex
	closed   bool
	up       bool
	slots    []slot
	free     []int
	bytes    int
	order    uint64 // of the last message
	waiting  int    // slots that wait to be sent
	troubles [areas]trouble
	resting  bool // the loop, as nothing is under way
	ids      idSource
	state    PublisherState // while connected
	told     PublisherState // last given to OnState
	stats    PublisherStats
	idle     []chan struct{} // Flush calls
}

const (
	defaultMessages   = 256
	defaultBytes      = 4 << 20
	defaultAckTimeout = 10 * time.Second
	lateResend        = 100 * time.Second // the duplicate window is 120 s
)

// Headers that the streams and their readers know.
const (
	headerID     = "Nats-Msg-Id"
	headerType   = "Content-Type"
	headerStatus = "Status" // of what the server itself says
)

// NewPublisher starts a publisher on c. Close ends it.
func NewPublisher(c *Conn, o PublisherOptions) (*Publisher, error) {
	if o.Log == nil {
		o.Log = c.log
	}
	if o.MaxMessages <= 0 {
		o.MaxMessages = defaultMessages
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultBytes
	}
	if o.AckTimeout <= 0 {
		o.AckTimeout = defaultAckTimeout
	}
	p := &Publisher{
		conn: c, log: o.Log, opts: o, inbox: c.nc.NewInbox() + ".",
		sending: make(chan struct{}, 1), room: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
		slots: make([]slot, o.MaxMessages), free: make([]int, 0, o.MaxMessages),
		ids: newIDs(o.Host, o.Plugin), state: StateOK, resting: true,
	}
	for i := range p.slots {
		p.slots[i].init(p.inbox, i)
		p.free = append(p.free, o.MaxMessages-1-i)
	}
	var err error
	if p.sub, err = c.nc.Subscribe(p.inbox+"*", p.onAnswer); err != nil {
		return nil, fmt.Errorf("new publisher: %w", translate(err))
	}
	// Answers are bounded by the window already.
	if err := p.sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("new publisher: %w", translate(err))
	}
	p.watch = watcher{up: p.onUp, down: p.onDown, denied: p.onDenied}
	c.watch(&p.watch)
	p.mu.Lock()
	p.up = c.Connected()
	p.told = p.shown()
	p.mu.Unlock()
	go p.loop()
	return p, nil
}

// Send puts m under way, and blocks while the window is full or until ctx ends.
// After nil, done is called exactly once, from another goroutine: with nil when
// the message is stored, else with the reason why it never will be (ErrTooLarge,
// ErrDenied, ErrRefused, ErrClosed). done must not block. Until then body and
// header of m belong to the publisher. After an error done is not called and
// nothing was sent.
func (p *Publisher) Send(ctx context.Context, m Message, done func(error)) error {
	size := m.size()
	if err := p.tooLarge(m.Subject, size); err != nil {
		return err
	}
	select {
	case p.sending <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("publish %s: %w", m.Subject, ctx.Err())
	case <-p.stop:
		return fmt.Errorf("publish %s: %w", m.Subject, ErrClosed)
	}
	defer func() { <-p.sending }()
	for {
		if ok, err := p.start(m, size, done); ok || err != nil {
			return err
		}
		select {
		case <-p.room:
		case <-ctx.Done():
			return fmt.Errorf("publish %s: window is full: %w", m.Subject, ctx.Err())
		case <-p.stop:
			return fmt.Errorf("publish %s: %w", m.Subject, ErrClosed)
		}
	}
}

// Publish sends m and waits until it is stored. When ctx ends first, the message
// may still be stored, and its body is not the caller's until Flush or Close.
func (p *Publisher) Publish(ctx context.Context, m Message) error {
	w := waits.Get().(*wait)
	if err := p.Send(ctx, m, w.done); err != nil {
		waits.Put(w)
		return err
	}
	select {
	case err := <-w.result:
		waits.Put(w)
		return err
	case <-ctx.Done():
		return fmt.Errorf("publish %s: %w", m.Subject, ctx.Err()) // w is left to its late answer
	}
}

// wait is one call of Publish; they are reused to spare the closure.
type wait struct {
	result chan error
	done   func(error)
}

var waits = sync.Pool{New: func() any {
	w := &wait{result: make(chan error, 1)} // 1: done never blocks
	w.done = func(err error) { w.result <- err }
	return w
}}

// Flush waits until nothing is under way.
func (p *Publisher) Flush(ctx context.Context) error {
	p.mu.Lock()
	if p.inFlight() == 0 {
		p.mu.Unlock()
		return nil
	}
	empty := make(chan struct{})
	p.idle = append(p.idle, empty)
	p.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush publisher: %s under way: %w", amount.Of(p.Stats().InFlight, "message", "messages"), ctx.Err())
	}
}

// Close ends the publisher, as the end of its connection does. What is under way is reported with ErrClosed; call
// Flush before to have it stored.
func (p *Publisher) Close() {
	p.quit()
	<-p.done
}

// quit ends the loop, which reports to whoever waits.
func (p *Publisher) quit() {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	if again {
		return
	}
	p.conn.unwatch(&p.watch)
	_ = p.sub.Unsubscribe() // fails only when the connection is closed
	close(p.stop)
}

// Stats returns the counters.
func (p *Publisher) Stats() PublisherStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.State = p.shown()
	s.InFlight, s.InFlightBytes = p.inFlight(), p.bytes
	return s
}

// State is how publishing goes at the moment.
func (p *Publisher) State() PublisherState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown()
}

// DerivedID is the id of what plugin makes out of the message with the given id:
// the same input, given again, has the same output id and so is stored once.
// part counts from 1 for the outputs of one input.
func DerivedID(id, plugin string, part int) string {
	out := id + "+" + Token(plugin)
	if part > 1 {
		out += "." + strconv.Itoa(part)
	}
	return out
}

// idSource makes ids <host>/<plugin>/<boot>/<seq> for batches and .../e<seq> for
// what goes to other streams: readers take a hole in the first sequence for a
// loss, see gapCounter. The boot is random, so that nobody can use up ids before us.
type idSource struct {
	owner   string // <host>/<plugin>/
	stem    []byte // <host>/<plugin>/<boot>/
	batches uint64
	others  uint64
}

func newIDs(host, plugin string) idSource {
	s := idSource{owner: Token(host) + "/" + Token(plugin) + "/"}
	s.reboot()
	return s
}

func (s *idSource) reboot() {
	var boot [8]byte
	_, _ = rand.Read(boot[:]) // never fails
	s.stem = append(hex.AppendEncode([]byte(s.owner), boot[:]), '/')
	s.batches, s.others = 0, 0
}

func (s *idSource) next(subject string) string {
	var buf [3*maxToken + 48]byte
	id := append(buf[:0], s.stem...)
	if strings.HasPrefix(subject, prefix+AreaMetrics+".") {
		s.batches++
		return string(strconv.AppendUint(id, s.batches, 10))
	}
	s.others++
	return string(strconv.AppendUint(append(id, 'e'), s.others, 10))
}

// size is what counts against the window and the server's payload limit, a few
// bytes more than what travels.
func (m *Message) size() int {
	const fixed = 256 // protocol line, an id of our own, names of the two usual headers
	n := fixed + len(m.Subject) + len(m.ContentType) + len(m.ID) + len(m.Body)
	for key, value := range m.Header {
		n += len(key) + len(value) + 4
	}
	return n
}

func (p *Publisher) tooLarge(subject string, size int) error {
	if limit := p.conn.MaxPayload(); limit > 0 && int64(size) > limit {
		return fmt.Errorf("publish %s: %d bytes, the server takes %d: %w", subject, size, limit, ErrTooLarge)
	}
	return nil
}

// notSent tells errors after which the message is surely not on its way.
func notSent(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, nats.ErrConnectionDraining) || errors.Is(err, nats.ErrMaxPayload)
}
