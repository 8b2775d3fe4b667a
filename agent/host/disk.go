package host

import (
	"context"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// DiskFull is told by who runs the bus in this process whether its disk is full. It does not wait.
func (h *Host) DiskFull(full bool) {
	select {
	case <-h.disk: // an older word, which nobody has heard yet
	default:
	}
	h.disk <- full // there is room: one goroutine tells
}

// followDisk has publishers told, while the disk of the bus is full, why nothing is stored, and tells of it by an event. That one is
// stored when there is room again, as anything else.
func (h *Host) followDisk(ctx context.Context) error {
	stop := func() {}
	defer func() { stop() }()
	was := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case full := <-h.disk:
			if full == was {
				continue
			}
			was = full
			stop()
			stop = func() {}
			if !full {
				h.tellDisk("ended", "the disk of the bus has room again")
				continue
			}
			stop = h.tellFull()
			h.tellDisk("begun", "the disk of the bus is full and points wait in their collectors: make room, then the bus goes on by itself")
		}
	}
}

// tellFull has publishers told that the disk is full, until stop is called.
func (h *Host) tellFull() (stop func()) {
	stop, err := h.data.TellFull()
	if err != nil {
		h.log.Warn("publishers are not told that the disk is full", "error", err)
		return func() {}
	}
	return stop
}

func (h *Host) tellDisk(reason, text string) {
	h.Happens(telemetry.Event{Time: time.Now().UnixNano(), Type: telemetry.FlagStorageFull, Reason: reason, Message: text})
}

// A syncer is a bus in this process that does not bring each write to disk by itself.
type syncer interface{ Sync() error }

// sync brings streams and consumers that were made to disk: a power cut right after would lose them whole, not only their last
// moments.
func (h *Host) sync() {
	s, ok := h.o.InProcess.(syncer)
	if !ok {
		return
	}
	if err := s.Sync(); err != nil {
		h.log.Warn("streams that were made may not outlive a power cut now", "error", err)
	}
}
