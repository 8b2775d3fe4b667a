package bus_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// deadOf returns the dead letters of a plugin.
func deadOf(t *testing.T, c *bus.Conn, plugin string) (list []bus.Letter) {
	t.Helper()
	if err := c.Letters(t.Context(), plugin, 0, func(l bus.Letter) error { list = append(list, l); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

// A letter that would be too large with what it says of itself is stored without its content, and its delivery is settled.
func TestDeadTooLarge(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "operator")
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	p := fill(t, c, 0)
	m := bus.Message{Subject: bus.MetricsSubject("h1", "cpu"), ContentType: "text/plain"}
	m.Body = make([]byte, 1<<20-256-len(m.Subject)-len(m.ContentType)) // the largest that is stored
	if err := p.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	d := next(t, k)
	if err := p.Dead(t.Context(), d, bus.Uplink, "out", "the sink says no", "rejected"); err != nil {
		t.Fatal(err)
	}
	if err := d.Ack(); !errors.Is(err, bus.ErrSettled) {
		t.Errorf("Ack after Dead: %v", err)
	}
	list := deadOf(t, c, bus.Uplink)
	if len(list) != 1 || len(list[0].Body) > 0 || list[0].SourceID != d.ID || !strings.Contains(list[0].Error, "bytes are left out") ||
		!strings.Contains(list[0].Error, "the sink says no") {
		t.Fatalf("letters: %+v", list)
	}
	if err := c.SendLetter(t.Context(), list[0]); !errors.Is(err, bus.ErrNoContent) {
		t.Errorf("sent: %v", err)
	}
}

// What an uplink has set aside is stored where it was, as it was, once its id is forgotten, and is no dead letter any more.
func TestSendLetter(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "operator")
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	p := fill(t, c, 1)
	d := next(t, k)
	if err := p.Dead(t.Context(), d, bus.Uplink, "out", "denied", "denied"); err != nil {
		t.Fatal(err)
	}
	list := deadOf(t, c, bus.Uplink)
	if len(list) != 1 {
		t.Fatalf("letters: %+v", list)
	}
	if err := c.SendLetter(t.Context(), list[0]); !errors.Is(err, bus.ErrRefused) || len(deadOf(t, c, bus.Uplink)) != 1 {
		t.Errorf("sent while its id is remembered: %v", err)
	}
	b.Limit(t, bus.StreamMetrics, bustest.Limits{Duplicates: 100 * time.Millisecond})
	bustest.Wait(t, limit, "the id is forgotten", func() bool { return c.SendLetter(t.Context(), list[0]) == nil })
	if is := next(t, k); is.Subject != d.Subject || is.ID != d.ID || is.ContentType != d.ContentType || string(is.Body) != string(d.Body) {
		t.Errorf("%+v, want %+v", is, d)
	}
	if list := deadOf(t, c, bus.Uplink); len(list) > 0 {
		t.Errorf("letters: %+v", list)
	}
}

// A machine may have sent a letter of its uplink that says it was on the subject of another: what is stored by it is of that machine alone.
func TestSendLetterOfOthers(t *testing.T) {
	b := bustest.Guarded(t)
	edge, operator := turnHostileEdge(t, b, "h1"), b.Conn(t, "operator")
	f := func(subject string, want error) {
		t.Helper()
		m := nats.NewMsg(bus.CopySubject("h1", bus.DeadSubject(bus.Uplink)))
		m.Data = []byte("x")
		m.Header.Set(bus.HeaderSubject, subject)
		if _, err := edge.RequestMsg(m, limit); err != nil {
			t.Fatal(err)
		}
		list := deadOf(t, operator, bus.Uplink)
		if len(list) != 1 {
			t.Fatalf("letters: %+v", list)
		}
		before := streamState(t, operator, bus.StreamMetrics).Messages
		if err := operator.SendLetter(t.Context(), list[0]); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", subject, err, want)
		}
		if n := streamState(t, operator, bus.StreamMetrics).Messages - before; (n == 1) != (want == nil) {
			t.Errorf("%s: %d messages", subject, n)
		}
		if want != nil {
			if err := operator.DropLetter(t.Context(), list[0].Seq); err != nil {
				t.Error(err)
			}
		}
	}
	f(bus.MetricsSubject("h1", "cpu"), nil)
	f(bus.MetricsSubject("h2", "cpu"), bus.ErrElsewhere)
	f(bus.AgainSubject("out"), bus.ErrNoLetter)
}
