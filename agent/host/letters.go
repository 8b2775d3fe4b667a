package host

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// lostLetters are the dead letters that the limits of their stream have taken.
type lostLetters struct {
	drops bus.Drops // of the goroutine of watchLag
	count atomic.Uint64
}

const letterEvery = time.Minute // between two events

// lookForLetters tells of dead letters that were dropped on the bus of this agent. Of a bus that is none of its own a hub does.
func (h *Host) lookForLetters(ctx context.Context) {
	if h.o.InProcess == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	s, err := h.conn.StreamInfo(ctx, bus.StreamDead)
	if err != nil {
		h.log.Debug("nobody knows what is dropped of the dead letters", "error", err)
		return
	}
	now := time.Now()
	h.letters.count.Add(h.letters.drops.See(s, now))
	if n := h.letters.drops.Due(now, letterEvery); n > 0 {
		text := bus.LettersLost(n)
		h.log.Warn("dead letters were dropped", "count", n, "bytes", s.Bytes, "max_bytes", s.MaxBytes)
		h.announce(telemetry.Event{Time: now.UnixNano(), Type: telemetry.LostLetters, Reason: text, Message: fmt.Sprintf("bus of %s: %s", h.o.Host, text)}, bus.Agent, "")
	}
}
