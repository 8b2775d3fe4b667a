package host

import (
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// What a plugin tries without the right to shows in its status, and in that of nobody else.
func TestDenied(t *testing.T) {
	h := newHost(t, bustest.New(t).URL, pair)
	h.Denied(bus.User("h1", "sink"))
	h.Denied(bus.User("h1", "sink"))
	h.Denied("stranger")
	h.Denied(bus.User("h2", "numbers"))
	for _, s := range h.Statuses() {
		want := map[string]uint64{"sink": 2}[s.Name]
		if s.Denied != want {
			t.Errorf("%s: %d denied, want %d", s.Name, s.Denied, want)
		}
	}
	if lines := h.find("sink").journal.Page(0, 0, 0).Lines; len(lines) != 1 {
		t.Errorf("journal %+v", lines)
	}
}
