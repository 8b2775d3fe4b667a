package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

// What is sent again is counted, and apart what comes so late that the stream may have forgotten the id.
func TestLateResent(t *testing.T) {
	c := bustest.Bare(t, embedded.Options{}).Conn(t, "h1_cpu")
	_, err := bus.Handle(c, bus.MetricsSubject("h1", "cpu"), bus.Rules{}, // takes all, and answers nothing
		func(b []byte) (string, error) { return string(b), nil },
		func(context.Context, bus.Subject, string) ([]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	p := publisher(t, c, bus.PublisherOptions{AckTimeout: 50 * time.Millisecond})
	if err := p.Send(t.Context(), metric("x"), func(error) {}); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, limit, "it is sent again", func() bool { return p.Stats().Resent > 1 })
	if n := p.Stats().LateResent; n != 0 {
		t.Errorf("%d of them late, at once", n)
	}
	p.Age(2 * time.Minute)
	bustest.Wait(t, limit, "it is sent again late", func() bool { return p.Stats().LateResent > 0 })
	if s := p.Stats(); s.LateResent >= s.Resent {
		t.Errorf("%d of %d were late, the first was not", s.LateResent, s.Resent)
	}
}
