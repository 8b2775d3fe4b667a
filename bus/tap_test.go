package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
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
	ctx, cancel := context.WithTimeout(t.Context(), limit)
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

// TestEventsOfLiars has bodies that claim to be somebody else: what the bus has checked counts.
func TestEventsOfLiars(t *testing.T) {
	long := strings.Repeat("h", 300) // its token is hashed, so the body has to tell it
	f := func(subject string, claimed, want telemetry.Event) {
		t.Helper()
		s, err := bus.ParseSubject(subject)
		if err != nil {
			t.Fatal(err)
		}
		var b telemetry.Batch
		b.SetHost("-") // so that the event has its host as a tag
		claimed.Message = "so"
		claimed.AppendTo(&b)
		line := fmt.Sprintf("event,host=%s,plugin=%s,type=%s message=\"so\"\n", claimed.Host, claimed.Plugin, claimed.Type)
		for kind, body := range map[telemetry.Content][]byte{telemetry.ContentLines: []byte(line), telemetry.ContentMsgPack: b.AppendMsgPack(nil)} {
			got, err := bus.Tapped{Subject: s, Body: body, ContentType: string(kind), Stored: time.Unix(1, 0)}.Events(&b)
			if err != nil || len(got) != 1 || got[0].Host != want.Host || got[0].Plugin != want.Plugin || got[0].Type != want.Type || got[0].Message != "so" {
				t.Errorf("%+v on %s as %s: %+v, %v", claimed, subject, kind, got, err)
			}
		}
	}
	truth := telemetry.Event{Host: "web1", Plugin: "nagios", Type: "check"}
	subject := bus.EventSubject("web1", "nagios", "check")
	f(subject, truth, truth)
	f(subject, telemetry.Event{Host: "db1", Plugin: "agent", Type: "down"}, truth)
	hashed := bus.EventSubject(long, "agent", "up")
	f(hashed, telemetry.Event{Host: long, Plugin: "agent", Type: "up"}, telemetry.Event{Host: long, Plugin: "agent", Type: "up"})
	token := strings.Split(hashed, ".")[2]
	f(hashed, telemetry.Event{Host: "web1", Plugin: "nagios", Type: "down"}, telemetry.Event{Host: token, Plugin: "agent", Type: "up"})
	if _, err := (bus.Tapped{Body: []byte("\xc1"), ContentType: string(telemetry.ContentMsgPack)}).Events(new(telemetry.Batch)); err == nil {
		t.Error("foreign bytes are events")
	}
}

func TestConsumerStates(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	for _, name := range []string{"one", "a b"} {
		in := bus.Input{Stream: bus.StreamMetrics, Durable: name, Filters: []string{bus.MetricsFilter("cpu")}, Start: "all"}
		if err := c.EnsureConsumer(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	states, err := c.ConsumerStates(t.Context(), bus.StreamMetrics)
	if err != nil || len(states) != 2 {
		t.Fatalf("%+v, %v", states, err)
	}
	for _, name := range []string{"one", "a b"} {
		one, err := c.ConsumerInfo(t.Context(), bus.StreamMetrics, name)
		if got := states[bus.Token(name)]; err != nil || !slices.Equal(got.Filters, one.Filters) || got.Pending != one.Pending || got.StreamFirst != one.StreamFirst {
			t.Errorf("%s: %+v, alone %+v, %v", name, got, one, err)
		}
	}
	if _, err := c.ConsumerStates(t.Context(), "NONE"); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("a stream that is not there: %v", err)
	}
}

// TestTapDenied taps a stream that the server refuses: who listens would else hear nothing, and never know why.
func TestTapDenied(t *testing.T) {
	b := bustest.Guarded(t)
	allowed := "$JS.API.CONSUMER.CREATE." + bus.StreamEvents + ".*." + bus.EventFilter("up")
	rights := embedded.Rights{
		Publish:   []string{"$JS.API.STREAM.INFO.>", "$JS.API.CONSUMER.MSG.NEXT.>", "$JS.API.CONSUMER.INFO.>", allowed},
		Subscribe: []string{"_INBOX_" + bus.Hub + ".>"},
	}
	_, creds := b.Grant(t, bus.Hub, &rights)
	c := b.Dial(t, bus.Options{User: bus.Hub, CredsFile: creds, Data: true})
	f := func(want error, filters ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		o := bus.TapOptions{Stream: bus.StreamEvents, Filters: filters, From: 1, Once: true}
		err := c.Tap(ctx, o, func(bus.Tapped) error { return nil })
		if !errors.Is(err, want) {
			t.Errorf("Tap of %v = %v, want %v", filters, err, want)
		}
	}
	f(bus.ErrDenied)
	f(bus.ErrDenied, bus.EventFilter("down"))
	f(nil, bus.EventFilter("up"))
}

// TestTapLeavesNoConsumer counts the consumers of a stream after taps that have ended in each way.
func TestTapLeavesNoConsumer(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	out, err := bus.NewPublisher(c, bus.PublisherOptions{Host: "h1", Plugin: "p"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	if err := out.Publish(t.Context(), bus.Message{Subject: bus.EventSubject("h1", "p", "up"), Body: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	consumers := func(what string, want int) {
		t.Helper()
		const soon = 25 * time.Second // after 30 s the server forgets a consumer by itself
		bustest.Wait(t, soon, fmt.Sprintf("%s: %d consumers", what, want), func() bool {
			return streamState(t, c, bus.StreamEvents).Consumers == want
		})
	}
	f := func(what string, o bus.TapOptions, see func() error) {
		t.Helper()
		o.Stream = bus.StreamEvents
		for range 3 {
			_ = c.Tap(t.Context(), o, func(bus.Tapped) error { return see() })
		}
		consumers(what, 0)
	}
	f("enough", bus.TapOptions{From: 1}, func() error { return errors.New("enough") })
	f("once", bus.TapOptions{From: 1, Once: true}, func() error { return nil })
	f("nothing there", bus.TapOptions{Once: true}, func() error { return nil })

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Tap(ctx, bus.TapOptions{Stream: bus.StreamEvents}, func(bus.Tapped) error { return nil })
	}()
	consumers("under way", 1)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	consumers("cancelled", 0)
}
