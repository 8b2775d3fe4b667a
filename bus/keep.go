package bus

import (
	"time"

	"github.com/nats-io/nats.go"
)

// queued is a message that came while nobody called Next.
type queued struct {
	msg       *nats.Msg
	signalled time.Time
}

const (
	keepEvery = 250 * time.Millisecond
	restEvery = 2500 * time.Millisecond // while nothing is in hand: an idle plugin should sleep, and half of AckWait is soon enough
	stopWait  = 2 * time.Second
)

// keep runs beside Next: it signals progress, notices silence and looks after
// acks, until the consumer is stopped and nothing is held, or the connection
// ends.
func (k *Consumer) keep() {
	defer close(k.done)
	busy := min(k.opts.Progress/4, keepEvery)
	rest := min(k.opts.Progress*5/3, restEvery)
	next := time.NewTimer(busy)
	defer next.Stop()
	for {
		select {
		case now := <-next.C:
			over, idle := k.look(now)
			if over {
				_ = k.acks.sub.Unsubscribe() // fails only when the connection is closed
				k.conn.unwatch(&k.watch)
				return
			}
			next.Reset(busy)
			if idle {
				next.Reset(rest)
			}
		case <-k.conn.closed:
			k.conn.unwatch(&k.watch)
			return
		}
	}
}

// look does one round and tells whether the work is over, and whether nothing is in hand.
func (k *Consumer) look(now time.Time) (over, idle bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.progress(now)
	k.keepAcks(now)
	idle = k.held.len == 0 && len(k.acks.pending) == 0 && len(k.queue) == 0 && !k.stopping
	switch {
	case k.stopped:
		return k.held.len == 0 && len(k.acks.pending) == 0, false
	case !k.waits || !k.conn.Connected():
	case now.Sub(k.heard) > k.silence():
		k.stats.Resets++
		k.log.Warn("stream is silent, asking anew", "stream", k.stream, "consumer", k.durable)
		k.reset()
		k.heard = now.Add(-k.beat) // the next sign of life would come within a beat: who has been silent is asked again soon
		k.conn.check()
	default:
		k.pullAll() // lanes that had to wait before asking again
	}
	return false, idle
}

// progress tells the stream of every delivery that is older than the period,
// given out or not, that it is worked on.
func (k *Consumer) progress(now time.Time) {
	k.fetch(now)
	before := now.Add(-k.opts.Progress)
	for d := k.held.stale(before, now); d != nil; d = k.held.stale(before, now) {
		_ = k.conn.nc.Publish(d.msg.Reply, progressBody) // away: told after the reconnect
	}
	for i := range k.queue {
		if q := &k.queue[i]; q.msg.Reply != "" && q.signalled.Before(before) {
			q.signalled = now
			_ = k.conn.nc.Publish(q.msg.Reply, progressBody)
		}
	}
}

// fetch moves arrivals to where they can be seen. While Next waits on them there
// are none.
func (k *Consumer) fetch(now time.Time) {
	for !k.waits {
		select {
		case msg := <-k.arrivals:
			k.heard = now
			if msg.Reply != "" || msg.Header.Get(headerStatus) != statusHeartbeat {
				k.queue = append(k.queue, queued{msg, now})
			}
		default:
			return
		}
	}
}

// Stop ends reading: Next returns ErrStopped, and what was fetched and not given
// out goes back to the stream, for others. Deliveries given out can still be
// settled; Flush waits for that. Stop again does nothing.
func (k *Consumer) Stop() {
	k.mu.Lock()
	again := k.stopping
	k.stopping = true
	k.mu.Unlock()
	if again {
		return
	}
	k.wake()
	k.drainLanes()
	k.giveAllBack()
	if !k.conn.Connected() {
		return
	}
	// The process may end now: what it gave back must have left it.
	if err := k.conn.nc.FlushTimeout(stopWait); err != nil {
		k.log.Debug("given back, perhaps in vain", "stream", k.stream, "consumer", k.durable, "err", err)
	}
}

func (k *Consumer) giveAllBack() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waits = false
	k.fetch(time.Now())
	for _, q := range k.queue {
		k.giveBack(q.msg)
	}
	k.queue = nil
	k.stopped = true
	k.checkIdle()
}

// giveBack offers a message to others at once. Lost, it is given again after the
// stream's own wait. So is a lease, which may be another's by now: what we say of it would take it from him.
func (k *Consumer) giveBack(msg *nats.Msg) {
	if msg.Reply != "" && k.stream != StreamLeases {
		_ = k.conn.nc.Publish(msg.Reply, nakBody)
	}
}

// drainLanes ends the subscriptions, which ends their pulls, and waits for what
// the server sent before it knew.
func (k *Consumer) drainLanes() {
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	for i := range k.lanes {
		closed := make(chan struct{})
		k.lanes[i].sub.SetClosedHandler(func(string) { close(closed) })
		if k.lanes[i].sub.Drain() != nil {
			continue // the connection is closed
		}
		select {
		case <-closed:
		case <-timer.C:
			return
		}
	}
}
