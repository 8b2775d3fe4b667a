package bus

import (
	"context"
	"time"
)

// Buckets of the hubs.
const (
	BucketHosts     = "HOSTS"     // <host>: telemetry.HostRecord
	BucketInventory = "INVENTORY" // <host>.<plugin>.<type>, further parts <host>.<plugin>.<type>.<n>: telemetry.PluginData
	BucketState     = "STATE"     // what a hub itself remembers
	BucketHub       = "HUB"       // who speaks; in memory, with a TTL
)

// BucketSettings describe a key-value bucket.
type BucketSettings struct {
	Name     string
	MaxBytes int64         // 0: as the store allows
	TTL      time.Duration // of each value; 0: none
	Memory   bool          // not kept over a restart of the bus
	Replicas int           // 0: 1
}

// A Bucket is a key-value bucket of the bus: keys are tokens joined by dots.
type Bucket struct{}

// KV is one value of a Bucket.
type KV struct {
	Key      string
	Value    []byte
	Revision uint64    // grows with each write to the bucket
	Written  time.Time // by the server's clock
	Deleted  bool      // or expired
}

// EnsureBucket makes the bucket, or updates it. Only the hub calls it.
func (c *Conn) EnsureBucket(ctx context.Context, s BucketSettings) (*Bucket, error) { return nil, nil }

// Bucket returns an existing bucket; ErrNoStream when there is none.
func (c *Conn) Bucket(ctx context.Context, name string) (*Bucket, error) { return nil, nil }

// Get returns the value of key; ErrNoKey when there is none.
func (b *Bucket) Get(ctx context.Context, key string) (KV, error) { return KV{}, nil }

// Put writes key, whatever it was.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	return 0, nil
}

// Update writes key if its revision is last, with 0 if it does not exist. ErrConflict says that somebody else was first.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, last uint64) (revision uint64, err error) {
	return 0, nil
}

// Delete removes key if its revision is last; 0: in any case.
func (b *Bucket) Delete(ctx context.Context, key string, last uint64) error { return nil }

// Watch calls f, on one goroutine, for each value under a pattern ("*", "web-1.>"), then calls ready once, then f for each change,
// until ctx ends or f returns an error. What it misses while the bus is away it gets when it is back.
func (b *Bucket) Watch(ctx context.Context, pattern string, f func(KV) error, ready func()) error {
	return nil
}
