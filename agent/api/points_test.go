package api

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/recent"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

func bareOptions() embedded.Options { return embedded.Options{} }

// stored returns what a stream has, as lines.
func stored(t *testing.T, c *bus.Conn) (lines, ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var b telemetry.Batch
	err := c.Tap(ctx, bus.TapOptions{Stream: bus.StreamMetrics, From: 1, Once: true}, func(m bus.Tapped) error {
		if err := b.Decode(m.ContentType, "", m.Body, m.Stored); err != nil {
			return err
		}
		for p := range b.Points() {
			lines = append(lines, fmt.Sprintf("%s/%s %s%v %v", m.Subject.Host, m.Subject.Plugin, p.Series, p.Tags, p.Fields))
		}
		ids = append(ids, m.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, ids
}

func TestPoints(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	c := b.Conn(t, "hub")
	seen := 0
	f := func(query, contentType, body string, want ...string) {
		t.Helper()
		a := r.ask("POST", "/api/v1/points"+query, body, "Content-Type: "+contentType)
		if a.StatusCode != 204 || a.text != "" {
			t.Errorf("%s %s: %s %s", query, body, a.Status, a.text)
		}
		lines, _ := stored(t, c)
		if got := strings.Join(lines[seen:], "; "); got != strings.Join(want, "; ") {
			t.Errorf("%s %s: stored %s, want %s", query, body, got, want)
		}
		seen = len(lines)
	}
	f("", "text/x-influx", "cpu,core=0 v=1\ncpu,core=1 v=2i", "web1/send cpumap[core:0] map[v:1]", "web1/send cpumap[core:1] map[v:2]")
	f("", "", "cpu v=3", "web1/send cpumap[] map[v:3]")
	f("?as=trial&host=www", "application/json", `{"series": "cpu", "fields": {"v": 4}}`, "web1/trial cpumap[] map[v:4]")
	f("?host=fridge", "text/x-influx;precision=s", "temp v=4 1700000000", "fridge/send tempmap[] map[v:4]")
	var batch telemetry.Batch
	batch.Add("cpu", telemetry.Fields{"v": true}, nil)
	f("", "application/x-pacewire+msgpack", string(batch.AppendMsgPack(nil)), "web1/send cpumap[] map[v:true]")
	_, ids := stored(t, c)
	for i, id := range ids {
		if !strings.Contains(id, "/e") || i > 0 && id == ids[i-1] {
			t.Errorf("id %s: readers would take holes in its numbers for losses", id)
		}
	}

	g := func(contentType, body string, status int, detail string) {
		t.Helper()
		a := r.ask("POST", "/api/v1/points", body, "Content-Type: "+contentType)
		if p := a.problem(); a.StatusCode != status || p.Code != "points" || !strings.Contains(p.Detail, detail) || !strings.Contains(p.Detail, "nothing is stored") {
			t.Errorf("%.50q: %s %.300s, want %d %s", body, a.Status, a.text, status, detail)
		}
		if lines, _ := stored(t, c); len(lines) != seen {
			t.Errorf("%.50q: something is stored", body)
		}
	}
	g("text/x-influx", "cpu v=1\ncpu v=\ncpu v=2", 400, "line 2")
	g("text/x-influx", "no line at all", 400, "line 1")
	g("text/x-influx", "", 400, "empty")
	g("application/json", `{"series": "cpu"`, 400, "")
	g("application/json", strings.Repeat("[", 100_000), 400, "")
	g("application/x-pacewire+msgpack", "\xdd\xff\xff\xff\xff", 400, "")
	g("text/x-influx;precision=fortnight", "cpu v=1", 415, "precision")

	h := func(query, field string) {
		t.Helper()
		a := r.ask("POST", "/api/v1/points"+query, "cpu v=1", "Content-Type: text/x-influx")
		if p := a.problem(); a.StatusCode != 400 || p.Field != field {
			t.Errorf("%s: %s %s", query, a.Status, a.text)
		}
	}
	h("?as=agent", "as")
	h("?as=all", "as")
	h("?as=a.b", "as")
	h("?host=%00", "host")
}

func TestPointsWithoutHost(t *testing.T) {
	r := start(t, bustest.New(t), func(o *Options) { o.Host = "" })
	if a := r.ask("POST", "/api/v1/points", "cpu v=1", "Content-Type: text/x-influx"); a.code() != "invalid" {
		t.Errorf("%s %s", a.Status, a.text)
	}
}

// values puts a batch on the bus as agents do.
func (s *source) values(host, plugin string, fill func(*telemetry.Batch)) {
	s.t.Helper()
	var b telemetry.Batch
	fill(&b)
	s.publish(bus.MetricsSubject(host, plugin), &b)
}

func TestValues(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	s := newSource(t, b)
	usage := 0.0
	bustest.Wait(t, soon, "values", func() bool {
		usage++
		s.values("web1", "host", func(b *telemetry.Batch) {
			b.Add("cpu", telemetry.Fields{"usage": usage}, telemetry.Tags{"core": "0"})
			b.Add("cpu", telemetry.Fields{"usage": 2.0}, telemetry.Tags{"core": "1"})
			b.Add("os", telemetry.Fields{"name": "Debian"}, nil)
		})
		return r.store.Stats().Series == 3
	})
	var page struct {
		Values []recent.Value
		Next   string
	}
	r.get("/api/v1/values?series=cpu&tag=core=1&host=www", &page)
	if len(page.Values) != 1 || page.Values[0].Value != 2.0 || page.Values[0].Plugin != "host" {
		t.Errorf("%+v", page)
	}
	r.get("/api/v1/values?limit=2", &page)
	if len(page.Values) != 2 || page.Next == "" {
		t.Errorf("%+v", page)
	}
	page.Values = nil
	if r.get("/api/v1/values?limit=2&after="+page.Next, &page); len(page.Values) != 1 || page.Values[0].Value != "Debian" {
		t.Errorf("%+v", page)
	}
	var past struct {
		StepMS int64 `json:"step_ms"`
		Series []struct {
			Field  string
			Values []*float64
		}
	}
	r.get("/api/v1/values/history?series=cpu&tag=core=1&since=5m", &past)
	if past.StepMS != 10_000 || len(past.Series) != 1 || len(past.Series[0].Values) < 30 || past.Series[0].Values[0] != nil {
		t.Errorf("%+v", past)
	}
	last := past.Series[0].Values
	if last = last[len(last)-10:]; !slices.ContainsFunc(last, func(v *float64) bool { return v != nil && *v == 2 }) {
		t.Errorf("the last slots are %v", last)
	}
	var catalog struct{ Series []recent.Series }
	if r.get("/api/v1/series", &catalog); len(catalog.Series) != 2 || catalog.Series[0].Sets != 2 {
		t.Errorf("%+v", catalog)
	}
	if out := r.ask("GET", "/metrics", "").text; !strings.Contains(out, "\npacewire_recent_series 3\n") {
		t.Error("/metrics does not count them")
	}
}

// TestBudget floods METRICS: the reader takes what it may, counts what it skips, and is soon where the stream is.
func TestBudget(t *testing.T) {
	b := bustest.New(t)
	const budget = 64 << 10
	r := start(t, b, func(o *Options) { o.Budget = budget })
	s := newSource(t, b)
	pad := strings.Repeat("x", 10_000)
	small := uint64(0)
	bustest.Wait(t, soon, "the reader", func() bool {
		small++
		s.values("web1", "p", func(b *telemetry.Batch) { b.Add("s", telemetry.Fields{"v": 1}, nil) })
		return r.read.read.Load() > 0
	})
	begun := time.Now()
	const sent = 400 // about 4 MB, a minute's worth of the budget
	for i := range sent {
		s.values("web1", "p", func(b *telemetry.Batch) { b.Add("flood", telemetry.Fields{"text": pad, "n": i}, nil) })
	}
	bustest.Wait(t, soon, "the newest", func() bool {
		small++
		s.values("web1", "p", func(b *telemetry.Batch) { b.Add("newest", telemetry.Fields{"v": 1}, nil) })
		return len(r.store.Catalog(recent.Query{Series: "newest"}, time.Now())) == 1
	})
	large := r.read.read.Load() - min(small, r.read.read.Load())
	if read, most := float64(large)*10_000, budget*(time.Since(begun).Seconds()+2); read > most {
		t.Errorf("%.0f bytes were read, %.0f is the budget", read, most)
	}
	if total := r.read.read.Load() + r.read.skipped.Load(); r.read.skipped.Load() < sent/4 || total < sent {
		t.Errorf("%d read and %d skipped of %d", r.read.read.Load(), r.read.skipped.Load(), sent)
	}
}

// TestForeign publishes what is no batch.
func TestForeign(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	s := newSource(t, b)
	bustest.Wait(t, soon, "it to be counted", func() bool {
		m := bus.Message{Subject: bus.MetricsSubject("web1", "p"), Body: []byte("\xff\xff")}
		if err := s.out.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		return r.read.foreign.Load() > 0
	})
}

func TestTapStream(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	s := newSource(t, b)
	l := r.listen("/api/v1/tap/stream?plugin=host")
	n := 0
	bustest.Wait(t, soon, "a point", func() bool {
		n++
		s.values("web1", "other", func(b *telemetry.Batch) { b.Add("os", telemetry.Fields{"v": n}, nil) })
		s.values("web1", "host", func(b *telemetry.Batch) {
			b.Add("cpu", telemetry.Fields{"v": n}, telemetry.Tags{"x": "<img>"})
		})
		return len(l.got) > 0
	})
	m := l.next()
	var p struct {
		Plugin, Series string
		Tags           map[string]string
		Fields         map[string]float64
	}
	if err := json.Unmarshal([]byte(m.data), &p); err != nil || p.Plugin != "host" || p.Series != "cpu" || p.Tags["host"] != "web1" || p.Tags["x"] != "<img>" {
		t.Errorf("%+v: %v", m, err)
	}
}

func TestTapRate(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, nil)
	s := newSource(t, b)
	l := r.listen("/api/v1/tap/stream?rate=3")
	points, skipped, begun := 0, uint64(0), time.Now()
	for skipped == 0 {
		if time.Since(begun) > soon {
			t.Fatalf("%d points, nothing skipped", points)
		}
		s.values("web1", "host", func(b *telemetry.Batch) {
			for i := range 10 {
				b.Add("cpu", telemetry.Fields{"v": i}, nil)
			}
		})
		for len(l.got) > 0 {
			m := l.next()
			var told struct{ Points uint64 }
			_ = json.Unmarshal([]byte(m.data), &told)
			if m.event == "skipped" {
				skipped = told.Points
			} else {
				points++
			}
		}
	}
	if most := 3 * (time.Since(begun).Seconds() + 2); float64(points) > most || skipped < 7 {
		t.Errorf("%d points came, want %.0f at most, and %d were skipped", points, most, skipped)
	}
}

// TestPointsWithoutLeader checks that nobody waits for a bus that stores nothing, until the connection is cut: whoever does is told to
// come again, and what he has sent by then is not lost either.
func TestPointsWithoutLeader(t *testing.T) {
	brief := func(o *Options) { o.Times.Store, o.Times.Ask = 500*time.Millisecond, 500*time.Millisecond }
	f := func(r *rig, body, detail string) {
		t.Helper()
		a := r.ask("POST", "/api/v1/points", body, "Content-Type: text/x-influx")
		if a.StatusCode != 503 || a.code() != "not_now" || a.Header.Get("Retry-After") != "5" || !strings.Contains(a.problem().Detail, detail) {
			t.Errorf("%s: %s %v %s", body, a.Status, a.Header, a.text)
		}
	}
	f(start(t, bustest.Bare(t, bareOptions()), brief), "cpu v=1", "0 of 1 point stored") // nobody has the stream

	b := bustest.New(t)
	r := start(t, b, brief)
	b.Stop(t)
	f(r, "cpu v=1\ncpu v=2", "0 of 2 points stored")
	if a := r.ask("GET", "/api/v1/dead/1", ""); a.StatusCode != 503 || a.Header.Get("Retry-After") != "5" {
		t.Errorf("%s %v %s", a.Status, a.Header, a.text)
	}
	b.Start(t)
	bustest.Wait(t, soon, "points are stored", func() bool {
		return r.ask("POST", "/api/v1/points", "cpu v=3", "Content-Type: text/x-influx").StatusCode == 204
	})
	c := b.Conn(t, "hub")
	bustest.Wait(t, soon, "what was begun is stored", func() bool {
		lines, _ := stored(t, c)
		return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "v:2") })
	})
}
