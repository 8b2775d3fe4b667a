package hub

import (
	"context"
	"errors"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// sendTime is how long a writer waits for room among the events under way. Where there is none it writes records of others.
const sendTime = 100 * time.Millisecond

// errUnderWay says that stored goes on with the host.
var errUnderWay = errors.New("event is under way")

var errCrowded = errors.New("too many events are under way")

// publish puts an event under way to EVENTS, and does not wait until the stream has it: the records of other hosts are not held
// up by a stream that stands still. The host's own next record waits.
func (h *Hub) publish(ctx context.Context, x *host, e telemetry.Event) error {
	if time.Now().UnixNano() < h.crowded.Load() {
		return errCrowded
	}
	var b telemetry.Batch
	e.AppendTo(&b)
	m := bus.Message{Subject: bus.EventSubject(e.Host, e.Plugin, e.Type), ID: e.ID, ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	if err := h.out.Send(ctx, m, func(err error) { h.stored(x, e.ID, err) }); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			h.crowded.Store(time.Now().Add(retryEvery).UnixNano())
		}
		return err
	}
	return errUnderWay
}

// stored goes on with a host whose event EVENTS has, or has refused.
func (h *Hub) stored(x *host, id string, err error) {
	if err == nil {
		h.mu.Lock()
		x.done(id)
		h.mu.Unlock()
	}
	h.wrote(x, err)
}

// keepEvents makes the streams again when that of events is gone: events wait until it is there.
func (h *Hub) keepEvents(ctx context.Context) error {
	for sleep(ctx, writeTime) {
		if h.out.State() != bus.StateNoStream {
			continue
		}
		if err := h.provideAgain(ctx); err != nil {
			h.log.Warn("streams cannot be made again", "error", err)
		}
	}
	return nil
}
