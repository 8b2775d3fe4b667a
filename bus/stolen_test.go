package bus_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

func TestOtherID(t *testing.T) {
	const id = "h1/cpu/9f3c1a7e5b2d4c60/812"
	one, two := bus.OtherID(id), bus.OtherID(id)
	if one == two || bus.FirstID(one) != id || bus.FirstID(bus.OtherID(two)) != id || len(bus.OtherID(two)) != len(one) {
		t.Errorf("%q, %q, %q", one, two, bus.OtherID(two))
	}
	f := func(id string) {
		t.Helper()
		if got := bus.FirstID(id); got != id {
			t.Errorf("FirstID(%q) = %q", id, got)
		}
	}
	f(id)
	f("")
	f(one + "+filter")
	f("x~other")
	f("x~other0123456789abcdeg")
	f("x~0123456789abcdef")
}

// Who doubts is told of each message that the stream has not stored as it knows the id, and where it has it from.
func TestDoubts(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_cpu")
	p := publisher(t, c, bus.PublisherOptions{Doubts: true})
	thief := publisher(t, c, bus.PublisherOptions{Plugin: "mem"})
	m := bus.Message{Subject: bus.MetricsSubject("h1", "mem"), ID: "h1/cpu/1", Body: []byte("stolen")}
	if err := thief.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	m.Subject, m.Body = bus.MetricsSubject("h1", "cpu"), []byte("mine")
	var had *bus.DuplicateError
	if err := p.Publish(t.Context(), m); !errors.As(err, &had) || had.Seq != 1 || !strings.Contains(err.Error(), "at 1") {
		t.Errorf("%v", err)
	}
	m.ID = bus.OtherID(m.ID)
	for range 2 {
		if err := p.Publish(t.Context(), m); err != nil && (!errors.As(err, &had) || had.Seq != 2) {
			t.Errorf("%v", err)
		}
	}
	if s := p.Stats(); s.Stored != 1 || s.Duplicates != 2 || s.Refused != 0 || s.ForeignDuplicate != 0 {
		t.Errorf("%+v", s)
	}
}
