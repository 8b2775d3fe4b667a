package host

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestMissed(t *testing.T) {
	at := func(first, last, delivered, given, pending uint64) look {
		l := look{stream: bus.StreamState{FirstSeq: first, LastSeq: last}, reader: bus.ConsumerState{Delivered: delivered, Given: given, Pending: pending}}
		return l.after(look{})
	}
	f := func(what string, was, is look, want uint64) {
		t.Helper()
		if n := is.missed(was); n != want {
			t.Errorf("%s: %d missed, want %d", what, n, want)
		}
	}
	was := at(1, 100, 50, 50, 50)
	f("nothing is gone", was, at(1, 120, 60, 60, 60), 0)
	f("what was read is gone", was, at(51, 120, 60, 60, 60), 0)
	f("it stands still", was, at(81, 160, 50, 50, 80), 30)
	f("it went on behind what is gone", was, at(81, 160, 90, 60, 70), 30)
	f("it read some of what is gone since", was, at(81, 160, 90, 70, 70), 20)
	f("the stream is another one through and through", was, at(151, 250, 160, 60, 90), 100)
	f("nothing waited, and what came was read", at(1, 100, 100, 100, 0), at(151, 250, 250, 250, 0), 0)
	f("nothing was for it", at(1, 100, 10, 10, 0), at(81, 160, 10, 10, 0), 0)
	f("none is counted of what waits, and none was given", at(1, 100, 10, 10, 0).after(at(1, 90, 10, 10, 5)), at(81, 160, 10, 10, 0), 70)
	f("a bound, however little is pending", at(1, 100, 10, 10, 5), at(81, 160, 10, 10, 0), 70)
	f("another consumer of the name", was, at(81, 160, 80, 0, 80), 0)
	f("another stream of the name", was, at(1, 5, 50, 50, 0), 0)
	f("what was gone before", at(31, 100, 10, 10, 70), at(31, 160, 10, 10, 130), 0)
	f("and more now", at(31, 100, 10, 10, 70), at(41, 160, 10, 10, 120), 10)
	f("an empty one", look{}, look{}, 0)
	again := at(81, 160, 90, 70, 70)
	again.reader.Redelivered = 1 // nobody knows how many of the 20 were new
	f("given again", was, again, 30)
}

func TestUnread(t *testing.T) {
	var u unread
	now := time.Now()
	at := func(first, delivered uint64) look {
		return look{stream: bus.StreamState{FirstSeq: first, LastSeq: 1000}, reader: bus.ConsumerState{Delivered: delivered, Given: delivered, Pending: 1000 - delivered}}
	}
	f := func(what string, l look, exact bool, counted, want uint64, up bool) {
		t.Helper()
		now = now.Add(lagEvery)
		u.see("METRICS hot", l, now)
		if n := u.due(exact, counted, now); n != want || u.upAt(now) != up {
			t.Errorf("%s: %d told, want %d; up: %v", what, n, want, u.upAt(now))
		}
	}
	f("dropped before the first look", at(11, 5), false, 0, 5, true)
	f("nothing new", at(11, 20), false, 0, 0, true)
	f("told a moment ago", at(31, 20), false, 0, 0, true)
	now = now.Add(unreadEvery)
	f("together", at(36, 20), false, 0, 15, true)
	now = now.Add(2 * unreadStays)
	f("over", at(36, 40), true, 7, 0, false)
	f("one that reads alone may count it", at(51, 40), true, 7, 0, false)
	f("and does", at(51, 60), true, 17, 0, false)
	now = now.Add(exactTime)
	f("it is told by now", at(51, 60), true, 17, 0, false)
	f("again", at(71, 60), true, 17, 0, false)
	now = now.Add(exactTime)
	f("but it does not", at(71, 80), true, 17, 10, true)
	if u.told != 30 {
		t.Errorf("%d in all", u.told)
	}
	now = now.Add(unreadEvery)
	f("lost again", at(91, 80), true, 17, 0, true)
	f("it counts some of it", at(91, 100), true, 20, 0, true)
	now = now.Add(exactTime)
	f("the rest is told", at(91, 100), true, 20, 7, true)
	now = now.Add(2 * unreadStays)
	f("lost once more", at(121, 100), true, 20, 0, false)
	f("by one that starts again", at(121, 120), true, 0, 0, false)
	f("it counts all of it, and more", at(121, 140), true, 25, 0, false)
	now = now.Add(exactTime)
	f("nothing is left", at(121, 140), true, 25, 0, false)
}

// TestUnreadOfFirstLook checks that what was dropped before the first look is told, whatever the plugin counts by itself: of that it
// knows nothing.
func TestUnreadOfFirstLook(t *testing.T) {
	now := time.Now()
	first := look{stream: bus.StreamState{FirstSeq: 10_001, LastSeq: 20_000}, reader: bus.ConsumerState{}}
	u := unread{at: now}
	u.see("METRICS hot", first, now)
	f := func(after time.Duration, counted, want uint64) {
		t.Helper()
		now = now.Add(after)
		if n := u.due(true, counted, now); n != want {
			t.Errorf("told %d, want %d", n, want)
		}
	}
	f(lagEvery, 0, 0) // it was told of something else a moment ago
	f(lagEvery, 1, 0)
	f(unreadEvery, 1, 10_000)
	f(unreadEvery, 2, 0)
	if u.told != 10_000 {
		t.Errorf("%d in all", u.told)
	}
}

// TestUnreadBlank checks that a server that has just begun, and says that a consumer has nothing and has never had, changes nothing.
func TestUnreadBlank(t *testing.T) {
	var u unread
	now := time.Now()
	see := func(first, delivered uint64, pending uint64) {
		u.see("METRICS hot", look{stream: bus.StreamState{FirstSeq: first, LastSeq: 100},
			reader: bus.ConsumerState{Delivered: delivered, Given: delivered, AckFloor: delivered, Pending: pending}}, now)
	}
	see(1, 50, 50)
	see(1, 0, 0)
	if l := u.looks["METRICS hot"]; l.reader.Delivered != 50 {
		t.Errorf("%+v", l)
	}
	see(71, 50, 30)
	if u.held != 20 {
		t.Errorf("%d held, want 20", u.held)
	}
	see(71, 0, 30) // a consumer made anew
	if l := u.looks["METRICS hot"]; l.reader.Delivered != 0 {
		t.Errorf("%+v", l)
	}
}

// TestUnreadOfSeveral checks that what a full stream takes from two processes that share a consumer is told, and told once.
func TestUnreadOfSeveral(t *testing.T) {
	const sent = 1500
	r := rigged(t, "collect: { feed: { use: facts } }\npublish: { hot: { use: sink, from: feed, journal: $J, mode: tells, replicas: 2 } }\n")
	r.h.lookForLag(t.Context())
	r.b.Limit(t, bus.StreamMetrics, bustest.Limits{MaxBytes: 16 << 10})
	for range 5 {
		send(t, r.h, "feed", sent/5)
		r.h.lookForLag(t.Context())
	}
	bustest.Wait(t, soon, "it is told", func() bool {
		s := r.status("hot")
		return s.Stats != nil && s.Stats.Dropped[boundOfUnread] > 0 && slices.Contains(s.Flags, telemetry.FlagUnread)
	})
	answer, err := r.h.info(t.Context(), telemetry.CtlRequest{Args: map[string]any{"plugin": "hot"}})
	if err != nil {
		t.Fatal(err)
	}
	if s := answer.(telemetry.PluginList).Plugins[0]; s.Stats == nil || s.Stats.Dropped[boundOfUnread] == 0 {
		t.Errorf("info, with the counters that the plugin has just told, says nothing of it: %+v", s.Stats)
	}
	if s := r.status("hot.2"); s.Stats != nil && s.Stats.Dropped[boundOfUnread] > 0 {
		t.Error("the second process tells it too")
	}
	bustest.Wait(t, soon, "what is left is given out", func() bool { return !r.h.behind(t.Context(), r.h.find("hot").read()) })
	r.h.lookForLag(t.Context())
	u, took := r.h.find("hot").crew.unread, 0
	bustest.Wait(t, soon, "what is missing is told", func() bool { // what they have in hand is not in the stream any more
		took = len(slices.DeleteFunc(r.lines(), func(line string) bool { return !strings.HasPrefix(line, "hot_elsewhere_") }))
		return uint64(sent-took) <= u.told+u.held+sent/10 // the server does not count all that waits while it drops
	})
	if u.told+u.held >= sent || took == sent {
		t.Errorf("%d of %d read, and at most %d lost", took, sent, u.told+u.held)
	}
	t.Logf("%d of %d read, %d told and %d to be told", took, sent, u.told, u.held)
	bustest.Wait(t, soon, "it is an event", func() bool { return r.eventsOf(telemetry.FlagUnread) > 0 })
	told := 0
	for _, line := range r.h.find("hot").journal.Page(0, 0, 0).Lines {
		if strings.Contains(line.Text, "plugin has lost data: at most") {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// eventsOf returns how many events of a type are stored.
func (r *rig) eventsOf(kind string) uint64 {
	r.Helper()
	in := bus.Input{Stream: bus.StreamEvents, Durable: "events-" + kind, Start: "all", Filters: []string{bus.EventFilter(kind)}}
	if err := r.h.conn.EnsureConsumer(r.Context(), in); err != nil {
		r.Fatal(err)
	}
	state, err := r.h.conn.ConsumerInfo(r.Context(), in.Stream, in.Durable)
	if err != nil {
		r.Fatal(err)
	}
	return state.Pending
}

// TestUnreadWhileAway checks that what was dropped while no agent ran is told when it looks first.
func TestUnreadWhileAway(t *testing.T) {
	b := bustest.New(t)
	const text = "collect: { feed: { use: facts } }\npublish: { hot: { use: sink, from: feed } }\n"
	h := connected(t, b, text)
	b.Limit(t, bus.StreamMetrics, bustest.Limits{MaxBytes: 16 << 10})
	send(t, h, "feed", 500)
	h = connected(t, b, text)
	e := h.find("hot")
	if err := e.firstLook(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := h.conn.StreamInfo(t.Context(), bus.StreamMetrics)
	if err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	e.now.last.Stats = &telemetry.Stats{Dropped: map[string]uint64{countedUnread: 1}} // its process counts one of its own
	e.mu.Unlock()
	h.lookForLag(t.Context())
	e.mu.Lock()
	defer e.mu.Unlock()
	if u := e.crew.unread; u.away+u.told != s.FirstSeq-1 || u.told == 0 {
		t.Errorf("%+v, %d are gone", u, s.FirstSeq-1)
	}
}

// TestUnreadOfBoots checks that what a reader that runs cannot count by itself is in the bound: the last batches of one run of a
// source, and the first ones of the next, leave no hole between numbers.
func TestUnreadOfBoots(t *testing.T) {
	const sent = 400
	r := rigged(t, "collect: { feed: { use: facts } }\npublish: { hot: { use: sink, from: feed, journal: $J, mode: tells } }\n")
	r.h.lookForLag(t.Context())
	r.b.Limit(t, bus.StreamMetrics, bustest.Limits{MaxBytes: 16 << 10})
	pid := int(r.status("hot").PID)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	for range 2 {
		out, err := bus.NewPublisher(r.h.data, bus.PublisherOptions{Host: "elsewhere", Plugin: "feed"})
		if err != nil {
			t.Fatal(err)
		}
		was := r.h.out
		r.h.out = out
		for range 10 {
			send(t, r.h, "feed", sent/20)
			r.h.lookForLag(t.Context())
		}
		r.h.out = was
		out.Close()
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, soon, "what is left is read", func() bool { return !r.h.behind(t.Context(), r.h.find("hot").read()) })
	r.h.lookForLag(t.Context())
	took := len(slices.DeleteFunc(r.lines(), func(line string) bool { return !strings.HasPrefix(line, "hot_elsewhere_") }))
	e, lost := r.h.find("hot"), uint64(sent-took)
	counted := e.countedUnread()
	e.crew.mu.Lock()
	defer e.crew.mu.Unlock()
	e.crew.unread.due(true, counted, time.Now().Add(2*exactTime))
	told := e.crew.unread.told
	t.Logf("%d of %d lost, %d counted by the reader, at most %d told", lost, sent, counted, told)
	if lost < sent/4 || counted >= lost {
		t.Error("INVALID: the reader has missed nothing that it cannot count")
	}
	if counted+told+sent/10 < lost || told > sent { // the server does not count all that waits while it drops
		t.Errorf("%d lost, %d counted and %d told", lost, counted, told)
	}
}
