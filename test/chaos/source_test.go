package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/loadtest"
	"github.com/pacewire/pacewire/internal/oracle"
	"github.com/pacewire/pacewire/telemetry"
)

// serve starts a collector, or something like it, that ends with the test.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s, err := loadtest.Serve(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.URL
}

// Only a 204 makes an obligation: not another answer, not a connection that ends.
func TestPost(t *testing.T) {
	f := func(want int, h http.HandlerFunc) {
		t.Helper()
		o := oracle.New()
		s := newSource(serve(t, h), o)
		err := s.post(t.Context(), o.Source("h", 1).Issue(3))
		if o.Acked() != want || (err == nil) != (want > 0) {
			t.Errorf("%d points are owed, %v; want %d", o.Acked(), err, want)
		}
		s.client.CloseIdleConnections()
	}
	answers := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if body, err := io.ReadAll(r.Body); err != nil || strings.Count(string(body), "\n") != 3 || r.URL.Path != "/write" {
				code = http.StatusTeapot
			}
			w.WriteHeader(code)
		}
	}
	f(3, answers(http.StatusNoContent))
	f(0, answers(http.StatusOK))
	f(0, answers(http.StatusServiceUnavailable))
	f(0, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// A source keeps its pace, goes on after refusals, and never posts the same again.
func TestSourceGoesOn(t *testing.T) {
	o := oracle.New()
	var n atomic.Int64
	s := newSource(serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		o.Delivered(body)
		if n.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}), o)
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	from := o.Source("h", 1)
	s.hosts.Go(func() { s.run(ctx, from, 2, time.Millisecond) })
	for end := time.Now().Add(time.Minute); n.Load() < 20 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	s.stop()
	s.stop() // again does nothing
	c := o.Count()
	if c.Lost+c.Duplicated+c.Reordered+c.Invented > 0 || c.Unknown == 0 || c.Acknowledged == 0 || s.refused.Load() == 0 {
		t.Errorf("%v; %d refused", c, s.refused.Load())
	}
	if s.ackGap == 0 {
		t.Error("no gap was measured")
	}
}

// What the sink stores is delivered, whatever it answers; half a request is nothing.
func TestSink(t *testing.T) {
	o := oracle.New()
	s, err := newSink(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	from := o.Source("h", 1)
	f := func(b behaviour, code, arrived int) {
		t.Helper()
		s.Behave(b)
		before := o.Arrived()
		resp, err := http.Post(s.URL+"/write", "text/plain", strings.NewReader(string(from.Issue(2).Lines(nil))))
		got := 0
		if err == nil {
			got = resp.StatusCode
			resp.Body.Close()
		}
		if got != code || o.Arrived()-before != arrived {
			t.Errorf("answered %d, %d arrived, %v; want %d, %d", got, o.Arrived()-before, err, code, arrived)
		}
	}
	f(nil, 204, 2)
	f(func(w http.ResponseWriter, _ *http.Request, _ []byte, _ func([]byte)) { w.WriteHeader(500) }, 500, 0)
	f(func(_ http.ResponseWriter, _ *http.Request, body []byte, take func([]byte)) {
		take(body)
		panic(http.ErrAbortHandler)
	}, 0, 2)
	f(nil, 204, 2)
}

// The same point under two ids is told; under one id it is not, and neither are those of two plugins.
func TestStored(t *testing.T) {
	var b telemetry.Batch
	if err := b.DecodeLines([]byte("a,host=h v=1 17\na,host=h v=1 18\n"), time.Now()); err != nil {
		t.Fatal(err)
	}
	message := func(plugin, id string) bus.Tapped {
		return bus.Tapped{Subject: bus.Subject{Plugin: plugin}, ID: id, ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
	}
	f := func(want int, messages ...bus.Tapped) {
		t.Helper()
		s := newStored()
		for _, m := range messages {
			if err := s.take(m); err != nil {
				t.Fatal(err)
			}
		}
		if s.doubled != want || (s.first == "") != (want == 0) {
			t.Errorf("%d points are there under two ids, want %d: %q", s.doubled, want, s.first)
		}
	}
	f(0, message("in", "1"))
	f(0, message("in", "1"), message("in", "1"))
	f(0, message("in", "1"), message("mid", "2"))
	f(2, message("in", "1"), message("in", "2"))
}

// A view lacks what no collector has stored: what only the processor has does not count.
func TestLacks(t *testing.T) {
	o := oracle.New()
	from := o.Source("h", 1)
	first, second := from.Issue(2), from.Issue(3)
	first.Acknowledged()
	second.Acknowledged()
	from.Issue(1) // nobody owes it
	s := newStored()
	take := func(plugin string, text []byte) {
		t.Helper()
		var b telemetry.Batch
		if err := b.DecodeLines(text, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := s.take(bus.Tapped{Subject: bus.Subject{Plugin: plugin}, ID: plugin, ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}); err != nil {
			t.Fatal(err)
		}
	}
	f := func(want int) {
		t.Helper()
		if n, line := s.lacks(o); n != want || (line == "") != (want == 0) {
			t.Errorf("it lacks %d points, want %d: %q", n, want, line)
		}
	}
	f(5)
	take("in", first.Lines(nil))
	take(theProcessor, second.Lines(nil))
	f(3)
	take("wide", second.Lines(nil))
	f(0)
}

// A view that is not whole fails a row, unless limits took what it lacks.
func TestCheckWhole(t *testing.T) {
	f := func(r row, begins uint64, want int) {
		t.Helper()
		x := trialOf(r, points(1), 1)
		s := newStored()
		s.begins = begins
		if x.checkWhole(s); len(x.result.faults) != want {
			t.Errorf("%+v, from %d on: %q", r, begins, x.result.faults)
		}
	}
	f(row{}, 1, 1)
	f(row{}, 7, 1)
	f(row{limited: true}, 1, 1)
	f(row{limited: true}, 7, 0)
}

// The last two requests of each connection are its last words, but for those of the newest one.
func TestLastWords(t *testing.T) {
	s, err := newSink(oracle.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	f := func(from string, points, words, longest int) {
		t.Helper()
		s.heard(from, points)
		if s.lastWords() != words || s.longest() != longest {
			t.Errorf("%d and %d points, want %d and %d", s.lastWords(), s.longest(), words, longest)
		}
	}
	f("a", 50, 0, 50)
	f("a", 20, 0, 50)
	f("a", 10, 0, 50)
	f("b", 60, 30, 60)
	f("c", 1, 90, 60)
}
