package bus_test

import (
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// A plugin that died between its dead letter and the end of the delivery makes the same letter when it is given that once more: by a
// secret that it knows, and nobody else. What is not the same is another letter.
func TestDeadTwiceIsOneLetter(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_out")
	key := func(text string) func() []byte { return func() []byte { return []byte(text) } }
	first := publisher(t, c, bus.PublisherOptions{Host: "h1", Plugin: "out", LetterKey: key("secret")})
	fill(t, c, 2)
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	d, other := next(t, k), next(t, k)
	f := func(p *bus.Publisher, d *bus.Delivery, body string, part int, consumer string, want int) {
		t.Helper()
		if err := p.DeadPart(t.Context(), d, []byte(body), part, "out", consumer, "no", "rejected"); err != nil {
			t.Fatal(err)
		}
		if got := len(lettersOf(t, c, "out")); got != want {
			t.Errorf("%d letters, want %d", got, want)
		}
	}
	f(first, d, "0", 0, "out", 1)
	first.Close()
	next := publisher(t, c, bus.PublisherOptions{Host: "h1", Plugin: "out", LetterKey: key("secret")})
	f(next, d, "0", 0, "out", 1)
	f(next, other, "0", 0, "out", 2)
	f(next, d, "0", 1, "out", 3)
	f(next, d, "0", 1, "out", 3)
	f(next, d, "1", 1, "out", 4)
	f(next, d, "0", 0, bus.ReplayDurable("out"), 5)
	anew := *d
	anew.Stored = d.Stored.Add(1) // METRICS was made anew
	f(next, &anew, "0", 0, "out", 6)
	f(publisher(t, c, bus.PublisherOptions{Host: "h1", Plugin: "out", LetterKey: key("other")}), d, "0", 0, "out", 7)
	none := publisher(t, c, bus.PublisherOptions{Host: "h1", Plugin: "out", LetterKey: key("")})
	f(none, d, "0", 0, "out", 8)
	f(none, d, "0", 0, "out", 9)
}
