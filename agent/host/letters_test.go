package host

import (
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// TestLostLetters checks that dead letters which make room for others are counted and told, by the agent whose bus it is.
func TestLostLetters(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, `collect: { numbers: }`)
	h.o.InProcess = b.Server()
	b.Limit(t, bus.StreamDead, bustest.Limits{MaxBytes: 1 << 20})
	p, err := bus.NewPublisher(h.conn, bus.PublisherOptions{Host: "h1", Plugin: "sink"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	told := func() (all []telemetry.Event) {
		h.lookForLetters(t.Context())
		for len(h.diary.queue) > 0 {
			if v := <-h.diary.queue; v.Type == "lost_letters" {
				all = append(all, v)
			}
		}
		return all
	}
	f := func(letters int, least, most uint64, events int) {
		t.Helper()
		for range letters {
			if err := p.Publish(t.Context(), bus.Message{Subject: bus.DeadSubject("sink"), Body: make([]byte, 16<<10)}); err != nil {
				t.Fatal(err)
			}
		}
		all := told()
		if n := h.letters.count.Load(); n < least || n > most || h.loads()["lost_letters"] != float64(n) {
			t.Errorf("%d are counted, want %d to %d; %v", n, least, most, h.loads())
		}
		if len(all) != events || events > 0 && (all[0].Plugin != bus.Agent || !strings.Contains(all[0].Message, "dead letters were dropped")) {
			t.Errorf("told %+v, want %d", all, events)
		}
	}
	f(10, 0, 0, 0)
	f(200, 130, 160, 1)
	f(10, 140, 170, 0) // soon after
	if h.o.InProcess = nil; len(told()) > 0 {
		t.Error("it tells of a bus that is not its own")
	}
}
