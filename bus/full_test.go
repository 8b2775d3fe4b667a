package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

// Publishers hear that the disk is full though the server is silent, and what they have is stored when there is room.
func TestTellFull(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, bus.Hub)
	stop, err := c.TellFull()
	if err != nil {
		t.Fatal(err)
	}
	p := publisher(t, b.Conn(t, "h1_cpu"), bus.PublisherOptions{})
	o := newTally()
	for _, subject := range []string{bus.MetricsSubject("h1", "cpu"), bus.EventSubject("h1", "cpu", "x"), bus.DeadSubject("cpu"), bus.CopySubject("h2", bus.DeadSubject("cpu"))} {
		if err := p.Send(t.Context(), bus.Message{Subject: subject, Body: []byte("x")}, o.done(subject)); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Wait(t, limit, "state storage_full", func() bool { return p.State() == bus.StateStorageFull && p.Stats().StorageFull >= 3 })
	stop()
	if err := c.EnsureStreams(t.Context(), smallStreams()); err != nil {
		t.Fatal(err)
	}
	flush(t, p)
	if stored, failed := o.counts(); stored != 4 || failed != 0 || p.State() != bus.StateOK {
		t.Errorf("stored %d, failed %d, state %s", stored, failed, p.State())
	}
}

// A stream that works all the same confirms what it stores: nothing is lost, nor sent for ever.
func TestTellFullOfWorkingBus(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, bus.Hub)
	stop, err := c.TellFull()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	fill(t, b.Conn(t, "h1_cpu"), 20)
	if s := streamState(t, c, bus.StreamMetrics); s.Messages != 20 {
		t.Errorf("%d messages", s.Messages)
	}
}

// Who tells has rights that others have not, and so speaks to nobody's ear but a publisher's.
func TestTellFullAnswersInboxesOnly(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	stop, err := b.Conn(t, bus.Hub).TellFull()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	nc := raw(t, b)
	heard := make(chan *nats.Msg, 10)
	for _, subject := range []string{"pw.ctl.>", "_INBOX_h1_cpu.>"} {
		if _, err := nc.ChanSubscribe(subject, heard); err != nil {
			t.Fatal(err)
		}
	}
	for _, reply := range []string{"pw.ctl.h1.cpu.drain", "_INBOX_h1_cpu.x"} { // answered in this order
		if err := nc.PublishRequest("pw.metrics.h1.cpu", reply, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case m := <-heard:
		if m.Subject != "_INBOX_h1_cpu.x" {
			t.Errorf("somebody heard on %s", m.Subject)
		}
	case <-time.After(limit):
		t.Error("nobody heard")
	}
}
