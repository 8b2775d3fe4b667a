package bus_test

import (
	"context"
	"slices"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// Letters under way are letters again when their plugin goes: they can be seen, given again and dropped.
func TestStrandedCopies(t *testing.T) {
	c := bustest.New(t).Conn(t, "hub")
	fill(t, c, 3)
	setAside(t, c, consumer(t, c, input("out"), bus.ConsumeOptions{}), "out", 3)
	want := func(when string, want ...uint64) {
		t.Helper()
		for _, plugin := range []string{"", "out"} {
			if got := lettersOf(t, c, plugin); !slices.Equal(got, want) {
				t.Errorf("%s: letters %v, want %v", when, got, want)
			}
		}
	}
	retry := func(offer func(ctx context.Context, from, to uint64) error, all ...uint64) {
		t.Helper()
		var letters []bus.Letter
		for _, seq := range all {
			l, err := c.Letter(t.Context(), seq)
			if err != nil {
				t.Fatal(err)
			}
			letters = append(letters, l)
		}
		if _, err := c.RetryLetters(t.Context(), letters, offer); err != nil {
			t.Fatal(err)
		}
	}
	var k *bus.Consumer
	in := bus.Errands("out", nil)[0]
	retry(func(_ context.Context, from, to uint64) error {
		want("their letters are there", 1, 2, 3)
		k = again(t, c, "out", from, to)
		return next(t, k).Ack() // and two are in hand or wait
	}, 1, 2, 3)
	flush(t, k)
	want("under way")
	_, err := c.Letter(t.Context(), 5)
	wantErr(t, "one under way", err, bus.ErrNoLetter)
	k.Stop()
	want("the plugin may come back")
	if err := c.DeleteConsumer(t.Context(), in.Stream, in.Durable); err != nil {
		t.Fatal(err)
	}
	if err := c.ForgetAgain(t.Context(), "out", 4, 4); err != nil {
		t.Fatal(err)
	}
	want("the plugin is gone", 5, 6)
	retry(func(_ context.Context, from, to uint64) error {
		k = again(t, c, "out", from, to)
		d := next(t, k)
		if d.StreamSeq != 7 || d.ID == "" || d.Subject != bus.MetricsSubject("h1", "cpu") {
			t.Errorf("given again: %+v", d)
		}
		return d.Ack()
	}, 5)
	want("given again once more", 6)
	flush(t, k)
	s, err := c.ConsumerInfo(t.Context(), in.Stream, in.Durable)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ForgetAgain(t.Context(), "out", s.From, s.AckFloor); err != nil {
		t.Fatal(err)
	}
	want("what was given again is forgotten, and not what nobody was given", 6)
	if l, err := c.Letter(t.Context(), 6); err != nil || !l.Again {
		t.Errorf("%+v, %v", l, err)
	}
	if err := c.DropLetter(t.Context(), 6); err != nil {
		t.Error(err)
	}
	want("dropped")
}
