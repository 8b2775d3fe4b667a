package hub

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// registered returns the record of a host.
func registered(t testing.TB, b *bustest.Bus, name string) (telemetry.HostRecord, bus.KV) {
	t.Helper()
	hosts, err := b.Conn(t, "hub").Bucket(t.Context(), bus.BucketHosts)
	if err != nil {
		t.Fatal(err)
	}
	v, err := hosts.Get(t.Context(), name)
	if err != nil && !errors.Is(err, bus.ErrNoKey) {
		t.Fatal(err)
	}
	record, _, err := telemetry.DecodeHostRecord(v.Value)
	if err != nil && v.Value != nil {
		t.Fatal(err)
	}
	return record, v
}

// overwrite writes DOWN as the hub of the term before would.
func overwrite(t testing.TB, b *bustest.Bus, name string) telemetry.Event {
	t.Helper()
	r, v := registered(t, b, name)
	r.Change, r.Term, r.From, r.State, r.Reason = r.Change+1, r.Term-1, r.State, telemetry.HostDown, "silent"
	r.Event = &telemetry.Event{ID: "hub/before/" + name, Time: time.Now().UnixNano(), Host: name, Plugin: bus.Agent, Type: "down",
		Message: name + " is DOWN", From: r.From, To: r.State, Term: r.Term}
	body, err := telemetry.EncodeControl(r, telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := b.Conn(t, "hub").Bucket(t.Context(), bus.BucketHosts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hosts.Update(t.Context(), name, body, v.Revision); err != nil {
		t.Fatal(err)
	}
	return *r.Event
}

// A bus whose answers come too late for each write has all written and told, once.
func TestAnswersTooLate(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	link := newLink(t, b)
	r := start(t, b, func(o *Options) {
		o.URL, o.Times.Renew, o.Times.Write = link.url(), 8*time.Second, 100*time.Millisecond
	})
	link.lag.Store(int64(150 * time.Millisecond))
	a := agentOf(t, b, "web", "i1", 1)
	a.beat()
	told(t, b, "UP", is(1, "up", "web"))
	a.beat(func(h *telemetry.Heartbeat) { h.Bye = "shutdown" })
	all := told(t, b, "LEFT", is(1, "left", "web"))
	each(t, all, 1, "up", "web")
	if n := r.counted("record_errors"); n == 0 {
		t.Error("no answer came too late")
	}
}

// A hub that spoke before and did not know yet of its successor writes DOWN over UP: the registry says UP again.
func TestLateRecordIsRepaired(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	a := agentOf(t, b, "web", "i1", 1)
	a.beat()
	told(t, b, "UP", is(1, "up", "web"))
	bustest.Wait(t, limit, "the record", func() bool { return !r.busy() })
	overwrite(t, b, "web")
	bustest.Wait(t, limit, "the repair", func() bool {
		is, _ := registered(t, b, "web")
		return is.State == telemetry.HostUp && is.Term == r.Status().Term
	})
}

// It writes what this hub is about to find out: its event stands for both.
func TestLateRecordIsToldOnce(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, func(o *Options) { o.Rules.DownLeast = 4 * time.Second })
	agentOf(t, b, "web", "i1", 1).beat(func(h *telemetry.Heartbeat) { h.IntervalMS = 200 })
	told(t, b, "OVERDUE", is(1, "overdue", "web"))
	bustest.Wait(t, limit, "the record", func() bool { return !r.busy() })
	e := overwrite(t, b, "web")
	all := told(t, b, "DOWN", is(1, "down", "web"))
	if id := of(all, "down", "web")[0].ID; id != e.ID {
		t.Errorf("event %s was told besides %s", id, e.ID)
	}
	bustest.Wait(t, limit, "the record", func() bool {
		is, _ := registered(t, b, "web")
		return !r.busy() && is.State == telemetry.HostDown && is.Term == r.Status().Term
	})
	each(t, events(t, b), 1, "down", "web")
}

// An event is young by the clock of the bus, whatever hubs think that the time is.
func TestRepeatable(t *testing.T) {
	h := New(Options{Log: bustest.Log(t)})
	f := func(age, ahead time.Duration, want bool) {
		t.Helper()
		h.voice.ahead = ahead
		x := &host{event: &telemetry.Event{ID: "e"}, written: time.Now().Add(-age)}
		if got := h.repeatable(x); (got != nil) != want {
			t.Errorf("written %v ago, clock of the bus ahead by %v: %v", age, ahead, got)
		}
	}
	f(time.Second, 0, true)
	f(repeatFor, 0, false)
	f(-24*time.Hour, 0, false)                        // of tomorrow
	f(-time.Hour+time.Second, time.Hour, true)        // the clock here is slow
	f(-time.Hour+repeatFor, time.Hour, false)         // and the record old
	f(24*time.Hour+time.Second, -24*time.Hour, true)  // it is fast
	f(24*time.Hour+2*repeatFor, -24*time.Hour, false) // and the record old
	if e := h.repeatable(&host{event: &telemetry.Event{}}); e != nil {
		t.Errorf("never written: %+v", e)
	}
}

// A host whose writes fail comes again after a while, and the others at once.
func TestFailuresHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{Log: bustest.Log(t)})
		h.voice.mine = true
		for i := range 1000 {
			x := h.at(fmt.Sprint("bad", i))
			h.save(x)
			if h.todo.next() != x {
				t.Fatal("another one is next")
			}
			h.wrote(x, errors.New("no"))
		}
		good := h.at("good")
		h.save(good)
		begin := time.Now()
		if x := h.todo.next(); x != good || time.Since(begin) > 0 {
			t.Errorf("next is %s after %v", x.id, time.Since(begin))
		}
		seen := map[*host]bool{}
		for range 1000 {
			seen[h.todo.next()] = true
		}
		if took := time.Since(begin); took != retryEvery || len(seen) != 1000 {
			t.Errorf("%d others after %v", len(seen), took)
		}
	})
}

// A stream of events that stands still does not hold up the records, and is told all when it goes on.
func TestRecordsWithoutEvents(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	r.providing.Lock() // nobody makes the stream again
	unlock := sync.OnceFunc(r.providing.Unlock)
	defer unlock()
	removeStream(t, b, bus.StreamEvents)
	const hosts = 400 // more than events may be under way
	f := crowd(t, b, fleet.Options{Hosts: hosts, Plugins: 1, Conns: 4, Interval: 500 * time.Millisecond})
	r.allUp(t, hosts)
	bustest.Wait(t, limit, "the records", func() bool { return keys(t, b, bus.BucketHosts, ">") == hosts })
	if n := len(events(t, b)); n > 0 {
		t.Errorf("%d events without a stream", n)
	}
	unlock()
	each(t, told(t, b, "all UP", is(hosts, "up", "")), 1, "up", f.Names()...)
}

// What is to be removed from the bucket goes before the record, and waits for the voice.
func TestRemovalsFirst(t *testing.T) {
	h := New(Options{Log: bustest.Log(t)})
	x := h.at("web")
	x.sweepAway(entry{"cpu", "status"})
	h.save(x)
	if _, ok := h.nextOf(x); ok || len(x.gone) != 1 || !x.dirty {
		t.Errorf("without the voice: next %v, to be removed %v, dirty %v", ok, x.gone, x.dirty)
	}
	h.voice.mine = true
	if p, ok := h.nextOf(x); !ok || p.record.Host != "" || !x.dirty {
		t.Errorf("with the voice: %+v, %v, dirty %v", p, ok, x.dirty)
	}
	x.gone = nil
	if _, ok := h.nextOf(x); !ok || x.dirty {
		t.Errorf("then the record: %v, dirty %v", ok, x.dirty)
	}
}

// A registry that is removed while nobody speaks is written by the next who does.
func TestRegistryGoneWithoutVoice(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, swift)
	agentOf(t, b, "web", "i1", 1).beat()
	told(t, b, "UP", is(1, "up", "web"))
	bustest.Wait(t, limit, "the record", func() bool { return !r.busy() })
	r.lose("test")
	remove(t, b, bus.BucketHosts)
	bustest.Wait(t, limit, "the record again", func() bool { return r.Speaks() && keys(t, b, bus.BucketHosts, ">") == 1 })
}

// The bus has lost its last writes with the power: the hub writes them again.
func TestRegistryPutBack(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, swift)
	agentOf(t, b, "web", "i1", 1).beat()
	told(t, b, "UP", is(1, "up", "web"))
	bustest.Wait(t, limit, "the record", func() bool { return !r.busy() })
	b.Stop(t)
	before := t.TempDir()
	if err := os.CopyFS(before, os.DirFS(b.Dir)); err != nil {
		t.Fatal(err)
	}
	term := r.Status().Term
	b.Start(t)
	bustest.Wait(t, limit, "the voice", func() bool { return r.connected() && r.Speaks() && r.Status().Term > term }) // which the bus has forgotten
	agentOf(t, b, "db", "i1", 1).beat()
	told(t, b, "UP", is(1, "up", "db"))
	bustest.Wait(t, limit, "the record", func() bool { return !r.busy() })
	b.Stop(t)
	if err := errors.Join(os.RemoveAll(b.Dir), os.CopyFS(b.Dir, os.DirFS(before))); err != nil {
		t.Fatal(err)
	}
	b.Start(t)
	bustest.Wait(t, limit, "two records", func() bool { return r.connected() && r.Speaks() && keys(t, b, bus.BucketHosts, ">") == 2 })
}

// Deletions that a watch could not hear of: who follows forgets, who speaks writes again.
func TestMissedDeletions(t *testing.T) {
	f := func(mine bool) {
		t.Helper()
		h := New(Options{Log: bustest.Log(t)})
		for _, name := range []string{"web", "db"} {
			h.adopt(telemetry.HostRecord{Version: 1, Host: name, State: telemetry.HostUp, Term: 1}, bus.KV{Revision: 7})
		}
		h.voice.mine = mine
		known := h.revisions()
		delete(known, "db")
		h.unlisted(known)
		x := h.fleet["web"]
		if again := x != nil && x.revision == 0 && x.dirty; again != mine || len(known) != 1 || h.fleet["db"].revision != 7 {
			t.Errorf("speaks %v: not listed is %+v", mine, x)
		}
	}
	f(false)
	f(true)
}
