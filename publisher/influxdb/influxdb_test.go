package influxdb

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

const at = 1763559525000000001

// batch returns n points of each series, v = 0, 1 ...
func batch(n int, series ...string) *telemetry.Batch {
	b := new(telemetry.Batch)
	for _, name := range series {
		for i := range n {
			b.At(time.Unix(0, at+int64(i)))
			b.Add(name, telemetry.Fields{"v": float64(i)}, telemetry.Tags{"host": "a"})
		}
	}
	return b
}

// A request is what a fake server was sent.
type request struct {
	method, path, query, auth string
	body                      string
}

// A fake is a server that notes what it is sent and answers as the test says.
type fake struct {
	*httptest.Server

	mu     sync.Mutex
	seen   []request
	answer func(w http.ResponseWriter, r request)
}

func newFake(t *testing.T, answer func(w http.ResponseWriter, r request)) *fake {
	t.Helper()
	f := &fake{answer: answer}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := request{r.Method, r.URL.Path, r.URL.Query().Encode(), r.Header.Get("Authorization"), content(t, r)}
		f.mu.Lock()
		f.seen = append(f.seen, got)
		f.mu.Unlock()
		f.answer(w, got)
	}))
	t.Cleanup(f.Close)
	return f
}

// content returns the text of a request, unpacked.
func content(t *testing.T, r *http.Request) string {
	var in io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		zip, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return ""
		}
		in = zip
	}
	text, err := io.ReadAll(in)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func (f *fake) requests() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]request(nil), f.seen...)
}

// stored returns an answer that takes all.
func stored(w http.ResponseWriter, _ request) { w.WriteHeader(http.StatusNoContent) }

// says returns an answer with a status and a body.
func says(code int, body string) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, _ request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// start returns a publisher with the default settings, changed, and its log.
func start(t *testing.T, url string, change func(*Config)) (*sink, *bytes.Buffer) {
	t.Helper()
	cfg := Config{URL: url, Version: 1, Database: "metrics", Compression: auto}
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	made, err := New(t.Context(), cfg, plugin.Env{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	p := made.(*sink)
	t.Cleanup(func() { _ = p.Close() })
	return p, log
}

func version(n int) func(*Config) {
	return func(c *Config) {
		c.Version = n
		if n == 2 {
			c.Org, c.Bucket, c.Database = "org", "b/1", ""
		}
	}
}

// What is sent where, for each version.
func TestRequest(t *testing.T) {
	f := func(change func(*Config), path, query, auth string) {
		t.Helper()
		s := newFake(t, stored)
		p, _ := start(t, s.URL+"/influx/", change)
		if err := p.Publish(t.Context(), batch(2, "cpu")); err != nil {
			t.Fatal(err)
		}
		want := request{http.MethodPost, "/influx" + path, query, auth, string(batch(2, "cpu").AppendLines(nil))}
		if got := s.requests(); len(got) != 1 || got[0] != want {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
	f(nil, "/write", "db=metrics&precision=ns", "")
	f(func(c *Config) { c.Username, c.Password, c.Retention = "u", "p:&", "a week" },
		"/write", "db=metrics&precision=ns&rp=a+week", "Basic dTpwOiY=")
	f(func(c *Config) { c.Database = "" }, "/write", "precision=ns", "")
	f(func(c *Config) { c.Compression = gzipped }, "/write", "db=metrics&precision=ns", "")
	f(func(c *Config) { version(2)(c); c.Token = "t\n" },
		"/api/v2/write", "bucket=b%2F1&org=org&precision=ns", "Token t")
	f(func(c *Config) { version(3)(c); c.Token = "t"; c.Compression = gzipped },
		"/api/v3/write_lp", "accept_partial=false&db=metrics&precision=nanosecond", "Bearer t")
}

func TestEmptyBatchIsNotSent(t *testing.T) {
	s := newFake(t, says(500, ""))
	p, _ := start(t, s.URL, nil)
	if err := p.Publish(t.Context(), new(telemetry.Batch)); err != nil || len(s.requests()) != 0 {
		t.Errorf("error %v after %d requests", err, len(s.requests()))
	}
}

func TestCompression(t *testing.T) {
	f := func(url, how string, want bool) {
		t.Helper()
		p, _ := start(t, url, func(c *Config) { c.Compression = how })
		if p.pack != want {
			t.Errorf("compression %s to %s: %v", how, url, p.pack)
		}
	}
	f("http://localhost:1", auto, false)
	f("http://127.1.2.3:1", auto, false)
	f("http://[::1]:1", auto, false)
	f("http://10.0.0.1:1", auto, true)
	f("https://influx.example", auto, true)
	f("https://influx.example", none, false)
	f("http://127.0.0.1:1", gzipped, true)
}

// Several messages from the same memory, small after large.
func TestManyPacked(t *testing.T) {
	s := newFake(t, stored)
	p, _ := start(t, s.URL, func(c *Config) { c.Compression = gzipped })
	for _, n := range []int{3000, 1, 50} {
		if err := p.Publish(t.Context(), batch(n, "cpu")); err != nil {
			t.Fatal(err)
		}
		all := s.requests()
		if got := all[len(all)-1].body; got != string(batch(n, "cpu").AppendLines(nil)) {
			t.Errorf("%d points arrived as %d bytes of text", n, len(got))
		}
	}
}

func TestSeveralAtOnce(t *testing.T) {
	s := newFake(t, stored)
	p, _ := start(t, s.URL, func(c *Config) { c.Compression = gzipped })
	names := strings.Split("abcdefgh", "")
	var calls sync.WaitGroup
	for _, name := range names {
		calls.Go(func() {
			for range 5 {
				if err := p.Publish(t.Context(), batch(100, name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	calls.Wait()
	count := map[string]int{}
	for _, r := range s.requests() {
		count[r.body]++
	}
	for _, name := range names {
		if n := count[string(batch(100, name).AppendLines(nil))]; n != 5 {
			t.Errorf("series %s arrived %d times", name, n)
		}
	}
}

// InfluxDB 1 knows no unsigned integers; a loss is told, once.
func TestUnsigned(t *testing.T) {
	f := func(v int, want string, told bool) {
		t.Helper()
		s := newFake(t, stored)
		p, log := start(t, s.URL, version(v))
		for range 2 {
			in := new(telemetry.Batch)
			in.At(time.Unix(0, at))
			in.Add("m", telemetry.Fields{"a": uint64(5), "b": uint64(1 << 63)}, nil)
			if err := p.Publish(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.requests()[0].body; got != want {
			t.Errorf("version %d: sent %q, want %q", v, got, want)
		}
		if n := strings.Count(log.String(), "series=m"); n > 1 || (n == 1) != told {
			t.Errorf("version %d: told %d times", v, n)
		}
	}
	f(1, "m a=5i,b=9223372036854775807i 1763559525000000001\n", true)
	f(2, "m a=5u,b=9223372036854775808u 1763559525000000001\n", false)
	f(3, "m a=5u,b=9223372036854775808u 1763559525000000001\n", false)
}

// A message is not used again while the transport may read it.
func TestMessageIsLeftToItsReader(t *testing.T) {
	c := &client{pack: true}
	m := c.message()
	m.text = append(m.text, "cpu v=1 1\n"...)
	first, err := c.body(m)
	if err != nil {
		t.Fatal(err)
	}
	r := m.open(first)
	want := string(first)
	m.text = append(m.text[:0], "something else entirely\n"...)
	if _, err := c.body(m); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != want {
		t.Errorf("the reader got %q, %v", got, err)
	}
	c.release(m)
	if got := c.message(); got == m {
		t.Error("used again while it is read")
	}
	_ = r.Close()
	_ = r.Close() // as the transport does
	if n := m.readers.Load(); n != 0 {
		t.Errorf("%d readers are left", n)
	}
}

// A server that is silent holds a call no longer than its deadline; one that is gone does not at all.
func TestSilence(t *testing.T) {
	release := make(chan struct{})
	s := newFake(t, func(http.ResponseWriter, request) { <-release })
	t.Cleanup(func() { close(release) })
	p, _ := start(t, s.URL, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := p.Publish(ctx, batch(1, "cpu"))
	wantPlain(t, err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	s := newFake(t, stored)
	url := s.URL
	s.Close()
	p, _ := start(t, url, nil)
	err := p.Publish(t.Context(), batch(1, "cpu"))
	wantPlain(t, err)
	if !strings.Contains(err.Error(), "write to "+url+"/write: ") || strings.Contains(err.Error(), "db=") {
		t.Errorf("error %v", err)
	}
}

// wantPlain wants an error that says nothing but "again".
func wantPlain(t *testing.T, err error) {
	t.Helper()
	if err == nil || plugin.IsDenied(err) || plugin.IsPermanent(err) || errors.Is(err, plugin.ErrTooLarge) {
		t.Fatalf("error %v (denied %v, permanent %v)", err, plugin.IsDenied(err), plugin.IsPermanent(err))
	}
}

// A server that stores and hangs up has stored; the batch is given again and is the same.
func TestCutAfterStoring(t *testing.T) {
	cut := true
	s := newFake(t, nil)
	s.answer = func(w http.ResponseWriter, r request) {
		if !cut {
			stored(w, r)
			return
		}
		cut = false
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	}
	p, _ := start(t, s.URL, nil)
	wantPlain(t, p.Publish(t.Context(), batch(3, "cpu")))
	if err := p.Publish(t.Context(), batch(3, "cpu")); err != nil {
		t.Error(err)
	}
	if got := s.requests(); len(got) != 2 || got[0] != got[1] {
		t.Errorf("requests %+v", got)
	}
}

// A kept connection that the server has closed meanwhile costs a try at most.
func TestStaleConnection(t *testing.T) {
	s := newFake(t, stored)
	p, _ := start(t, s.URL, nil)
	for range 5 {
		if err := p.Publish(t.Context(), batch(1, "cpu")); err != nil {
			wantPlain(t, err)
			if err := p.Publish(t.Context(), batch(1, "cpu")); err != nil {
				t.Error(err)
			}
		}
		s.CloseClientConnections()
	}
}

func TestCreateDatabase(t *testing.T) {
	f := func(answer string, ok bool) {
		t.Helper()
		made := false
		s := newFake(t, nil)
		s.answer = func(w http.ResponseWriter, r request) {
			switch {
			case r.path == "/query":
				made = ok
				says(200, answer)(w, r)
			case made:
				stored(w, r)
			default:
				says(404, `{"error":"database not found: \"metrics\""}`)(w, r)
			}
		}
		p, _ := start(t, s.URL, func(c *Config) {
			c.CreateDatabase, c.Username, c.Password, c.Database = true, "u", "p", `m"x`
		})
		err := p.Publish(t.Context(), batch(1, "cpu"))
		if (err == nil) != ok || !ok && !plugin.IsDenied(err) {
			t.Errorf("error %v", err)
		}
		got := s.requests()
		want := request{http.MethodPost, "/query", "", "Basic dTpw", "q=CREATE+DATABASE+%22m%5C%22x%22"}
		if got[1] != want {
			t.Errorf("second request %+v, want %+v", got[1], want)
		}
	}
	f(`{"results":[{"statement_id":0}]}`, true)
	f(`{"results":[{"statement_id":0,"error":"not allowed"}]}`, false)
}
