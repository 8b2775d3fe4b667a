package scrape

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode/prometheus"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/plugin"
)

// up returns why a scrape failed, "" if it went well.
func up(t *testing.T, e *emitter) string {
	t.Helper()
	got := e.take("up")
	if len(got) != 1 {
		t.Fatalf("up: %q", got)
	}
	if got[0] == "up,instance=i,job=j value=1" {
		return ""
	}
	text, begins := strings.CutPrefix(got[0], `up,instance=i,job=j error="`)
	text, ends := strings.CutSuffix(text, `",value=0`)
	if !begins || !ends {
		t.Fatalf("up: %s", got[0])
	}
	return text
}

func TestRequest(t *testing.T) {
	p := newPage(t, "")
	var got *http.Request
	p.does(func(_ http.ResponseWriter, r *http.Request) { got = r })
	f := func(change func(*Config), want map[string]string) {
		t.Helper()
		w, e := p.worker(t, change)
		w.scrape(t.Context())
		if text := up(t, e); text != "" {
			t.Error(text)
		}
		for name, value := range want {
			if got.Header.Get(name) != value {
				t.Errorf("%s: %q, want %q", name, got.Header.Get(name), value)
			}
		}
	}
	f(func(c *Config) { c.Native = true }, map[string]string{"Accept": acceptNative})
	f(nil, map[string]string{"Accept": prometheus.Accept, "Accept-Encoding": "gzip", "X-Prometheus-Scrape-Timeout-Seconds": "10", "Authorization": ""})
	f(func(c *Config) { c.ScrapeTimeout = plugin.Duration(1500 * time.Millisecond) }, map[string]string{"X-Prometheus-Scrape-Timeout-Seconds": "1.5"})
	f(func(c *Config) { c.Username, c.Password = "u", "p" }, map[string]string{"Authorization": "Basic dTpw"})
	f(func(c *Config) { c.BearerToken = "secret" }, map[string]string{"Authorization": "Bearer secret"})
	f(func(c *Config) { c.Headers = map[string]string{"x-scope": "1", "Accept": "text/plain"} }, map[string]string{"X-Scope": "1", "Accept": "text/plain"})
	f(func(c *Config) { c.Headers = map[string]string{"host": "other"} }, nil)
	if got.Host != "other" {
		t.Errorf("host %q", got.Host)
	}
}

// A token that is renewed is the one of the time of the scrape.
func TestRenewedToken(t *testing.T) {
	p := newPage(t, "")
	var got string
	p.does(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") })
	path := filepath.Join(t.TempDir(), "token")
	w, e := p.worker(t, func(c *Config) { c.RenewedFile = path })
	w.scrape(t.Context())
	if text := up(t, e); !strings.HasPrefix(text, "renewed_token_file: open ") {
		t.Errorf("without a file: %q", text)
	}
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.scrape(t.Context())
	if text := up(t, e); text != "renewed_token_file: "+path+" is empty" {
		t.Errorf("with an empty file: %q", text)
	}
	for _, token := range []string{"one", "two"} {
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.scrape(t.Context())
		if text := up(t, e); text != "" || got != "Bearer "+token {
			t.Errorf("%q, %q; want %s", text, got, token)
		}
	}
}

// What a target may answer, and which answers count.
func TestAnswer(t *testing.T) {
	p := newPage(t, "")
	f := func(kind, encoding, body, want string, points ...string) {
		t.Helper()
		p.does(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{kind}
			if encoding != "" {
				w.Header().Set("Content-Encoding", encoding)
			}
			_, _ = io.WriteString(w, body)
		})
		w, e := p.worker(t, func(c *Config) { c.MaxBody, c.MaxSamples = 100_000, 3 })
		w.scrape(t.Context())
		e.mu.Lock()
		all := e.points
		e.mu.Unlock()
		if got := up(t, e); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s %q: %q, want %q", kind, body[:min(len(body), 60)], got, want)
		}
		e.points = all
		check(t, e.take("a", "b", "c", "d"), points...)
	}
	a := "a,instance=i,job=j value=1"
	f("", "", "a 1\n", "", a)
	f("text/plain; version=0.0.4; charset=utf-8; escaping=values", "", "a 1\n", "", a)
	f("text/plain", "identity", "a 1\n", "", a)
	f("text/plain", "gzip", zipped("a 1\n"), "", a)
	f("application/openmetrics-text; version=1.0.0; charset=utf-8", "", "a 1\n# EOF\n", "", a)
	f("text/plain", "", "", "")
	f("application/openmetrics-text; version=1.0.0", "", "a 1\n", `cut off: the text does not end with \"# EOF\"`)
	f("application/openmetrics-text; version=2.0.0", "", "a 1\n# EOF\n", `content type \"application/openmetrics-text; version=2.0.0\": want`)
	f("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text", "", "\x01", `content type \"application/vnd`)
	f("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", "", "", "")
	f("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", "", "\x05", "cut off: the last message is not whole")
	f("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", "", "\x00", "no samples: no name of a metric")
	f("text/html", "", "<html>", `content type \"text/html\": want text/plain or application/openmetrics-text`)
	f("text", "; =", "a 1\n", `content type \"text\": want`)
	f("text/plain", "", "a 1\nb 2", "cut off: line 2: the last line does not end with a line feed")
	f("text/plain", "", "<html>\n", "no samples: line 1: no name of a metric")
	f("text/plain", "", "a 1\nb 1\nc 1\nd 1\n", "more than 3 samples (max_samples)")
	f("text/plain", "", strings.Repeat("# much\n", 20_000), "the body has more than 100000 bytes (max_body_bytes)")
	f("text/plain", "gzip", zipped(strings.Repeat("# much\n", 20_000)), "the body has more than 100000 bytes (max_body_bytes)")
	f("text/plain", "gzip", "a 1\n", "decompress: ")
	f("text/plain", "gzip", zipped("a 1\n")[:20], "unexpected EOF")
	f("text/plain", "br", "a 1\n", `content encoding \"br\": want gzip or none`)
}

// Of pages that are large a few are there at a time, so that targets cannot decide on our memory. The others wait.
func TestLargePages(t *testing.T) {
	t.Parallel()
	p := newPage(t, "a 1\n"+strings.Repeat("# much more\n", keptText/10))
	w, e := p.worker(t, nil)
	w.timeout = 100 * time.Millisecond
	for range largePages {
		w.large <- struct{}{}
	}
	w.scrape(t.Context())
	if got := up(t, e); !strings.Contains(got, "no room for a page of more than 4194304 bytes: 4 of them are at work") && !strings.Contains(got, "no whole answer in") {
		t.Errorf("%q", got)
	}
	<-w.large
	w.timeout = time.Minute
	w.scrape(t.Context())
	if got := up(t, e); got != "" || len(w.large) != largePages-1 {
		t.Errorf("%q, %d places taken", got, len(w.large))
	}
}

func zipped(text string) string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

// A target that does not answer as it should is down: of its page nothing counts.
func TestDown(t *testing.T) {
	p := newPage(t, "")
	w, e := p.worker(t, nil)
	p.does(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) })
	w.scrape(t.Context())
	if got := up(t, e); got != "answered 418 I'm a teapot" {
		t.Error(got)
	}
	p.does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "a 1\n")
	})
	w.scrape(t.Context())
	if got := up(t, e); got != "unexpected EOF" {
		t.Error(got)
	}
	p.say("a 1\n")
	w.scrape(t.Context())
	if got := up(t, e); got != "" {
		t.Error(got)
	}
	p.Close()
	w.scrape(t.Context())
	if got := up(t, e); !strings.Contains(got, "connection refused") {
		t.Error(got)
	}
}

// A target that begins its answer and does not end it costs the time it has, no more.
func TestTimeout(t *testing.T) {
	p := newPage(t, "")
	p.does(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "a 1\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	w, e := p.worker(t, func(c *Config) { c.ScrapeTimeout = plugin.Duration(50 * time.Millisecond) })
	w.scrape(t.Context())
	if got := up(t, e); got != "no whole answer in 50ms" {
		t.Error(got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w.scrape(ctx); len(e.take()) > 0 {
		t.Error("a scrape that was given up is told")
	}
}

// An answer may say that the page is elsewhere. Another host learns nothing of what the first one is told.
func TestRedirect(t *testing.T) {
	other := newPage(t, "")
	var got *http.Request
	other.does(func(_ http.ResponseWriter, r *http.Request) { got = r })
	p := newPage(t, "")
	to := ""
	p.does(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
	f := func(where string, change func(*Config), want string) {
		t.Helper()
		to, got = where, nil
		w, e := p.worker(t, change)
		w.scrape(t.Context())
		if text := up(t, e); text != want || (want == "") != (got != nil) {
			t.Errorf("%q, want %q; the other was asked: %v", text, want, got != nil)
		}
	}
	f(other.URL, func(c *Config) { c.BearerToken, c.Headers = "secret", map[string]string{"X-Key": "secret"} }, "")
	if got.Header.Get("Authorization") != "" || got.Header.Get("X-Key") != "" || got.Header.Get("Accept") == "" {
		t.Errorf("the other host got %v", got.Header)
	}
	f(other.URL, func(c *Config) { c.Redirects = false }, "answered 302 Found")
	f("/again", nil, "redirected more than 10 times")
}

// Targets are asked through a proxy where there is one.
func TestProxy(t *testing.T) {
	proxy := newPage(t, "")
	asked := ""
	proxy.does(func(_ http.ResponseWriter, r *http.Request) { asked = r.RequestURI })
	p := newPage(t, "")
	w, e := p.worker(t, func(c *Config) {
		c.Proxy, c.Groups[0].Targets = proxy.URL, plugin.Strings{"web-1.invalid:9100"}
	})
	w.scrape(t.Context())
	if text := up(t, e); text != "" || asked != "http://web-1.invalid:9100/metrics" {
		t.Errorf("%q, asked for %q", text, asked)
	}
}

func TestTLS(t *testing.T) {
	p := &page{}
	p.say("a 1\n")
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.answer(w, r) }))
	p.StartTLS()
	t.Cleanup(p.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(change func(*Config), want string) {
		t.Helper()
		w, e := p.worker(t, change)
		w.scrape(t.Context())
		if got := up(t, e); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(nil, "certificate")
	f(func(c *Config) { c.Insecure = true }, "")
	f(func(c *Config) { c.CAFile = ca }, "")
	f(func(c *Config) { c.CAFile, c.ServerName = ca, "example.com" }, "")
	f(func(c *Config) { c.CAFile, c.ServerName = ca, "other.org" }, "not other.org")
}

// The target wants a certificate of us.
func TestClientCertificate(t *testing.T) {
	p := &page{}
	p.say("a 1\n")
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.answer(w, r) }))
	p.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	p.StartTLS()
	t.Cleanup(p.Close)
	pair := p.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w, e := p.worker(t, func(c *Config) { c.Insecure, c.CertFile, c.KeyFile = true, dir+"/cert", dir+"/key" })
	w.scrape(t.Context())
	if got := up(t, e); got != "" {
		t.Error(got)
	}
	for _, c := range []Config{{CAFile: dir + "/no"}, {CAFile: dir + "/key"}, {CertFile: dir + "/key", KeyFile: dir + "/cert"}} {
		if _, err := newClient(c, 0); err == nil || !strings.Contains(err.Error(), "_file: ") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A page of ever new names does not fill the memory: what is above the bound is counted.
func TestShapes(t *testing.T) {
	w, _ := newPage(t, "").worker(t, nil)
	var s space
	for i := range report.MaxShapes + 10 {
		s.text = fmt.Appendf(s.text, "m%d 1\n", i)
	}
	r, err := w.decode(&s, time.Now())
	if err != nil || r.Points != report.MaxShapes || r.Bad[report.Limit] != 10 {
		t.Errorf("%d points, %v, %v", r.Points, r.Bad, err)
	}
	if w.own(&s, time.Second, nil); s.batch.Len() != report.MaxShapes+2 {
		t.Error("what is told of the scrape itself has no room")
	}
}
