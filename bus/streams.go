package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The streams of the bus.
const (
	StreamMetrics = "METRICS"
	StreamEvents  = "EVENTS"
	StreamDead    = "DEAD"
)

// StreamSettings are the limits of the streams.
type StreamSettings struct {
	MetricsMaxBytes, EventsMaxBytes, DeadMaxBytes int64
	MetricsMaxAge, EventsMaxAge, DeadMaxAge       time.Duration
	Replicas                                      int // 0: 3 in a cluster, else 1

	// Store is what the server may hold, where the account has no limit of its
	// own that could be asked (an embedded server: its Room). 0: unknown.
	Store int64
}

// DefaultStreams are the settings for a single host.
func DefaultStreams() StreamSettings {
	return StreamSettings{
		MetricsMaxBytes: 1 << 30, MetricsMaxAge: 6 * time.Hour,
		EventsMaxBytes: 256 << 20, EventsMaxAge: 7 * 24 * time.Hour,
		DeadMaxBytes: 64 << 20, DeadMaxAge: 30 * 24 * time.Hour,
	}
}

const (
	duplicateWindow = 2 * time.Minute
	maxMsg          = 1 << 20
	maxEvent        = 256 << 10

	errStorageExceeded jetstream.ErrorCode = 10047
)

// EnsureStreams makes or updates METRICS, EVENTS and DEAD. Where the store is too
// small for their sum, METRICS shrinks first, and the log says so; likewise where a
// cluster has too few servers for what is usual. ErrFewServers: for what is wished.
// ErrFull: the store has no room for the smallest streams. What a stream holds goes
// only where s says less than that: a store without room takes nothing.
// It asks until a cluster has a leader to answer, or ctx ends. Only the hub calls it.
func (c *Conn) EnsureStreams(ctx context.Context, s StreamSettings) error {
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	defer time.AfterFunc(lateAfter, func() {
		c.log.Warn("the bus does not answer yet, and is asked again: a cluster does when most of its servers are there")
	}).Stop()
	var limit int64
	err = insist(ctx, func(ctx context.Context) (err error) {
		limit, err = storeLimit(ctx, js)
		return err
	})
	if err != nil {
		return fmt.Errorf("ask the bus for its store: %w", translate(err))
	}
	if limit > 0 {
		s.Store = limit
	}
	k := c.keepers(s.Replicas)
	fitted := s.fit(s.Store)
	told := limit <= 0 // who says what there is knows what fits
	err = k.ensureAll(ctx, js, fitted, s)
	// A store whose size nobody tells shows by refusing. What it takes may be all it has, and others want room too.
	for store := s.sum(); noRoom(err) && store > smallestStore; store /= 2 {
		told, fitted = false, s.fit(store)
		if err = k.ensureAll(ctx, js, fitted, s); err == nil {
			fitted = s.fit(int64(float64(store) * guessShare))
			err = k.ensureAll(ctx, js, fitted, s)
		}
	}
	if err == nil && fitted != s && !told {
		c.log.Warn("streams shrunk to fit the store", "metrics_max_bytes", fitted.MetricsMaxBytes,
			"wanted", s.MetricsMaxBytes, "store_bytes", s.Store)
	}
	return err
}

// lateAfter is when somebody who looks should know what is waited for.
const lateAfter = 3 * time.Second

// storeLimit is what the account may store, -1 for anything.
func storeLimit(ctx context.Context, js jetstream.JetStream) (int64, error) {
	account, err := js.AccountInfo(ctx)
	if err != nil {
		return 0, err
	}
	return account.Limits.MaxStore, nil
}

// ensureAll makes or updates the streams of s, which is what the store has room for of what is wanted.
func (k *keepers) ensureAll(ctx context.Context, js jetstream.JetStream, s, wanted StreamSettings) error {
	most := wanted.configs()
	for i, config := range s.configs() {
		err := k.place(ctx, js, config.Name, func(ctx context.Context, replicas int) error {
			config.Replicas = replicas
			return k.makeWithin(ctx, js, config, most[i].MaxBytes)
		})
		if noRoom(err) {
			return fmt.Errorf("make stream %s of %d bytes: %w", config.Name, config.MaxBytes, tooSmall(err))
		}
		if err != nil {
			return fmt.Errorf("make stream %s: %w", config.Name, translate(err))
		}
	}
	return nil
}

// tooSmall explains that the store has no room for a stream, which was made as small as it can be.
func tooSmall(err error) error {
	return fmt.Errorf("%w: the bus has no room for it, and a smaller bus.max_store is no help: give its servers more (max_file_store in the config of NATS, or the limit of the account), "+
		"or remove streams from it that are of no use: %w", ErrFull, err)
}

// noRoom tells the refusal of a stream for which the store has no room.
func noRoom(err error) bool { return codeOf(err) == errStorageExceeded || noStorage(err) }

func (s StreamSettings) configs() []jetstream.StreamConfig {
	// No roll-up, message TTL, republish or schedule, and neither delete nor
	// purge: each lets a writer reach beyond its subject.
	base := jetstream.StreamConfig{
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		Storage: jetstream.FileStorage, Duplicates: duplicateWindow,
		MaxMsgSize: maxMsg, DenyDelete: true, DenyPurge: true,
	}
	metrics, events, dead := base, base, base
	metrics.Name, metrics.Subjects = StreamMetrics, []string{prefix + AreaMetrics + ".>"}
	metrics.MaxBytes, metrics.MaxAge = s.MetricsMaxBytes, s.MetricsMaxAge

	events.Name, events.Subjects = StreamEvents, []string{prefix + AreaEvents + ".>"}
	events.MaxBytes, events.MaxAge = s.EventsMaxBytes, s.EventsMaxAge
	events.MaxMsgSize, events.Compression, events.AllowDirect = maxEvent, jetstream.S2Compression, true

	dead.Name, dead.Subjects = StreamDead, []string{Pattern(AreaDead, Any), Pattern(AreaDead, Any, Any), Pattern(AreaAgain, Any)}
	dead.MaxBytes, dead.MaxAge = s.DeadMaxBytes, s.DeadMaxAge
	dead.Compression, dead.AllowDirect = jetstream.S2Compression, true
	dead.DenyDelete = false // letters are dropped one by one, by those whose rights say so
	return []jetstream.StreamConfig{metrics, events, dead}
}

// Input is what a processor or publisher reads: a durable consumer.
type Input struct {
	Stream  string   // METRICS or EVENTS
	Durable string   // the plugin's name; several processes of one name share it
	Filters []string // MetricsFilter and EventFilter

	// Host is the one whose plugin reads, where others may by the same consumer: see Reader. "": nobody else.
	Host string

	// Start is where a new consumer begins: "new" (or empty), "all", or a time
	// by RFC 3339. An existing one keeps its position.
	Start string

	// From is the sequence that a new consumer begins with, whatever Start says; 0: none.
	From uint64

	// Made is when the stream was made in which From is a place: in another one of the name a new consumer begins with all. The zero
	// time: nobody knows.
	Made time.Time

	// End is the last sequence that is meant for who reads; 0: it goes on for ever. The consumer keeps it, see
	// ConsumerState; nothing stops there by itself.
	End uint64

	// Ordered lets the processes that share the consumer read one at a time: see TakeLease.
	Ordered bool

	// MaxAckPending bounds what is given out and not settled; 0 means 256.
	MaxAckPending int

	// AckWait is how long the stream waits before it gives a message to another
	// process; 0 means 5 s. Consumers signal progress each 1.5 s, so only a test
	// needs another value.
	AckWait time.Duration
}

const (
	defaultAckWait    = 5 * time.Second
	defaultAckPending = 256
)

// metaFirst is where EnsureConsumer leaves the first sequence of the stream for who
// reads: plugins may not ask the stream.
const metaFirst = "pw-first"

// metaEnd is where it keeps the end of an input.
const metaEnd = "pw-end"

// EnsureConsumer makes the durable consumer of in, or updates its filters and
// limits where it exists: its position stays. It also notes what the stream has
// dropped by now, so call it before each start of a reader: see LostAway. Only
// the hub calls it.
func (c *Conn) EnsureConsumer(ctx context.Context, in Input) error {
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	config, err := in.config()
	if err == nil {
		err = insist(ctx, func(ctx context.Context) error { return ensureConsumer(ctx, js, in, config) })
	}
	if err == nil && in.Ordered {
		err = insist(ctx, func(ctx context.Context) error { return ensureLease(ctx, js, in.Durable) })
	}
	if err != nil {
		return fmt.Errorf("make consumer %s of %s: %w", in.Durable, in.Stream, missing(err))
	}
	return nil
}

// rivals is how often an agent says again what it wants of a consumer, when another one has written at the same moment.
const rivals = 5

func ensureConsumer(ctx context.Context, js jetstream.JetStream, in Input, config jetstream.ConsumerConfig) error {
	for range rivals {
		is, err := ensureOnce(ctx, js, in, config)
		if errors.Is(err, jetstream.ErrConsumerExists) {
			continue // by now
		}
		if err != nil || in.Host == "" || in.shared(is) {
			return err
		}
	}
	return fmt.Errorf("other agents change it all the time")
}

// ensureOnce makes or changes the consumer, and returns its metadata as they are then.
func ensureOnce(ctx context.Context, js jetstream.JetStream, in Input, config jetstream.ConsumerConfig) (map[string]string, error) {
	stream, err := js.Stream(ctx, in.Stream)
	if err != nil {
		return nil, err
	}
	config.Metadata = maps.Clone(config.Metadata)
	config.Metadata[metaFirst] = strconv.FormatUint(stream.CachedInfo().State.FirstSeq, 10)
	k, err := stream.Consumer(ctx, config.Durable)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		in.share(&config, nil, Today())
		in.begin(&config, stream.CachedInfo())
		k, err = stream.CreateConsumer(ctx, config)
	case err == nil:
		// Where to start cannot be changed, and must not: the position stays.
		is := k.CachedInfo().Config
		config.DeliverPolicy, config.OptStartTime, config.OptStartSeq = is.DeliverPolicy, is.OptStartTime, is.OptStartSeq
		in.share(&config, is.Metadata, Today())
		k, err = stream.UpdateConsumer(ctx, config)
	}
	if err != nil || in.Host == "" {
		return nil, err
	}
	info, err := k.Info(ctx)
	if err != nil {
		return nil, err
	}
	return info.Config.Metadata, nil
}

// begin settles where a new consumer begins in a stream as it is now.
func (in Input) begin(config *jetstream.ConsumerConfig, stream *jetstream.StreamInfo) {
	last := stream.State.LastSeq
	switch {
	case in.From > 0 && !in.Made.IsZero() && !in.Made.Equal(stream.Created):
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverAllPolicy, 0
	case in.From > 0 && last > 0: // behind its end the server would wait there, and leave out what comes before
		config.OptStartSeq = min(in.From, last+1)
	case config.DeliverPolicy == jetstream.DeliverNewPolicy:
		// In a cluster "new" is what is new to the server that will lead the consumer, once it does: later than now.
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, last+1
	}
}

func (in Input) config() (jetstream.ConsumerConfig, error) {
	config := jetstream.ConsumerConfig{
		Durable:        Token(in.Durable),
		FilterSubjects: in.Filters,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        in.AckWait,
		MaxAckPending:  in.MaxAckPending,
		MaxDeliver:     -1, // a limit makes messages vanish without a trace
		DeliverPolicy:  jetstream.DeliverNewPolicy,
		Metadata:       map[string]string{},
	}
	if in.End > 0 {
		config.Metadata[metaEnd] = strconv.FormatUint(in.End, 10)
	}
	if config.AckWait == 0 {
		config.AckWait = defaultAckWait
	}
	if config.MaxAckPending == 0 {
		config.MaxAckPending = defaultAckPending
	}
	switch {
	case in.From > 0:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, in.From
	case in.Start == "", in.Start == "new":
	case in.Start == "all":
		config.DeliverPolicy = jetstream.DeliverAllPolicy
	default:
		since, err := time.Parse(time.RFC3339, in.Start)
		if err != nil {
			return config, fmt.Errorf(`start %q: want "new", "all" or a time like 2026-01-02T15:04:05Z`, in.Start)
		}
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	return config, nil
}

// Consumers returns the durable consumers of a stream that EnsureConsumer has made.
func (c *Conn) Consumers(ctx context.Context, stream string) ([]string, error) {
	var names []string
	err := c.eachConsumer(ctx, stream, func(info *jetstream.ConsumerInfo) {
		if _, ours := info.Config.Metadata[metaFirst]; ours {
			names = append(names, info.Config.Durable)
		}
	})
	return names, err
}

// ConsumerStates returns the states of all durable consumers of a stream, by the Token of their names: as one list, which costs
// a request for some hundreds of them.
func (c *Conn) ConsumerStates(ctx context.Context, stream string) (map[string]ConsumerState, error) {
	states := map[string]ConsumerState{}
	err := c.eachConsumer(ctx, stream, func(info *jetstream.ConsumerInfo) { states[info.Config.Durable] = stateOf(info) })
	return states, err
}

// eachConsumer calls f for each durable consumer of a stream.
func (c *Conn) eachConsumer(ctx context.Context, stream string, f func(*jetstream.ConsumerInfo)) error {
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return fmt.Errorf("consumers of %s: %w", stream, missing(err))
	}
	list := s.ListConsumers(ctx)
	for info := range list.Info() {
		if info.Config.Durable != "" {
			f(info)
		}
	}
	if err := list.Err(); err != nil {
		return fmt.Errorf("consumers of %s: %w", stream, translate(err))
	}
	return nil
}

// DeleteConsumer removes a durable consumer; one that does not exist is no error.
func (c *Conn) DeleteConsumer(ctx context.Context, stream, durable string) error {
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	err = js.DeleteConsumer(ctx, stream, Token(durable))
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("delete consumer %s of %s: %w", durable, stream, missing(err))
	}
	return nil
}

// StreamState is how full a stream is.
type StreamState struct {
	Made            time.Time // another stream of the name has another one
	Messages, Bytes uint64
	MaxBytes        int64
	MaxAge          time.Duration // 0: no limit
	FirstSeq        uint64
	LastSeq         uint64
	FirstTime       time.Time
	Consumers       int
	Replicas        int      // servers that keep it
	Leader          string   // of a cluster: the server that takes and gives; "" while none does
	Away            []string // of a cluster: servers that keep it and of which its leader has not heard for 10 s
	Behind          []string // of a cluster: those, and servers that lack some of it
}

// silentPeer is for how long a server of a cluster may say nothing: they beat each second.
const silentPeer = 10 * time.Second

// StreamInfo asks for the state of a stream.
func (c *Conn) StreamInfo(ctx context.Context, stream string) (StreamState, error) {
	js, err := c.jetStream()
	if err != nil {
		return StreamState{}, err
	}
	handle, err := js.Stream(ctx, stream)
	if err != nil {
		return StreamState{}, fmt.Errorf("stream %s: %w", stream, missing(err))
	}
	info := handle.CachedInfo()
	s := StreamState{
		Made: info.Created, Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes, MaxAge: info.Config.MaxAge,
		FirstSeq: info.State.FirstSeq, LastSeq: info.State.LastSeq,
		FirstTime: info.State.FirstTime, Consumers: info.State.Consumers, Replicas: info.Config.Replicas,
	}
	if info.Cluster != nil && info.Cluster.Name != "" {
		s.Leader = info.Cluster.Leader
		for _, peer := range info.Cluster.Replicas {
			away := peer.Offline || peer.Active > silentPeer // who was killed is no "offline" one
			if away {
				s.Away = append(s.Away, peer.Name)
			}
			if away || !peer.Current {
				s.Behind = append(s.Behind, peer.Name)
			}
		}
	}
	return s, nil
}

// ConsumerState is how far a consumer has come.
type ConsumerState struct {
	Pending     uint64 // not yet given out
	AckPending  int    // given out, not settled
	Redelivered int    // of these, given out before
	AckFloor    uint64 // the last stream sequence below which all is settled
	Delivered   uint64 // the last stream sequence given out
	Given       uint64 // how often something was given out
	Waiting     int    // pulls that wait for messages
	StreamFirst uint64 // the stream's first sequence at the last EnsureConsumer
	From, End   uint64 // of the Input that it was made of
	Filters     []string
	Readers     map[string]Reader // by the tokens of the hosts that have said what they want of it
}

// ConsumerInfo asks for the state of a durable consumer.
func (c *Conn) ConsumerInfo(ctx context.Context, stream, durable string) (ConsumerState, error) {
	js, err := c.jetStream()
	if err != nil {
		return ConsumerState{}, err
	}
	ctx, done := c.heed(ctx, "$JS.API.CONSUMER.INFO."+stream+"."+Token(durable))
	defer done()
	handle, err := js.Consumer(ctx, stream, Token(durable))
	if err != nil {
		return ConsumerState{}, fmt.Errorf("consumer %s of %s: %w", durable, stream, missing(whyEnded(ctx, err)))
	}
	return stateOf(handle.CachedInfo()), nil
}

func stateOf(info *jetstream.ConsumerInfo) ConsumerState {
	filters := info.Config.FilterSubjects
	if info.Config.FilterSubject != "" {
		filters = []string{info.Config.FilterSubject} // how the server reports a single one
	}
	first, _ := strconv.ParseUint(info.Config.Metadata[metaFirst], 10, 64) // 0 if somebody else made it: nothing is known
	end, _ := strconv.ParseUint(info.Config.Metadata[metaEnd], 10, 64)
	return ConsumerState{
		From: info.Config.OptStartSeq, End: end,
		Pending: info.NumPending, AckPending: info.NumAckPending, Redelivered: info.NumRedelivered,
		AckFloor: info.AckFloor.Stream, Delivered: info.Delivered.Stream, Given: info.Delivered.Consumer,
		Waiting:     info.NumWaiting,
		StreamFirst: first, Filters: filters, Readers: readersOf(info.Config.Metadata),
	}
}

func (c *Conn) jetStream() (jetstream.JetStream, error) {
	js, err := jetstream.New(c.nc)
	if err != nil {
		return nil, fmt.Errorf("use streams: %w", translate(err))
	}
	return js, nil
}

// missing names what does not exist by our sentinels.
func missing(err error) error {
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return fmt.Errorf("%w: %w", ErrNoConsumer, err)
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrBucketNotFound):
		return fmt.Errorf("%w: %w", ErrNoStream, err)
	}
	return translate(err)
}
