package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// StreamTurns has one message for each plugin of which only one process may read at a time: who holds it has the turn. It is
// given out by a durable consumer as any message is, to one at a time; held, it is signalled as worked on; given back, or held by
// somebody who is gone, it is the next one's. So a turn needs no more rights than reading does, and no clock that others share.
const StreamTurns = "TURNS"

// A Turn is held by the one process of a plugin that may read.
type Turn struct {
	conn     *Conn
	plugin   string
	consumer *Consumer
	token    *Delivery
	lost     chan struct{}
	stop     context.CancelFunc
	watched  chan struct{} // closed when nobody looks after the turn any more
	once     sync.Once
}

const (
	turnLook  = time.Second
	turnTrust = 3 * time.Second // without word that it is ours it may be another's soon: AckWait, less the age of the last signal
)

// TakeTurn waits until the turn of plugin is ours, or ctx ends.
func (c *Conn) TakeTurn(ctx context.Context, plugin string) (*Turn, error) {
	k, err := c.Consume(ctx, StreamTurns, plugin, ConsumeOptions{Messages: lanes})
	if err != nil {
		return nil, fmt.Errorf("turn of %s: %w", plugin, err)
	}
	token, err := k.Next(ctx)
	if err != nil {
		k.Stop()
		return nil, fmt.Errorf("turn of %s: %w", plugin, err)
	}
	looking, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &Turn{conn: c, plugin: plugin, consumer: k, token: token, lost: make(chan struct{}), stop: stop, watched: make(chan struct{})}
	go t.watch(looking)
	return t, nil
}

// Lost is closed when another process may have the turn: this one was silent for too long.
func (t *Turn) Lost() <-chan struct{} { return t.lost }

// Release gives the turn to whoever waits for it. Again it does nothing.
func (t *Turn) Release() {
	t.once.Do(func() {
		t.stop()
		<-t.watched
		t.consumer.Stop() // first: what is given back must not come to us again
		select {
		case <-t.lost: // a word of ours would take it from who has it now
			t.token.drop()
		default:
			_ = t.token.Nak(0)
		}
		if t.conn.Connected() {
			_ = t.conn.nc.FlushTimeout(stopWait) // lost, it is the next one's after AckWait
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

// watch asks again and again whether the turn is still ours.
func (t *Turn) watch(ctx context.Context) {
	defer close(t.watched)
	look := time.NewTicker(turnLook)
	defer look.Stop()
	ours := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		asked := time.Now()
		is, err := t.ours(ctx)
		switch {
		case err == nil && is:
			ours = asked
		case err == nil, time.Since(ours) > turnTrust:
			close(t.lost)
			return
		}
	}
}

// ours reports whether the token was given to nobody since it was to us.
func (t *Turn) ours(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, turnLook)
	defer cancel()
	state, err := t.conn.ConsumerInfo(ctx, StreamTurns, t.plugin)
	return state.Given == t.token.consumerSeq && state.AckPending > 0, err
}

// turnOf is the input by which the turn of plugin is taken.
func turnOf(plugin string) Input {
	return Input{Stream: StreamTurns, Durable: plugin, Filters: []string{turnSubject(plugin)}, Start: "all", MaxAckPending: 1}
}

func turnSubject(plugin string) string { return Pattern(AreaTurn, Name(plugin)) }

// ensureTurn makes what the processes of plugin take turns by.
func ensureTurn(ctx context.Context, js jetstream.JetStream, plugin string) error {
	metrics, err := js.Stream(ctx, StreamMetrics)
	if err != nil {
		return err
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: StreamTurns, Subjects: []string{Pattern(AreaTurn, Any)}, Storage: jetstream.FileStorage, Replicas: metrics.CachedInfo().Config.Replicas,
		MaxMsgsPerSubject: 1, MaxBytes: minStream, MaxMsgSize: 1 << 10, Discard: jetstream.DiscardNew, DenyDelete: true, DenyPurge: true,
	})
	if err != nil {
		return err
	}
	_, err = js.PublishMsg(ctx, nats.NewMsg(turnSubject(plugin)), jetstream.WithExpectLastSequencePerSubject(0))
	if api, ok := errors.AsType[*jetstream.APIError](err); err != nil && (!ok || api.ErrorCode != errWrongLast && api.ErrorCode != errWrongLastOfMany) { // it is there
		return err
	}
	in := turnOf(plugin)
	config, err := in.config()
	if err != nil {
		return err
	}
	return ensureConsumer(ctx, js, in, config)
}
