package otlp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/pacewire/pacewire/plugin"
)

var forms = []form{protobufForm, jsonForm}

// partial returns what an answer of 200 says, as a client reads it.
func partial(t *testing.T, f form, got reply) (rejected int64, message string) {
	t.Helper()
	var resp collector.ExportMetricsServiceResponse
	err := proto.Unmarshal([]byte(got.body), &resp)
	if f == jsonForm {
		err = protojson.Unmarshal([]byte(got.body), &resp)
	}
	if err != nil || got.status != http.StatusOK || got.header.Get("Content-Type") != string(f) {
		t.Fatalf("%d %q %v: %v", got.status, got.body, got.header, err)
	}
	return resp.PartialSuccess.GetRejectedDataPoints(), resp.PartialSuccess.GetErrorMessage()
}

// status returns the code and the message of a Status.
func status(t *testing.T, f form, got reply) (code uint64, message string) {
	t.Helper()
	if got.header.Get("Content-Type") != string(f) {
		t.Errorf("type %q, want %q", got.header.Get("Content-Type"), f)
	}
	if f == jsonForm {
		var s struct {
			Code    uint64
			Message string
		}
		if err := json.Unmarshal([]byte(got.body), &s); err != nil {
			t.Fatalf("%q: %v", got.body, err)
		}
		return s.Code, s.Message
	}
	r := fields{Rest: []byte(got.body)}
	for r.Next() {
		switch r.Tag {
		case 1<<typeBits | varint:
			code = r.Bits
		case 2<<typeBits | sized:
			message = r.Text()
		}
	}
	if r.Err != nil {
		t.Fatalf("%q: %v", got.body, r.Err)
	}
	return code, message
}

// texts returns what has come, as text and sorted.
func (r *rig) texts() (all []string) {
	for _, p := range r.take() {
		all = append(all, pointText(p))
	}
	slices.Sort(all)
	return all
}

func TestPush(t *testing.T) {
	r := start(t, nil)
	req := sample()
	want := expected(req, arrival)
	for _, f := range forms {
		body := encode(t, f, req)
		for _, got := range []reply{
			r.push(f, body),
			r.push(f, zip(body), "Content-Encoding", "gzip"),
			r.push(f, body, "Content-Type", string(f)+"; charset=utf-8", "Content-Encoding", "identity"),
		} {
			if n, message := partial(t, f, got); n != 0 || message != "" {
				t.Errorf("%s: %d rejected: %s", f, n, message)
			}
		}
		points := r.texts() // stored before the answers
		for _, one := range want {
			if n := len(slices.DeleteFunc(slices.Clone(points), func(p string) bool { return p != one })); n != 3 {
				t.Errorf("%s: %d times, want 3: %s", f, n, one)
			}
		}
		if len(points) != 3*len(want) {
			t.Errorf("%s: %d points, want %d", f, len(points), 3*len(want))
		}
	}
	if got := r.push(protobufForm, ""); got.status != 200 || got.body != "" || r.count() != 0 {
		t.Errorf("nothing: %v", got)
	}
	if got := r.push(jsonForm, "{}"); got.status != 200 || got.body != "{}" || r.count() != 0 {
		t.Errorf("nothing: %v", got)
	}
}

// A request of more points and series than a batch or a message holds arrives whole.
func TestPushMany(t *testing.T) {
	r := start(t, nil)
	var all []*metrics.Metric
	for m := range 1200 {
		var points []*metrics.NumberDataPoint
		for i := range 50 {
			points = append(points, whole(int64(i), text("n", fmt.Sprint(i))))
		}
		all = append(all, gaugeOf(fmt.Sprintf("m%d", m), points...))
	}
	if n, message := partial(t, protobufForm, r.push(protobufForm, encode(t, protobufForm, request(all...)))); n != 0 {
		t.Fatal(message)
	}
	if n := r.count(); n != 60_000 {
		t.Errorf("%d points", n)
	}
}

func TestPartialSuccess(t *testing.T) {
	r := start(t, nil)
	req := request(
		gaugeOf("g", whole(1), decimal(math.NaN()), decimal(math.Inf(1)), &metrics.NumberDataPoint{TimeUnixNano: noon}),
		gaugeOf("", whole(1)),
		gaugeOf("late", &metrics.NumberDataPoint{TimeUnixNano: math.MaxInt64 + 1, Value: whole(1).Value}),
	)
	for _, f := range forms {
		n, message := partial(t, f, r.push(f, encode(t, f, req)))
		if n != 5 || message != `5 data points are rejected: a data point of "g" is not a finite number` {
			t.Errorf("%s: %d %s", f, n, message)
		}
		if got := r.count(); got != 1 {
			t.Errorf("%s: %d points", f, got)
		}
		r.take()
		if got := fmt.Sprint(r.dropped()); got != "map[nan:2 no_name:1 no_value:1 time_range:1]" {
			t.Errorf("%s: dropped %s", f, got)
		}
	}
}

func TestRefused(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxBody, c.MaxInflated = 100_000, 200_000 })
	one := map[form]string{}
	for _, f := range forms {
		one[f] = encode(t, f, request(gaugeOf("g", whole(1))))
	}
	f := func(f form, body string, want int, code uint64, message string, headers ...string) {
		t.Helper()
		got := r.push(f, body, headers...)
		answered := f
		if got.status == http.StatusUnsupportedMediaType && len(headers) > 0 && headers[0] == "Content-Type" {
			answered = jsonForm
		}
		if c, m := status(t, answered, got); got.status != want || c != code || !strings.Contains(m, message) {
			t.Errorf("%d, code %d: %s; want %d, %d: %s", got.status, c, m, want, code, message)
		}
		if got := fmt.Sprint(r.dropped()); got != "map["+refusals[want]+":1]" {
			t.Errorf("%d counted as %s", want, got)
		}
		if (got.header.Get("Retry-After") != "") != (want == 429 || want == 503) {
			t.Errorf("%d with Retry-After %q", got.status, got.header.Get("Retry-After"))
		}
		if n := r.count(); n != 0 {
			t.Errorf("%d points stored", n)
		}
	}
	for _, form := range forms {
		name := map[bool]string{true: "JSON", false: "protobuf"}[form == jsonForm]
		f(form, "\xff\xff", 400, 3, name)
		f(form, one[form][:len(one[form])-1], 400, 3, name)
		f(form, one[form], 400, 3, "decompress the body", "Content-Encoding", "gzip")
		f(form, zip(one[form])[:20], 400, 3, "decompress the body", "Content-Encoding", "gzip")
		f(form, one[form], 415, 3, `unsupported Content-Encoding "br": send plain text or gzip`, "Content-Encoding", "br")
		f(form, one[form]+strings.Repeat(" ", 100_000), 413, 8, "more than max_body_bytes (100000): send less at once")
		f(form, zip(one[form]+strings.Repeat(" ", 200_000)), 413, 8, "more than max_inflated_bytes (200000) when decompressed", "Content-Encoding", "gzip")
		f(form, one[form], 415, 3, `unsupported Content-Type "text/plain": send application/x-protobuf or application/json`, "Content-Type", "text/plain")
		f(form, one[form], 415, 3, `unsupported Content-Type ""`, "Content-Type", "")
		f(form, one[form], 415, 3, `unsupported Content-Type "application/"`, "Content-Type", "application/")
	}
	f(jsonForm, "", 400, 3, "read JSON: the body is no JSON")
	f(jsonForm, `{"resourceMetrics":{}}`, 400, 3, `read JSON: resourceMetrics: want a list instead of "{}"`)
}

// A body of unknown length is held to the same limits.
func TestChunked(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxBody, c.MaxInflated = 100_000, 100_000 })
	f := func(body string, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.l.sockets[0].Addr().String()+"/v1/metrics", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", string(jsonForm))
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d, want %d", resp.StatusCode, want)
		}
	}
	f("{}"+strings.Repeat(" ", 99_000), 200)
	f("{}"+strings.Repeat(" ", 101_000), 413)
}

func TestOtherRequests(t *testing.T) {
	r := start(t, nil)
	f := func(method, path string, want int, message string, headers ...string) {
		t.Helper()
		if got := r.ask(method, path, "", headers...); got.status != want || !strings.Contains(got.body, message) {
			t.Errorf("%s %s: %d %s; want %d %s", method, path, got.status, got.body, want, message)
		}
	}
	f("POST", "/v1/logs", 404, `{"code":12,"message":"want /v1/metrics: logs and traces are not taken"}`)
	f("POST", "/v1/traces", 404, "\x08\x0c\x12", "Content-Type", string(protobufForm))
	f("GET", "/", 404, "")
	f("GET", "/v1/metrics", 405, `{"code":12,"message":"want POST"}`)
	f("POST", "/v1/metrics", 403, "", "Sec-Fetch-Site", "cross-site", "Content-Type", string(jsonForm))
}

// What the bus and the bounds of the plugin say is told as what it is: to be sent again, or not.
func TestBounds(t *testing.T) {
	r := start(t, nil)
	f := func(refusal error, want int, code uint64, message string) {
		t.Helper()
		for _, form := range forms {
			r.refuse(refusal)
			got := r.push(form, encode(t, form, request(gaugeOf("g", whole(1)))))
			if c, m := status(t, form, got); got.status != want || c != code || !strings.Contains(m, message) || got.header.Get("Retry-After") == "" {
				t.Errorf("%v: %d, code %d: %s", refusal, got.status, c, m)
			}
		}
	}
	f(errors.New("no stream METRICS"), 503, 14, "points are not stored: no stream METRICS")
	f(plugin.ErrOverflow, 503, 14, "the queue to the bus is full")
	f(plugin.ErrFlood, 429, 8, "max_rate")
	for _, form := range forms {
		r.refuse(&plugin.SeriesLimitError{Points: 3})
		n, message := partial(t, form, r.push(form, encode(t, form, request(gaugeOf("g", whole(1), whole(2), whole(3), whole(4))))))
		if n != 3 || !strings.Contains(message, "3 points are of more series than max_series allows") {
			t.Errorf("%s: %d %s", form, n, message)
		}
	}
}

// While a request waits for the bus others are told to come again, and in the end so is that one.
func TestBusStalls(t *testing.T) {
	r := start(t, nil, time.Millisecond, 50*time.Millisecond)
	body := encode(t, protobufForm, request(gaugeOf("g", whole(1))))
	r.blocked.Lock()
	for range 3 {
		got := r.push(protobufForm, body)
		if code, m := status(t, protobufForm, got); got.status != 503 || code != 14 || got.header.Get("Retry-After") == "" || !strings.Contains(m, "points are not stored: the bus ") {
			t.Errorf("%d %s", got.status, m)
		}
	}
	if n := r.count(); n != 0 {
		t.Errorf("%d points", n)
	}
	r.blocked.Unlock()
	until(t, "requests are taken again", func() bool { return r.push(protobufForm, body).status == 200 })
	if n := r.count(); n != 1 {
		t.Errorf("%d points: what was late is told, not stored again", n)
	}
	if got := r.push(protobufForm, body); got.status != 200 || r.count() != 2 {
		t.Errorf("%d, %d points: told once", got.status, r.count())
	}
}

// A bomb takes no more memory than a request may, and its points no more than their bytes deserve.
func TestBombs(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxInflated = 16 << 20 })
	f := func(what string, form form, body string, want int, headers ...string) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		got := r.push(form, body, headers...)
		runtime.ReadMemStats(&after)
		if grown := int(after.Sys) - int(before.Sys); got.status != want || grown > 200<<20 {
			t.Errorf("%s: %d %s; memory grew by %d MiB", what, got.status, got.body, grown>>20)
		}
	}
	gz := []string{"Content-Encoding", "gzip"}
	f("gzip", protobufForm, strings.Repeat(zip(strings.Repeat("\x00", 1<<20)), 20), 413, gz...)
	f("gzip of blanks", jsonForm, strings.Repeat(zip(strings.Repeat(" ", 1<<20)), 20), 413, gz...)
	f("brackets", jsonForm, strings.Repeat("[", 1<<20), 400)
	f("objects", jsonForm, strings.Repeat(`{"resourceMetrics":[`, 1<<15), 400)

	deep := wrap([]byte("x"), 1)
	for range 2000 { // an array in an array
		deep = wrap(wrap(deep, 1), 5)
	}
	pair := append(wrap([]byte("k"), 1), wrap(deep, 2)...)
	f("depth", protobufForm, string(wrap(wrap(wrap(wrap(wrap(wrap(pair, 7), 1), 5), 2), 2), 1)), 400)
	f("depth in JSON", jsonForm, strings.Replace(encode(t, jsonForm, request(gaugeOf("g", whole(1, text("k", "X"))))), `"stringValue":"X"`,
		strings.Repeat(`"arrayValue":{"values":[{`, 2000)+strings.Repeat(`}]}`, 2000), 1), 400)

	f("points of nothing", protobufForm, zip(string(wrap(wrap(wrap(wrap([]byte(strings.Repeat("\x0a\x00", 1<<18)), 5), 2), 2), 1))), 200, gz...)
	f("attributes", protobufForm, zip(string(wrap(wrap(wrap(wrap(wrap([]byte(strings.Repeat("\x3a\x00", 1<<20)), 1), 5), 2), 2), 1))), 200, gz...)
	f("buckets", protobufForm, zip(string(wrap(wrap(wrap(wrap(wrap(wrap(make([]byte, 4<<20), 6), 1), 9), 2), 2), 1))), 200, gz...)
	if r.count() != 0 {
		t.Errorf("%d points", r.count())
	}
}

// wrap returns a message with msg as a field.
func wrap(msg []byte, number protowire.Number) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), msg)
}

// Memory for requests is bounded over all of them.
func TestNoRoom(t *testing.T) {
	r := start(t, nil)
	r.l.held.Store(heldBytes)
	for _, f := range forms {
		got := r.push(f, encode(t, f, request(gaugeOf("g", whole(1)))))
		if code, m := status(t, f, got); got.status != 429 || code != 8 || got.header.Get("Retry-After") == "" {
			t.Errorf("%d %s", got.status, m)
		}
	}
	r.l.held.Store(0)
	for _, f := range forms {
		partial(t, f, r.push(f, encode(t, f, request(gaugeOf("g", whole(1))))))
	}
	until(t, "memory is given back", func() bool { return r.l.held.Load() == 0 })
}
