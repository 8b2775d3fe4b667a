package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const lagEvery = 5 * time.Second

// watchLag tells of plugins that are so far behind that the limits of a stream may take what they have not read, until ctx ends.
func (h *Host) watchLag(ctx context.Context) error {
	t := time.NewTicker(lagEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			h.savePlaces(time.Now())
			return nil
		case now := <-t.C:
			h.lookForLag(ctx)
			h.lookForLetters(ctx)
			if now.Sub(h.places.at) >= placesEvery {
				h.savePlaces(now)
			}
		}
	}
}

// lookForLag asks how far each reader of this machine is, and what it has missed. Processes that share a consumer are behind
// together.
func (h *Host) lookForLag(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r := round{h, map[string]bus.StreamState{}, map[string]look{}}
	for _, e := range h.entries() {
		p := e.plan()
		worst, backlog, err := r.worst(ctx, e, p.inputs)
		if err != nil {
			h.log.Debug("nobody knows how far a plugin is", "plugin", p.name, "error", err)
			return // the bus has other troubles
		}
		first := p.name == p.conf.Name
		e.behind(worst, backlog, first)
		e.lookAtSink(time.Now())
		if first {
			e.tellUnread(time.Now())
		}
	}
}

// A round asks for each stream and each consumer once.
type round struct {
	host    *Host
	streams map[string]bus.StreamState
	looks   map[string]look
}

// worst returns how far e is behind with that one of inputs with which it is farthest, and how many batches of all wait.
func (r round) worst(ctx context.Context, e *entry, inputs []bus.Input) (worst lag, backlog uint64, err error) {
	for _, in := range inputs {
		l, known := r.looks[consumerOf(in)]
		if !known {
			l, err = r.host.look(ctx, in, r.streams)
			if errors.Is(err, bus.ErrNoConsumer) { // that of the others is asked for all the same
				e.remake(ctx, in)
				continue
			}
			if err != nil {
				return lag{}, 0, err
			}
			r.looks[consumerOf(in)] = l
			e.crew.sees(consumerOf(in), l)
		}
		backlog += l.reader.Pending + uint64(l.reader.AckPending)
		if of := r.lag(ctx, e.crew, in, l); of.share > worst.share {
			worst = of
		}
	}
	return worst, backlog, nil
}

// lag returns how far the readers of in are behind, by the age of what waits itself where that matters.
func (r round) lag(ctx context.Context, c *crew, in bus.Input, is look) lag {
	now := time.Now()
	l := lagOf(in.Stream, is, now)
	if !bus.Lags(l.share, true) {
		return l
	}
	if c.oldest == nil {
		c.oldest = map[string]*bus.Oldest{}
	}
	key := consumerOf(in)
	if c.oldest[key] == nil {
		c.oldest[key] = &bus.Oldest{Stream: in.Stream, Filters: is.reader.Filters}
	}
	share, err := c.oldest[key].Share(ctx, r.host.conn, is.stream, is.settled(), now)
	if err != nil {
		r.host.log.Debug("age of what waits not known", "consumer", in.Durable, "stream", in.Stream, "error", err)
		return l
	}
	l.share = share
	return l
}

// A lag is what waits in a stream for one of its readers.
type lag struct {
	stream string
	bytes  uint64
	share  float64 // of what the stream may hold, in bytes or in time: the larger one
}

// lagOf returns how far a reader of stream is behind.
func lagOf(stream string, of look, now time.Time) lag {
	if of.reader.Pending == 0 && of.reader.AckPending == 0 {
		return lag{}
	}
	bytes, share := of.stream.After(of.settled(), now)
	return lag{stream, bytes, share}
}

// behind notes how far the plugin is behind, and tells of it when that begins or ends; one of those that share a consumer does.
func (e *entry) behind(l lag, backlog uint64, tells bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.backlog = backlog
	was := e.lag != ""
	is := bus.Lags(l.share, was)
	e.lag = ""
	if is {
		e.lag = fmt.Sprintf("it is behind: %d MiB of %s wait for it, %.0f%% of what that may hold", l.bytes>>20, l.stream, 100*l.share)
	}
	if is != was {
		e.host.inventory.stirs(e.name)
		if tells {
			e.tellLag(is)
		}
	}
}

// tellLag tells that the plugin is far behind now, or is no longer: the reason is begun or ended. The caller has the lock.
func (e *entry) tellLag(begins bool) {
	v := telemetry.Event{Time: time.Now().UnixNano(), Type: telemetry.FlagLag, From: e.shown.state, To: e.shown.state, Reason: "ended",
		Message: fmt.Sprintf("%s %s has caught up", e.now.plan.conf.Kind, e.name)}
	if begins {
		v.Reason = "begun"
		v.Message = fmt.Sprintf("%s %s: %s; when that is full the oldest is lost: look why it is slow, or raise max_store and max_age of the bus",
			e.now.plan.conf.Kind, e.name, e.lag)
	}
	e.announce(v)
}
