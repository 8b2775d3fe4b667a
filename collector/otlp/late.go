package otlp

import (
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what is remembered of requests that were answered too early.
const (
	maxLate  = 1024
	keepLate = 10 * time.Minute // clients have given up by then
)

// A digest is what a request is known by when it comes again.
type digest [sha256.Size]byte

// digestOf returns the digest of a request.
func digestOf(f form, text []byte) (d digest) {
	h := sha256.New()
	_, _ = h.Write([]byte(f))
	_, _ = h.Write(text)
	h.Sum(d[:0])
	return d
}

// A pending is a request that is being stored.
type pending struct {
	done    chan struct{} // closed once there is an outcome
	outcome outcome
}

// late are the requests whose clients were told to come again while the bus had not answered yet. What becomes of such a one is told
// to its client when it does: it is not stored a second time.
type late struct {
	n   atomic.Int32 // of all
	mu  sync.Mutex
	all []lateOne // the oldest first
}

type lateOne struct {
	digest digest
	*pending
	since time.Time
}

// add remembers p. There may be too many: then the oldest one is forgotten.
func (l *late) add(d digest, p *pending, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(o lateOne) bool { return now.Sub(o.since) > keepLate })
	if len(l.all) >= maxLate {
		l.all = slices.Delete(l.all, 0, 1)
	}
	l.all = append(l.all, lateOne{d, p, now})
	l.n.Store(int32(len(l.all)))
}

// take returns the request of a digest and forgets it; nil if there is none.
func (l *late) take(d digest) *pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.all, func(o lateOne) bool { return o.digest == d })
	if i < 0 {
		return nil
	}
	p := l.all[i].pending
	l.all = slices.Delete(l.all, i, i+1)
	l.n.Store(int32(len(l.all)))
	return p
}
