package influxdb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/servertest"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/publisher/deliverytest"
	"github.com/pacewire/pacewire/telemetry"
)

// A store is a fake that keeps points in the manner of InfluxDB 1: a partial write stores what can be stored, and a point
// that comes again replaces itself.
type store struct {
	mu     sync.Mutex
	away   bool
	refuse string
	limit  int
	points map[string]telemetry.Point // by line
}

func (s *store) answer(w http.ResponseWriter, r request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.SplitAfter(strings.TrimSuffix(r.body, "\n"), "\n")
	switch {
	case s.away:
		says(http.StatusServiceUnavailable, "")(w, r)
		return
	case s.limit > 0 && len(lines) > s.limit:
		says(http.StatusRequestEntityTooLarge, `{"error":"Request Entity Too Large"}`)(w, r)
		return
	}
	dropped := 0
	for _, line := range lines {
		var b telemetry.Batch
		if err := b.DecodeLines([]byte(line), time.Time{}); err != nil || s.refuse != "" && strings.HasPrefix(line, s.refuse) {
			dropped++
			continue
		}
		for p := range b.Points() {
			s.points[strings.TrimSuffix(line, "\n")] = p
		}
	}
	if dropped > 0 {
		says(http.StatusBadRequest, fmt.Sprintf(`{"error":"partial write: field type conflict dropped=%d"}`, dropped))(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *store) set(edit func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit()
}

func (s *store) all(testing.TB) (list []telemetry.Point) {
	s.set(func() {
		for _, p := range s.points {
			list = append(list, p)
		}
	})
	return list
}

// TestDelivery holds it to what every publisher promises, with a server that does what the test says.
func TestDelivery(t *testing.T) {
	deliverytest.Run(t, Define(), func(t *testing.T) deliverytest.Sink {
		s := &store{points: map[string]telemetry.Point{}}
		return deliverytest.Sink{
			Settings: fmt.Sprintf(`{"url": %q}`, newFake(t, s.answer).URL), ReadBack: s.all,
			Away:   func(away bool) { s.set(func() { s.away = away }) },
			Refuse: func(series string) { s.set(func() { s.refuse = series }) },
			Limit:  func(points int) { s.set(func() { s.limit = points }) },
		}
	})
}

// TestInfluxDBDelivery does the same with a real server, which finds no batch of the test too large.
func TestInfluxDBDelivery(t *testing.T) {
	servertest.Program(t, "influxd", "influxdb") // here, so that a missing one skips the whole test
	deliverytest.Run(t, Define(), func(t *testing.T) deliverytest.Sink {
		s := influx(t)
		return deliverytest.Sink{
			Settings: fmt.Sprintf(`{"url": %q, "compression": "gzip"}`, s.URL),
			ReadBack: func(t testing.TB) []telemetry.Point { return readBack(t, s) },
			Away: func(away bool) {
				if away {
					s.Stop()
				} else {
					s.Start()
				}
			},
			Refuse: func(series string) { write(t, s, series+` n="text" 1763559525000000000`) },
		}
	})
}

// write stores a line; its types count for later points whose times are near.
func write(t testing.TB, s *servertest.Influx, line string) {
	t.Helper()
	resp, err := http.Post(s.URL+"/write?db=metrics", "text/plain", strings.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp.Status)
	}
}

// readBack returns the points of the delivery tests that s has.
func readBack(t testing.TB, s *servertest.Influx) (list []telemetry.Point) {
	t.Helper()
	var answer struct {
		Results []struct {
			Series []struct{ Values [][]any }
		}
	}
	d := json.NewDecoder(bytes.NewReader(s.Query("metrics", "SELECT host, k, n, v FROM delivery")))
	d.UseNumber()
	if err := d.Decode(&answer); err != nil {
		t.Fatal(err)
	}
	for _, result := range answer.Results {
		for _, series := range result.Series {
			for _, row := range series.Values {
				if !slices.Contains(row, nil) { // else it is being written: the server writes field by field
					list = append(list, pointOf(t, row))
				}
			}
		}
	}
	return list
}

// pointOf returns the point in a row of time, host, k, n and v.
func pointOf(t testing.TB, row []any) telemetry.Point {
	t.Helper()
	ns, err := strconv.ParseInt(fmt.Sprint(row[0]), 10, 64)
	if err != nil {
		t.Error(err)
	}
	n, err := strconv.ParseInt(fmt.Sprint(row[3]), 10, 64)
	if err != nil {
		t.Error(err)
	}
	v, err := strconv.ParseFloat(fmt.Sprint(row[4]), 64)
	if err != nil {
		t.Error(err)
	}
	return telemetry.Point{
		Series: "delivery", Time: time.Unix(0, ns),
		Tags: telemetry.Tags{"host": fmt.Sprint(row[1]), "k": fmt.Sprint(row[2])}, Fields: telemetry.Fields{"n": n, "v": v},
	}
}

// TestInfluxDBConflictInAHaul checks that, of several messages that come together, only the one point that the server
// refuses is set aside, and every other is stored.
func TestInfluxDBConflictInAHaul(t *testing.T) {
	s := influx(t)
	write(t, s, "delivery v=1.5,n=-1i 1763559525000000000")
	p := newPipe(t)
	const messages, each, bad = 6, 50, 123
	for m := range messages {
		var b telemetry.Batch
		for n := m * each; n < (m+1)*each; n++ {
			fields := telemetry.Fields{"n": n, "v": float64(n)}
			if n == bad {
				fields["v"] = "text"
			}
			b.Append(telemetry.Point{Series: "delivery", Time: time.Unix(1763559525, int64(n)), Fields: fields})
		}
		p.send(b.AppendMsgPack(nil))
	}
	p.deliver(s.URL)
	if got := p.dead(); !slices.Equal(got, []int64{bad}) {
		t.Errorf("dead letters hold the points %v, want %d", got, bad)
	}
	got := rows(t, s, "SELECT n FROM delivery WHERE n >= 0")
	if len(got) != messages*each-1 {
		t.Errorf("%d points are stored, want %d", len(got), messages*each-1)
	}
	stats := p.stats(func(s *telemetry.Stats) bool { return s.Dead > 0 })
	if stats.PointsOut != messages*each-1 || stats.Dead != 1 || stats.Redelivered != 0 {
		t.Errorf("counted: %+v", stats)
	}
}

// TestBomb checks that a small message which stands for a lot of text is delivered in pieces.
func TestBomb(t *testing.T) {
	var b telemetry.Batch
	const points = 2000
	for i := range points {
		b.At(time.Unix(1763559525, int64(i)))
		b.Add("bomb", telemetry.Fields{"n": i}, nil)
	}
	for g := range b.Groups() {
		for i := range telemetry.MaxTags {
			g.SetTag(fmt.Sprint("tag", i), strings.Repeat("x", telemetry.MaxTagValue))
		}
	}
	var mu sync.Mutex
	lines, longest, heap := 0, 0, uint64(0)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		mu.Lock()
		defer mu.Unlock()
		lines, longest, heap = lines+bytes.Count(text, []byte("\n")), max(longest, len(text)), max(heap, now.HeapAlloc)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	p := newPipe(t)
	p.send(b.AppendMsgPack(nil))
	p.deliver(s.URL)
	mu.Lock()
	defer mu.Unlock()
	if lines != points || longest > publisher.MaxText || heap > 12*publisher.MaxText { // with what the server has read
		t.Errorf("%d lines of %d points, %d MiB at a time, %d MiB in use", lines, points, longest>>20, heap>>20)
	}
	if stats := p.stats(func(s *telemetry.Stats) bool { return s.PointsOut > 0 }); stats.PointsOut != points || stats.Dead != 0 {
		t.Errorf("counted: %+v", stats)
	}
}

// A pipe is a bus, an agent and a publisher called out.
type pipe struct {
	testing.TB
	agent    *plugintest.Agent
	conn     *bus.Conn
	out      *bus.Publisher
	messages uint64
}

func newPipe(t testing.TB) *pipe {
	t.Helper()
	b := bustest.New(t)
	p := &pipe{TB: t, agent: plugintest.NewAgent(t, b.URL, "web-1"), conn: b.Conn(t, "test")}
	var err error
	if p.out, err = bus.NewPublisher(p.conn, bus.PublisherOptions{Host: "web-1", Plugin: "source"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.out.Close)
	return p
}

// send has the bus store a message.
func (p *pipe) send(body []byte) {
	p.Helper()
	m := bus.Message{Subject: bus.MetricsSubject("web-1", "source"), ContentType: string(telemetry.ContentMsgPack), Body: body}
	if err := p.out.Publish(p.Context(), m); err != nil {
		p.Fatal(err)
	}
	p.messages++
}

// deliver starts the publisher, and waits until it has settled everything.
func (p *pipe) deliver(url string) {
	p.Helper()
	inputs := []telemetry.Input{p.agent.Input(p, "out", "source")}
	p.agent.Give("out", telemetry.Work{Inputs: inputs, Config: fmt.Appendf(nil, `{"url": %q}`, url)})
	p.agent.Start(p, Define(), "out")
	plugintest.Until(p, "all to be settled", func() bool {
		c, err := p.conn.ConsumerInfo(p.Context(), bus.StreamMetrics, "out")
		return err == nil && c.AckFloor == p.messages && c.AckPending == 0
	})
}

// stats returns what the publisher has counted, once that is late enough.
func (p *pipe) stats(late func(*telemetry.Stats) bool) (s *telemetry.Stats) {
	p.Helper()
	plugintest.Until(p, "the counts of the end", func() bool { s = p.agent.Beat(p, "out").Stats; return late(s) })
	return s
}

// dead returns n of the points in the dead letters.
func (p *pipe) dead() (list []int64) {
	p.Helper()
	in := bus.Input{Stream: bus.StreamDead, Durable: "reader", Filters: []string{bus.DeadSubject("out")}, Start: "all"}
	if err := p.conn.EnsureConsumer(p.Context(), in); err != nil {
		p.Fatal(err)
	}
	dead, err := p.conn.Consume(p.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(dead.Stop)
	state, err := p.conn.StreamInfo(p.Context(), bus.StreamDead)
	if err != nil {
		p.Fatal(err)
	}
	for range state.Messages {
		d, err := dead.Next(p.Context())
		if err != nil {
			p.Fatal(err)
		}
		// Of how many depends on what has waited together.
		if text := d.Header(bus.HeaderError); !strings.HasPrefix(text, "1 of ") || !strings.Contains(text, "points refused, of delivery: ") {
			p.Errorf("reason %q", text)
		}
		var b telemetry.Batch
		if err := b.Decode(d.ContentType, "", d.Body, d.Stored); err != nil {
			p.Error(err)
		}
		for point := range b.Points() {
			list = append(list, point.Fields["n"].(int64))
		}
	}
	return list
}
