package lines

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
)

// A reply is the answer to a request.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request to the only socket.
func (r *rig) ask(method, path, body string, headers ...string) reply {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.address().String()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

func startWeb(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	cfg := config("http://127.0.0.1:0")
	if change != nil {
		change(&cfg)
	}
	return start(t, cfg)
}

func zip(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

func TestWrite(t *testing.T) {
	r := startWeb(t, nil)
	f := func(path, body string, n int, headers ...string) {
		t.Helper()
		got := r.ask(http.MethodPost, path, body, headers...)
		if got.status != http.StatusNoContent || got.body != "" {
			t.Fatalf("%s: %d %s", path, got.status, got.body)
		}
		if got.header.Get("X-Influxdb-Version") == "" {
			t.Errorf("%s: no version", path)
		}
		if r.count() != n { // stored before the answer
			t.Errorf("%s: %d points when the answer came, want %d", path, r.count(), n)
		}
		check(t, r.take(t, n), 0)
	}
	f("/write?db=d", text(0, 3), 3)
	f("/write", text(0, 3), 3)
	f("/write?db=d&rp=r&consistency=any&precision=ns&u=a&p=b", text(0, 3), 3)
	f("/write?db=d", strings.TrimSuffix(text(0, 3), "\n"), 3)
	f("/write?db=d", zip(text(0, 5000)), 5000, "Content-Encoding", "gzip", "User-Agent", "Telegraf/1.30", "Content-Type", "text/plain; charset=utf-8")
	f("/write?db=d", text(0, 50000), 50000)
	f("/write?db=d", zip(text(0, 50000)), 50000, "Content-Encoding", "gzip")
	f("/write?db=d", "", 0)
	f("/write?db=d", "\n\n# nothing\n", 0)
	f("/write?db=d", text(0, 1), 1, "Content-Encoding", "identity")
	f("/api/v2/write?org=o&bucket=b", text(0, 3), 3)
	f("/api/v2/write?org=o&bucket=b&precision=ns", zip(text(0, 3)), 3, "Content-Encoding", "gzip", "Authorization", "Token x")
	f("/write?db=d", text(0, 1), 1, "Sec-Fetch-Site", "same-origin")
}

func TestWritePrecision(t *testing.T) {
	r := startWeb(t, func(c *Config) { c.Precision = "ms" })
	f := func(query, stamp string, want int64) {
		t.Helper()
		if got := r.ask(http.MethodPost, "/write?"+query, "a v=1 "+stamp); got.status != http.StatusNoContent {
			t.Fatalf("%s: %d %s", query, got.status, got.body)
		}
		if got := r.take(t, 1)[0].Time.UnixNano(); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	f("", "1763559525000", 1763559525e9)
	f("precision=n", "1763559525000000001", 1763559525000000001)
	f("precision=ns", "1763559525000000001", 1763559525000000001)
	f("precision=u", "1763559525000001", 1763559525000001e3)
	f("precision=us", "1763559525000001", 1763559525000001e3)
	f("precision=ms", "1763559525001", 1763559525001e6)
	f("precision=s", "1763559525", 1763559525e9)
	f("precision=m", "29392658", 29392658*60e9)
	f("precision=h", "489877", 489877*3600e9)
}

func TestWriteRefused(t *testing.T) {
	r := startWeb(t, func(c *Config) { c.MaxBody = 1 << 20 })
	f := func(path, body string, status int, want string, stored int, headers ...string) {
		t.Helper()
		got := r.ask(http.MethodPost, path, body, headers...)
		if got.status != status || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s; want %d %s", path, got.status, got.body, status, want)
		}
		if n := len(r.take(t, stored)); n != stored {
			t.Errorf("%s: %d points stored, want %d", path, n, stored)
		}
		if got.header.Get("Content-Type") != "application/json" || !json.Valid([]byte(got.body)) {
			t.Errorf("%s: no JSON: %s", path, got.body)
		}
	}
	f("/write", "bad", 400, `{"error":"unable to parse line 1: no space and fields after the series and its tags in \"bad\"\ndropped=1"}`, 0)
	f("/write", text(0, 2)+"bad\n"+text(2, 2)+"worse v\n", 400, `partial write: unable to parse line 3: `, 4)
	f("/write", text(0, 2)+"bad\n"+text(2, 2)+"worse v\n", 400, `unable to parse line 6: no = after field \"v\" in \"worse v\"\ndropped=2`, 4)
	f("/write", text(0, 1)+strings.Repeat("bad\n", 1000), 400, `dropped=1000`, 1)
	f("/write", "a v=1\na v=nan", 400, `partial write: some fields cannot be held (no_fields 1, nan 1): dropped=2`, 1)
	f("/write", "a v=1,w=nan", 400, `partial write: some fields cannot be held (nan 1): dropped=1`, 1)
	f("/write", text(0, 1)+"a v=\""+strings.Repeat("x", 100<<10)+"\"\n"+text(1, 1), 400, `line 2: longer than 65536 bytes`, 2)
	f("/write", "# a\n\n"+strings.Repeat("x", 100<<10)+"\nbad\n", 400, `unable to parse line 4: no space`, 0)
	f("/write", "\x00\x01\x02", 400, `unable to parse line 1: `, 0)
	f("/api/v2/write", "bad", 400, `{"code":"invalid","message":"unable to parse line 1: `, 0)
	f("/write?precision=x", text(0, 1), 400, `{"error":"invalid precision \"x\" (use n, ns, u, us, ms, s, m or h)"}`, 0)
	f("/api/v2/write?precision=x", text(0, 1), 400, `{"code":"invalid","message":"invalid precision`, 0)
	f("/write", text(0, 1), 400, `{"error":"the body cannot be decompressed: gzip: invalid header"}`, 0, "Content-Encoding", "gzip")
	f("/write", "", 400, `the body cannot be decompressed`, 0, "Content-Encoding", "gzip")
	f("/write", zip(text(0, 1000))[:2000], 400, `the body cannot be decompressed: unexpected EOF`, 0, "Content-Encoding", "gzip")
	f("/write", text(0, 1), 415, `unsupported content encoding \"br\": send plain text or gzip`, 0, "Content-Encoding", "br")
	f("/write", text(0, 20000), 413, `{"error":"the body is larger than max_body_bytes`, 0)
	f("/api/v2/write", text(0, 20000), 413, `{"code":"request too large","message":"the body is larger than max_body_bytes`, 0)
	f("/write", zip(text(0, 20000)), 413, `max_body_bytes`, 0, "Content-Encoding", "gzip")
}

// Points of a body that turns out too large when much of it has been read are stored, and the answer says so.
func TestWriteTooLargeLate(t *testing.T) {
	r := startWeb(t, func(c *Config) { c.MaxBody = 3 << 20 })
	got := r.ask(http.MethodPost, "/write", zip(text(0, 50000)), "Content-Encoding", "gzip")
	n := r.count()
	if got.status != 413 || n == 0 || !strings.Contains(got.body, fmt.Sprintf("partial write: the body is larger than max_body_bytes: send less at once, after %d points were stored", n)) {
		t.Errorf("%d %s, %d points", got.status, got.body, n)
	}
}

// A body of unknown length is held to the same limits.
func TestWriteChunked(t *testing.T) {
	r := startWeb(t, func(c *Config) { c.MaxBody = 1 << 20 })
	f := func(body string, status int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.address().String()+"/write", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%d, want %d", resp.StatusCode, status)
		}
	}
	f(text(0, 10000), 204)
	check(t, r.take(t, 10000), 0)
	f(text(0, 20000), 413)
}

// A client that goes away in the middle leaves nothing behind.
func TestWriteCut(t *testing.T) {
	r := startWeb(t, nil)
	c := r.dial()
	r.send(c, "POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"+text(0, 5))
	_ = c.Close()
	until(t, "the connection is gone", func() bool { return r.l.gate.Open() == 0 })
	if n := r.count(); n != 0 {
		t.Errorf("%d points", n)
	}
}

func TestNewlinesInBody(t *testing.T) {
	r := startWeb(t, nil)
	line := "log text=\"one\ntwo\nthree\" 1\n"
	n := 2 << 20 / len(line)
	if got := r.ask(http.MethodPost, "/write", strings.Repeat(line, n)); got.status != http.StatusNoContent {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for _, p := range r.take(t, n) {
		if p.Fields["text"] != "one\ntwo\nthree" {
			t.Fatalf("%q", p.Fields["text"])
		}
	}
}

// A bomb takes no more memory than a body.
func TestBombs(t *testing.T) {
	f := func(member string, repeat int) {
		t.Helper()
		s, err := New(t.Context(), config("http://127.0.0.1:0"), env(t))
		if err != nil {
			t.Fatal(err)
		}
		l := s.(*listener)
		c := &counter{limit: 1 << 60}
		r := &rig{t: t, l: l}
		done := make(chan error, 1)
		ctx, cancel := contextOf(t)
		go func() { done <- l.Stream(ctx, c) }()
		bomb := strings.Repeat(zip(member), repeat) // members of a gzip follow one another
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := r.ask(http.MethodPost, "/write", bomb, "Content-Encoding", "gzip")
		runtime.ReadMemStats(&after)
		if grown := int(after.Sys) - int(before.Sys); got.status != http.StatusRequestEntityTooLarge || grown > 32<<20 {
			t.Errorf("%d %s; memory grew by %d MiB", got.status, got.body, grown>>20)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	f(strings.Repeat("\x00", 1<<20), 1024)
	f(strings.Repeat("\n", 1<<20), 1024)
	f(strings.Repeat("m v=1\n", 1<<17), 1024)
}

func TestBusRefuses(t *testing.T) {
	r := startWeb(t, nil)
	r.mu.Lock()
	r.refusal = errors.New("no stream METRICS")
	r.mu.Unlock()
	f := func(path, want string) {
		t.Helper()
		got := r.ask(http.MethodPost, path, text(0, 1))
		if got.status != 503 || got.header.Get("Retry-After") == "" || strings.TrimSpace(got.body) != want {
			t.Errorf("%d %s %v", got.status, got.body, got.header)
		}
	}
	f("/write", `{"error":"points are not stored: no stream METRICS"}`)
	f("/api/v2/write", `{"code":"unavailable","message":"points are not stored: no stream METRICS"}`)
}

// What the bounds of the plugin drop is told as what it is: to be sent again, or not.
func TestBounds(t *testing.T) {
	r := startWeb(t, nil)
	f := func(refusal error, status int, want string) {
		t.Helper()
		r.mu.Lock()
		r.refusal = refusal
		r.mu.Unlock()
		got := r.ask(http.MethodPost, "/write", text(0, 8))
		if got.status != status || (got.header.Get("Retry-After") != "") != (status == 503) || !strings.Contains(got.body, want) {
			t.Errorf("%v: %d %s %v", refusal, got.status, got.body, got.header)
		}
	}
	f(plugin.ErrOverflow, 503, "the queue to the bus is full")
	f(plugin.ErrFlood, 503, "max_rate")
	f(&plugin.SeriesLimitError{Points: 3}, 400, `partial write: 3 points are of more series than max_series allows, and are dropped\ndropped=3`)
	f(&plugin.SeriesLimitError{Points: 8}, 400, `"error":"8 points are of more series`)
	f(nil, 204, "")
}

// While a request waits for the bus for too long, others are told to come again.
func TestBusStalls(t *testing.T) {
	r := startWeb(t, nil)
	r.l.stall = time.Millisecond
	r.blocked.Lock()
	first := make(chan reply, 1)
	go func() { first <- r.ask(http.MethodPost, "/write", text(0, 1)) }()
	until(t, "the first request waits for the bus", func() bool { return r.came.Load() == 1 })
	until(t, "a request is turned away", func() bool {
		if r.count() > 0 {
			t.Fatal("stored though the bus takes nothing")
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.address().String()+"/write?precision=s", nil)
		ctx, cancel := contextOf(t)
		defer cancel()
		time.AfterFunc(time.Second, cancel)
		resp, err := http.DefaultClient.Do(req.WithContext(ctx))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == 503 && resp.Header.Get("Retry-After") != ""
	})
	r.blocked.Unlock()
	if got := <-first; got.status != http.StatusNoContent {
		t.Errorf("first request: %d %s", got.status, got.body)
	}
	until(t, "requests are taken again", func() bool { return r.ask(http.MethodPost, "/write", text(0, 1)).status == 204 })
}

// What clients ask before they write.
func TestOtherRequests(t *testing.T) {
	r := startWeb(t, nil)
	f := func(method, path string, status int, want string, headers ...string) {
		t.Helper()
		if got := r.ask(method, path, "", headers...); got.status != status || !strings.Contains(got.body, want) {
			t.Errorf("%s %s: %d %s; want %d %s", method, path, got.status, got.body, status, want)
		}
	}
	f("GET", "/ping", 204, "")
	f("HEAD", "/ping", 204, "")
	f("GET", "/health", 200, `"status":"pass"`)
	f("POST", "/query?q=CREATE+DATABASE+telegraf", 200, `{"results":[{"statement_id":0}]}`)
	f("GET", "/query?q=SHOW+DATABASES", 200, `{"results":`)
	f("GET", "/write", 405, "")
	f("GET", "/", 404, "")
	f("POST", "/write", 403, "", "Sec-Fetch-Site", "cross-site")
	f("POST", "/write", 403, "", "Origin", "http://evil.example")
}

func TestWebConnectionLimit(t *testing.T) {
	t.Parallel() // it waits
	r := startWeb(t, func(c *Config) { c.MaxConnections, c.IdleTimeout = 1, plugin.Duration(3*time.Second) })
	c := r.dial()
	r.send(c, "POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 204" {
		t.Fatalf("%q, %v", answer, err)
	}
	if rest, err := io.ReadAll(c); err != nil { // it is idle, and closed
		t.Errorf("%q, %v", rest, err)
	}
	until(t, "a place is free", func() bool { return r.l.gate.Open() == 0 })
	if got := r.ask(http.MethodPost, "/write", text(0, 1)); got.status != http.StatusNoContent {
		t.Errorf("%d %s", got.status, got.body)
	}
}
