package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/telemetry"
)

// A message is a server-sent event as it came.
type message struct{ event, id, data string }

// A listener reads a stream.
type listener struct {
	t    *testing.T
	got  chan message
	stop context.CancelFunc
}

// listen opens a stream, and ends it with the test.
func (r *rig) listen(path string, headers ...string) *listener {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Set(name, value)
	}
	a, err := http.DefaultClient.Do(q) //nolint:bodyclose // by the goroutine that reads it
	if err != nil {
		r.t.Fatal(err)
	}
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("GET %s: %s %s", path, a.Status, a.Header.Get("Content-Type"))
	}
	l := &listener{r.t, make(chan message, 5000), cancel} // more than any test sends
	go func() {
		defer close(l.got)
		defer a.Body.Close()
		l.read(bufio.NewScanner(a.Body))
	}()
	r.t.Cleanup(cancel)
	return l
}

func (l *listener) read(lines *bufio.Scanner) {
	lines.Buffer(nil, 1<<20)
	var m message
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			m.event = value
		case "id":
			m.id = value
		case "data":
			m.data = value
		case "":
			if m != (message{}) || value != "" {
				if value != "" {
					m.event = "comment"
				}
				l.got <- m
			}
			m = message{}
		}
	}
}

// next returns the next message that is no comment.
func (l *listener) next() message {
	l.t.Helper()
	limit := time.After(soon)
	for {
		select {
		case m, ok := <-l.got:
			if !ok {
				l.t.Fatal("the stream has ended")
			}
			if m.event != "comment" {
				return m
			}
		case <-limit:
			l.t.Fatal("nothing comes")
		}
	}
}

// A source publishes on a bus.
type source struct {
	t   *testing.T
	out *bus.Publisher
}

func newSource(t *testing.T, b *bustest.Bus) *source {
	t.Helper()
	out, err := bus.NewPublisher(b.Conn(t, "source"), bus.PublisherOptions{Host: "web1", Plugin: "source"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	return &source{t, out}
}

func (s *source) publish(subject string, b *telemetry.Batch) {
	s.t.Helper()
	m := bus.Message{Subject: subject, ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
	if err := s.out.Publish(s.t.Context(), m); err != nil {
		s.t.Fatal(err)
	}
}

// event publishes an event about a host.
func (s *source) event(host, typ, text string) {
	s.t.Helper()
	var b telemetry.Batch
	telemetry.Event{ID: text, Time: time.Now().UnixNano(), Host: host, Plugin: bus.Agent, Type: typ, Message: text}.AppendTo(&b)
	s.publish(bus.EventSubject(host, bus.Agent, typ), &b)
}

func TestFollowEvents(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	s := newSource(t, b)
	s.event("web1", "up", "one")
	f := func(l *listener, want ...string) {
		t.Helper()
		for _, text := range want {
			m := l.next()
			var e event
			if err := json.Unmarshal([]byte(m.data), &e); err != nil || e.Message != text || fmt.Sprint(e.Seq) != m.id || m.event != "" {
				t.Errorf("%+v, want %s (%v)", m, text, err)
			}
		}
	}
	all := r.listen("/api/v1/events/stream", "Last-Event-ID: 0")
	downs := r.listen("/api/v1/events/stream?type=down&after=0")
	mine := r.listen("/api/v1/events/stream?host=www&after=0")
	f(all, "one")
	s.event("db1", "down", "two")
	s.event("web1", "left", "three")
	f(all, "two", "three")
	f(downs, "two")
	f(mine, "one", "three")
	f(r.listen("/api/v1/events/stream", "Last-Event-ID: 2"), "three")
	fresh := r.listen("/api/v1/events/stream")
	beyond := r.listen("/api/v1/events/stream", "Last-Event-ID: 99") // of a stream before
	bustest.Wait(t, soon, "both to hear what is new", func() bool {
		s.event("web2", "up", "later")
		return len(fresh.got) > 0 && len(beyond.got) > 0
	})
	f(fresh, "later")
	f(beyond, "later")
	if n := len(r.streams); n != 6 {
		t.Errorf("%d streams are open, want 6", n)
	}
	all.stop()
	bustest.Wait(t, soon, "its place to be free", func() bool { return len(r.streams) == 5 })
}

func TestListEvents(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	f := func(query, want string) {
		t.Helper()
		var p eventPage
		r.get("/api/v1/events"+query, &p)
		got := ""
		for _, e := range p.Events {
			got += e.Message + " "
		}
		got += fmt.Sprintf("next %d more %v older %v", p.Next, p.More, p.Older)
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	f("", "next 0 more false older false")
	s := newSource(t, b)
	half := ""
	for i := range 6 {
		s.event([]string{"web1", "db1"}[i%2], []string{"up", "down", "left"}[i%3], fmt.Sprint("e", i+1))
		if i == 2 {
			time.Sleep(time.Millisecond) // the stamps of the bus tell the third from the fourth
			half = time.Now().UTC().Format(time.RFC3339Nano)
		}
	}
	f("", "e1 e2 e3 e4 e5 e6 next 6 more false older false")
	f("?limit=2", "e5 e6 next 6 more false older true")
	f("?host=web1&limit=2", "e3 e5 next 6 more false older true")
	f("?host=web1&type=left", "e3 next 6 more false older false")
	f("?after=2&limit=3", "e3 e4 e5 next 5 more true older false")
	f("?after=5", "e6 next 6 more false older false")
	f("?after=6", "next 6 more false older false")
	f("?since="+half, "e4 e5 e6 next 6 more false older false")
	f("?since=1h&limit=1", "e6 next 6 more false older true")
	f("?since=1ns", "next 6 more false older false")
	f("?type=other", "next 6 more false older false")
}

// TestLongListOfEvents asks a stream for the last of more events than are read for a list.
func TestLongListOfEvents(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	const sent = mostLooked + 500
	var all sync.WaitGroup
	for k := range 10 {
		s := newSource(t, b)
		all.Go(func() {
			for i := range sent / 10 {
				s.event(fmt.Sprint("host", k), "up", fmt.Sprint(i))
			}
		})
	}
	all.Wait()
	s := newSource(t, b)
	s.event("rare", "down", "the last but one")
	s.event("host1", "up", "the last")
	f := func(query string, n int, first uint64, older bool) {
		t.Helper()
		var p eventPage
		r.get("/api/v1/events"+query, &p)
		if len(p.Events) != n || p.Next != sent+2 || p.Older != older || n > 0 && (p.Events[0].Seq != first || p.Events[n-1].Seq > sent+2) {
			t.Errorf("%s: %d events, next %d, older %v; want %d from %d on, %v", query, len(p.Events), p.Next, p.Older, n, first, older)
		}
	}
	f("?since=1h&limit=2", 2, sent+1, true)
	f("?since=1h&limit=1000", 1000, sent-997, true)
	f("?since=1h&host=rare", 1, sent+1, false)
	f("?host=nobody", 0, 0, false)
}

// TestManyEventsInAMessage has a limit in the midst of a message.
func TestManyEventsInAMessage(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	s := newSource(t, b)
	for range 3 {
		var batch telemetry.Batch
		for i := range 5 {
			telemetry.Event{ID: fmt.Sprint(i), Time: int64(i + 1), Host: "web1", Plugin: "p", Type: "up"}.AppendTo(&batch)
		}
		s.publish(bus.EventSubject("web1", "p", "up"), &batch)
	}
	f := func(query, want string) {
		t.Helper()
		var p eventPage
		r.get("/api/v1/events"+query, &p)
		got := ""
		for _, e := range p.Events {
			got += fmt.Sprintf("%d.%s ", e.Seq, e.ID)
		}
		if got += fmt.Sprintf("next %d more %v older %v", p.Next, p.More, p.Older); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	f("?limit=2", "3.3 3.4 next 3 more false older true")
	f("?limit=6", "2.4 3.0 3.1 3.2 3.3 3.4 next 3 more false older true")
	f("?after=0&limit=7", "1.0 1.1 1.2 1.3 1.4 next 1 more true older false")
	f("?after=1&limit=2", "2.0 2.1 next 2 more true older false") // more than fits on any page of this length
	f("?after=1&limit=10", "2.0 2.1 2.2 2.3 2.4 3.0 3.1 3.2 3.3 3.4 next 3 more false older false")
}

// TestReplay goes through more events than wait for a client: none is lost.
func TestReplay(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	s := newSource(t, b)
	const sent = 3 * mostFrames
	for i := range sent {
		s.event("web1", "up", fmt.Sprint(i+1))
	}
	l := r.listen("/api/v1/events/stream?after=0")
	for i := range sent {
		if m := l.next(); m.event != "" || m.id != fmt.Sprint(i+1) {
			t.Fatalf("%+v as the %dth of %d", m, i+1, sent)
		}
	}
	s.event("web1", "up", "live")
	if m := l.next(); m.id != fmt.Sprint(sent+1) {
		t.Errorf("%+v", m)
	}
}

// TestReplayWaits has a client that takes nothing: the replay waits for it, and ends with it; news do not wait.
func TestReplayWaits(t *testing.T) {
	f := newFeed()
	tell := func(ctx context.Context, live bool, n int) *teller {
		te := &teller{feed: f, budget: newBudget(eventBudget), live: live}
		s, err := bus.ParseSubject(bus.EventSubject("web1", "p", "up"))
		for i := 0; err == nil && i < n; i++ {
			m := bus.Tapped{Subject: s, Body: []byte("event message=\"x\" 1"), ContentType: string(telemetry.ContentLines), Seq: 1, Pending: 1}
			err = te.tell(ctx, m)
		}
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		return te
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() { tell(ctx, false, mostFrames+1); close(done) }()
	bustest.Wait(t, soon, "the queue to be full", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.queue) == mostFrames })
	select {
	case <-done:
		t.Error("it does not wait")
	default:
	}
	cancel()
	<-done
	tell(t.Context(), true, 7)
	if queue, lost := f.take(); len(queue) != mostFrames || lost != 7 {
		t.Errorf("%d frames, %d lost", len(queue), lost)
	}
}

func TestEventsWithoutBus(t *testing.T) {
	r := start(t, nil, nil)
	for _, path := range []string{"/events", "/events/stream", "/tap/stream"} {
		if a := r.ask("GET", "/api/v1"+path, ""); a.StatusCode != 503 || a.code() != "no_bus" {
			t.Errorf("%s: %s %s", path, a.Status, a.text)
		}
	}
	if a := r.ask("POST", "/api/v1/points", "cpu v=1", "Content-Type: text/x-influx"); a.StatusCode != 503 || a.code() != "no_bus" {
		t.Errorf("points: %s %s", a.Status, a.text)
	}
	bare := start(t, bustest.Bare(t, bareOptions()), nil)
	if a := bare.ask("GET", "/api/v1/events", ""); a.StatusCode != 503 || a.code() != "no_stream" {
		t.Errorf("%s %s", a.Status, a.text)
	}
	for _, path := range []string{"/events/stream", "/tap/stream", "/tap/stream?plugin=cpu"} {
		l := bare.listen("/api/v1" + path)
		l.ends("no_stream")
	}
	if _, problems := bare.counts.copy(); problems["no_stream"] < 4 {
		t.Errorf("counted %v", problems)
	}
}

// ends wants a problem of this code, and then the end of the stream.
func (l *listener) ends(code string) {
	l.t.Helper()
	if m := l.next(); m.event != "problem" || !strings.Contains(m.data, `"code":"`+code+`"`) || !strings.Contains(m.data, "urn:pacewire:request:") {
		l.t.Errorf("%+v, want a problem %s", m, code)
	}
	select {
	case m, more := <-l.got:
		if more {
			l.t.Errorf("%+v behind the problem", m)
		}
	case <-time.After(soon):
		l.t.Error("the stream goes on")
	}
}

func TestKeepAlive(t *testing.T) {
	r := start(t, bustest.New(t), func(o *Options) { o.Times.KeepAlive = 20 * time.Millisecond })
	l := r.listen("/api/v1/events/stream")
	for range 3 {
		select {
		case m := <-l.got:
			if m.event != "comment" {
				t.Errorf("%+v", m)
			}
		case <-time.After(soon):
			t.Fatal("no comment")
		}
	}
}

func TestMostStreams(t *testing.T) {
	r := start(t, bustest.New(t), nil)
	for range mostStreams {
		r.streams <- struct{}{}
	}
	if a := r.ask("GET", "/api/v1/events/stream", ""); a.StatusCode != 429 {
		t.Errorf("%s %s", a.Status, a.text)
	}
	<-r.streams
	if a := r.ask("HEAD", "/api/v1/events/stream", ""); a.StatusCode != 200 {
		t.Errorf("%s %s", a.Status, a.text)
	}
}

func TestFeed(t *testing.T) {
	f := newFeed()
	for i := range mostFrames + 5 {
		f.push(frame{data: []byte(fmt.Sprint(i))})
	}
	f.lose(10)
	queue, lost := f.take()
	if len(queue) != mostFrames || lost != 15 || string(queue[0].data) != "5" {
		t.Errorf("%d frames from %s on, %d lost", len(queue), queue[0].data, lost)
	}
	if queue, lost = f.take(); len(queue) != 0 || lost != 0 {
		t.Error("what was taken is taken again")
	}
	for range 5 {
		f.push(frame{data: make([]byte, mostQueued/4)})
	}
	if queue, lost = f.take(); len(queue) != 4 || lost != 1 {
		t.Errorf("%d frames, %d lost, by their bytes", len(queue), lost)
	}
	f.push(frame{data: make([]byte, 2*mostQueued)})
	if queue, lost = f.take(); len(queue) != 0 || lost != 1 {
		t.Errorf("a frame larger than the queue: %d, %d lost", len(queue), lost)
	}
}

// TestSlowReader has a client that does not read: the others do not notice, and it is told what it has lost.
func TestSlowReader(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	c := &call{s: r.Server, r: &http.Request{Method: http.MethodGet}}
	w := newStuck()
	c.w = &recorder{ResponseWriter: w}
	c.r = c.r.WithContext(t.Context())
	done := make(chan error, 1)
	ready := make(chan *feed, 1)
	go func() {
		done <- c.follow(func(ctx context.Context, f *feed) error {
			ready <- f
			<-ctx.Done()
			return nil
		})
	}()
	f := <-ready
	f.push(frame{data: []byte("first")})
	<-w.blocked
	for i := range mostFrames + 7 {
		f.push(frame{data: []byte(fmt.Sprint(i))})
	}
	close(w.free)
	bustest.Wait(t, soon, "the rest", func() bool { return strings.Contains(w.String(), fmt.Sprintf("data: %d\n", mostFrames+6)) })
	if !strings.Contains(w.String(), "event: lost\ndata: {\"lost\":7}\n\n") {
		t.Errorf("%.300s", w.String())
	}
	r.close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// stuck is a client that reads the first event, and then nothing until it is free.
type stuck struct {
	texttest.Buffer
	header  http.Header
	blocked chan bool
	free    chan bool
}

func newStuck() *stuck {
	return &stuck{header: http.Header{}, blocked: make(chan bool, 1), free: make(chan bool)}
}

func (w *stuck) Header() http.Header { return w.header }

func (w *stuck) WriteHeader(int) {}

func (w *stuck) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "first") {
		w.blocked <- true
		<-w.free
	}
	return w.Buffer.Write(p)
}

func (w *stuck) Flush() {}

func (w *stuck) SetWriteDeadline(time.Time) error { return nil }

func (w *stuck) SetReadDeadline(time.Time) error { return nil }

// TestLyingEvents has a plugin that says in its points that it is the agent of another host.
func TestLyingEvents(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	s := newSource(t, b)
	lie := telemetry.Event{Time: 1, Host: "db1", Plugin: bus.Agent, Type: "down", Message: "db1 is DOWN"}
	var batch telemetry.Batch
	batch.SetHost("web1")
	lie.AppendTo(&batch)
	s.publish(bus.EventSubject("web1", "nagios", "check"), &batch)
	f := func(e event) {
		t.Helper()
		if e.Host != "web1" || e.Plugin != "nagios" || e.Type != "check" || e.Message != lie.Message {
			t.Errorf("%+v, want one of nagios on web1", e)
		}
	}
	var p eventPage
	if r.get("/api/v1/events", &p); len(p.Events) != 1 {
		t.Fatalf("%+v", p)
	}
	f(p.Events[0])
	var e event
	if err := json.Unmarshal([]byte(r.listen("/api/v1/events/stream?after=0").next().data), &e); err != nil {
		t.Error(err)
	}
	f(e)
}
