package otlp

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/plugin"
)

// grpcRig starts a listener of gRPC whose client speaks HTTP/2 alone.
func grpcRig(t *testing.T, change func(*Config), hurry ...time.Duration) *rig {
	t.Helper()
	r := start(t, func(c *Config) {
		c.Listen = plugin.Strings{"grpc://127.0.0.1:0"}
		if change != nil {
			change(c)
		}
	}, hurry...)
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	r.client.Transport = &http.Transport{Protocols: only}
	return r
}

// frame returns a message with its length before it.
func frame(flag byte, message string) string {
	return string(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message)))) + message
}

// A result is what a call came to.
type result struct {
	code     code
	message  string
	retry    time.Duration // as the details say
	body     []byte
	header   http.Header
	rejected int64
	partial  string
}

// call makes a call; headers are pairs.
func (r *rig) call(path, body string, headers ...string) result {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.l.sockets[0].Addr().String()+path, io.MultiReader(strings.NewReader(body)))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/grpc" {
		r.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return readResult(r.t, resp)
}

func readResult(t testing.TB, resp *http.Response) (got result) {
	t.Helper()
	var err error
	if got.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	said := resp.Trailer
	if len(got.body) == 0 { // an error comes without anything else
		said = resp.Header
	}
	n, err := strconv.Atoi(said.Get("Grpc-Status"))
	if err != nil {
		t.Fatalf("no status: %v, %v", resp.Header, resp.Trailer)
	}
	if got.message, err = url.PathUnescape(said.Get("Grpc-Message")); err != nil {
		t.Fatal(err)
	}
	got.code, got.header = code(n), resp.Header
	if n == 0 {
		got.readMessage(t)
	} else {
		got.readDetails(t, said.Get("Grpc-Status-Details-Bin"))
	}
	return got
}

func (r *result) readMessage(t testing.TB) {
	t.Helper()
	var resp collector.ExportMetricsServiceResponse
	if len(r.body) < frameHead || r.body[0] != 0 || int(binary.BigEndian.Uint32(r.body[1:])) != len(r.body)-frameHead {
		t.Fatalf("frame %x", r.body)
	}
	if err := proto.Unmarshal(r.body[frameHead:], &resp); err != nil {
		t.Fatal(err)
	}
	r.rejected, r.partial = resp.PartialSuccess.GetRejectedDataPoints(), resp.PartialSuccess.GetErrorMessage()
}

// readDetails reads a google.rpc.Status with one google.rpc.RetryInfo.
func (r *result) readDetails(t testing.TB, text string) {
	t.Helper()
	if text == "" {
		return
	}
	status, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	const info = "\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08"
	_, delay, ok := bytes.Cut(status, []byte(info))
	if !ok || len(delay) != 1 || !bytes.Contains(status, []byte(r.message)) || status[0] != 8 || code(status[1]) != r.code {
		t.Fatalf("details %q", status)
	}
	r.retry = time.Duration(delay[0]) * time.Second
}

func TestCall(t *testing.T) {
	r := grpcRig(t, nil)
	req := sample()
	want := expected(req, arrival)
	body := encode(t, protobufForm, req)
	f := func(body string, headers ...string) {
		t.Helper()
		if got := r.call(exportPath, body, headers...); got.code != 0 || got.rejected != 0 || got.partial != "" {
			t.Errorf("%+v", got)
		}
		if got := r.texts(); len(got) != len(want) { // stored before the answer
			t.Errorf("%d points, want %d", len(got), len(want))
		}
	}
	f(frame(0, body))
	f(frame(0, body), "Grpc-Encoding", "gzip") // an encoding is for messages that say they have it
	f(frame(1, zip(body)), "Grpc-Encoding", "gzip")
	f(frame(0, body), "Content-Type", "application/grpc+proto", "Grpc-Timeout", "99999999H")
	if got := r.call(exportPath, frame(0, "")); got.code != 0 || len(got.body) != frameHead || r.count() != 0 {
		t.Errorf("nothing: %+v", got)
	}
	many := request(gaugeOf("g", whole(1), decimal(math.NaN())))
	if got := r.call(exportPath, frame(0, encode(t, protobufForm, many))); got.code != 0 || got.rejected != 1 || got.partial != `1 data point is rejected: a data point of "g" is not a finite number` {
		t.Errorf("partial success: %+v", got)
	}
}

func TestCallRefused(t *testing.T) {
	r := grpcRig(t, func(c *Config) { c.MaxBody, c.MaxInflated = 100_000, 200_000 })
	one := encode(t, protobufForm, request(gaugeOf("g", whole(1))))
	f := func(path, body string, want code, message string, headers ...string) {
		t.Helper()
		got := r.call(path, body, headers...)
		if got.code != want || !strings.Contains(got.message, message) || got.retry != 0 {
			t.Errorf("%d %q; want %d %q", got.code, got.message, want, message)
		}
		reason := map[code]string{codeInvalid: "malformed:1", codeResourceExhausted: "too_large:1", codeUnimplemented: "unsupported:1"}[want]
		if path != exportPath {
			reason = ""
		}
		if got := fmt.Sprint(r.dropped()); got != "map["+reason+"]" {
			t.Errorf("counted as %s, want %s", got, reason)
		}
		if n := r.count(); n != 0 {
			t.Errorf("%d points stored", n)
		}
	}
	gz := []string{"Grpc-Encoding", "gzip"}
	f("/opentelemetry.proto.collector.logs.v1.LogsService/Export", frame(0, one), codeUnimplemented, "want opentelemetry.proto.collector.metrics.v1.MetricsService/Export: logs and traces are not taken")
	f("/opentelemetry.proto.collector.trace.v1.TraceService/Export", frame(0, one), codeUnimplemented, "logs and traces are not taken")
	f("/", "", codeUnimplemented, "")
	f(exportPath, "", codeInvalid, "want one message with its length before it: it is cut off")
	f(exportPath, frame(0, one)[:3], codeInvalid, "cut off")
	f(exportPath, frame(0, one)[:len(one)], codeInvalid, "cut off")
	f(exportPath, frame(0, one)+frame(0, one), codeInvalid, "want one message")
	f(exportPath, frame(2, one), codeInvalid, "want one message")
	f(exportPath, frame(0, "\xff\xff\xe4"), codeInvalid, "read protobuf")
	f(exportPath, frame(1, one), codeUnimplemented, `unsupported Content-Encoding "": send plain messages or gzip`)
	f(exportPath, frame(1, one), codeUnimplemented, `"snappy"`, "Grpc-Encoding", "snappy")
	f(exportPath, frame(1, one), codeInvalid, "decompress the body", gz...)
	f(exportPath, frame(0, strings.Repeat(" ", 100_001)), codeResourceExhausted, "more than max_body_bytes (100000): send less at once")
	f(exportPath, string([]byte{0, 255, 255, 255, 255}), codeResourceExhausted, "more than max_body_bytes")
	f(exportPath, frame(1, zip(strings.Repeat("\x00", 200_001))), codeResourceExhausted, "more than max_inflated_bytes (200000)", gz...)
	for _, bad := range []string{"1", "S", "123456789S", "-1S", "1x", "é"} {
		f(exportPath, frame(0, one), codeInvalid, "want up to 8 digits and one of H, M, S, m, u, n", "Grpc-Timeout", bad)
	}
	if got := r.call(exportPath, frame(1, one), "Grpc-Encoding", "br"); got.header.Get("Grpc-Accept-Encoding") != "identity,gzip" {
		t.Errorf("%v", got.header)
	}
}

// What the bus and the bounds of the plugin say makes clients come again, and only that.
func TestCallBounds(t *testing.T) {
	r := grpcRig(t, nil)
	body := frame(0, encode(t, protobufForm, request(gaugeOf("g", whole(1)))))
	f := func(refusal error, message string) {
		t.Helper()
		r.refuse(refusal)
		if got := r.call(exportPath, body); got.code != codeUnavailable || got.retry != retryAfter*time.Second || !strings.Contains(got.message, message) {
			t.Errorf("%v: %+v", refusal, got)
		}
	}
	r.l.held.Store(heldBytes) // before there is memory that is kept
	f(nil, "too many large requests at once")
	r.l.held.Store(0)
	f(errors.New("no stream METRICS: 100 % é"), "points are not stored: no stream METRICS: 100 % é")
	f(plugin.ErrOverflow, "the queue to the bus is full")
	f(plugin.ErrFlood, "max_rate")
	r.refuse(nil)
	if got := r.call(exportPath, body); got.code != 0 || r.count() != 1 {
		t.Errorf("%+v, %d points", got, r.count())
	}
}

// A call ends when its client's time is over. What becomes of it is told when it comes again.
func TestCallTimeout(t *testing.T) {
	r := grpcRig(t, nil, time.Minute, patience)
	body := frame(0, encode(t, protobufForm, request(gaugeOf("g", whole(1)))))
	r.blocked.Lock()
	got := r.call(exportPath, body, "Grpc-Timeout", "10m")
	if got.code != codeLate || !strings.Contains(got.message, "the bus has not answered yet") {
		t.Errorf("%+v", got)
	}
	r.blocked.Unlock()
	for range 2 { // of which the second is not the first again
		if got := r.call(exportPath, body); got.code != 0 {
			t.Errorf("%+v", got)
		}
	}
	if n := r.count(); n != 2 {
		t.Errorf("%d points", n)
	}

	src, end := io.Pipe() // a message that does not come
	defer end.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.l.sockets[0].Addr().String()+exportPath, src)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Grpc-Timeout", "10m")
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := readResult(t, resp); got.code != codeLate {
		t.Errorf("%+v", got)
	}
}

func TestCallAccess(t *testing.T) {
	r := grpcRig(t, func(c *Config) { c.BearerToken = "s3cret" })
	body := frame(0, encode(t, protobufForm, request(gaugeOf("g", whole(1)))))
	f := func(want code, headers ...string) {
		t.Helper()
		if got := r.call(exportPath, body, headers...); got.code != want || want != 0 && got.message != errNoAccess.Error() {
			t.Errorf("%q: %+v", headers, got)
		}
	}
	f(codeUnauthenticated)
	f(codeUnauthenticated, "Authorization", "Bearer wrong")
	if got := r.dropped()["unauthorized"]; got != 2 || r.count() != 0 {
		t.Errorf("%d counted, %d points", got, r.count())
	}
	f(0, "Authorization", "Bearer s3cret")
	if r.count() != 1 {
		t.Errorf("%d points", r.count())
	}
}

// Over TLS both are as they are without.
func TestTLS(t *testing.T) {
	cert, key := bustest.Certificate(t)
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(cert); err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	body := encode(t, protobufForm, request(gaugeOf("g", whole(1))))
	f := func(scheme, path, kind, body string, want int) {
		t.Helper()
		r := start(t, func(c *Config) {
			c.Listen, c.CertFile, c.KeyFile = plugin.Strings{scheme + "://127.0.0.1:0"}, cert, key
		})
		r.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.l.sockets[0].Addr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != want || resp.ProtoMajor != 2 {
			t.Errorf("%s: %s %s", scheme, resp.Proto, resp.Status)
		}
		if want == http.StatusOK && r.count() != 1 {
			t.Errorf("%s: %d points", scheme, r.count())
		}
	}
	f("grpc", exportPath, "application/grpc", frame(0, body), http.StatusOK)
	f("http", "/v1/metrics", string(protobufForm), body, http.StatusOK)
	f("http", exportPath, "application/grpc", frame(0, body), http.StatusNotFound)
}

// Who speaks HTTP to the address of gRPC, or a gRPC that is not known, is told so.
func TestNoCall(t *testing.T) {
	r := grpcRig(t, nil)
	f := func(method, kind string, status int, want string, client *http.Client) {
		t.Helper()
		r.client = client
		got := r.ask(method, exportPath, "", "Content-Type", kind)
		if got.status != status || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", kind, got.status, got.body)
		}
	}
	second, first := r.client, &http.Client{Transport: &http.Transport{}}
	t.Cleanup(second.CloseIdleConnections)
	const other = "want gRPC, with protobuf: OTLP over HTTP has an address of its own"
	f("POST", string(protobufForm), 415, other, first)
	f("POST", "application/grpc", 415, other, first)
	f("POST", string(jsonForm), 415, other, second)
	f("POST", "application/grpc+json", 415, other, second)
	f("GET", "application/grpc", 405, "want POST", second)
}

// The end of the plugin ends connections of clients that stay.
func TestCallsEnd(t *testing.T) {
	r := grpcRig(t, nil)
	if got := r.call(exportPath, frame(0, "")); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	r.cancel() // and not CloseIdleConnections
	select {
	case <-r.done:
	case <-time.After(patience):
		t.Fatal("an idle client keeps the plugin")
	}
}

// FuzzFrame reads whatever comes as a call: one whole message is taken, anything else is refused.
func FuzzFrame(f *testing.F) {
	one := encode(f, protobufForm, request(gaugeOf("g", whole(1))))
	f.Add([]byte(frame(0, one)), "")
	f.Add([]byte(frame(1, zip(one))), "gzip")
	f.Add([]byte(frame(0, one)+frame(0, "")), "identity")
	f.Add([]byte(frame(0, one))[:9], "")
	f.Add([]byte{0, 255, 255, 255, 255}, "")
	f.Fuzz(func(t *testing.T, body []byte, encoding string) {
		cfg := defaults()
		cfg.MaxBody, cfg.MaxInflated = 1<<16, 1<<18
		e := &emitter{drops: map[string]int{}}
		w := &web{l: &listener{cfg: cfg, log: slog.New(slog.DiscardHandler), giveUp: patience, stall: patience}, out: e}
		r := httptest.NewRequest(http.MethodPost, exportPath, bytes.NewReader(body))
		r.Header["Grpc-Encoding"] = []string{encoding}
		rec := httptest.NewRecorder()
		w.call(rec, r)
		got := readResult(t, rec.Result())
		until(t, "memory is given back", func() bool { return w.l.held.Load() == 0 })
		whole := len(body) >= frameHead && uint64(binary.BigEndian.Uint32(body[1:])) == uint64(len(body)-frameHead)
		switch {
		case got.code == 0 && (!whole || body[0] > 1 || body[0] == 1 && encoding != "gzip"):
			t.Errorf("taken: %x", body)
		case whole && body[0] == 0 && len(body) < cfg.MaxBody:
			want, err := read(protobufForm, slices.Clone(body[frameHead:]), arrival)
			if (err == nil) != (got.code == 0) || err == nil && e.count() > len(want) {
				t.Errorf("%d points, code %d %s; over HTTP %d, %v", e.count(), got.code, got.message, len(want), err)
			}
		}
	})
}
