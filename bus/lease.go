package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// StreamLeases has one message for each plugin of which only one process may read at a time: who holds it has the lease. It is
// given out by a durable consumer as any message is, to one at a time; held, it is signalled as worked on; given back, or held by
// somebody who is gone, it is the next one's. So a lease needs no more rights than reading does, and no clock that others share.
const StreamLeases = "LEASES"

// A Lease is held by the one process of a plugin that may read.
type Lease struct {
	conn     *Conn
	plugin   string
	consumer *Consumer
	token    *Delivery
	sure     atomic.Pointer[time.Time] // when was asked last that was answered: it is ours
	lost     chan struct{}
	stop     context.CancelFunc
	watched  chan struct{} // closed when nobody looks after the lease any more
	once     sync.Once
}

const (
	leaseLook  = time.Second
	leaseTrust = 3 * time.Second // without word that it is ours it may be another's soon: AckWait, less the age of the last signal

	// LeaseExpires is for how long who is suspended may be given the lease, or something to read that others wait for. When the
	// stream believes him gone this is over.
	LeaseExpires = leaseTrust
)

// TakeLease waits until the lease of plugin is ours, or ctx ends.
func (c *Conn) TakeLease(ctx context.Context, plugin string) (*Lease, error) {
	k, err := c.Consume(ctx, StreamLeases, plugin, ConsumeOptions{Messages: lanes, Expires: LeaseExpires})
	if err != nil {
		return nil, fmt.Errorf("lease of %s: %w", plugin, err)
	}
	return c.takeLease(ctx, plugin, k)
}

func (c *Conn) takeLease(ctx context.Context, plugin string, k *Consumer) (*Lease, error) {
	looking, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &Lease{conn: c, plugin: plugin, consumer: k, lost: make(chan struct{}), stop: stop, watched: make(chan struct{})}
	if err := l.take(ctx); err != nil {
		stop()
		k.Stop()
		return nil, fmt.Errorf("lease of %s: %w", plugin, err)
	}
	go l.watch(looking)
	return l, nil
}

// take waits for the token. One that was given to us while we were suspended may be another's by the time we see it: it is left to him.
func (l *Lease) take(ctx context.Context) (err error) {
	for {
		if l.token, err = l.consumer.Next(ctx); err != nil {
			return err
		}
		ours, why := l.look(context.WithoutCancel(ctx)) // who does not wait any more gives it back in order
		if ours {
			return nil
		}
		l.token.drop()
		if errors.Is(why, ErrDenied) {
			return why
		}
	}
}

// Lost is closed when another process may have the lease: this one was silent for too long.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Sure reports whether the lease was ours a moment ago. For who was suspended, or whose machine has slept, that is not so until it has
// asked again: what it has in hand another process may have by now.
func (l *Lease) Sure() bool {
	at, now := *l.sure.Load(), time.Now()
	return now.Sub(at) <= leaseTrust && now.Round(0).Sub(at.Round(0)) <= leaseTrust // the wall clock goes on while a machine sleeps
}

// Release gives the lease to whoever waits for it. Again it does nothing.
func (l *Lease) Release() {
	l.once.Do(func() {
		l.stop()
		<-l.watched
		l.consumer.Stop() // first: what is given back must not come to us again
		select {
		case <-l.lost: // a word of ours would take it from who has it now
			l.token.drop()
		default:
			_ = l.token.Nak(0)
		}
		if l.conn.Connected() {
			_ = l.conn.nc.FlushTimeout(stopWait) // lost, it is the next one's after AckWait
		}
	})
}

// drop settles d here, and says nothing of it.
func (d *Delivery) drop() {
	k := d.consumer
	k.mu.Lock()
	defer k.mu.Unlock()
	if !d.settled {
		d.settled = true
		k.held.remove(d)
		k.checkIdle()
	}
}

// watch asks again and again whether the lease is still ours. On a slow bus the next question goes out beside the one before: what is
// known is as old as the question, and not as the answer.
func (l *Lease) watch(ctx context.Context) {
	defer close(l.watched)
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	answers := make(chan leaseAnswer)
	next := time.NewTimer(0)
	defer next.Stop()
	for open := 0; ; {
		select {
		case <-ctx.Done():
			return
		case a := <-answers:
			open--
			if !a.ours && (a.err == nil || !l.Sure()) {
				close(l.lost)
				return
			}
		case <-next.C:
			if open > 0 && !l.Sure() { // who was suspended has none open, and asks first
				close(l.lost)
				return
			}
			open++
			asking.Go(func() { l.ask(ctx, answers) })
			next.Reset(leaseLook)
		}
	}
}

// leaseAnswer is what became of a question.
type leaseAnswer struct {
	ours bool
	err  error
}

func (l *Lease) ask(ctx context.Context, answers chan<- leaseAnswer) {
	ours, err := l.look(ctx)
	select {
	case answers <- leaseAnswer{ours, err}:
	case <-ctx.Done():
	}
}

// look asks whether the token was given to nobody since it was to us. An answer after leaseTrust would be of no use.
func (l *Lease) look(ctx context.Context) (ours bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTrust)
	defer cancel()
	asked := time.Now()
	state, err := l.conn.ConsumerInfo(ctx, StreamLeases, l.plugin)
	if err != nil || state.Given != l.token.consumerSeq || state.AckPending == 0 {
		return false, err
	}
	l.sureSince(asked)
	return true, nil
}

// sureSince notes the time of a question that was answered, unless a later one was before.
func (l *Lease) sureSince(asked time.Time) {
	for {
		at := l.sure.Load()
		if at != nil && at.After(asked) || l.sure.CompareAndSwap(at, &asked) {
			return
		}
	}
}

// leaseInput is the input by which the lease of plugin is taken.
func leaseInput(plugin string) Input {
	return Input{Stream: StreamLeases, Durable: plugin, Filters: []string{leaseSubject(plugin)}, Start: "all", MaxAckPending: 1}
}

func leaseSubject(plugin string) string { return Pattern(AreaLease, Name(plugin)) }

// ensureLease makes what the processes of plugin take their lease by.
func ensureLease(ctx context.Context, js jetstream.JetStream, plugin string) error {
	metrics, err := js.Stream(ctx, StreamMetrics)
	if err != nil {
		return err
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: StreamLeases, Subjects: []string{Pattern(AreaLease, Any)}, Storage: jetstream.FileStorage, Replicas: metrics.CachedInfo().Config.Replicas,
		MaxMsgsPerSubject: 1, MaxBytes: minStream, MaxMsgSize: 1 << 10, Discard: jetstream.DiscardNew,
		DenyDelete: true, // a purge of one subject is what ForgetLease does, by a right that no plugin has
	})
	if noRoom(err) {
		return fmt.Errorf("make stream %s of %d bytes: %w", StreamLeases, minStream, tooSmall(err))
	}
	if err != nil {
		return err
	}
	_, err = js.PublishMsg(ctx, nats.NewMsg(leaseSubject(plugin)), jetstream.WithExpectLastSequencePerSubject(0))
	if api, ok := errors.AsType[*jetstream.APIError](err); err != nil && (!ok || api.ErrorCode != errWrongLast && api.ErrorCode != errWrongLastOfMany) { // it is there
		return err
	}
	in := leaseInput(plugin)
	config, err := in.config()
	if err != nil {
		return err
	}
	return ensureConsumer(ctx, js, in, config)
}

// Leases returns the plugins whose processes take leases, by the tokens of their names.
func (c *Conn) Leases(ctx context.Context) ([]string, error) {
	names, err := c.Consumers(ctx, StreamLeases)
	if errors.Is(err, ErrNoStream) {
		return nil, nil // nobody needed one yet
	}
	return names, err
}

// ForgetLease removes the lease of a plugin that needs none any more. One that does not exist is no error.
func (c *Conn) ForgetLease(ctx context.Context, plugin string) error {
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, StreamLeases)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(leaseSubject(plugin)))
	}
	if err == nil { // at last: Leases tells of what is left when we are cut off
		err = c.DeleteConsumer(ctx, StreamLeases, plugin)
	}
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("forget the lease of %s: %w", plugin, missing(err))
	}
	return nil
}
