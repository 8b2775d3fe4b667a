package lines

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/listen"
)

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// Clients of both versions of InfluxDB bring what is asked for in ways of their own; without it nothing is taken.
func TestAccess(t *testing.T) {
	r := startWeb(t, func(c *Config) {
		c.Access = listen.Access{BearerToken: "secret-token", Username: "bob", Password: "pass word"}
	})
	f := func(method, path, authorization string, status int) {
		t.Helper()
		headers := []string{"Authorization", authorization}
		if authorization == "" {
			headers = nil
		}
		got := r.ask(method, path, text(0, 1), headers...)
		if got.status != status || (status == http.StatusNoContent) != (r.count() == 1) {
			t.Errorf("%s %s: %d %s, and %d points; want %d", path, authorization, got.status, got.body, r.count(), status)
		}
		r.take(t, r.count())
		if status != http.StatusUnauthorized {
			return
		}
		want := `{"error":"no or a wrong token`
		if strings.HasPrefix(path, "/api/v2") {
			want = `{"code":"unauthorized","message":"no or a wrong token`
		}
		if !strings.HasPrefix(got.body, want) || got.header.Get("WWW-Authenticate") == "" || got.header.Get("X-Influxdb-Version") == "" {
			t.Errorf("%s %s: %s %v", path, authorization, got.body, got.header)
		}
	}
	const write, write2 = "/write?db=d", "/api/v2/write?org=o&bucket=b"
	for _, path := range []string{write, write2} {
		f("POST", path, "", 401)
		f("POST", path, "Token secret-token", 204)
		f("POST", path, "Bearer secret-token", 204)
		f("POST", path, "Token secret", 401)
		f("POST", path, basic("bob", "pass word"), 204)
		f("POST", path, basic("bob", "other"), 401)
		f("POST", path, "Token bob:pass word", 204)
		f("POST", path, "Token bob:other", 401)
		f("POST", path, "Token eve:pass word", 401)
		f("POST", path+"&u=bob&p=pass+word", "", 204)
		f("POST", path+"&u=bob&p=other", "", 401)
		f("POST", path+"&u=bob", "", 401)
		f("POST", path+"&u=bob&p=pass+word", "Token wrong", 401) // the header counts
	}
	f("GET", "/query?q=SHOW+DATABASES", "", 401)
	f("GET", "/other", "", 401) // what there is, is nobody's business
	if got := r.ask("GET", "/health", ""); got.status != 200 {
		t.Errorf("health: %d", got.status)
	}
	if got := r.ask("GET", "/ping", ""); got.status != 204 {
		t.Errorf("ping: %d", got.status)
	}
}

// Over TLS all is as it is without: what comes over HTTP, and what comes over TCP, whatever its format.
func TestTLS(t *testing.T) {
	cert, key := bustest.Certificate(t)
	files := listen.TLS{CertFile: cert, KeyFile: key}
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(cert); err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	client := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}

	tcp := start(t, in("influx", "tcp://127.0.0.1:0", func(c *Config) { c.TLS = files }))
	plain := tcp.dial()
	tcp.send(plain, text(0, 1)) // no handshake: nothing of it counts
	if rest, _ := io.ReadAll(plain); len(rest) > 0 && rest[0] != 21 {
		t.Errorf("in the clear: %q", rest) // an alert of TLS is all that comes
	}
	c := tls.Client(tcp.dial(), client)
	const n = 5000
	tcp.send(c, text(0, 1))
	check(t, tcp.take(t, 1), 0) // the flush has come: it reads on
	tcp.send(c, text(1, n))
	check(t, tcp.take(t, n), 1)

	answered := start(t, in("collectd", "tcp://127.0.0.1:0", func(c *Config) { c.TLS = files }))
	c = tls.Client(answered.dial(), client)
	answered.send(c, "PUTVAL h/load/load N:1\n")
	answer := make([]byte, 100)
	if k, err := c.Read(answer); err != nil || string(answer[:k]) != "0 Success: 1 value has been dispatched.\n" {
		t.Errorf("%q, %v", answer[:k], err)
	}

	web := start(t, in("influx", "http://127.0.0.1:0", func(c *Config) { c.TLS, c.BearerToken = files, "secret" }))
	transport := &http.Transport{TLSClientConfig: client}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+web.address().String()+"/api/v2/write", strings.NewReader(text(0, 3)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token secret")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("%s", resp.Status)
	}
	check(t, web.take(t, 3), 0)
}

// Mistakes with these settings are told with what helps.
func TestAccessMistakes(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := defaults()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(func(c *Config) { c.BearerToken = "x" }, "bearer_token: listen has no address of HTTP")
	f(func(c *Config) { c.Username = "bob" }, `username "bob" and password: give both or none`)
	f(func(c *Config) { c.CertFile = "c.pem" }, `cert_file "c.pem" and key_file "": give both or none`)
	f(func(c *Config) { c.CAFile = "ca.pem" }, `ca_file "ca.pem": without TLS nobody shows a certificate`)
	f(func(c *Config) { c.Listen, c.CertFile, c.KeyFile = []string{"udp://:1"}, "c.pem", "k.pem" }, `listen has no address of TCP`)
	f(func(c *Config) { c.Listen = []string{"https://:8086"} }, `listen "https://:8086": want http://:8086: it is TLS when cert_file and key_file are set`)
	c := defaults()
	c.CertFile, c.KeyFile = "/no/such/cert", "/no/such/key"
	if _, err := New(t.Context(), c, env(t)); err == nil || !strings.Contains(err.Error(), "/no/such/cert") {
		t.Errorf("a certificate that is not there: %v", err)
	}
}
