package host

import (
	"log/slog"

	"github.com/pacewire/pacewire/bus"
)

// Denied notes that a user of the bus has tried what it has no right to. It may be called at any time, and from anywhere.
func (h *Host) Denied(user string) {
	for _, e := range h.entries() {
		if bus.User(h.o.Host, e.name) == user {
			e.deny()
			return
		}
	}
}

func (e *entry) deny() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.denied++; e.denied == 1 { // the bus itself says on which subjects, once a minute
		e.say(slog.LevelWarn, "plugin tries on the bus what it may not")
	}
}
