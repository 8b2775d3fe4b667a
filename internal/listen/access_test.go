package listen

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/plugin"
)

func TestAccess(t *testing.T) {
	both := Access{BearerToken: "s3cret", Username: "ann", Password: "pa:ss"}
	f := func(a Access, want bool, authorization ...string) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header["Authorization"] = authorization
		if got := a.admits(r); got != want {
			t.Errorf("%q: %v", authorization, got)
		}
	}
	f(both, true, "Bearer s3cret")
	f(both, true, "bearer  s3cret")
	f(both, true, "Token s3cret")
	f(both, true, "Basic YW5uOnBhOnNz") // ann:pa:ss
	f(both, false)
	f(both, false, "")
	f(both, false, "Bearer")
	f(both, false, "Bearer ")
	f(both, false, "Bearer s3cre")
	f(both, false, "Bearer s3crets")
	f(both, false, "s3cret")
	f(both, false, "Basic s3cret")
	f(both, false, "Digest s3cret")
	f(both, false, "", "Bearer s3cret")
	f(both, false, "Basic YW5uOnBh")     // ann:pa
	f(both, false, "Basic Ym9iOnBhOnNz") // bob:pa:ss
	f(both, false, "Basic Og==")         // :

	token := Access{BearerToken: "s3cret"}
	f(token, false, "Basic Og==")
	f(token, false, "Basic YW5uOnBhOnNz")
	password := Access{Username: "ann", Password: "pa:ss"}
	f(password, false, "Bearer ")
	f(password, false, "Bearer")
	f(password, false, "Token ")
	f(password, true, "Basic YW5uOnBhOnNz")
}

func TestAccessCheck(t *testing.T) {
	f := func(a Access, want string, entries ...string) {
		t.Helper()
		if got := errors.Join(a.Check(entries)...); want == "" && got != nil || want != "" && (got == nil || got.Error() != want) {
			t.Errorf("%v, want %s", got, want)
		}
	}
	f(Access{}, "", "udp://:1")
	f(Access{"t", "n", "p"}, "", "udp://:1", "grpc://:1")
	f(Access{"", "n", ""}, `username "n" and password: give both or none`, "http://:1")
	f(Access{"", "", "secret"}, `username "" and password: give both or none`, "http://:1")
	f(Access{"", "a:b", "p"}, `username "a:b": no client can send a name with a colon`, "http://:1")
	for _, bad := range []string{"a b", "a\n", "é"} {
		f(Access{BearerToken: plugin.Secret(bad)}, "bearer_token: has a blank, or a letter beyond ASCII, which no client can send: make another one", "http://:1")
	}
	f(Access{BearerToken: "t"}, "bearer_token: listen has no address of HTTP, and nobody would be asked for it: add one, or remove it", "tcp://:1")
	f(Access{"t", "n", "p"}, "bearer_token and username: listen has no address of HTTP, and nobody would be asked for it: add one, or remove it", "udp://:1", "unix:///a")

	text, err := json.Marshal(struct{ Access }{Access{"t0ken", "ann", "passw0rd"}})
	if err != nil || strings.Contains(string(text), "t0ken") || strings.Contains(string(text), "passw0rd") {
		t.Errorf("%s, %v", text, err)
	}
}

// web serves HTTP on a socket for who brings the token, by HTTP/1 and 2.
func web(t *testing.T, d Door) Socket {
	t.Helper()
	d.Schemes, d.Access = []string{"http"}, Access{BearerToken: "s3cret"}
	sockets, err := d.Open(t.Context(), []string{"http://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }
	refuse := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		NewGate(10, d.Log).Serve(ctx, &http.Server{Handler: d.Access.Guard(http.HandlerFunc(answer), d.Log, refuse)}, sockets[0].Streams)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	return sockets[0]
}

func TestGuard(t *testing.T) {
	ours := newIssuer(t)
	files := ours.server("s")
	var j texttest.Buffer
	f := func(d Door, url string, client *tls.Config, token string, status int, proto string) {
		t.Helper()
		d.Log = j.Logger()
		s := web(t, d)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+s.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		transport := &http.Transport{TLSClientConfig: client, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Do(req)
		switch {
		case err != nil && status == 0:
			return
		case err != nil:
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != status || string(text) != proto {
			t.Errorf("%s: %d %q; want %d %q", url, resp.StatusCode, text, status, proto)
		}
		if challenge := resp.Header.Get("WWW-Authenticate"); (status == http.StatusUnauthorized) != (challenge == `Bearer realm="pacewire"`) {
			t.Errorf("%d with challenge %q", status, challenge)
		}
	}
	known := &tls.Config{RootCAs: ours.pool(), Certificates: []tls.Certificate{ours.client(time.Now().Add(time.Hour))}}
	f(Door{}, "http://", nil, "s3cret", 200, "HTTP/1.1")
	f(Door{}, "http://", nil, "wrong", 401, "")
	f(Door{}, "http://", nil, "", 401, "")
	f(Door{TLS: files}, "https://", known, "s3cret", 200, "HTTP/2.0")
	f(Door{TLS: files}, "https://", known, "wrong", 401, "")
	f(Door{TLS: files}, "https://", &tls.Config{RootCAs: ours.pool()}, "s3cret", 0, "")
	f(Door{TLS: files}, "http://", nil, "s3cret", 400, "Client sent an HTTP request to an HTTPS server.\n")
	logged(t, &j, `level=WARN msg="request refused" from=127.0.0.1:`)
	logged(t, &j, `error="no or a wrong token or password"`)
	logged(t, &j, `level=WARN msg="connection refused" from=127.0.0.1:`)
	logged(t, &j, "client didn't provide a certificate")
	if text := j.String(); strings.Contains(text, "s3cret") {
		t.Errorf("a token in the log: %s", text)
	}
}

// A connection that was refused gives its place to others.
func TestRefusedLeaves(t *testing.T) {
	var j texttest.Buffer
	s := web(t, Door{Log: j.Logger()})
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if text, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 401 ") {
		t.Errorf("%q, %v", text, err)
	}
}
