package bus

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// ackLog remembers acks until the stream has confirmed them. A server works on
// the acks of one connection in order, so one confirmation stands for all before
// it: at any time one ack asks for it, the others travel alone. Where that order
// does not hold, at a change of leaders, a lost ack means a repeated delivery,
// never a lost one.
type ackLog struct {
	inbox   string
	sub     *nats.Subscription
	pending []sentAck // oldest first
	asked   int       // how many of them the confirmation under way covers; 0: none is
	number  int       // of that confirmation
	reply   string    // where it comes
	sent    time.Time
	tries   int
}

// sentAck is what to send again.
type sentAck struct {
	subject string
	body    []byte
}

const (
	confirmWait = 2 * time.Second
	confirmMax  = 5 // a stream that has lost the delivery never confirms
)

// sendAck sends and remembers an ack; the lock is held.
func (k *Consumer) sendAck(subject string, body []byte) {
	a := &k.acks
	a.pending = append(a.pending, sentAck{subject, body})
	if a.asked == 0 {
		k.ask()
		return
	}
	_ = k.conn.nc.Publish(subject, body) // resent unless confirmed
}

// ask sends the last ack with a wish for confirmation.
func (k *Consumer) ask() {
	a := &k.acks
	a.asked = len(a.pending)
	a.number++
	a.reply = a.inbox + strconv.Itoa(a.number)
	a.sent = time.Now()
	last := a.pending[a.asked-1]
	_ = k.conn.nc.PublishRequest(last.subject, a.reply, last.body)
}

// onConfirm is called for each confirmation.
func (k *Consumer) onConfirm(msg *nats.Msg) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := &k.acks
	if msg.Subject != a.reply || a.asked == 0 {
		return
	}
	if msg.Header.Get(headerStatus) != "" {
		return // nobody took it: the consumer has no leader at the moment
	}
	k.confirmed(a.asked)
}

// confirmed drops the first n acks, and asks for the rest if that was sent
// without a wish.
func (k *Consumer) confirmed(n int) {
	a := &k.acks
	rest := copy(a.pending, a.pending[n:])
	clear(a.pending[rest:])
	a.pending = a.pending[:rest]
	a.asked, a.tries = 0, 0
	k.checkIdle()
}

// resendAcks sends everything unconfirmed again; the lock is held.
func (k *Consumer) resendAcks() {
	a := &k.acks
	if len(a.pending) == 0 {
		return
	}
	for _, ack := range a.pending[:len(a.pending)-1] {
		_ = k.conn.nc.Publish(ack.subject, ack.body)
	}
	k.ask()
}

// keepAcks is called now and then: it asks for what nobody asked for, and
// resends what was not confirmed in time.
func (k *Consumer) keepAcks(now time.Time) {
	a := &k.acks
	switch {
	case len(a.pending) == 0 || !k.conn.Connected():
	case a.asked == 0:
		k.ask()
	case now.Sub(a.sent) < confirmWait:
	case a.tries >= confirmMax && (k.stopping || k.heard.After(a.sent)): // a stream that says nothing at all may only be slow
		k.stats.Unconfirmed += uint64(a.asked)
		k.log.Warn("acks not confirmed, the messages will come again", "count", a.asked,
			"stream", k.stream, "consumer", k.durable)
		k.confirmed(a.asked)
	default:
		a.tries++
		k.resendAcks()
	}
}

// Flush waits until everything given out is settled and the stream has confirmed
// it.
func (k *Consumer) Flush(ctx context.Context) error {
	k.mu.Lock()
	if k.acks.asked < len(k.acks.pending) && k.acks.asked == 0 {
		k.ask()
	}
	idle := make(chan struct{})
	k.idle = append(k.idle, idle)
	k.checkIdle()
	k.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-k.done:
		select {
		case <-idle: // it was stopped, and has ended because nothing was left
			return nil
		default:
			return fmt.Errorf("flush consumer: %w", ErrClosed)
		}
	case <-ctx.Done():
		return fmt.Errorf("flush consumer: %d deliveries held: %w", k.Stats().Held, ctx.Err())
	}
}

// checkIdle wakes the Flush calls when nothing is left; the lock is held.
func (k *Consumer) checkIdle() {
	if len(k.idle) == 0 || k.held.len > 0 {
		return
	}
	if a := &k.acks; len(a.pending) > 0 {
		if a.asked == 0 {
			k.ask()
		}
		return
	}
	for _, idle := range k.idle {
		close(idle)
	}
	k.idle = nil
}
