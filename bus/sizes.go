package bus

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// DefaultStore is what a store holds at most when nobody says: half of it METRICS, the rest EVENTS, DEAD, and what hubs and
// plugins keep beside them. A smaller one has less of each; in a larger one METRICS alone has more.
const DefaultStore = 2 << 30

const (
	othersShare   = 5.0 / 16 // of DefaultStore, for the buckets HOSTS and INVENTORY
	spareShare    = 1.0 / 32 // for the bucket STATE and the stream LEASES
	minSpare      = minStream + minBucket
	guessShare    = 0.8 // of a store whose size was guessed is taken
	minStream     = 1 << 20
	smallestStore = 4 << 20
)

// StreamsWithin are the settings for a store that may hold so many bytes, with everything that is kept in it.
func StreamsWithin(store int64) StreamSettings {
	s := DefaultStreams()
	s.MetricsMaxBytes = store // all that the others leave
	return s.fit(store)
}

func (s StreamSettings) sum() int64 {
	return s.MetricsMaxBytes + s.EventsMaxBytes + s.DeadMaxBytes
}

// fit keeps the sum of all MaxBytes within what store has for streams; 0 or less is without limit.
func (s StreamSettings) fit(store int64) StreamSettings {
	if store <= 0 {
		return s
	}
	usual := min(store, DefaultStore)
	room := store - int64(othersShare*float64(usual)) - max(int64(spareShare*float64(usual)), minSpare)
	if s.sum() <= room {
		return s
	}
	// Events and dead letters are small and precious, but never most of a store.
	d := DefaultStreams()
	s.EventsMaxBytes = min(s.EventsMaxBytes, shareOf(d.EventsMaxBytes, store, minStream))
	s.DeadMaxBytes = min(s.DeadMaxBytes, shareOf(d.DeadMaxBytes, store, minStream))
	s.MetricsMaxBytes = min(s.MetricsMaxBytes, max(minStream, room-s.EventsMaxBytes-s.DeadMaxBytes))
	return s
}

// shareOf returns what of a size that is meant for DefaultStore a store has room for, and no less than least.
func shareOf(size, store, least int64) int64 {
	if store <= 0 || store >= DefaultStore {
		return size
	}
	return min(size, max(least, int64(float64(size)*float64(store)/DefaultStore)))
}

// makeWithin makes or updates a stream. Where the store has less room than is wanted, which is most, one that holds more than
// fits loses nothing by that: only who wants less takes from what is there, and the log says so. Dead letters are not taken: nobody
// would count them, and somebody has to look at them.
func (k *keepers) makeWithin(ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig, most int64) error {
	is, err := js.Stream(ctx, config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return makeStream(ctx, js, config)
	}
	if err != nil {
		return err
	}
	had, limit := is.CachedInfo().State.Bytes, is.CachedInfo().Config.MaxBytes
	if config.MaxBytes < most && had > uint64(config.MaxBytes) && limit > 0 {
		config.MaxBytes = max(config.MaxBytes, min(limit, most))
	}
	if config.Name == StreamDead && had > uint64(config.MaxBytes) {
		k.c.log.Warn("dead letters take more room than the store has for them: retry or drop some", "stream", config.Name, "held_bytes", had, "max_bytes", config.MaxBytes)
		config.MaxBytes = int64(had)
	}
	if err := makeStream(ctx, js, config); err != nil {
		return err
	}
	if had > uint64(config.MaxBytes) {
		k.c.log.Warn("stream is kept smaller than what it held: the oldest went, and readers that had not read it count it as lost_unread",
			"stream", config.Name, "max_bytes", config.MaxBytes, "had_max_bytes", limit, "held_bytes", had)
	}
	return nil
}
