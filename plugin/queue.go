package plugin

import (
	"context"
	"fmt"
	"sync"

	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// A queue holds what a collector has made and the bus does not take yet. It is bounded in bytes; its policy says what becomes of
// more. It belongs to the process: what waits outlives a change of config.
type queue struct {
	room chan struct{} // 1: something was taken

	mu      sync.Mutex
	policy  string // one of telemetry.Overflow...
	most    int    // bytes
	bytes   int
	waiting []parcel
	first   int             // of waiting
	pumping bool            // somebody hands parcels over
	empty   []chan struct{} // flush calls
}

// A parcel is one message on its way out.
type parcel struct {
	size   int
	send   func()          // hands it to the bus; blocks while that takes nothing
	refuse func(err error) // instead of send
}

// Bounds of a queue.
const (
	queueBytes  = 16 << 20 // unless the config says otherwise
	parcelBytes = 512      // that a message takes besides its body
)

func newQueue() *queue {
	return &queue{room: make(chan struct{}, 1), most: queueBytes, policy: telemetry.OverflowBlock}
}

// shape sets the bounds that w asks for. What waits already stays.
func (q *queue) shape(w telemetry.Work) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.most, q.policy = queueBytes, telemetry.OverflowBlock
	if w.QueueBytes > 0 {
		q.most = int(w.QueueBytes)
	}
	if w.Overflow != "" {
		q.policy = w.Overflow
	}
}

// blocks reports whether who finds the queue full has to wait.
func (q *queue) blocks() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.policy == telemetry.OverflowBlock
}

// state returns how many parcels wait, and their bytes.
func (q *queue) state() (n, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) - q.first, q.bytes
}

// put takes p, which leaves in its turn. When the queue is full it waits, or refuses what the policy says.
func (q *queue) put(ctx context.Context, p parcel) {
	p.size += parcelBytes
	q.mu.Lock()
	var old []parcel
	for q.bytes > 0 && q.bytes+p.size > q.most {
		switch q.policy {
		case telemetry.OverflowDropNew:
			q.mu.Unlock()
			p.refuse(ErrOverflow)
			return
		case telemetry.OverflowDropOldest:
			old = append(old, q.pop())
			continue
		}
		q.mu.Unlock()
		select {
		case <-q.room:
		case <-ctx.Done():
			p.refuse(fmt.Errorf("stopped before the points were sent: %w", context.Cause(ctx)))
			return
		}
		q.mu.Lock()
	}
	q.push(p)
	q.mu.Unlock()
	for _, p := range old {
		p.refuse(ErrOverflow)
	}
}

// push appends p, and has it handed over. The caller has the lock.
func (q *queue) push(p parcel) {
	if q.first > 64 && 2*q.first > len(q.waiting) {
		n := copy(q.waiting, q.waiting[q.first:])
		clear(q.waiting[n:])
		q.waiting, q.first = q.waiting[:n], 0
	}
	q.waiting = append(q.waiting, p)
	q.bytes += p.size
	if !q.pumping {
		q.pumping = true
		go q.pump()
	}
}

// pop takes the parcel that waits longest. The caller has the lock, and knows that there is one.
func (q *queue) pop() parcel {
	p := q.waiting[q.first]
	q.waiting[q.first] = parcel{}
	q.first++
	q.bytes -= p.size
	if q.first == len(q.waiting) {
		q.waiting, q.first = q.waiting[:0], 0
	}
	return p
}

// pump hands parcels over until there are none.
func (q *queue) pump() {
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.pumping, q.waiting = false, nil // an outage should not be remembered in memory
			for _, e := range q.empty {
				close(e)
			}
			q.empty = nil
			q.mu.Unlock()
			return
		}
		p := q.pop()
		q.mu.Unlock()
		nudge(q.room)
		p.send()
	}
}

// flush waits until everything that waits is handed over.
func (q *queue) flush(ctx context.Context) error {
	q.mu.Lock()
	if !q.pumping {
		q.mu.Unlock()
		return nil
	}
	empty := make(chan struct{})
	q.empty = append(q.empty, empty)
	q.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		n, _ := q.state()
		return fmt.Errorf("flush queue: %s for the bus: %w", amount.Of(n, "message waits", "messages wait"), ctx.Err())
	}
}
