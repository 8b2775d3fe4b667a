package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Buckets of the hubs.
const (
	BucketHosts     = "HOSTS"     // <host>: telemetry.HostRecord
	BucketInventory = "INVENTORY" // <host>.<plugin>.<type>, further parts <host>.<plugin>.<type>.<n>: telemetry.PluginData
	BucketState     = "STATE"     // what a hub itself remembers
	BucketHub       = "HUB"       // who speaks; in memory, with a TTL
)

// A Bucket is a key-value bucket of the bus: keys are tokens joined by dots, see Key. It may be used by several goroutines.
type Bucket struct {
	c       *Conn
	js      jetstream.JetStream
	kv      jetstream.KeyValue
	name    string
	made    time.Time     // by the server: a bucket made anew has another
	markers time.Duration // how long a deletion can be seen
	wrote   atomic.Uint64 // last revision that was acknowledged here
}

// KV is one value of a Bucket.
type KV struct {
	Key      string
	Value    []byte
	Revision uint64    // grows with each write to the bucket
	Written  time.Time // by the server's clock
	Deleted  bool      // or expired
}

const (
	streamOfBucket  = "KV_"
	subjectOfBucket = "$KV."

	// A deletion leaves a marker, by which watches that were away learn of it. It must not stay for ever, or a bucket would
	// fill with names of what is no more.
	markersLast = 24 * time.Hour
)

// Bucket returns an existing bucket; ErrNoStream when there is none.
func (c *Conn) Bucket(ctx context.Context, name string) (*Bucket, error) {
	js, err := c.jetStream()
	if err != nil {
		return nil, err
	}
	b, err := openBucket(ctx, c, js, name)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, missing(err))
	}
	return b, nil
}

func openBucket(ctx context.Context, c *Conn, js jetstream.JetStream, name string) (*Bucket, error) {
	ctx, done := c.heed(ctx, "$JS.API.STREAM.INFO."+streamOfBucket+name)
	defer done()
	kv, err := js.KeyValue(ctx, name)
	if err != nil {
		return nil, whyEnded(ctx, err)
	}
	stream, err := js.Stream(ctx, streamOfBucket+name)
	if err != nil {
		return nil, whyEnded(ctx, err)
	}
	return &Bucket{c: c, js: js, kv: kv, name: name, made: stream.CachedInfo().Created, markers: markersLast}, nil
}

// Name of the bucket.
func (b *Bucket) Name() string { return b.name }

// Get returns the value of key; ErrNoKey when there is none.
func (b *Bucket) Get(ctx context.Context, key string) (KV, error) {
	var e jetstream.KeyValueEntry
	subject := "$JS.API.DIRECT.GET." + streamOfBucket + b.name + "." + b.subject(key)
	err := b.do(ctx, "get", key, subject, func(ctx context.Context) (err error) {
		e, err = b.kv.Get(ctx, key)
		return err
	})
	if err != nil {
		return KV{}, err
	}
	return KV{Key: key, Value: e.Value(), Revision: e.Revision(), Written: e.Created()}, nil
}

// Put writes key, whatever it was. ErrFull says that the bucket has no room.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	err = b.do(ctx, "put", key, b.subject(key), func(ctx context.Context) (err error) {
		revision, err = b.kv.Put(ctx, key, value)
		return err
	})
	b.acknowledged(revision)
	return revision, err
}

// Update writes key if its revision is last; with 0, if there is no such key, or no more. ErrConflict says that somebody
// else was first, ErrFull that the bucket has no room. After any other error the write may have happened.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, last uint64) (revision uint64, err error) {
	err = b.do(ctx, "update", key, b.subject(key), func(ctx context.Context) (err error) {
		if last == 0 {
			revision, err = b.kv.Create(ctx, key, value)
		} else {
			revision, err = b.kv.Update(ctx, key, value, last)
		}
		return err
	})
	b.acknowledged(revision)
	return revision, err
}

// acknowledged notes a revision that the bucket has from now on.
func (b *Bucket) acknowledged(revision uint64) {
	for last := b.wrote.Load(); revision > last && !b.wrote.CompareAndSwap(last, revision); last = b.wrote.Load() {
	}
}

// Delete removes key if its revision is last, else ErrConflict; 0: in any case. A key that does not exist is no error then.
func (b *Bucket) Delete(ctx context.Context, key string, last uint64) error {
	return b.do(ctx, "delete", key, b.subject(key), func(ctx context.Context) error {
		opts := []jetstream.KVDeleteOpt{jetstream.PurgeTTL(b.markers)}
		if last > 0 {
			opts = append(opts, jetstream.LastRevision(last))
		}
		return b.kv.Purge(ctx, key, opts...)
	})
}

func (b *Bucket) subject(key string) string { return subjectOfBucket + b.name + "." + key }

// do calls f for a key, unless that is none, and names what went wrong. subject is what f publishes on.
func (b *Bucket) do(ctx context.Context, what, key, subject string, f func(context.Context) error) error {
	err := b.checkKey(key)
	if err == nil {
		heeding, done := b.c.heed(ctx, subject)
		defer done()
		if err = f(heeding); err != nil {
			err = b.translate(ctx, whyEnded(heeding, err))
		}
	}
	if err != nil {
		return fmt.Errorf("%s %.200s of bucket %s: %w", what, key, b.name, err)
	}
	return nil
}

// The server's numbers for what a bucket can answer.
const (
	errWrongLast       jetstream.ErrorCode = 10071
	errWrongLastOfMany jetstream.ErrorCode = 10164 // the same where there are replicas
	errMaxBytes        jetstream.ErrorCode = 10077
	errNoResources     jetstream.ErrorCode = 10023
	errMessageTooLarge jetstream.ErrorCode = 10054
	errMemoryExceeded  jetstream.ErrorCode = 10028
)

// translate names errors of a bucket by our sentinels. Where nobody listens it asks whether there is a bucket at all.
func (b *Bucket) translate(ctx context.Context, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrKeyDeleted):
		return fmt.Errorf("%w: %w", ErrNoKey, err)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(translate(err), ErrNoResponders):
		if _, info := b.js.Stream(ctx, streamOfBucket+b.name); info != nil {
			return missing(info)
		}
		return fmt.Errorf("%w: %w", ErrNoResponders, err)
	case !errors.As(err, &api):
		return translate(err)
	}
	switch api.ErrorCode {
	case errWrongLast, errWrongLastOfMany:
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case errMaxBytes, errNoResources:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errMessageTooLarge:
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return missing(err)
}

// Key joins names to a key: Key(host, plugin, "info").
func Key(parts ...string) string {
	tokens := make([]string, len(parts))
	for i, part := range parts {
		tokens[i] = Token(part)
	}
	return strings.Join(tokens, ".")
}

// SplitKey gives back the names that Key has joined; one whose token is hashed cannot be known and is the token itself.
func SplitKey(key string) ([]string, error) {
	parts := strings.Split(key, ".")
	for i, tok := range parts {
		name, _, err := Untoken(tok)
		if err != nil {
			return nil, fmt.Errorf("key %.200q: %w", key, err)
		}
		parts[i] = name
	}
	return parts, nil
}

func (b *Bucket) checkKey(key string) error {
	if len(b.subject(key)) > maxSubject {
		return fmt.Errorf("%w: key has %d bytes", ErrBadToken, len(key))
	}
	_, err := SplitKey(key)
	return err
}

// checkPattern accepts keys some of whose tokens are "*", the last one perhaps ">".
func (b *Bucket) checkPattern(pattern string) error {
	rest, all := strings.CutSuffix(pattern, ">")
	if all && rest == "" {
		return nil
	}
	if all && !strings.HasSuffix(rest, ".") {
		return fmt.Errorf(`%w: pattern %.200q: ">" must be a token of its own`, ErrBadToken, pattern)
	}
	tokens := strings.Split(strings.TrimSuffix(rest, "."), ".")
	for i, tok := range tokens {
		if tok == string(Any) {
			tokens[i] = "any"
		}
	}
	return b.checkKey(strings.Join(tokens, "."))
}
