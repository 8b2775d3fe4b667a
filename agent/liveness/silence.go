package liveness

import (
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Silence begins maintenance of a host until a time, or ends it with the zero time.
func (w *Watch) Silence(host string, until time.Time, now Instant) []Change {
	p := w.index[host]
	if p == nil {
		return nil
	}
	left := until.Sub(now.Wall)
	switch {
	case until.IsZero() || left <= 0:
		if p.quietUntil != 0 {
			w.endMaintenance(p, now)
		}
	default:
		left = min(left, longestAge)
		until = now.Wall.Add(left)
		p.until, p.quietUntil = until, max(1, now.Mono+left)
		w.tell(p, Change{Type: TypeMaintenance, Reason: ReasonBegun, Message: "maintenance of " + p.label() + " until " + until.UTC().Format(time.RFC3339)}, now)
	}
	w.due[p.slot] = w.next(p)
	return w.flush()
}

// endMaintenance tells what p is by then: for one that is DOWN nobody was alerted.
func (w *Watch) endMaintenance(p *peer, now Instant) {
	p.until, p.quietUntil = time.Time{}, 0
	w.tell(p, Change{Type: TypeMaintenance, Reason: ReasonEnded, Message: "maintenance of " + p.label() + " has ended, and it is " + p.state}, now)
	if n := len(w.out); n > 0 && p.state != telemetry.HostDown {
		w.out[n-1].Silenced = true
	}
}
