package host

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// remove removes the consumer of the sink, as an operator may by accident.
func (r *rig) remove() {
	r.Helper()
	if err := r.h.conn.DeleteConsumer(r.Context(), bus.StreamMetrics, "sink"); err != nil {
		r.Fatal(err)
	}
}

// A consumer that somebody removes is made anew where it was: the process that reads goes on, nothing is skipped, and it is told.
func TestConsumerGone(t *testing.T) {
	r := rigged(t, reading("from: numbers, mode: tells"))
	pid := r.status("sink").PID
	publish(t, r.h, 20)
	caught(t, r.h, "sink")
	r.h.lookForLag(t.Context())
	r.remove()
	publish(t, r.h, 300)
	if !r.h.behind(t.Context(), r.h.find("sink").read()) {
		t.Error("what has no consumer is said to be read")
	}
	bustest.Wait(t, soon, "it is made anew", func() bool {
		r.h.lookForLag(t.Context())
		return r.filters(bus.StreamMetrics, "sink") != nil
	})
	caught(t, r.h, "sink")
	bustest.Wait(t, soon, "it is told", func() bool { return r.eventsOf(losesPlace) == 1 })
	if s := r.status("sink"); s.PID != pid || s.Stats != nil && s.Stats.Dropped[boundOfUnread] > 0 {
		t.Errorf("%+v", s)
	}
	r.stop()
	if sums := ends(t, r.lines()); sums["sink"] != 20+300 { // the process knows what it has settled
		t.Errorf("points %v, want 320", sums)
	}
}

// What comes while the consumer is gone is not skipped by a process that starts before anybody has noticed.
func TestConsumerGoneAtStart(t *testing.T) {
	r := rigged(t, reading("from: numbers"))
	publish(t, r.h, 5)
	bustest.Wait(t, soon, "all five are settled", func() bool { // a server may say that nothing waits before it has counted them
		c, err := r.h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink")
		return err == nil && c.AckFloor == 5
	})
	r.h.lookForLag(t.Context())
	if _, err := r.h.Stop(t.Context(), "sink"); err != nil {
		t.Fatal(err)
	}
	r.remove()
	publish(t, r.h, 30)
	r.h.find("sink").refresh()
	if c, err := r.h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink"); err != nil || c.Pending != 30 {
		t.Errorf("%d wait, %v", c.Pending, err)
	}
}

// Where nobody knows the place, and where the stream is another one, what may be lost is told.
func TestConsumerGoneUnseen(t *testing.T) {
	h := connected(t, bustest.New(t), "collect: { feed: { use: facts } }\npublish: { hot: { use: sink, from: feed } }\n")
	e := h.find("hot")
	in := e.read()[0]
	f := func(what string, want uint64, event string) {
		t.Helper()
		told := e.crew.unread.told
		for len(h.diary.queue) > 0 {
			<-h.diary.queue
		}
		e.remake(t.Context(), in)
		if got := e.crew.unread.told - told; got != want {
			t.Errorf("%s: at most %d, want %d", what, got, want)
		}
		var types []string
		for len(h.diary.queue) > 0 {
			v := <-h.diary.queue
			types = append(types, v.Type)
			if event != "" && !strings.Contains(v.Message, "its consumer hot of METRICS was gone, and is made anew") {
				t.Errorf("%s: told %q", what, v.Message)
			}
		}
		if got := strings.Join(types, " "); got != event {
			t.Errorf("%s: events %q, want %q", what, got, event)
		}
	}
	gone := func() {
		t.Helper()
		if err := h.conn.DeleteConsumer(t.Context(), in.Stream, in.Durable); err != nil {
			t.Fatal(err)
		}
	}
	send(t, h, "feed", 12)
	if err := e.firstLook(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone()
	f("it was seen", 0, losesPlace)
	if !h.behind(t.Context(), e.read()) {
		t.Error("it is not where it was")
	}
	gone()
	e.crew.forget(e.read())
	f("it was not", 12, telemetry.FlagUnread+" "+losesPlace)
	gone()
	h.changing <- struct{}{}
	e.remake(t.Context(), in)
	if _, err := h.conn.ConsumerInfo(t.Context(), in.Stream, in.Durable); err == nil {
		t.Error("made anew while somebody else changes the config")
	}
	<-h.changing
	other := bus.Input{Stream: in.Stream, Durable: "other"}
	e.remake(t.Context(), other)
	if names, err := h.conn.Consumers(t.Context(), in.Stream); err != nil || slices.Contains(names, "other") {
		t.Errorf("consumers %v, %v", names, err)
	}
}

func TestLostAnew(t *testing.T) {
	old, young := time.Unix(1, 0), time.Unix(2, 0)
	f := func(what string, was, is look, known bool, want uint64) {
		t.Helper()
		if n := is.lostAnew(was, known); n != want {
			t.Errorf("%s: %d, want %d", what, n, want)
		}
	}
	at := func(made time.Time, first, last, settled uint64) look {
		return look{stream: bus.StreamState{Made: made, FirstSeq: first, LastSeq: last}, reader: bus.ConsumerState{Delivered: settled, AckFloor: settled}}
	}
	f("all is there", at(old, 1, 100, 50), at(old, 51, 120, 50), true, 0)
	f("some is gone", at(old, 1, 100, 50), at(old, 61, 120, 60), true, 10)
	f("another stream", at(old, 1, 100, 50), at(young, 1, 5, 0), true, 50)
	f("another stream, and all was read", at(old, 1, 100, 100), at(young, 1, 5, 0), true, 0)
	is := at(old, 11, 100, 100)
	is.reader.From = 101
	f("nobody knows, it has what is new", look{}, is, false, 90)
	is.reader.From = 0
	f("nobody knows, it has all", look{}, is, false, 0)
}
