package hub

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// The hub of a bus that is nobody's own counts the dead letters that are dropped, and tells of them.
func TestLostLetters(t *testing.T) {
	b := bustest.New(t)
	b.Limit(t, bus.StreamDead, bustest.Limits{MaxBytes: 1 << 20})
	h := start(t, b, func(o *Options) { o.Times.Letters = 20 * time.Millisecond })
	p, err := bus.NewPublisher(b.Conn(t, "operator"), bus.PublisherOptions{Host: "h1", Plugin: "sink"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	first := func(letters int) uint64 {
		t.Helper()
		for range letters {
			if err := p.Publish(t.Context(), bus.Message{Subject: bus.DeadSubject("sink"), Body: make([]byte, 16<<10)}); err != nil {
				t.Fatal(err)
			}
		}
		s, err := h.Data().StreamInfo(t.Context(), bus.StreamDead)
		if err != nil {
			t.Fatal(err)
		}
		return s.FirstSeq
	}
	if gone := first(10) - 1; gone > 0 || h.counted("lost_letters") > 0 {
		t.Fatalf("%d are gone, %d counted", gone, h.counted("lost_letters"))
	}
	bustest.Wait(t, limit, "it counts", func() bool { return first(10) > 1 && h.counted("lost_letters") > 0 })
	told(t, b, "it is told", func(all []telemetry.Event) bool { return len(of(all, "lost_letters", "fleet")) > 0 })
	before := h.counted("lost_letters")
	first(20) // for which as many go
	bustest.Wait(t, limit, "all are counted", func() bool { return h.counted("lost_letters") >= before+20 })
}
