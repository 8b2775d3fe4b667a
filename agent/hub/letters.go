package hub

import (
	"context"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	letterLook = 5 * time.Second // between two looks at the dead letters
	letterTell = time.Minute     // between two events
)

// watchLetters counts the dead letters that the limits of their stream take, and tells of them, until ctx ends. Of a bus that is of this
// process its agent does.
func (h *Hub) watchLetters(ctx context.Context) error {
	if h.o.InProcess != nil {
		return nil
	}
	var drops bus.Drops
	for sleep(ctx, h.o.Times.Letters) {
		if err := h.lookForLetters(ctx, &drops, time.Now()); err != nil && ctx.Err() == nil {
			h.log.Debug("nobody knows what is dropped of the dead letters", "error", err)
		}
	}
	return nil
}

// lookForLetters looks once. Every hub counts, the one that speaks tells.
func (h *Hub) lookForLetters(ctx context.Context, drops *bus.Drops, now time.Time) error {
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	s, err := h.data.Load().StreamInfo(asking, bus.StreamDead)
	if err != nil {
		return err
	}
	h.counts.add(telemetry.LostLetters, drops.See(s, now))
	if !h.Speaks() {
		drops.Due(now, 0) // told by who does
		return nil
	}
	n := drops.Due(now, letterTell)
	if n == 0 {
		return nil
	}
	h.log.Warn("dead letters were dropped", "count", n, "bytes", s.Bytes, "max_bytes", s.MaxBytes)
	return h.sayOfFleet(ctx, telemetry.Event{Time: now.UnixNano(), Type: telemetry.LostLetters, Message: bus.LettersLost(n), Count: n})
}

// sayOfFleet publishes an event that is of no host.
func (h *Hub) sayOfFleet(ctx context.Context, e telemetry.Event) error {
	h.mu.Lock()
	h.voice.told++
	e.ID, e.Term = fmt.Sprintf("hub/%d/%d", h.voice.term, h.voice.told), h.voice.term
	h.mu.Unlock()
	e.Host, e.Plugin = fleetName, bus.Agent
	var b telemetry.Batch
	e.AppendTo(&b)
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return h.out.Publish(ctx, bus.Message{Subject: bus.EventSubject(e.Host, e.Plugin, e.Type), ID: e.ID,
		ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)})
}
