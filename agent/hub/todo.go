package hub

import (
	"sync"
	"time"
)

// todo is the queue of the writers: each host is in it once, so it is no longer than the fleet.
type todo struct {
	mu   sync.Mutex
	more *sync.Cond
	list []*host
	end  bool
}

func (t *todo) init() { t.more = sync.NewCond(&t.mu) }

// put has x written. The caller has the lock of the hub.
func (t *todo) put(x *host) {
	if x.queued {
		return
	}
	x.queued = true
	t.again(x)
}

func (t *todo) again(x *host) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, x)
	t.more.Signal()
}

// later is again after a while, in which the writers have others.
func (t *todo) later(x *host) { time.AfterFunc(retryEvery, func() { t.again(x) }) }

// next waits for a host; nil says that there will be none.
func (t *todo) next() *host {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.list) == 0 && !t.end {
		t.more.Wait()
	}
	if t.end {
		return nil
	}
	x := t.list[0]
	t.list[0] = nil
	t.list = t.list[1:]
	return x
}

func (t *todo) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = true
	t.more.Broadcast()
}
