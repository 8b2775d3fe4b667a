package loadtest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// listen takes what is sent to it, and gives the lines when the sender has gone.
func listen(t *testing.T) (address string, lines func() []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got := make(chan []string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var all []string
		for s := bufio.NewScanner(conn); s.Scan(); {
			all = append(all, s.Text())
		}
		got <- all
	}()
	return l.Addr().String(), func() []string { return <-got }
}

func post(t *testing.T, s *Sink, body string) {
	t.Helper()
	r, err := http.Post(s.URL+"/write", "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != http.StatusNoContent {
		t.Fatalf("%s, %v", r.Status, err)
	}
}

func sink(t *testing.T, n int, at func(int)) *Sink {
	t.Helper()
	s, err := NewSink(n, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// kept are the lines that the filter lets through.
func kept(lines []string) string {
	lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(l, "keep=no") })
	return strings.Join(lines, "\n")
}

func TestSendAndCount(t *testing.T) {
	const n = perPiece + perPiece/2
	f := func(rate int) {
		t.Helper()
		address, lines := listen(t)
		var told atomic.Int64
		sent, err := Send(t.Context(), address, Load{Points: n, Rate: rate, Left: func(int, time.Time) { told.Add(1) }})
		if err != nil || sent != n || told.Load() != n {
			t.Fatalf("sent %d, told of %d: %v", sent, told.Load(), err)
		}
		got := lines()
		for i, line := range got {
			if k, ok := numberOf([]byte(line)); !ok || k != i || Dropped(i) != strings.Contains(line, "keep=no") {
				t.Fatalf("line %d is point %d: %s", i, k, line)
			}
		}
		var first atomic.Int64
		s := sink(t, 2*n, func(int) { first.Add(1) })
		post(t, s, kept(got))
		c, err := s.Settle(t.Context(), n, time.Second)
		if err != nil || !c.OK() || c.Want != Arriving(n) || first.Load() != int64(c.Want) || s.Bytes() == 0 {
			t.Errorf("%v, told of %d: %v", c, first.Load(), err)
		}
	}
	f(0)
	f(50_000)
}

func TestSendStops(t *testing.T) {
	address, lines := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	sent, err := Send(ctx, address, Load{Points: 1 << 30, Rate: 10_000, Left: func(i int, _ time.Time) {
		if i == 100 {
			cancel()
		}
	}})
	if got := lines(); err != nil || sent <= 100 || len(got) != sent {
		t.Errorf("sent %d, %d came: %v", sent, len(got), err)
	}
	if _, err := Send(t.Context(), "127.0.0.1:1", Load{Points: 1}); err == nil {
		t.Error("nobody listens, and no error")
	}
}

func TestCount(t *testing.T) {
	p := newPiece()
	p.number(0)
	f := func(want Count, lines ...string) {
		t.Helper()
		s := sink(t, 40, nil)
		post(t, s, strings.Join(lines, ""))
		got, err := s.Settle(t.Context(), 20, 30*time.Millisecond)
		if err != nil || got != want || got.OK() {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	line := func(i int) string { return string(p.lines(i, i+1)) }
	all := kept(strings.Split(string(p.lines(0, 20)), "\n"))
	f(Count{Want: 18, Lost: 18})
	f(Count{Want: 18, Lost: 17}, line(3))
	f(Count{Want: 18, Doubled: 1}, all, line(3), line(3))
	f(Count{Want: 18, Invented: 1}, all, line(30)) // not sent yet
	f(Count{Want: 18, Invented: 1}, all, line(9))  // was to be dropped
	f(Count{Want: 18, Invented: 1}, all, line(50)) // beyond all
	f(Count{Want: 18, Bad: 3}, all, "cpu v=1\ncpu v=1 12\ncpu v=1 1763559525000000x00\n")
	f(Count{Want: 18, Bad: 1}, all, "cpu v=1 1763559525000000001\n") // between two of ours

	s := sink(t, 20, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := s.Settle(ctx, 20, time.Hour); err == nil || c.Lost != 18 {
		t.Errorf("%v, %v", c, err)
	}
	for _, word := range []string{"18 points", "18 were lost"} {
		if text := s.Count(20).String(); !strings.Contains(text, word) {
			t.Errorf("%q does not say %q", text, word)
		}
	}
}

// A request that is cut off counts for nothing.
func TestSinkOfHalfARequest(t *testing.T) {
	s := sink(t, 20, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	p := newPiece()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"+string(p.lines(0, 5))); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if c, err := s.Settle(t.Context(), 20, 50*time.Millisecond); err != nil || c.Lost != 18 {
		t.Errorf("%v, %v", c, err)
	}
}

// The gap is between points that are new: what comes again ends none.
func TestGap(t *testing.T) {
	p := newPiece()
	p.number(0)
	s := sink(t, 20, nil)
	begin := time.Now()
	s.cameAt(begin)
	if got := s.Gap(); got != 0 {
		t.Errorf("%v after the first arrival", got)
	}
	s.cameAt(begin.Add(3 * time.Hour))
	s.cameAt(begin.Add(4 * time.Hour))
	if got := s.Gap(); got != 3*time.Hour {
		t.Errorf("%v, want 3h", got)
	}
	f := func(want bool, i int) {
		t.Helper()
		if fresh := s.take(p.lines(i, i+1)); fresh != want {
			t.Errorf("point %d is new: %v", i, fresh)
		}
	}
	f(true, 3)
	f(false, 3)
	f(false, 9) // dropped
	if s.take(nil) || !s.take(p.lines(3, 6)) {
		t.Error("a new point among others is new, and nothing is not")
	}
	post(t, s, string(p.lines(6, 7)))
	if got := s.Gap(); got != 3*time.Hour {
		t.Errorf("%v after a request", got)
	}
}

// A point is known by its time.
func TestTime(t *testing.T) {
	for _, i := range []int{0, 1, 1_999, 2_000, 1 << 40} {
		if n, ok := Number(Time(i)); n != i || !ok {
			t.Errorf("%d: %d, %v", i, n, ok)
		}
	}
}

// The texts of a number of points are the points one after the other, whatever their length.
func TestTexts(t *testing.T) {
	f := func(n, per, want int) {
		t.Helper()
		next, texts := 0, 0
		for text := range Texts(n, per) {
			texts++
			for line := range strings.Lines(string(text)) {
				if i, ok := numberOf([]byte(strings.TrimSuffix(line, "\n"))); !ok || i != next {
					t.Fatalf("point %d is number %d, %v", next, i, ok)
				}
				next++
			}
		}
		if next != n || texts != want {
			t.Errorf("%d points in %d texts, want %d in %d", next, texts, n, want)
		}
	}
	f(5000, 500, 10)
	f(4100, 500, 9)
	f(2, 500, 1)
	f(0, 500, 0)
	for range Texts(10, 1) {
		break
	}
}
