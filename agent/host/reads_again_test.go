package host

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// A plugin is taken from the config while its agent is down, in the middle of dead letters that it is given again. What it has settled
// does not come back as letters, and the rest does.
func TestForgetGoneAgain(t *testing.T) {
	const text = "collect: { numbers: { attached: true } }\npublish: { sink: { from: numbers }, other: { use: sink, from: numbers } }\n"
	b := bustest.New(t)
	start := func(text string) *rig {
		t.Helper()
		h := newHost(t, b.URL, text)
		h.o.InProcess = b.Server()
		if err := h.dial(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.close)
		if err := h.provide(t.Context()); err != nil {
			t.Fatal(err)
		}
		return &rig{T: t, h: h, b: b}
	}
	r := start(text)
	settleTwoOfThree(r)
	if n := letters(r); len(n) > 0 {
		t.Errorf("letters %v while they are given again", n)
	}
	r = start(strings.Replace(text, "sink: { from: numbers }, other", "other", 1))
	if got := letters(r); !slices.Equal(got, []uint64{6}) {
		t.Errorf("letters %v, want the copy that was not settled, 6", got)
	}
	if _, err := r.h.conn.ConsumerInfo(t.Context(), bus.StreamDead, bus.AgainDurable("sink")); !errors.Is(err, bus.ErrNoConsumer) {
		t.Errorf("its consumer: %v", err)
	}
}

// Where the settled ones cannot be removed their consumer stays, so that they are no letters.
func TestForgetGoneKept(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, "collect: { numbers: { attached: true } }\npublish: { sink: { from: numbers } }\n")
	r := &rig{T: t, h: h, b: b}
	settleTwoOfThree(r)
	answer, err := b.Conn(t, "root").Request(t.Context(), "$JS.API.STREAM.INFO."+bus.StreamDead, nil)
	if err != nil || !strings.Contains(string(answer), `"deny_delete":false`) {
		t.Fatalf("%s, %v", answer, err)
	}
	_, config, _ := strings.Cut(string(answer), `"config":`)
	config, _, _ = strings.Cut(config, `,"created"`)
	raw(t, b, "$JS.API.STREAM.UPDATE."+bus.StreamDead, strings.Replace(config, `"deny_delete":false`, `"deny_delete":true`, 1))
	h.o.InProcess = b.Server()
	h.settings = settings(t, "collect: { numbers: { attached: true } }\n")
	if err := h.forgetGone(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err := h.conn.ConsumerInfo(t.Context(), bus.StreamDead, bus.AgainDurable("sink")); err != nil || c.AckFloor != 5 {
		t.Errorf("%+v, %v", c, err)
	}
	if got := letters(r); len(got) > 0 {
		t.Errorf("letters %v", got)
	}
}

// settleTwoOfThree gives the sink three dead letters again, of which it settles two.
func settleTwoOfThree(r *rig) {
	r.Helper()
	copied, _ := r.aside(3)
	for letter := range uint64(3) {
		if seq := copied(letter + 1); seq != letter+4 {
			r.Fatalf("copy %d of letter %d", seq, letter+1)
		}
	}
	in := bus.Errands("sink", nil)[0]
	in.From, in.End = 4, 6
	if err := r.h.conn.EnsureConsumer(r.Context(), in); err != nil {
		r.Fatal(err)
	}
	for letter := range uint64(3) {
		if err := r.h.conn.DropLetter(r.Context(), letter+1); err != nil {
			r.Fatal(err)
		}
	}
	k, err := r.h.data.Consume(r.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		r.Fatal(err)
	}
	for range 2 {
		d, err := k.Next(r.Context())
		if err == nil {
			err = d.Ack()
		}
		if err != nil {
			r.Fatal(err)
		}
	}
	k.Stop()
	if err := k.Flush(r.Context()); err != nil {
		r.Fatal(err)
	}
}

// letters returns the dead letters of the sink.
func letters(r *rig) (list []uint64) {
	r.Helper()
	err := r.h.conn.Letters(r.Context(), "sink", 0, func(l bus.Letter) error {
		list = append(list, l.Seq)
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	return list
}
