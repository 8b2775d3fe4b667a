package hub

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// An entry that somebody has removed from the bucket is not held, once that is noticed: the next beat has it come again.
func TestEntryRemoved(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	k := keeperOf(t, b, "web")
	k.set("os/info", telemetry.Facts{"n": 1})
	k.set("cpu/info", telemetry.Facts{"n": 2})
	k.steady()
	k.held(r)
	k.steady() // all is well
	notice := func(what string, do func() error) {
		t.Helper()
		if err := r.kv.inventory.Load().Delete(t.Context(), bus.Key("web", "os", telemetry.DataInfo), 0); err != nil {
			t.Fatal(err)
		}
		if err := do(); !errors.Is(err, ErrNoEntry) {
			t.Errorf("%s: %v", what, err)
		}
		if r.holds("web") == k.digest() {
			t.Errorf("%s: held still", what)
		}
		k.steady()
		k.held(r)
		k.steady()
		if d, err := r.Facts(t.Context(), "web", "os", telemetry.DataInfo); err != nil || d.Data["n"] != int64(1) {
			t.Errorf("%s: facts %v, %v", what, d.Data, err)
		}
	}
	notice("facts", func() error {
		_, err := r.Facts(t.Context(), "web", "os", telemetry.DataInfo)
		return err
	})
	notice("the list", func() error {
		items, err := r.Inventory(t.Context(), "web")
		if err != nil || len(items) != 2 || items[0].Error != nil || items[1].Error == nil {
			t.Errorf("inventory %+v, %v", items, err)
		}
		return ErrNoEntry
	})
	if _, err := r.Facts(t.Context(), "web", "no", "such"); !errors.Is(err, ErrNoEntry) || r.counted("inventory_missing") != 2 {
		t.Errorf("what nobody has: %v; counts %v", err, r.Status().Counts)
	}
}

// A bucket that does not answer is asked again: whether it is the one of before is not guessed.
func TestMarkIsAskedAgain(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	bustest.Wait(t, limit, "the mark", func() bool { return r.marked(t.Context()) })
	if err := r.kv.inventory.Load().Delete(t.Context(), keyMark, 0); err != nil {
		t.Fatal(err)
	}
	if r.marked(t.Context()) {
		t.Error("marked without a mark")
	}
	b.Stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	answer := make(chan bool, 1)
	go func() { answer <- r.marked(ctx) }()
	select {
	case is := <-answer:
		t.Errorf("marked %v, and nobody said so", is)
	case <-time.After(2 * retryEvery):
	}
	b.Start(t)
	<-answer // which it is, as far as the hub has made another mark by then
	if ctx.Err() != nil {
		t.Error("no answer")
	}
}
