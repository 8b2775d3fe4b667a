package bus_test

import (
	"maps"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// Letters are counted by plugin; copies of another host are not, nor what is being given again.
func TestLetterCounts(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "operator")
	p, err := bus.NewPublisher(c, bus.PublisherOptions{Host: "h1", Plugin: "sink"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	for _, subject := range []string{bus.DeadSubject("sink"), bus.DeadSubject("sink"), bus.DeadSubject("a b"), bus.CopySubject("h2", bus.DeadSubject("sink")), bus.AgainSubject("sink")} {
		if err := p.Publish(t.Context(), bus.Message{Subject: subject, Body: []byte("x")}); err != nil {
			t.Fatal(subject, err)
		}
	}
	got, err := c.LetterCounts(t.Context())
	if want := map[string]uint64{"sink": 2, "a b": 1}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}
