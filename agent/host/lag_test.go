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

func TestMeasureLag(t *testing.T) {
	now := time.Now()
	full := bus.StreamState{Messages: 1000, Bytes: 800, MaxBytes: 1000, MaxAge: 10 * time.Hour, FirstSeq: 501, LastSeq: 1500, FirstTime: now.Add(-2 * time.Hour)}
	f := func(c bus.ConsumerState, s bus.StreamState, bytes uint64, share float64) {
		t.Helper()
		if l := lagOf(bus.StreamMetrics, look{stream: s, reader: c}, now); l.bytes != bytes || l.share < share-0.001 || l.share > share+0.001 {
			t.Errorf("%+v: %d bytes, %.3f; want %d, %.3f", c, l.bytes, l.share, bytes, share)
		}
	}
	f(bus.ConsumerState{}, full, 0, 0)                                                   // nothing is for it
	f(bus.ConsumerState{Pending: 900, Delivered: 600}, full, 720, 0.72)                  //
	f(bus.ConsumerState{Pending: 900, Delivered: 10}, full, 800, 0.8)                    // what is gone is no more
	f(bus.ConsumerState{AckPending: 5, Delivered: 1500, AckFloor: 1400}, full, 80, 0.08) // given out, and not done with
	f(bus.ConsumerState{Pending: 1, Delivered: 1600}, full, 0, 0)                        // younger than what is known of the stream
	f(bus.ConsumerState{Pending: 5, Delivered: 1000}, bus.StreamState{}, 0, 0)           // an empty one
	full.MaxBytes = 0                                                                    //
	f(bus.ConsumerState{Pending: 900, Delivered: 1000}, full, 400, 0.1)                  // by time alone
	full.FirstTime = now.Add(-9 * time.Hour)                                             //
	f(bus.ConsumerState{Pending: 900, Delivered: 500}, full, 800, 0.9)                   //
}

// TestLagIsTold checks that a reader that falls behind is told of, by an event and in the list, until it has caught up.
func TestLagIsTold(t *testing.T) {
	h := connected(t, bustest.New(t), `
collect: { numbers: }
publish: { sink: { from: numbers } }
`)
	e := h.find("sink")
	f := func(share float64, reason, event string) {
		t.Helper()
		e.behind(lag{bus.StreamMetrics, 700 << 20, share}, 0, true)
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.lag != reason {
			t.Errorf("%.2f: %q, want %q", share, e.lag, reason)
		}
		var told telemetry.Event
		select {
		case told = <-h.diary.queue:
		default:
		}
		if told.Reason != event || event != "" && (told.Type != "lag" || told.Plugin != "sink" || !strings.Contains(told.Message, "publisher sink")) {
			t.Errorf("%.2f: told %+v, want %q", share, told, event)
		}
	}
	for len(h.diary.queue) > 0 {
		<-h.diary.queue
	}
	h.lookForLag(t.Context())
	f(0.45, "", "")
	f(0.7, "it is behind: 700 MiB of METRICS wait for it, 70% of what that may hold", "begun")
	f(0.45, "it is behind: 700 MiB of METRICS wait for it, 45% of what that may hold", "")
	f(0.3, "", "ended")
	f(0, "", "")
}

// TestLagOnABus checks that a reader of a real stream that reads nothing is behind when that is more than half full, and that an
// empty place is no lag.
func TestLagOnABus(t *testing.T) {
	h := connected(t, bustest.New(t), `
collect: { numbers: }
process: { first: { use: pass, from: numbers } }
publish: { sink: { from: numbers }, other: { use: sink, from: first } }
`)
	small := h.o.Streams
	small.MetricsMaxBytes = 4 << 20
	if err := h.conn.EnsureStreams(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	send := func(n int) {
		t.Helper()
		for range n {
			m := bus.Message{Subject: bus.MetricsSubject("h1", "numbers"), Body: make([]byte, 100<<10)}
			if err := h.out.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		h.lookForLag(t.Context())
	}
	f := func(name string, behind bool) {
		t.Helper()
		e := h.find(name)
		e.mu.Lock()
		defer e.mu.Unlock()
		if (e.lag != "") != behind {
			t.Errorf("%s: %q", name, e.lag)
		}
	}
	send(15)
	f("sink", false)
	send(15)
	bustest.Wait(t, soon, "all that waits for sink is counted", func() bool { // the server counts a little later
		h.lookForLag(t.Context())
		return h.find("sink").status().Backlog == 30
	})
	f("sink", true)
	f("first", true)
	f("other", false)
	f("numbers", false)
	var told []string
	for len(h.diary.queue) > 0 {
		if v := <-h.diary.queue; v.Type == telemetry.FlagLag {
			told = append(told, v.Plugin+" "+v.Reason)
		}
	}
	if slices.Sort(told); !slices.Equal(told, []string{"first begun", "sink begun"}) {
		t.Errorf("told %q", told)
	}
	if err := h.conn.DeleteConsumer(t.Context(), bus.StreamMetrics, "first"); err != nil { // which is asked for before that of sink
		t.Fatal(err)
	}
	h.find("sink").behind(lag{}, 0, false)
	h.lookForLag(t.Context())
	f("sink", true)
}

// TestLagByItsOwnAge checks that what is settled and old makes no lag of what is fresh, in a stream in which little comes.
func TestLagByItsOwnAge(t *testing.T) {
	h := connected(t, bustest.New(t), `
collect: { numbers: }
publish: { sink: { from: numbers } }
`)
	for range 8 {
		if err := h.out.Publish(t.Context(), bus.Message{Subject: bus.MetricsSubject("h1", "numbers"), Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	e := h.find("sink")
	in := e.plan().inputs[0]
	is, err := h.look(t.Context(), in, map[string]bus.StreamState{})
	if err != nil {
		t.Fatal(err)
	}
	is.stream.MaxAge, is.stream.FirstTime = 7*24*time.Hour, time.Now().Add(-6*24*time.Hour)
	is.reader.Delivered, is.reader.Pending = 3, 5
	if rough := lagOf(in.Stream, is, time.Now()); !bus.Lags(rough.share, false) {
		t.Errorf("the test is none: %+v", rough)
	}
	r := round{host: h}
	if l := r.lag(t.Context(), e.crew, in, is); l.share > 0.1 || l.stream != in.Stream {
		t.Errorf("five that are young: %+v", l)
	}
	h.conn.Close()
	is.reader.Delivered = 2
	if l := r.lag(t.Context(), e.crew, in, is); !bus.Lags(l.share, false) {
		t.Errorf("nobody knows the age, and it is not told: %+v", l)
	}
}
