package bus

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Delivery is a message to be settled: by Ack, Nak or Term, once. Until then the
// consumer tells the stream that it is worked on.
type Delivery struct {
	Subject     string
	Body        []byte // belongs to the receiver
	ID          string // Nats-Msg-Id
	ContentType string
	Deliveries  int    // 1 the first time
	StreamSeq   uint64 // place in the stream
	Stored      time.Time
	Pending     uint64 // messages the consumer has still to give out after this one

	again       bool // it is a dead letter that is given again
	consumer    *Consumer
	msg         *nats.Msg
	consumerSeq uint64

	prev, next *Delivery // list of held ones, guarded by the consumer
	signalled  time.Time
	settled    bool
}

// What a settled delivery says to the stream.
var (
	ackBody      = []byte("+ACK")
	nakBody      = []byte("-NAK")
	progressBody = []byte("+WPI")
)

// newDelivery reads the place of a message from its reply subject,
// $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>
// or the longer form with domain and account before the stream.
func newDelivery(k *Consumer, msg *nats.Msg) (*Delivery, error) {
	rest, ok := strings.CutPrefix(msg.Reply, "$JS.ACK.")
	if !ok {
		return nil, fmt.Errorf("reply subject %q is not of a stream", msg.Reply)
	}
	if strings.Count(rest, ".") > 6 {
		_, rest, _ = strings.Cut(rest, ".")
		_, rest, _ = strings.Cut(rest, ".")
	}
	_, rest, _ = strings.Cut(rest, ".") // stream
	_, rest, _ = strings.Cut(rest, ".") // consumer
	var numbers [5]uint64
	for i := range numbers {
		var text string
		text, rest, _ = strings.Cut(rest, ".")
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reply subject %q: %w", msg.Reply, err)
		}
		numbers[i] = n
	}
	d := &Delivery{
		Subject: msg.Subject, Body: msg.Data,
		ID: msg.Header.Get(headerID), ContentType: msg.Header.Get(headerType),
		Deliveries: int(numbers[0]), StreamSeq: numbers[1], consumerSeq: numbers[2],
		Stored: time.Unix(0, int64(numbers[3])), Pending: numbers[4],
		consumer: k, msg: msg,
	}
	if k.stream == StreamDead && strings.HasPrefix(msg.Subject, prefix+AreaAgain+".") {
		d.asBefore()
	}
	return d, nil
}

// asBefore makes d, which is a dead letter given again, what it was before: a batch of the same source, with the same id.
func (d *Delivery) asBefore() {
	d.again = true
	d.Subject, d.ID = d.Header(HeaderSubject), d.Header(HeaderSourceID)
	if stored, err := time.Parse(time.RFC3339Nano, d.Header(HeaderStored)); err == nil {
		d.Stored = stored
	}
}

// Header returns the first value of a header, empty when there is none.
func (d *Delivery) Header(key string) string { return d.msg.Header.Get(key) }

// Ack settles d for good: the stream never gives it again. It returns at once;
// the consumer repeats the ack until the stream has confirmed it, see Flush.
func (d *Delivery) Ack() error { return d.settle(ackBody, true) }

// Term settles d for good without success; reason appears in the stream's
// advisory.
func (d *Delivery) Term(reason string) error {
	return d.settle([]byte("+TERM "+strings.ReplaceAll(reason, "\n", " ")), true)
}

// Nak gives d back: the stream delivers it again after delay, to whoever asks.
func (d *Delivery) Nak(delay time.Duration) error {
	body := nakBody
	if delay > 0 {
		body = fmt.Appendf(nil, `-NAK {"delay":%d}`, delay)
	}
	return d.settle(body, false)
}

// InProgress tells the stream now that d is worked on. The consumer does so by
// itself; a call that blocks the whole process for seconds may need it.
func (d *Delivery) InProgress() error {
	k := d.consumer
	k.mu.Lock()
	defer k.mu.Unlock()
	if d.settled {
		return ErrSettled
	}
	k.held.remove(d)
	k.held.push(d, time.Now()) // the list is ordered by this time
	if err := k.conn.nc.Publish(d.msg.Reply, progressBody); err != nil {
		return fmt.Errorf("signal progress: %w", translate(err))
	}
	return nil
}

func (d *Delivery) settle(body []byte, confirm bool) error {
	k := d.consumer
	k.mu.Lock()
	defer k.mu.Unlock()
	if d.settled {
		return ErrSettled
	}
	d.settled = true
	k.held.remove(d)
	if confirm {
		k.repeats.settled(d, time.Now())
		k.sendAck(d.msg.Reply, body)
	} else {
		// Lost, it only comes later: after the stream's own wait.
		_ = k.conn.nc.Publish(d.msg.Reply, body)
	}
	k.checkIdle()
	return nil
}

// deliveryList is a ring through a sentinel, the longest not signalled first.
type deliveryList struct {
	root Delivery
	len  int
}

func (l *deliveryList) init() { l.root.next, l.root.prev = &l.root, &l.root }

func (l *deliveryList) push(d *Delivery, now time.Time) {
	d.signalled = now
	last := l.root.prev
	d.prev, d.next = last, &l.root
	last.next, l.root.prev = d, d
	l.len++
}

func (l *deliveryList) remove(d *Delivery) {
	d.prev.next, d.next.prev = d.next, d.prev
	d.prev, d.next = nil, nil
	l.len--
}

// has reports whether another delivery of the same message is held.
func (l *deliveryList) has(d *Delivery) bool {
	for o := l.root.next; o != &l.root; o = o.next {
		if o.StreamSeq == d.StreamSeq && o.Stored.Equal(d.Stored) {
			return true
		}
	}
	return false
}

// stale moves the first delivery to the end and returns it, if it was signalled
// before t.
func (l *deliveryList) stale(t, now time.Time) *Delivery {
	d := l.root.next
	if d == &l.root || d.signalled.After(t) {
		return nil
	}
	l.remove(d)
	l.push(d, now)
	return d
}
