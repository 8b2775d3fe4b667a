package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
)

// TestHostile sends what nobody should, and wants a clear refusal, counted by its reason.
func TestHostile(t *testing.T) {
	r := start(t, bustest.New(t), nil)
	want := map[string]uint64{}
	f := func(method, path, body string, status int, code string, headers ...string) {
		t.Helper()
		a := r.ask(method, path, body, headers...)
		p := a.problem()
		if a.StatusCode != status || p.Code != code || p.Status != status || p.Type != "urn:pacewire:"+code || p.Title == "" {
			t.Errorf("%s %.80s: %s %+v; want %d %s", method, path, a.Status, p, status, code)
		}
		if p.Detail == "" || len(a.text) > 8<<10 || strings.Contains(a.text, token) {
			t.Errorf("%s %.80s: %.300s", method, path, a.text)
		}
		if a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Content-Security-Policy") == "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %.80s: headers %v", method, path, a.Header)
		}
		want[code]++
	}
	const (
		host   = "/api/v1/hosts/web1"
		plugin = host + "/plugins/cpu"
	)
	huge := strings.Repeat("x", 10<<20)

	// addresses
	f("GET", "/", "", 404, "no_route")
	f("GET", "/api/v1/host", "", 404, "no_route")
	f("GET", "/api/v1/hosts/", "", 404, "no_route")
	f("GET", "//api/v1/hosts", "", 404, "no_route")
	f("GET", "/api/v1/../../etc/passwd", "", 404, "no_route")
	f("GET", host+"/plugins/..%2f..%2fetc%2fpasswd", "", 400, "invalid")
	f("GET", host+"/plugins/%2e%2e", "", 400, "invalid")
	f("GET", "/api/v2/hosts", "", 404, "no_route")

	// methods
	f("DELETE", "/api/v1/hosts", "", 405, "method")
	f("POST", "/api/v1/values", "", 405, "method")
	f("PATCH", host, "", 405, "method")
	f("OPTIONS", host, "", 405, "method")
	f("TRACE", "/metrics", "", 405, "method")
	f("BREW", plugin+"/start", "", 405, "method")

	// ids
	f("GET", "/api/v1/hosts/.", "", 404, "no_route")
	f("GET", "/api/v1/hosts/*", "", 404, "no_host")
	f("GET", "/api/v1/hosts/%3E", "", 404, "no_host")
	f("GET", "/api/v1/hosts/a%2Fb", "", 404, "no_host")
	f("GET", "/api/v1/hosts/%00", "", 400, "invalid")
	f("GET", "/api/v1/hosts/%0a", "", 400, "invalid")
	f("GET", "/api/v1/hosts/%ff", "", 400, "invalid")
	f("GET", "/api/v1/hosts/"+strings.Repeat("h", 5000), "", 400, "invalid")
	f("GET", "/api/v1/hosts/%3Cimg%20src=x%20onerror=alert(1)%3E", "", 404, "no_host")
	f("GET", host+"/plugins/*", "", 400, "invalid")
	f("GET", host+"/plugins/x;touch%20f", "", 400, "invalid")
	f("POST", host+"/plugins/UPPER/start", "", 400, "invalid")
	f("POST", host+"/plugins/"+strings.Repeat("p", 64)+"/start", "", 400, "invalid")
	f("GET", host+"/inventory/os/secret", "", 400, "invalid")
	f("GET", host+"/inventory/os/manifest", "", 404, "no_entry")
	f("GET", "/api/v1/jobs/none", "", 404, "no_job")
	f("GET", "/api/v1/jobs/"+strings.Repeat("9", 5000), "", 400, "invalid")

	// parameters
	f("GET", "/api/v1/hosts?stat=UP", "", 400, "invalid")
	f("GET", "/api/v1/hosts?state=SLEEPY", "", 400, "invalid")
	f("GET", "/api/v1/hosts?limit=0", "", 400, "invalid")
	f("GET", "/api/v1/hosts?limit=1e9", "", 400, "invalid")
	f("GET", "/api/v1/hosts?limit=5&limit=6", "", 400, "invalid")
	f("GET", "/api/v1/hosts?label=rack", "", 400, "invalid")
	f("GET", "/api/v1/hosts?owner=%zz", "", 400, "invalid")
	f("GET", "/api/v1/hosts?owner=%00", "", 400, "invalid")
	f("GET", "/api/v1/hosts?owner="+strings.Repeat("o", 5000), "", 400, "invalid")
	f("GET", "/api/v1/values?after=gone", "", 400, "invalid")
	f("GET", "/api/v1/values/history?since=yesterday", "", 400, "invalid")
	f("GET", "/api/v1/events?after=-1", "", 400, "invalid")
	f("GET", "/api/v1/events?after=1&since=1h", "", 400, "invalid")
	f("GET", "/api/v1/events/stream?after=x", "", 400, "invalid")
	f("GET", "/api/v1/events/stream", "", 400, "invalid", "Last-Event-ID: x; DROP")
	f("GET", "/api/v1/tap/stream?rate=1000000", "", 400, "invalid")
	f("GET", "/api/v1/graph?format=gif", "", 400, "invalid")
	f("GET", "/api/v1/graph?host=nobody", "", 404, "no_host")
	f("GET", plugin+"/logs?tail=100000", "", 400, "invalid")
	f("GET", plugin+"/logs?after=x", "", 400, "invalid")
	f("POST", plugin+"/start?wait=5", "", 400, "invalid")
	f("POST", plugin+"/start?wait=24h", "", 400, "invalid")
	f("POST", host+"/refresh?mode=hard", "", 400, "invalid")
	f("POST", host+"/reload?dry_run=maybe", "", 400, "invalid")

	// bodies
	f("POST", plugin+"/start", "{}", 400, "invalid")
	f("POST", plugin+"/start", huge, 413, "too_large")
	f("POST", host+"/silence", huge, 413, "too_large")
	f("PUT", plugin, huge, 413, "too_large", "Content-Type: application/yaml")
	f("PUT", plugin, strings.Repeat("# \n", 30<<10), 413, "too_large", "Content-Type: application/yaml")
	f("POST", "/api/v1/points", huge, 413, "too_large", "Content-Type: text/x-influx")
	f("POST", host+"/silence", `{"for": "2h"}`, 415, "content_type", "Content-Type: text/plain")
	f("POST", host+"/silence", `{"for": "2h"}`, 415, "content_type", "Content-Type:")
	f("POST", host+"/silence", `for=2h`, 415, "content_type", "Content-Type: application/x-www-form-urlencoded")
	f("POST", host+"/silence", `{"for": "2h"}`, 415, "encoding", "Content-Encoding: gzip")
	f("POST", "/api/v1/points", `cpu v=1`, 415, "content_type", "Content-Type: application/x-www-form-urlencoded")
	f("POST", host+"/silence", `{"for": "2h", "FOR": "3h"}`, 400, "json")
	f("POST", host+"/silence", `{"for": "2h"} {}`, 400, "json")
	f("POST", host+"/silence", `{"for": "2h", "why": "so"}`, 400, "json")
	f("POST", host+"/silence", `{"for": 2}`, 400, "json")
	f("POST", host+"/silence", `{"for": "2h"`, 400, "json")
	f("POST", host+"/silence", "{\"for\": \"\xff\"}", 400, "json")
	f("POST", host+"/silence", `["2h"]`, 400, "json")
	f("POST", host+"/silence", `{"for": `+strings.Repeat("[", 100_000), 400, "json")
	f("POST", host+"/silence", `{"for": "-2h"}`, 400, "invalid")
	f("POST", host+"/silence", `{"for": "for ever"}`, 400, "invalid")
	f("POST", host+"/silence", "", 400, "invalid")
	f("POST", "/api/v1/refresh", `{"hosts": []}`, 400, "invalid")
	f("POST", "/api/v1/refresh", `{"hosts": ["web1", "nobody"]}`, 404, "no_host")
	f("POST", plugin+"/swap", `{}`, 400, "invalid")
	f("POST", plugin+"/swap", `{"use": "filter", "run": ["x"]}`, 400, "invalid")
	f("POST", plugin+"/swap", `{"use": "filter", "sha256": "abc"}`, 400, "invalid")
	f("POST", plugin+"/swap", `{"config": "collect: { other: { use: cpu } }"}`, 400, "config")
	f("PUT", plugin, "collect: {", 400, "config", "Content-Type: application/yaml")
	f("PUT", plugin, "collect: { other: { use: cpu } }", 400, "config", "Content-Type: application/yaml")
	f("PUT", plugin, "collect: { cpu: { use: cpu }, other: { use: cpu } }", 400, "config", "Content-Type: application/yaml")
	f("PUT", plugin, "bus: nats://evil.example", 400, "config", "Content-Type: application/yaml")
	f("PUT", plugin, "", 400, "config", "Content-Type: application/yaml")

	// who asks
	f("GET", "/api/v1/hosts", "", 421, "wrong_host", "Host: evil.example")
	f("GET", "/metrics", "", 421, "wrong_host", "Host: 127.0.0.1.evil.example:8470")
	f("POST", host+"/refresh", "", 403, "cross_site", "Sec-Fetch-Site: cross-site")
	f("POST", host+"/refresh", "", 403, "cross_site", "Origin: http://evil.example")
	f("POST", host+"/refresh", "", 403, "cross_site", "Origin: null")
	f("GET", "/api/v1/hosts", "", 403, "cross_site", "Sec-Fetch-Site: cross-site")
	f("GET", host+"/inventory", "", 403, "cross_site", "Sec-Fetch-Site: same-site")
	f("GET", "/api/v1/events/stream", "", 403, "cross_site", "Origin: http://evil.example")
	f("GET", "/api/v1/values", "", 403, "cross_site", "Origin: null")
	f("GET", "/metrics", "", 403, "cross_site", "Origin: http://localhost:1") // another port is another site
	f("GET", "/api/v1/hosts", "", 431, "header_too_large", "X-Long: "+strings.Repeat("x", 20<<10))

	for code, n := range want {
		if _, problems := r.counts.copy(); problems[code] != n {
			t.Errorf("%s: %d are counted, %d were sent", code, problems[code], n)
		}
	}
	if told := r.fleet.orders(); told != "" {
		t.Errorf("the hub was told %s", told)
	}
}

func TestHints(t *testing.T) {
	r := start(t, nil, nil)
	f := func(method, path, hint string, headers ...string) {
		t.Helper()
		if p := r.ask(method, path, "", headers...).problem(); !strings.Contains(p.Hint, hint) {
			t.Errorf("%s %s: hint %q, want %q", method, path, p.Hint, hint)
		}
	}
	f("GET", "/api/v1/host", "did you mean /api/v1/hosts?")
	f("GET", "/api/v1/hosts/", "did you mean /api/v1/hosts?")
	f("GET", "/api/v1/hosts/web1/inventry", "did you mean /api/v1/hosts/web1/inventory?")
	f("GET", "/nothing/like/it", "GET /openapi.json")
	f("GET", "/api/v1/hosts/web3", "did you mean web1?")
	f("GET", "/api/v1/hosts?sate=UP", "did you mean state?")
	f("POST", "/api/v1/hosts/web1/silence", `{"for": "2h"}`)
	f("POST", "/api/v1/hosts/web1/refresh", `"Authorization: Bearer $(cat /run/pacewire/http.token)"`, "Authorization:")
	f("GET", "/api/v1/events", "GET /-/ready")
	if a := r.ask("DELETE", "/api/v1/hosts", ""); a.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow: %s", a.Header.Get("Allow"))
	}
}

func TestNames(t *testing.T) {
	s := New(Options{Hub: newFakeHub(), Listen: "[::1]:8470"})
	f := func(name string, want bool) {
		t.Helper()
		if got := s.known(name); got != want {
			t.Errorf("known(%q) = %v", name, got)
		}
	}
	f("localhost", true)
	f("LOCALHOST:9000", true) // through a tunnel
	f("127.0.0.1:8470", true)
	f("[::1]:8470", true)
	f("[::1]", true)
	f("", false)
	f("localhost.evil.example", false)
	f("evil.example:8470", false)
	f("[::2]", false)
}

func TestCheckListen(t *testing.T) {
	f := func(addr, want string) {
		t.Helper()
		err := CheckListen(addr)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("CheckListen(%q) = %v, want %q", addr, err, want)
		}
	}
	f("127.0.0.1:8470", "")
	f("127.8.0.1:0", "")
	f("[::1]:8470", "")
	f("localhost:8470", "")
	f("0.0.0.0:8470", "web.tls and web.accounts")
	f(":8470", "web.tls and web.accounts")
	f("[::]:8470", "web.tls and web.accounts")
	f("192.0.2.1:8470", "ssh -L 8470:127.0.0.1:8470")
	f("example.org:8470", "web.tls")
	f("8470", "want host:port")
	f("127.0.0.1:", "want host:port")
}

// TestSlow opens connections that send nothing, or a byte now and then: each is cut off.
func TestSlow(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 5 s: run without -short")
	}
	r := start(t, nil, nil)
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
	_ = c.SetReadDeadline(time.Now().Add(soon))
	if _, err = io.ReadAll(c); err != nil {
		t.Errorf("a header that never ends is read on: %v", err)
	}
	bustest.Wait(t, soon, "the connection's slot to be free", func() bool { return r.open.Load() == 0 })
}

// patient makes a server that does not cut off who sends nothing.
func patient(o *Options) { o.Times.Header = 10 * soon }

// TestMostConnections fills the server with connections: the next one waits until one of them ends.
func TestMostConnections(t *testing.T) {
	r := start(t, nil, patient)
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	first := dial()
	for range mostConns - 1 {
		dial()
	}
	bustest.Wait(t, soon, "all to be accepted", func() bool { return r.open.Load() == mostConns })
	last := dial()
	fmt.Fprint(last, "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
	first.Close()
	_ = last.SetReadDeadline(time.Now().Add(soon))
	a, err := http.ReadResponse(bufio.NewReader(last), nil)
	if err != nil {
		t.Fatalf("the one that waited: %v", err)
	}
	if a.Body.Close(); a.StatusCode != http.StatusOK {
		t.Errorf("the one that waited: %s", a.Status)
	}
}

func TestAudit(t *testing.T) {
	r := start(t, nil, nil)
	f := func(want string, send func()) {
		t.Helper()
		before := len(r.log.String())
		send()
		bustest.Wait(t, soon, "a line with "+want, func() bool { return strings.Contains(r.log.String()[before:], want) })
		if text := r.log.String()[before:]; strings.Count(text, "\n") != 1 || strings.Contains(text, token) {
			t.Errorf("lines %q, want one with %q", text, want)
		}
	}
	f("method=DELETE path=/api/v1/hosts/web1 status=204 result=ok", func() { r.ask("DELETE", "/api/v1/hosts/web1", "") })
	f("method=POST path=/api/v1/hosts/nobody/refresh status=404 result=no_host", func() { r.ask("POST", "/api/v1/hosts/nobody/refresh", "") })
	f("status=401 result=token_missing", func() { r.ask("POST", "/api/v1/refresh", "", "Authorization:") })
	f("status=401 result=token_wrong", func() { r.ask("POST", "/api/v1/refresh", "", "Authorization: Bearer hunter2") })
	f("status=421 result=wrong_host", func() { r.ask("GET", "/", "", "Host: evil.example") })
	f("who=127.0.0.1:", func() { r.ask("POST", "/api/v1/refresh", "", "Sec-Fetch-Site: cross-site") })
	if strings.Contains(r.log.String(), "hunter2") {
		t.Error("the log has a credential")
	}

	before := strings.Count(r.log.String(), "\n")
	for range 5 * mostLines {
		r.ask("GET", "/", "", "Host: evil.example")
	}
	if n := strings.Count(r.log.String(), "\n") - before; n > 4*mostLines || n == 0 {
		t.Errorf("%d lines for %d refusals", n, 5*mostLines)
	}
	if r.audit.suppressed() == 0 {
		t.Error("what was not logged is not counted")
	}
	before = strings.Count(r.log.String(), "\n")
	r.ask("GET", "/api/v1/hosts", "")
	r.ask("GET", "/api/v1/hosts/nobody", "")
	if strings.Count(r.log.String(), "\n") != before {
		t.Error("who only reads has a line")
	}
}

func TestShown(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := shown(text); got != want {
			t.Errorf("shown(%q) = %q", text, got)
		}
	}
	f("/api", "/api")
	f("\x1b]0;x\n\xff", "?]0;x??")
	f(strings.Repeat("a", 300), strings.Repeat("a", 200)+"...")
}

// TestOwnSite asks as a page of this server does, and as a script.
func TestOwnSite(t *testing.T) {
	r := start(t, nil, nil)
	for _, header := range []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none", "Origin: " + r.url, "Accept: */*"} {
		for _, path := range []string{"/api/v1/hosts", "/metrics", "/openapi.json"} {
			if a := r.ask("GET", path, "", header); a.StatusCode != http.StatusOK {
				t.Errorf("%s %s: %s %s", header, path, a.Status, a.text)
			}
		}
	}
	if a := r.ask("HEAD", "/metrics", "", "Sec-Fetch-Site: cross-site"); a.StatusCode != http.StatusForbidden {
		t.Errorf("HEAD from another site: %s", a.Status)
	}
	if a := r.ask("GET", "/-/healthy", "", "Sec-Fetch-Site: cross-site"); a.StatusCode != http.StatusOK {
		t.Errorf("health: %s", a.Status)
	}
}

// TestVital takes all slots and nearly all connections: what restarts the server when it does not answer still has its answer.
func TestVital(t *testing.T) {
	r := start(t, bustest.New(t), patient)
	for range mostRequests {
		r.busy <- struct{}{}
	}
	for range mostStreams {
		r.streams <- struct{}{}
	}
	for range mostHeavy {
		r.heavy <- struct{}{}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	bustest.Wait(t, soon, "no connection to be open", func() bool { return r.open.Load() == 0 })
	for range mostConns - reserveConns {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	bustest.Wait(t, soon, "them to be accepted", func() bool { return r.open.Load() == mostConns-reserveConns })
	for range 2 * reserveConns { // each gives its connection back
		if a := r.ask("GET", "/-/healthy", ""); a.StatusCode != http.StatusOK || !a.Close {
			t.Fatalf("%s %s", a.Status, a.text)
		}
	}
	if a := r.ask("GET", "/-/ready", ""); a.StatusCode != http.StatusOK {
		t.Errorf("%s %s", a.Status, a.text)
	}
	<-r.busy
	if a := r.ask("GET", "/api/v1/hosts", ""); a.StatusCode != http.StatusTooManyRequests || a.code() != "too_many" || !a.Close {
		t.Errorf("another request on a connection of the reserve: %s %s", a.Status, a.text)
	}
}

// TestHeavy has more requests that take much work than are answered at a time: the others wait, the last ones in vain.
func TestHeavy(t *testing.T) {
	r := start(t, nil, nil)
	for range mostHeavy {
		r.heavy <- struct{}{}
	}
	if a := r.ask("GET", "/api/v1/hosts", ""); a.StatusCode != http.StatusOK {
		t.Errorf("one that takes little: %s %s", a.Status, a.text)
	}
	done := make(chan answer)
	go func() { done <- r.ask("GET", "/api/v1/graph", "") }()
	bustest.Wait(t, soon, "it to wait", func() bool { return len(r.busy) == 1 })
	<-r.heavy
	if a := <-done; a.StatusCode != http.StatusOK {
		t.Errorf("%s %s", a.Status, a.text)
	}
}

func TestRequestID(t *testing.T) {
	r := start(t, nil, nil)
	seen := map[string]bool{}
	f := func(method, path string, headers ...string) (id string, a answer) {
		t.Helper()
		a = r.ask(method, path, "", headers...)
		id = a.Header.Get("X-Request-Id")
		if len(id) != 16 || seen[id] {
			t.Errorf("%s %s: X-Request-Id %q", method, path, id)
		}
		seen[id] = true
		if p := a.problem(); p.Code != "" && p.Instance != "urn:pacewire:request:"+id {
			t.Errorf("%s %s: instance %q of %q", method, path, p.Instance, id)
		}
		return id, a
	}
	logged := func(id, what string) {
		t.Helper()
		bustest.Wait(t, soon, "a line of "+id, func() bool {
			for line := range strings.Lines(r.log.String()) {
				if strings.Contains(line, "request="+id) && strings.Contains(line, what) {
					return true
				}
			}
			return false
		})
	}
	f("GET", "/-/healthy")
	f("GET", "/api/v1/hosts", "X-Request-Id: mine")
	f("GET", "/nothing")
	id, _ := f("DELETE", "/api/v1/hosts/web1")
	logged(id, "status=204")
	id, _ = f("GET", "/", "Host: evil.example")
	logged(id, "result=wrong_host")

	r.fleet.err = errors.New("open /secret/place: odd")
	id, a := f("DELETE", "/api/v1/hosts/web1")
	if a.StatusCode != http.StatusInternalServerError || strings.Contains(a.text, "secret") {
		t.Errorf("%s %s", a.Status, a.text)
	}
	logged(id, "/secret/place")
	if _, a = f("POST", "/api/v1/hosts/web1/plugins/tidy/start"); a.StatusCode != 500 || strings.Contains(a.text, "secret") {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if !strings.Contains(r.log.String(), "job=") {
		t.Error("the cause of a job that failed is not logged")
	}
	if _, a = f("GET", "/api/v1/hosts/web1/plugins"); a.StatusCode != 200 || strings.Contains(a.text, "secret") {
		t.Errorf("why: %s %s", a.Status, a.text)
	}
}

// TestRunLooksAtTheListener has a listener that other machines can reach, whatever it was called.
func TestRunLooksAtTheListener(t *testing.T) {
	s := New(Options{Hub: newFakeHub(), Listen: "localhost:0"})
	err := s.Run(t.Context(), elsewhere{})
	if err == nil || !strings.Contains(err.Error(), "web.tls") {
		t.Errorf("Run = %v", err)
	}
}

// elsewhere is a listener on an address that other machines reach; none is opened for the test.
type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8470} }

func (elsewhere) Close() error { return nil }

func TestTooManyRequests(t *testing.T) {
	r := start(t, nil, nil)
	for range mostRequests {
		r.busy <- struct{}{}
	}
	a := r.ask("GET", "/api/v1/hosts", "")
	if a.StatusCode != http.StatusTooManyRequests || a.code() != "too_many" || a.Header.Get("Retry-After") != "1" {
		t.Errorf("%s %s", a.Status, a.text)
	}
	<-r.busy
	if a := r.ask("GET", "/api/v1/hosts", ""); a.StatusCode != http.StatusOK {
		t.Errorf("%s %s", a.Status, a.text)
	}
}
