package influxdb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
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
	b := bustest.New(t)
	agent, conn := plugintest.NewAgent(t, b.URL, "web-1"), b.Conn(t, "test")
	out, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: "web-1", Plugin: "source"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
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
		msg := bus.Message{Subject: bus.MetricsSubject("web-1", "source"), ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
		if err := out.Publish(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	agent.Give("out", telemetry.Work{Inputs: []telemetry.Input{agent.Input(t, "out", "source")}, Config: fmt.Appendf(nil, `{"url": %q}`, s.URL)})
	agent.Start(t, Define(), "out")
	plugintest.Until(t, "all to be settled", func() bool {
		c, err := conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "out")
		return err == nil && c.AckFloor == messages && c.AckPending == 0
	})
	if got := deadPoints(t, conn, "out"); !slices.Equal(got, []int64{bad}) {
		t.Errorf("dead letters hold the points %v, want %d", got, bad)
	}
	got := rows(t, s, "SELECT n FROM delivery WHERE n >= 0")
	if len(got) != messages*each-1 {
		t.Errorf("%d points are stored, want %d", len(got), messages*each-1)
	}
	stats := agent.Beat(t, "out").Stats
	plugintest.Until(t, "the counts of the end", func() bool { stats = agent.Beat(t, "out").Stats; return stats.Dead > 0 })
	if stats.PointsOut != messages*each-1 || stats.Dead != 1 || stats.Redelivered != 0 {
		t.Errorf("counted: %+v", stats)
	}
}

// deadPoints returns n of the points in the dead letters of a plugin.
func deadPoints(t *testing.T, conn *bus.Conn, plugin string) (list []int64) {
	t.Helper()
	in := bus.Input{Stream: bus.StreamDead, Durable: "reader", Filters: []string{bus.DeadSubject(plugin)}, Start: "all"}
	if err := conn.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	dead, err := conn.Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dead.Stop)
	state, err := conn.StreamInfo(t.Context(), bus.StreamDead)
	if err != nil {
		t.Fatal(err)
	}
	for range state.Messages {
		d, err := dead.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if text := d.Header(bus.HeaderError); !strings.HasPrefix(text, "1 of 300 points refused, of delivery: ") {
			t.Errorf("reason %q", text)
		}
		var b telemetry.Batch
		if err := b.Decode(d.ContentType, "", d.Body, d.Stored); err != nil {
			t.Error(err)
		}
		for p := range b.Points() {
			list = append(list, p.Fields["n"].(int64))
		}
	}
	return list
}
