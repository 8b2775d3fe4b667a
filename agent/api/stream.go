package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// A frame is one server-sent event.
type frame struct {
	id   string // "": none
	name string // "": message
	data []byte // one line
}

// What waits for a client at most. When there is more the oldest goes, and the client is told how many have gone.
const (
	mostFrames = 1024
	mostQueued = 1 << 20 // bytes
)

// A feed is the queue of one client.
type feed struct {
	wake  chan struct{} // 1: there is something
	taken chan struct{} // 1: there is room

	mu    sync.Mutex
	queue []frame
	bytes int
	lost  uint64
}

func newFeed() *feed { return &feed{wake: make(chan struct{}, 1), taken: make(chan struct{}, 1)} }

// push adds a frame; it never waits.
func (f *feed) push(one frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, one)
	f.bytes += len(one.data)
	gone := 0
	for f.bytes > mostQueued || len(f.queue)-gone > mostFrames {
		f.bytes -= len(f.queue[gone].data)
		gone++
	}
	f.queue = f.queue[gone:]
	f.lost += uint64(gone)
	ring(f.wake)
}

// room waits until a frame of so many bytes pushes none out, and reports whether ctx goes on. Only one may wait.
func (f *feed) room(ctx context.Context, size int) bool {
	for {
		f.mu.Lock()
		free := len(f.queue) == 0 || len(f.queue) < mostFrames && f.bytes+size <= mostQueued
		f.mu.Unlock()
		if free {
			return true
		}
		select {
		case <-f.taken:
		case <-ctx.Done():
			return false
		}
	}
}

// lose counts what never came to the queue.
func (f *feed) lose(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost += n
	ring(f.wake)
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// take empties the queue.
func (f *feed) take() (queue []frame, lost uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue, lost = f.queue, f.lost
	f.queue, f.bytes, f.lost = nil, 0, 0
	ring(f.taken)
	return queue, lost
}

// follow sends what produce pushes, until the client goes, the server ends, or produce returns.
func (c *call) follow(produce func(context.Context, *feed) error) error {
	select {
	case c.s.streams <- struct{}{}:
		defer func() { <-c.s.streams }()
	default:
		return tooMany("%d streams are open", mostStreams)
	}
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy must not hold it back
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return nil
	}
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	f := newFeed()
	var end error
	done := make(chan struct{})
	go func() {
		defer close(done)
		end = produce(ctx, f)
	}()
	defer func() { cancel(); <-done }()
	w := &streamWriter{w: c.w, rc: http.NewResponseController(c.w)}
	_ = w.rc.SetReadDeadline(time.Time{}) // the request has come; what follows is ours
	w.print("retry: 2000\n\n")
	t := time.NewTicker(c.s.o.Times.KeepAlive)
	defer t.Stop()
	for w.flush() {
		select {
		case <-f.wake:
			w.frames(f.take())
		case <-t.C:
			w.print(": still here\n\n")
		case <-c.s.closing:
			return nil
		case <-ctx.Done():
			return nil
		case <-done:
			w.frames(f.take())
			c.failure(w, end)
			w.flush()
			return nil
		}
	}
	return nil
}

// A streamWriter writes server-sent events; after an error it writes nothing.
type streamWriter struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	err error
}

func (w *streamWriter) print(format string, args ...any) {
	if w.err != nil {
		return
	}
	if w.err = w.rc.SetWriteDeadline(time.Now().Add(writeTime)); w.err == nil {
		_, w.err = fmt.Fprintf(w.w, format, args...)
	}
}

// flush reports whether the client is still there.
func (w *streamWriter) flush() bool {
	if w.err == nil {
		w.err = w.rc.Flush()
	}
	return w.err == nil
}

func (w *streamWriter) frames(queue []frame, lost uint64) {
	if lost > 0 {
		w.print("event: lost\ndata: {\"lost\":%d}\n\n", lost)
	}
	for _, f := range queue {
		if f.name != "" {
			w.print("event: %s\n", f.name)
		}
		if f.id != "" {
			w.print("id: %s\n", f.id)
		}
		w.print("data: %s\n\n", f.data)
	}
}

// failure tells why a stream ends.
func (c *call) failure(w *streamWriter, err error) {
	if err == nil {
		return
	}
	text, _ := json.Marshal(c.w.note(c.s.told(err, "request", c.w.id))) // it has only texts and numbers
	w.print("event: problem\ndata: %s\n\n", text)
}
