package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/oracle"
	"github.com/pacewire/pacewire/telemetry"
)

// asked returns the answer of a behaviour to a body, and what it has taken of it.
func asked(b behaviour, body string) (code int, said, taken string) {
	w := httptest.NewRecorder()
	b(w, httptest.NewRequest(http.MethodPost, "/write", nil), []byte(body), func(body []byte) { taken += string(body) })
	return w.Code, strings.TrimSpace(w.Body.String()), taken
}

func TestAnswer(t *testing.T) {
	code, said, taken := asked(answer(429, http.Header{"Retry-After": {"2"}}, "too much"), "a v=1\n")
	if code != 429 || said != `{"error":"too much"}` || taken != "" {
		t.Errorf("%d %s, taken %q", code, said, taken)
	}
}

// A gourmet refuses what has one of its points in it, as the oracle makes them, and what is too long.
func TestGourmet(t *testing.T) {
	o := oracle.New()
	f := func(body []byte, most, want int) {
		t.Helper()
		code, _, taken := asked(gourmet{code: 400, most: most}.behave, string(body))
		if code != want || (want == 204) != (taken == string(body)) {
			t.Errorf("%.60s...: %d, want %d", body, code, want)
		}
	}
	bad, good := o.Source("bad", 1), o.Source("h03", 3)
	f(good.Issue(20).Lines(nil), 0, 204)
	f(good.Issue(20).Lines(nil), 100, 400)
	f(bad.Issue(3).Lines(nil), 0, 204)
	f(bad.Issue(1).Lines(nil), 0, 400) // number 3
	f(append(good.Issue(5).Lines(nil), bad.Issue(10).Lines(nil)...), 0, 400)

	all := bad.Issue(20).Lines(nil)
	stored := newTally()
	code, said, taken := asked(gourmet{code: 400, partial: true, taken: stored}.behave, string(all))
	if code != 400 || !strings.HasSuffix(said, `dropped=2"}`) || strings.Count(taken, "\n") != 18 || strings.Contains(taken, "3i ") {
		t.Errorf("%d %s, taken\n%s", code, said, taken)
	}
	if n := stored.points(); n != 18 {
		t.Errorf("%d points were stored without saying so", n)
	}
}

// A mute stores everything, and counts what it has given no answer to.
func TestMute(t *testing.T) {
	m := newMute(2)
	taken := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m.behave(w, r, body, func([]byte) { taken++ })
	}))
	defer s.Close()
	post := func(body string, want bool) {
		t.Helper()
		resp, err := http.Post(s.URL, "text/plain", strings.NewReader(body))
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != want {
			t.Errorf("%q: %v", body, err)
		}
	}
	post("a v=1\nb v=1\n", true)
	post("c v=1\nd v=1\n", false)
	post("c v=1\nd v=1\n", true)
	post("d v=1\ne v=1\n", false)
	if resets, points := m.seen(); resets != 2 || points != 3 || taken != 4 {
		t.Errorf("%d resets, %d points without an answer, %d bodies taken", resets, points, taken)
	}
}

// A holder holds what has points of a host in it until it is let go. What it has stored before it does not store again.
func TestHolder(t *testing.T) {
	f := func(stores bool) {
		t.Helper()
		h := newHolder("past", stores)
		if code, _, taken := asked(h.behave, "chaos,boot=1,host=other v=1\n"); code != 204 || taken == "" || h.caught.Load() != 0 {
			t.Errorf("another host: %d, taken %q", code, taken)
		}
		done := make(chan string)
		const body = "chaos,boot=1,host=past v=1\n"
		go func() {
			_, _, taken := asked(h.behave, body)
			done <- taken
		}()
		for end := time.Now().Add(30 * time.Second); h.caught.Load() == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		select {
		case taken := <-done:
			t.Errorf("it was not held: %q", taken)
		default:
		}
		h.letGo()
		h.letGo()
		if taken := <-done; taken != body || (h.stored.points() == 1) != stores {
			t.Errorf("taken %q, %d points without an answer", taken, h.stored.points())
		}
	}
	f(true)
	f(false)
}

func TestInTwo(t *testing.T) {
	letter := func(text string) bus.Letter {
		var b telemetry.Batch
		if err := b.DecodeLines([]byte(text), time.Now()); err != nil {
			t.Fatal(err)
		}
		return bus.Letter{ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
	}
	f := func(want int, letters ...bus.Letter) {
		t.Helper()
		if n := inTwo(letters); n != want {
			t.Errorf("%d points are in two letters, want %d", n, want)
		}
	}
	f(0)
	f(0, letter("a v=1 1\n"), letter("a v=1 2\n"), bus.Letter{Body: []byte("no batch")})
	f(2, letter("a v=1 1\na v=1 2\n"), letter("a v=1 2\n"), letter("a v=1 1\n"))
}

func TestDiary(t *testing.T) {
	var d diary
	for range 3 {
		_, _, _ = asked(d.noting(well), "a v=1\n")
	}
	if gaps := d.gaps(); len(gaps) != 2 || slices.Min(gaps) < 0 {
		t.Errorf("gaps %v", gaps)
	}
}

// A way that was slow is fast as soon as it is healed, also for what it had taken in before.
func TestProxyHeals(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := newProxy(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Slow(0, 1)
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const size = 10_000
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_ = s.SetReadDeadline(time.Now().Add(30 * time.Second)) // the whole would take hours
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p.Slow(0, 0)
	if _, err := io.ReadFull(s, make([]byte, size-1)); err != nil {
		t.Error(err)
	}
}

// What is meant to be malformed is.
func TestMalformed(t *testing.T) {
	for _, body := range malformedBodies() {
		var b telemetry.Batch
		if err := b.Decode(string(telemetry.ContentMsgPack), "", body, time.Now()); err == nil {
			t.Errorf("%.40q is a batch", body)
		}
	}
	for _, text := range malformedLines() {
		var b telemetry.Batch
		if err := b.DecodeLines([]byte(text), time.Now()); err == nil && b.Drops().Total() == 0 && b.Len() > 0 && len(text) < 1<<16 {
			t.Errorf("%.40q is a line", text)
		}
	}
}

// A flood returns how many points it has sent, and each is another one.
func TestFlood(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	seen := make(chan map[string]bool)
	go func() {
		lines := map[string]bool{}
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			for in := bufio.NewScanner(c); in.Scan(); {
				lines[in.Text()] = true
			}
		}
		seen <- lines
	}()
	sent := flood(l.Addr().String(), time.Second)
	if lines := <-seen; sent == 0 || len(lines) != sent {
		t.Errorf("%d points sent, %d different ones arrived", sent, len(lines))
	}
}

func TestLongestRun(t *testing.T) {
	f := func(text string, want int) {
		t.Helper()
		if n := longestRun(text, 'x'); n != want {
			t.Errorf("%q: %d, want %d", text, n, want)
		}
	}
	f("", 0)
	f("abc", 0)
	f("axxbxxxcx", 3)
	f("xx", 2)
}

func TestLedger(t *testing.T) {
	l := &ledger{stop: make(chan struct{}), done: make(chan struct{}), memory: map[string][]int64{"out": {10, 30, 20, 20, 90, 20, 50, 60}, "in": {7}}}
	close(l.done)
	all := l.close()
	if got, want := all["out"], (spanOfMemory{10, 90, 30, 60}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := all["in"], (spanOfMemory{7, 7, 7, 7}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestDrainString(t *testing.T) {
	if got := (drain{out: 500, in: 100}).String(); got != "500 points/s while 100 points/s come in: 5.0 times as many" {
		t.Error(got)
	}
}
