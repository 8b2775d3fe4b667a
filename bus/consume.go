package bus

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ConsumeOptions bound what a consumer fetches ahead of Next.
type ConsumeOptions struct {
	Messages int // asked for and waiting locally; 0 means 64
	Bytes    int // of these; 0 means 4 MiB
	Log      *slog.Logger

	// Expires is how long the stream remembers that we ask for more, and may give it to us though we are gone or suspended; 0 means
	// 30 s. Each time costs a message.
	Expires time.Duration

	// Progress is how often the stream is told that unsettled deliveries are
	// still worked on; 0 means 1.5 s. Only a test needs another value.
	Progress time.Duration
}

const (
	defaultFetch    = 64
	defaultProgress = 1500 * time.Millisecond
	defaultExpires  = 30 * time.Second
	pullHeartbeat   = 5 * time.Second // each wakes an idle plugin
	pullHeartbeats  = 2 * time.Second // of a cluster, where another server may lead while the one that was asked hangs
	lanes           = 2
	statusHeartbeat = "100"
)

// ConsumerStats are counters since the start.
type ConsumerStats struct {
	Delivered   uint64 // given out by Next
	Bytes       uint64 // of their bodies
	Redelivered uint64 // of these, given out before, here or elsewhere
	Repeated    uint64 // came again though they were settled here, or in hand: not given out
	LostUnread  uint64 // batches that sources sent and the stream dropped before we read them
	LostAway    uint64 // messages dropped before EnsureConsumer and after this consumer's place: at most so many were for it
	Left        uint64 // fetched, and left to others as we were away: not given out
	Unconfirmed uint64 // acks the stream did not confirm: the messages come again
	Resets      uint64 // pulls given up for silence
	Held        int    // given out and not settled
}

// Consumer reads a durable pull consumer. Next is for one goroutine; the
// deliveries it gives may be settled from any.
//
// It asks on two lanes in turn, each with half of the window. A lane asks again
// when the last message of its share is given out, while the other lane still
// has some: so the window holds exactly, and the stream never waits for us.
type Consumer struct {
	conn     *Conn
	log      *slog.Logger
	opts     ConsumeOptions
	stream   string
	durable  string
	subject  string         // of pulls
	arrivals chan *nats.Msg // both lanes; holds a full window and its statuses
	watch    watcher
	kick     chan struct{} // 1: Next should look at its lanes
	done     chan struct{} // the keeper has ended

	mu       sync.Mutex
	lanes    [lanes]lane
	beat     time.Duration // between signs of life of the stream
	queue    []queued      // taken from arrivals to signal progress, oldest first
	waits    bool          // Next waits on arrivals
	heard    time.Time     // last arrival
	away     time.Time     // since when the connection is lost; zero: it is not
	given    uint64        // consumer sequence of the last message
	shared   time.Time     // when others were given something last
	stopping bool          // Stop was called
	stopped  bool          // and has given everything back
	held     deliveryList
	acks     ackLog
	repeats  repeats
	gaps     gapCounter
	stats    ConsumerStats
	failed   error // for good: denied
	idle     []chan struct{}
}

// lane is one subscription with at most one pull.
type lane struct {
	sub   *nats.Subscription
	inbox string // ends in a dot
	pull  int    // number of the pull
	reply string // of the pull
	share int    // messages asked for the next time
	left  int    // of the pull, not yet given out; 0: no pull
	retry time.Time
}

// Consume starts reading the durable consumer of stream, which EnsureConsumer
// has made. Stop ends it.
func (c *Conn) Consume(ctx context.Context, stream, durable string, o ConsumeOptions) (*Consumer, error) {
	if o.Log == nil {
		o.Log = c.log
	}
	if o.Messages <= 0 {
		o.Messages = defaultFetch
	}
	if o.Bytes <= 0 {
		o.Bytes = defaultBytes
	}
	if o.Progress <= 0 {
		o.Progress = defaultProgress
	}
	if o.Expires <= 0 {
		o.Expires = defaultExpires
	}
	o.Messages = max(o.Messages, lanes)
	o.Bytes = max(o.Bytes, lanes*(maxMsg+64<<10)) // else the largest message never fits a lane
	place, err := c.ConsumerInfo(ctx, stream, durable)
	if err != nil {
		return nil, fmt.Errorf("consume: %w", err)
	}
	k := &Consumer{
		conn: c, log: o.Log, opts: o, stream: stream, durable: Token(durable),
		subject:  "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + Token(durable),
		arrivals: make(chan *nats.Msg, 2*o.Messages+256), // a window, one of before a reset, statuses
		kick:     make(chan struct{}, 1), done: make(chan struct{}),
	}
	k.held.init()
	if stream != StreamDead { // where others' letters come and go
		k.stats.LostAway = lostAway(place)
	}
	if k.stats.LostAway > 0 {
		o.Log.Warn("stream has dropped messages that nobody had read here", "stream", stream, "consumer", durable,
			"at_most", k.stats.LostAway)
	}
	if err := k.subscribe(); err != nil {
		return nil, fmt.Errorf("consume %s of %s: %w", durable, stream, translate(err))
	}
	k.watch = watcher{up: k.onUp, down: k.onDown, denied: k.onDenied}
	c.watch(&k.watch)
	k.mu.Lock()
	if !c.Connected() {
		k.away = time.Now()
	}
	k.reset()
	k.mu.Unlock()
	go k.keep()
	return k, nil
}

func (k *Consumer) subscribe() error {
	for i := range k.lanes {
		l := &k.lanes[i]
		l.inbox = k.conn.nc.NewInbox() + "."
		l.share = k.opts.Messages / lanes
		var err error
		if l.sub, err = k.conn.nc.ChanSubscribe(l.inbox+"*", k.arrivals); err != nil {
			return err
		}
	}
	var err error
	k.acks.inbox = k.conn.nc.NewInbox() + "."
	k.acks.sub, err = k.conn.nc.Subscribe(k.acks.inbox+"*", k.onConfirm)
	return err
}

// reset forgets the pulls and asks anew: after a connect, or when the stream has
// been silent. The lock is held.
func (k *Consumer) reset() {
	k.heard, k.beat = time.Now(), pullHeartbeat
	if k.conn.nc.ConnectedClusterName() != "" {
		k.beat = pullHeartbeats
	}
	k.beat = min(k.beat, k.opts.Expires/2) // or the server refuses
	for i := range k.lanes {
		l := &k.lanes[i]
		l.left, l.retry = 0, time.Time{}
		l.share = k.opts.Messages / lanes
	}
	// The server serves the lanes in turn, so shares of equal size would end
	// together: the first one is half as long.
	k.lanes[0].share = max(1, k.lanes[0].share/2)
	k.pullAll()
}

func (k *Consumer) pullAll() {
	for i := range k.lanes {
		if l := &k.lanes[i]; l.left == 0 {
			k.pull(l)
		}
	}
}

// pull asks for the lane's share; the lock is held.
func (k *Consumer) pull(l *lane) {
	now := time.Now()
	if k.stopping || now.Before(l.retry) {
		return
	}
	l.pull++
	l.reply = l.inbox + strconv.Itoa(l.pull)
	l.left = l.share
	var buf [160]byte
	b := strconv.AppendInt(append(buf[:0], `{"expires":`...), int64(k.opts.Expires), 10)
	b = strconv.AppendInt(append(b, `,"batch":`...), int64(l.share), 10)
	b = strconv.AppendInt(append(b, `,"max_bytes":`...), int64(k.opts.Bytes/lanes), 10)
	b = strconv.AppendInt(append(b, `,"idle_heartbeat":`...), int64(k.beat), 10)
	l.share = k.opts.Messages / lanes
	if err := k.conn.nc.PublishRequest(k.subject, l.reply, append(b, '}')); err != nil {
		l.left = 0 // away: onUp resets
	}
}

// silence is how long a stream may say nothing until its pulls are believed lost.
func (k *Consumer) silence() time.Duration { return 2*k.beat + k.beat/4 }

// Next returns the next delivery and blocks until there is one, ctx ends
// (its error), the consumer is stopped (ErrStopped) or denied for good
// (ErrDenied). Reconnects, a restarted server, another leader and a consumer made
// anew only make it wait.
func (k *Consumer) Next(ctx context.Context) (*Delivery, error) {
	for {
		d, err := k.take()
		if d != nil || err != nil {
			return d, err
		}
		var msg *nats.Msg
		select {
		case msg = <-k.arrivals:
		case <-k.kick:
		case <-ctx.Done():
			err = ctx.Err()
		case <-k.done:
			err = ErrClosed
		}
		if d := k.arrived(msg); d != nil || err != nil {
			return d, err
		}
	}
}

// take gives what is here. Without anything it announces that Next waits.
func (k *Consumer) take() (*Delivery, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		switch {
		case k.failed != nil:
			return nil, k.failed
		case k.stopping:
			return nil, ErrStopped
		}
		k.leave(time.Now())
		msg := k.first()
		if msg == nil {
			k.pullAll() // lanes that could not ask before
			k.waits = true
			return nil, nil
		}
		if d := k.accept(msg); d != nil {
			return d, nil
		}
	}
}

func (k *Consumer) first() *nats.Msg {
	if len(k.queue) > 0 {
		msg := k.queue[0].msg
		k.queue[0].msg = nil
		k.queue = k.queue[1:]
		return msg
	}
	select {
	case msg := <-k.arrivals:
		return msg
	default:
		return nil
	}
}

// arrived ends the wait of Next with a message or without.
func (k *Consumer) arrived(msg *nats.Msg) *Delivery {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waits = false
	switch {
	case msg == nil:
		return nil
	case k.stopped: // Stop did not see it any more
		k.giveBack(msg)
		return nil
	case k.stopping: // Stop gives it back
		k.queue = append(k.queue, queued{msg: msg})
		return nil
	}
	return k.accept(msg)
}

// accept makes a delivery of a message, or acts on a status and returns nil.
func (k *Consumer) accept(msg *nats.Msg) *Delivery {
	now := time.Now()
	k.heard = now
	l := k.lane(msg)
	if l == nil || msg.Reply == "" {
		k.status(l, msg, now)
		return nil
	}
	d, err := newDelivery(k, msg)
	if err != nil {
		k.log.Warn("foreign message in inbox", "subject", msg.Subject, "err", err)
		return nil
	}
	if l.left--; l.left <= 0 {
		l.left = 0
		k.pull(l)
	}
	k.count(d, now)
	if k.repeated(d, now) {
		return nil
	}
	k.held.push(d, now)
	k.stats.Delivered++
	k.stats.Bytes += uint64(len(d.Body))
	if d.Deliveries > 1 {
		k.stats.Redelivered++
	}
	if !d.again { // the letters of a source have rightful holes between them
		k.stats.LostUnread = k.gaps.see(d)
	}
	return d
}

func (k *Consumer) lane(msg *nats.Msg) *lane {
	for i := range k.lanes {
		if k.lanes[i].sub == msg.Sub {
			return &k.lanes[i]
		}
	}
	return nil
}

// status acts on what the stream says about a pull.
func (k *Consumer) status(l *lane, msg *nats.Msg, now time.Time) {
	code := msg.Header.Get(headerStatus)
	if l == nil || code == statusHeartbeat || msg.Subject != l.reply {
		return // heartbeat, or about a pull of before
	}
	l.left = 0
	switch code {
	case "408": // expired
	case "409":
		k.ended(l, msg.Header.Get("Description"), now)
	default: // 404, 503: no such consumer, or no leader
		k.log.Debug("pull refused", "status", code, "stream", k.stream, "consumer", k.durable)
		l.retry = now.Add(backoff(500*time.Millisecond, 500*time.Millisecond, 0))
	}
	k.pull(l)
}

func (k *Consumer) ended(l *lane, reason string, now time.Time) {
	switch reason {
	case "Message Size Exceeds MaxBytes", "Batch Completed":
		return // the share in bytes is used up
	}
	k.log.Info("pull ended", "reason", reason, "stream", k.stream, "consumer", k.durable)
	l.retry = now.Add(backoff(250*time.Millisecond, 250*time.Millisecond, 0))
}

// Ready is how many deliveries wait locally. 0 means that Next would wait for
// the stream, so a publisher may flush.
func (k *Consumer) Ready() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.queue) + len(k.arrivals)
}

// Stats returns the counters.
func (k *Consumer) Stats() ConsumerStats {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stats
	s.Held = k.held.len
	return s
}

func (k *Consumer) wake() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

func (k *Consumer) onDown() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away.IsZero() {
		k.away = time.Now()
	}
}

func (k *Consumer) onUp() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away.IsZero() {
		return // of the connect before we began to watch
	}
	k.leave(time.Now())
	k.away = time.Time{}
	if !k.stopping {
		k.reset()
	}
	k.acks.tries = 0
	k.resendAcks()
}

func (k *Consumer) onDenied(v violation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if v.subject == k.subject || v.subscribe && k.owns(v.subject) {
		k.failed = fmt.Errorf("consume %s of %s: %w: %w", k.durable, k.stream, ErrDenied, v.err)
		k.wake()
	}
}

func (k *Consumer) owns(subject string) bool {
	for i := range k.lanes {
		if subject == k.lanes[i].inbox+"*" {
			return true
		}
	}
	return subject == k.acks.inbox+"*"
}
