package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// BucketSettings describe a key-value bucket.
type BucketSettings struct {
	Name     string
	MaxBytes int64         // 0: 64 MiB, in memory 1 MiB; less where the store is too small
	TTL      time.Duration // of each value; 0: none
	Memory   bool          // not kept over a restart of the bus
	Replicas int           // as of StreamSettings

	// Store is what the server may hold in all, as in StreamSettings: MaxBytes is meant for DefaultStore, and less than that has less. 0: unknown.
	Store int64
}

const (
	defaultBucket = 64 << 20
	memoryBucket  = 1 << 20
	minBucket     = 256 << 10
)

// EnsureBucket makes the bucket, or updates it: values stay. Where the store has not that much room the bucket shrinks, and
// the log says so. Only the hub calls it, after EnsureStreams.
func (c *Conn) EnsureBucket(ctx context.Context, s BucketSettings) (*Bucket, error) {
	js, err := c.jetStream()
	if err != nil {
		return nil, err
	}
	if !validUser(s.Name) || s.Name == "" {
		return nil, fmt.Errorf("make bucket %q: want letters, digits, _ and -", s.Name)
	}
	var config jetstream.KeyValueConfig
	err = insist(ctx, func(ctx context.Context) (err error) {
		config, err = s.fit(ctx, js)
		return err
	})
	fitted := config.MaxBytes
	if err == nil {
		err = c.keepers(s.Replicas).place(ctx, js, streamOfBucket+s.Name, func(ctx context.Context, replicas int) error {
			config.Replicas = replicas
			return s.make(ctx, js, &config)
		})
	}
	switch {
	case bucketNoRoom(err):
		return nil, fmt.Errorf("make bucket %s: %w: the store of the bus has not even %d bytes left: give it more", s.Name, ErrFull, minBucket)
	case err != nil:
		return nil, fmt.Errorf("make bucket %s: %w", s.Name, missing(err))
	}
	if config.MaxBytes < fitted { // else who says what there is knows what fits
		c.log.Warn("bucket shrunk to fit the store", "bucket", s.Name, "max_bytes", config.MaxBytes, "wanted", fitted)
	}
	var b *Bucket
	err = insist(ctx, func(ctx context.Context) (err error) {
		b, err = openBucket(ctx, c, js, s.Name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make bucket %s: %w", s.Name, missing(err))
	}
	return b, nil
}

func (s BucketSettings) config() jetstream.KeyValueConfig {
	config := jetstream.KeyValueConfig{
		Bucket: s.Name, MaxBytes: s.MaxBytes, TTL: s.TTL, Storage: jetstream.FileStorage, History: 1, LimitMarkerTTL: markersLast,
	}
	if s.Memory {
		config.Storage = jetstream.MemoryStorage
	}
	switch {
	case s.MaxBytes > 0:
	case s.Memory:
		config.MaxBytes = memoryBucket
	default:
		config.MaxBytes = defaultBucket
	}
	return config
}

// fit keeps a bucket within its share of the store: it must never be the reason why streams do not fit.
func (s BucketSettings) fit(ctx context.Context, js jetstream.JetStream) (jetstream.KeyValueConfig, error) {
	config := s.config()
	if s.Memory {
		return config, nil
	}
	limit, err := storeLimit(ctx, js)
	if err != nil {
		return config, err
	}
	if limit > 0 {
		s.Store = limit
	}
	config.MaxBytes = shareOf(config.MaxBytes, s.Store, minBucket)
	return config, nil
}

// make makes or updates the bucket. A store whose size nobody tells shows by refusing. What it takes then may be all that
// it has, so the bucket leaves three quarters of that to others.
func (s BucketSettings) make(ctx context.Context, js jetstream.JetStream, config *jetstream.KeyValueConfig) error {
	_, err := js.CreateOrUpdateKeyValue(ctx, *config)
	if !bucketNoRoom(err) {
		return err
	}
	for bucketNoRoom(err) && config.MaxBytes > minBucket {
		config.MaxBytes = max(minBucket, config.MaxBytes/2)
		_, err = js.CreateOrUpdateKeyValue(ctx, *config)
	}
	if err == nil {
		config.MaxBytes = max(minBucket, config.MaxBytes/4)
		_, err = js.CreateOrUpdateKeyValue(ctx, *config)
	}
	return err
}

// bucketNoRoom tells the refusal of a bucket for which disk or memory has no room.
func bucketNoRoom(err error) bool { return noRoom(err) || codeOf(err) == errMemoryExceeded }
