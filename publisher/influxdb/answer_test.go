package influxdb

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/plugin"
)

// class names what an error makes the engine do.
func class(err error) string {
	switch {
	case err == nil:
		return "stored"
	case errors.Is(err, plugin.ErrTooLarge):
		return "halve"
	case plugin.IsDenied(err):
		return "denied"
	case plugin.IsPermanent(err):
		return "dead"
	case plugin.RetryAfter(err) > 0:
		return "after " + plugin.RetryAfter(err).String()
	}
	return "again"
}

// What each answer to a batch of one point means. The texts are those of the servers.
func TestAnswers(t *testing.T) {
	f := func(v, code int, header, body, want string, told ...string) {
		t.Helper()
		s := newFake(t, func(w http.ResponseWriter, _ request) {
			if key, value, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(key, value)
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		})
		p, _ := start(t, s.URL, version(v))
		err := p.Publish(t.Context(), batch(1, "cpu"))
		if got := class(err); got != want {
			t.Errorf("version %d, %d %s: %s (%v), want %s", v, code, body, got, err, want)
		}
		for _, text := range told {
			if err != nil && !strings.Contains(err.Error(), text) {
				t.Errorf("%q is not in: %v", text, err)
			}
		}
		if n := len(s.requests()); n != 1 {
			t.Errorf("version %d, %d %s: %d requests", v, code, body, n)
		}
	}
	const html, again = "Content-Type: text/html; charset=utf-8", "Retry-After: 7"

	f(1, 204, "", "", "stored")
	f(1, 200, "", "", "stored")
	f(1, 200, "", "{}", "stored")
	f(1, 200, html, "<html>please log in", "denied", "is this InfluxDB 1?")
	f(1, 200, "", `{"error":"partial write: timeout"}`, "denied", "but said: partial write")

	f(1, 400, "", `{"error":"unable to parse 'cpu v=': missing field value"}`, "dead", "1 of 1 point refused, of cpu", "missing field value")
	f(1, 400, "", `{"error":"partial write: points beyond retention policy dropped=1"}`, "dead", "beyond retention policy")
	f(1, 400, "", `{"error":"database is required"}`, "denied", "set database")
	f(1, 400, "", "Client sent an HTTP request to an HTTPS server.\n", "denied", "HTTP request to an HTTPS server")
	f(1, 401, "", `{"error":"authorization failed"}`, "denied", "authorization failed", "check username and password")
	f(1, 403, "", `{"error":"not authorized"}`, "denied", "check username and password")
	f(1, 404, "", `{"error":"database not found: \"metrics\""}`, "denied",
		`database "metrics"`, "create_database: true", `CREATE DATABASE "metrics"`)
	f(1, 404, "", "404 page not found\n", "denied", "check url and version")
	f(1, 413, "", `{"error":"Request Entity Too Large"}`, "halve")
	f(1, 500, "", `{"error":"retention policy not found: week"}`, "denied", "change retention")
	f(1, 500, "", `{"error":"engine: cache-max-memory-size exceeded: (1/1)"}`, "again", "cache-max-memory-size")
	f(1, 500, "", `{"error":"timeout"}`, "again")
	f(1, 502, "", "", "again")

	f(2, 204, "", "", "stored")
	f(2, 400, "", `{"code":"invalid","message":"unable to parse 'cpu v=': missing field value"}`, "dead", "missing field value")
	f(2, 401, "", `{"code":"unauthorized","message":"unauthorized access"}`, "denied", "check token")
	f(2, 403, "", `{"code":"forbidden","message":"insufficient permissions for write"}`, "denied", "insufficient permissions")
	f(2, 404, "", `{"code":"not found","message":"bucket \"b/1\" not found"}`, "denied", `bucket "b/1"`, "org and bucket")
	f(2, 404, "", "404 page not found\n", "denied", "InfluxDB 2", "check url and version")
	f(2, 413, "", `{"code":"request too large","message":"too large"}`, "halve")
	f(2, 422, "", `{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: x dropped=1"}`,
		"dead", "field type conflict")
	f(2, 429, again, "", "after 7s")
	f(2, 503, again, `{"code":"unavailable","message":"unexpected error writing points to database: timeout"}`, "after 7s")
	f(2, 503, "", "", "again")

	f(3, 400, "", `{"error":"parsing failed for write_lp endpoint","data":{"original_line":"cpu v=","line_number":1,"error_message":"no value"}}`,
		"dead", "parsing failed", "no value")
	f(3, 401, "", "", "denied", "answered 401 Unauthorized: check token")
	f(3, 404, "", `{"error":"not found"}`, "denied", `database "metrics"`)

	f(1, 301, "Location: http://127.0.0.1:1/", "", "denied", "not followed", "set url")
	f(1, 307, "Location: /elsewhere", "", "denied")
	f(1, 405, "", "", "denied", "is this InfluxDB 1?")
	f(1, 408, "", "", "again")
	f(1, 418, "", "", "denied")
}

// Of an answer without end the start is read, and an error carries the start of that.
func TestEndlessAnswer(t *testing.T) {
	sent := 0
	s := newFake(t, func(w http.ResponseWriter, _ request) {
		w.WriteHeader(http.StatusBadGateway)
		for range 1000 {
			n, err := io.WriteString(w, strings.Repeat("x", 64<<10))
			if sent += n; err != nil {
				return
			}
		}
	})
	p, _ := start(t, s.URL, nil)
	err := p.Publish(t.Context(), batch(1, "cpu"))
	s.Close()
	if wantPlain(t, err); len(err.Error()) > 1000 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
	if sent > 32<<20 {
		t.Errorf("took %d bytes of answer", sent)
	}
}

// No secret is in what a publisher says.
func TestSecretsAreNotTold(t *testing.T) {
	const secret = "correct-horse"
	f := func(change func(*Config)) {
		t.Helper()
		s := newFake(t, says(401, "{}"))
		p, log := start(t, s.URL, change)
		err := p.Publish(t.Context(), batch(1, "cpu"))
		s.Close()
		gone := p.Publish(t.Context(), batch(1, "cpu"))
		if text := err.Error() + gone.Error() + log.String(); strings.Contains(text, secret) || strings.Contains(text, "db=") {
			t.Errorf("told: %s", text)
		}
	}
	f(func(c *Config) { c.Username, c.Password = "u", secret })
	f(func(c *Config) { version(2)(c); c.Token = secret })
	f(func(c *Config) { version(3)(c); c.Token = secret })
	err := Config{URL: "http://u:" + secret + "@h ost/?x=" + secret}.Validate()
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("error %v", err)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of clients that do not trust it
	s.StartTLS()
	t.Cleanup(s.Close)
	f := func(change func(*Config), want string) {
		t.Helper()
		p, log := start(t, s.URL, change)
		if got := class(p.Publish(t.Context(), batch(1, "cpu"))); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if insecure := p.transport.TLSClientConfig.InsecureSkipVerify; insecure != strings.Contains(log.String(), "not verified") {
			t.Errorf("log: %s", log)
		}
	}
	f(nil, "again")
	f(func(c *Config) { c.InsecureSkipVerify = true }, "stored")
	f(func(c *Config) { c.CAFile = writeCA(t, s) }, "stored")
}

func TestCredentialsInTheClear(t *testing.T) {
	f := func(url string, change func(*Config), want bool) {
		t.Helper()
		_, log := start(t, url, change)
		if got := strings.Contains(log.String(), "unencrypted"); got != want {
			t.Errorf("%s: log %q", url, log)
		}
	}
	login := func(c *Config) { c.Username, c.Password = "u", "p" }
	f("http://influx.example", login, true)
	f("http://influx.example", nil, false)
	f("https://influx.example", login, false)
	f("http://localhost:8086", login, false)
}

func TestSaidIn(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := saidIn([]byte(text)); got != want {
			t.Errorf("saidIn(%s) = %q, want %q", text, got, want)
		}
	}
	f(``, "")
	f(`{}`, "")
	f(`[1]`, "")
	f(`{"error":"a"}`, "a")
	f(`{"code":"invalid","message":"b"}`, "b")
	f(`{"error":"c","data":[{"line_number":2}]}`, `c [{"line_number":2}]`)
	f(`{"results":[{"statement_id":0},{"error":"d"}]}`, "d")
	f(`{"error":"cut o`, "")
}

func FuzzJudge(f *testing.F) {
	f.Add(400, `{"error":"partial write: x dropped=1"}`)
	f.Add(204, "")
	f.Add(302, "x")
	f.Fuzz(func(t *testing.T, code int, text string) {
		resp := &http.Response{StatusCode: code, ContentLength: -1, Body: io.NopCloser(strings.NewReader(text))}
		err := endpoint{version: 1}.judge(resp)
		if (err == nil) && code/100 != 2 {
			t.Errorf("%d is taken as stored", code)
		}
		if r, ok := errors.AsType[*refusal](err); ok && (r.dropped < 0 || code/100 != 4) {
			t.Errorf("%d %q: refusal %+v", code, text, r)
		}
	})
}
