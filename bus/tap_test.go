package bus_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

func TestTapBegins(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	out, err := bus.NewPublisher(c, bus.PublisherOptions{Host: "h1", Plugin: "p"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	send := func(plugin, body string) {
		t.Helper()
		m := bus.Message{Subject: bus.EventSubject("h1", plugin, "up"), Body: []byte(body)}
		if err := out.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	f := func(o bus.TapOptions, want ...string) {
		t.Helper()
		o.Stream, o.Once = bus.StreamEvents, true
		var got []string
		last := uint64(0)
		err := c.Tap(ctx, o, func(m bus.Tapped) error {
			got = append(got, string(m.Body))
			if m.Seq <= last || strconv.FormatUint(m.Seq, 10) != string(m.Body) {
				t.Errorf("message %s has sequence %d after %d", m.Body, m.Seq, last)
			}
			last = m.Seq
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Tap(%+v) gave %v, %v; want %v", o, got, err, want)
		}
	}
	f(bus.TapOptions{From: 1}) // a stream without messages ends at once
	send("a", "1")
	send("b", "2")
	half := time.Now()
	send("a", "3")
	f(bus.TapOptions{From: 1}, "1", "2", "3")
	f(bus.TapOptions{From: 2}, "2", "3")
	f(bus.TapOptions{From: 1, Filters: []string{bus.Pattern(bus.AreaEvents, bus.Any, bus.Name("a"), bus.Any)}}, "1", "3")
	f(bus.TapOptions{Since: half}, "3")
	f(bus.TapOptions{Last: true}, "2", "3")
	f(bus.TapOptions{From: 9})

	stop := errors.New("stop")
	if err := c.Tap(ctx, bus.TapOptions{Stream: bus.StreamEvents, From: 1}, func(bus.Tapped) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Tap = %v, want the error of its function", err)
	}
}
