package bus

import "time"

// repeats remembers what a consumer has settled for good. A stream that changes its leader may have lost that, and give a message
// again; who has given it out once need not do so twice.
type repeats struct {
	highest uint64 // sequence given out: below it a message may be a repeat
	ring    [rememberSettled]settledMessage
}

// settledMessage tells a message from another one of its sequence, in a stream that was made anew.
type settledMessage struct {
	seq    uint64
	stored int64
	at     time.Time
}

const (
	rememberSettled = 1024      // four times what may be given out and not settled
	repeatWindow    = time.Hour // who gives it again later wants that: a full disk may keep acks from being written for long
)

func (r *repeats) settled(d *Delivery, now time.Time) {
	r.ring[d.StreamSeq%rememberSettled] = settledMessage{d.StreamSeq, d.Stored.UnixNano(), now}
}

func (r *repeats) was(d *Delivery, now time.Time) bool {
	m := &r.ring[d.StreamSeq%rememberSettled]
	return m.seq == d.StreamSeq && m.stored == d.Stored.UnixNano() && now.Sub(m.at) < repeatWindow
}

// repeated deals with a delivery of what was settled here, or is in hand. What was settled is so again; what is in hand is settled by
// who has it. The lock is held.
func (k *Consumer) repeated(d *Delivery, now time.Time) bool {
	r := &k.repeats
	if d.StreamSeq > r.highest {
		r.highest = d.StreamSeq
		return false
	}
	settled := r.was(d, now)
	if !settled && !k.held.has(d) {
		return false
	}
	k.stats.Repeated++
	if settled {
		k.sendAck(d.msg.Reply, ackBody)
	}
	return true
}
