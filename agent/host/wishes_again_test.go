package host

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/telemetry"
)

// An agent that has read a consumer before another one has written, and writes after, takes back what that one wants. That one looks
// again soon, says it once more, and tells what the consumer has moved past meanwhile.
func TestOverwritten(t *testing.T) {
	b := bustest.New(t)
	first := connected(t, b, inputsOf("feed"))
	second := neighbour(t, b, "h2", inputsOf("feed, more"))
	if err := second.dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.close)
	if err := second.provide(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := second.find("hot").crew
	gives := func() []string {
		t.Helper()
		is, err := first.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "hot")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(is.Filters)
		return is.Filters
	}
	both := []string{bus.MetricsFilter("feed"), bus.MetricsFilter("more")}
	if got := gives(); !slices.Equal(got, both) {
		t.Errorf("it gives out %v", got)
	}

	// The late write of the first: it knows nothing of the second.
	if err := first.conn.LeaveConsumer(t.Context(), bus.StreamMetrics, "hot", "h2"); err != nil {
		t.Fatal(err)
	}
	send(t, first, "more", 5)
	send(t, first, "feed", 3)
	k, err := first.data.Consume(t.Context(), bus.StreamMetrics, "hot", bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d, err := k.Next(t.Context())
		if err == nil {
			err = d.Ack()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	k.Stop()
	if err := k.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	bustest.Wait(t, soon, "it is said again", func() bool {
		second.lookAgain(t.Context())
		return slices.Equal(gives(), both)
	})
	if c.unread.told != 5 {
		t.Errorf("at most %d were skipped, want 5", c.unread.told)
	}
	var told []string
	for len(second.diary.queue) > 0 {
		if v := <-second.diary.queue; v.Type == telemetry.FlagUnread {
			told = append(told, v.Message)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "at most 5 batches were not read: another host has overwritten") {
		t.Errorf("told %q", told)
	}
	t.Logf("said again after %v", time.Since(begun))
	second.lookAtWishes(t.Context())
	if c.unread.told != 5 {
		t.Errorf("%d in all", c.unread.told)
	}
}

// A change of this host that is under way, or has stopped half done, is not taken for one of another host.
func TestNotOverwritten(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, inputsOf("feed, more"))
	e := h.find("hot")
	var log texttest.Buffer
	h.log = slog.New(slog.NewTextHandler(&log, nil))
	in := e.read()[0]
	both, narrow := in.Filters, in
	narrow.Filters = []string{bus.MetricsFilter("feed")}
	stands := func(when string, want ...string) {
		t.Helper()
		is, err := h.conn.ConsumerInfo(t.Context(), in.Stream, in.Durable)
		if slices.Sort(is.Filters); err != nil || !slices.Equal(is.Filters, want) {
			t.Errorf("%s: %v, %v", when, is.Filters, err)
		}
	}
	untold := func(when string) {
		t.Helper()
		for len(h.diary.queue) > 0 {
			if v := <-h.diary.queue; v.Type == telemetry.FlagUnread {
				t.Errorf("%s: told %q", when, v.Message)
			}
		}
		if strings.Contains(log.String(), "another host has overwritten") || e.crew.unread.told > 0 {
			t.Errorf("%s: told\n%s", when, log.String())
		}
	}

	// It is narrowed on the bus, and not known here yet.
	e.crew.giving <- struct{}{}
	if err := h.conn.EnsureConsumer(t.Context(), narrow); err != nil {
		t.Fatal(err)
	}
	send(t, h, "more", 5) // left out, and passed
	send(t, h, "feed", 1)
	h.lookAtWishes(t.Context())
	stands("while it changes", narrow.Filters...)
	untold("while it changes")
	e.setRead([]bus.Input{narrow})
	<-e.crew.giving
	h.lookAtWishes(t.Context())
	stands("it has changed", narrow.Filters...)
	untold("it has changed")

	// It is to be widened, and the bus does not answer.
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.giveNow(stopped, func(now []bus.Input) []bus.Input { return union(now, []bus.Input{in}) }); err == nil {
		t.Error("no error")
	}
	stands("half done", narrow.Filters...)
	h.lookAtWishes(t.Context())
	stands("done", both...)
	untold("done")

	// What another host overwrites after that is told, though saying it again goes wrong at first.
	if err := h.conn.EnsureConsumer(t.Context(), narrow); err != nil {
		t.Fatal(err)
	}
	if err := e.giveNow(stopped, same); err == nil {
		t.Error("no error")
	}
	h.lookAtWishes(t.Context())
	stands("said again", both...)
	if !strings.Contains(log.String(), "another host has overwritten") {
		t.Errorf("not told\n%s", log.String())
	}
}

// What was said is looked at again twice: soon, and when a slow rival has written too.
func TestIsDue(t *testing.T) {
	var c crew
	now := time.Now()
	f := func(after time.Duration, want bool) {
		t.Helper()
		if got := c.isDue(now.Add(after)); got != want {
			t.Errorf("after %v: %v", after, got)
		}
	}
	f(time.Hour, false)
	c.writes(now)
	f(0, false)
	f(wishesAgain[0], true)
	f(wishesAgain[0], false)
	c.writes(now) // again
	f(wishesAgain[0], true)
	f(wishesAgain[1], true)
	f(time.Hour, false)
}

func TestSkipped(t *testing.T) {
	at := func(delivered, given uint64, again int) bus.ConsumerState {
		return bus.ConsumerState{Delivered: delivered, Given: given, Redelivered: again}
	}
	f := func(what string, was, is bus.ConsumerState, want uint64) {
		t.Helper()
		if n := skipped(was, is); n != want {
			t.Errorf("%s: %d, want %d", what, n, want)
		}
	}
	f("it stands still", at(10, 5, 0), at(10, 5, 0), 0)
	f("all was given out", at(10, 5, 0), at(20, 15, 0), 0)
	f("some was passed", at(10, 5, 0), at(20, 11, 0), 4)
	f("given again", at(10, 5, 0), at(20, 17, 1), 10)
	f("made anew", at(10, 5, 0), at(20, 1, 0), 0)
}
