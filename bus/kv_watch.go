package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Watch calls f, on one goroutine, for each value under a pattern ("*", "web-1.>"), then calls ready once, then f for each change,
// until ctx ends, which is no error, or f returns one. Of several changes of a key in a row it may hear only the last. What it
// misses while the bus is away it gets when it is back. It ends with ErrNoStream when the bucket is no more, or is another one
// by now, or lacks what it had or was told to keep, as that of a bus whose store was put back to a state of before; and with
// ErrDisconnected when the bus was away for so long (a day) that it may have forgotten deletions. Open the bucket anew then. Other errors:
// ErrClosed, ErrDenied.
func (b *Bucket) Watch(ctx context.Context, pattern string, f func(KV) error, ready func()) error {
	if err := b.checkPattern(pattern); err != nil {
		return fmt.Errorf("watch bucket %s: %w", b.name, err)
	}
	w := &follower{bucket: b, filter: b.subject(pattern), f: f, ready: ready, next: 1}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hook := &watcher{up: w.reconnected, down: w.disconnected, denied: func(v violation) {
		if strings.HasPrefix(v.subject, "$JS.API.CONSUMER.") && strings.Contains(v.subject, "."+streamOfBucket+b.name+".") {
			cancel(fmt.Errorf("watch bucket %s: %w: %w", b.name, ErrDenied, v.err))
		}
	}}
	b.c.watch(hook)
	defer b.c.unwatch(hook)
	for ctx.Err() == nil {
		if err := w.follow(ctx); err != nil {
			return err
		}
		pause(ctx, watchPause)
	}
	return whyEnded(ctx, nil)
}

const (
	watchPause  = 250 * time.Millisecond // before the next attempt
	watchAsk    = 2 * time.Second        // for an answer of the server
	watchBeat   = 5 * time.Second        // the server shows that it still works on a pull; twice without, it does not
	watchPull   = 30 * time.Second
	watchAhead  = 2048    // messages that are fetched before they are looked at, at most,
	watchBytes  = 8 << 20 // and their size
	watchLinger = 30 * time.Second
)

// follower is one Watch. It reads by consumers that live in the server's memory and acknowledge nothing. When one is no
// more, or a message is missing, the next one begins behind the last value: a bucket keeps only the last value of a key,
// so all after that revision is what changed.
type follower struct {
	bucket   *Bucket
	filter   string
	f        func(KV) error
	ready    func()
	loaded   bool
	attempts int
	next     uint64       // first revision not yet given to f
	away     atomic.Int64 // when the bus went away; 0: it did not
	ups      atomic.Int64 // reconnects

	mu       sync.Mutex
	messages jetstream.MessagesContext
}

// reconnected ends the present consumer: who knows which server that is, and what it still has.
func (w *follower) reconnected() {
	w.ups.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.messages != nil {
		w.messages.Stop()
	}
}

func (w *follower) disconnected() { w.away.CompareAndSwap(0, time.Now().UnixNano()) }

// follow gives f what one consumer yields. nil means that there has to be another one.
func (w *follower) follow(ctx context.Context) error {
	messages, left, err := w.attach(ctx)
	if err != nil {
		return w.lasting(ctx, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	if left == 0 {
		w.load()
	}
	for expected := uint64(1); ; expected++ {
		m, err := messages.Next()
		if err != nil {
			return w.lasting(ctx, err)
		}
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Consumer != expected {
			return nil // one is missing
		}
		if err := w.give(m, meta); err != nil {
			return err
		}
		if expected >= left || meta.NumPending == 0 {
			w.load()
		}
	}
}

// lasting is err if no further attempt can help.
func (w *follower) lasting(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	err = missing(err)
	for _, end := range []error{ErrNoStream, ErrClosed, errForgotten} {
		if errors.Is(err, end) {
			return fmt.Errorf("watch bucket %s: %w", w.bucket.name, err)
		}
	}
	w.bucket.c.log.Debug("bucket is watched anew", "bucket", w.bucket.name, "err", err)
	return nil
}

var errForgotten = fmt.Errorf("%w for longer than deletions are remembered: load the bucket anew", ErrDisconnected)

// attach makes a consumer of what f has not had. left is how many values that is.
func (w *follower) attach(ctx context.Context) (_ jetstream.MessagesContext, left uint64, err error) {
	ups := w.ups.Load()
	consumer, err := w.consumer(ctx)
	if err != nil {
		return nil, 0, err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(watchAhead, watchBytes),
		jetstream.PullExpiry(watchPull), jetstream.PullHeartbeat(watchBeat))
	if err != nil {
		return nil, 0, err
	}
	w.attempts++
	w.mu.Lock()
	w.messages = messages
	w.mu.Unlock()
	if w.ups.Load() != ups {
		messages.Stop() // by now on another connection
	}
	return messages, consumer.CachedInfo().NumPending, nil
}

func (w *follower) consumer(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, watchAsk)
	defer cancel()
	b := w.bucket
	name := streamOfBucket + b.name
	away, seen := w.away.Load(), max(w.next-1, b.wrote.Load())
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	if !stream.CachedInfo().Created.Equal(b.made) {
		return nil, fmt.Errorf("%w any more: somebody has made another of that name", ErrNoStream)
	}
	if last := stream.CachedInfo().State.LastSeq; last < seen {
		return nil, fmt.Errorf("%w as it was: there was revision %d, and now %d is the last", ErrNoStream, seen, last)
	}
	if away != 0 && time.Since(time.Unix(0, away)) > b.markers {
		return nil, errForgotten
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: w.next, FilterSubject: w.filter,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: watchLinger,
	})
	if err == nil {
		w.away.CompareAndSwap(away, 0)
	}
	return consumer, err
}

// give hands a value to f. A fresh watch has no use for what was deleted before.
func (w *follower) give(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
	w.next = meta.Sequence.Stream + 1
	v := KV{Key: strings.TrimPrefix(m.Subject(), w.bucket.subject("")), Value: m.Data(), Revision: meta.Sequence.Stream,
		Written: meta.Timestamp, Deleted: deletion(m.Headers())}
	if v.Deleted && !w.loaded && w.attempts == 1 {
		return nil
	}
	return w.f(v)
}

func (w *follower) load() {
	if !w.loaded {
		w.loaded = true
		w.ready()
	}
}

// deletion tells the markers of somebody who deletes, and those of the server for what expires.
func deletion(h nats.Header) bool {
	return h.Get("KV-Operation") != "" || h.Get(jetstream.MarkerReasonHeader) != ""
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
