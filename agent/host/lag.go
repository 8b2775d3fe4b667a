package host

import (
	"context"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	lagEvery  = 15 * time.Second
	lagBegins = 0.5 // of what a stream may hold
	lagEnds   = 0.4
)

// watchLag tells of plugins that are so far behind that the limits of a stream may take what they have not read, until ctx ends.
func (h *Host) watchLag(ctx context.Context) error {
	t := time.NewTicker(lagEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			h.lookForLag(ctx)
		}
	}
}

// lookForLag asks how far each reader of this machine is. Processes that share a consumer are behind together.
func (h *Host) lookForLag(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	streams := map[string]bus.StreamState{}
	lags := map[string]lag{}
	for _, e := range h.entries() {
		p := e.plan()
		var worst lag
		for _, in := range p.inputs {
			of, known := lags[in.Stream+" "+in.Durable]
			if !known {
				var err error
				if of, err = h.lagOf(ctx, in, streams); err != nil {
					h.log.Debug("nobody knows how far a plugin is", "plugin", p.name, "stream", in.Stream, "error", err)
					return // the bus has other troubles
				}
				lags[in.Stream+" "+in.Durable] = of
			}
			if of.share > worst.share {
				worst = of
			}
		}
		e.behind(worst, p.name == p.conf.Name)
	}
}

// A lag is what waits in a stream for one of its readers.
type lag struct {
	stream string
	bytes  uint64
	share  float64 // of what the stream may hold, in bytes or in time: the larger one
}

// lagOf asks how far the reader of in is. streams has the states that are known already.
func (h *Host) lagOf(ctx context.Context, in bus.Input, streams map[string]bus.StreamState) (lag, error) {
	s, known := streams[in.Stream]
	if !known {
		var err error
		if s, err = h.conn.StreamInfo(ctx, in.Stream); err != nil {
			return lag{}, err
		}
		streams[in.Stream] = s
	}
	c, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
	if err != nil {
		return lag{}, err
	}
	maxAge := h.o.Streams.MetricsMaxAge
	if in.Stream == bus.StreamEvents {
		maxAge = h.o.Streams.EventsMaxAge
	}
	l := measure(c, s, maxAge, time.Now())
	l.stream = in.Stream
	return l, nil
}

// measure returns what a stream holds behind the place of a reader, by the average of its messages.
func measure(c bus.ConsumerState, s bus.StreamState, maxAge time.Duration, now time.Time) lag {
	if c.Pending == 0 && c.AckPending == 0 || s.Messages == 0 {
		return lag{}
	}
	place := c.Delivered
	if c.AckPending > 0 { // what was given out may have to be given again
		place = c.AckFloor
	}
	place = max(place, s.FirstSeq-1)
	if place >= s.LastSeq { // it has moved on since the stream was asked
		return lag{}
	}
	part := min(1, float64(s.LastSeq-place)/float64(s.Messages))
	l := lag{bytes: uint64(part * float64(s.Bytes))}
	if s.MaxBytes > 0 {
		l.share = float64(l.bytes) / float64(s.MaxBytes)
	}
	if maxAge > 0 {
		l.share = max(l.share, part*float64(now.Sub(s.FirstTime))/float64(maxAge))
	}
	return l
}

// behind notes how far the plugin is behind, and tells of it when that begins or ends; one of those that share a consumer does.
func (e *entry) behind(l lag, tells bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.lag != ""
	is := l.share > lagBegins || was && l.share > lagEnds
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
