package influxdb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/servertest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// wire returns points as a publisher gets them: decoded from a message.
func wire(t *testing.T, points ...telemetry.Point) *telemetry.Batch {
	t.Helper()
	var made telemetry.Batch
	for _, p := range points {
		made.Append(p)
	}
	in := new(telemetry.Batch)
	if err := in.DecodeMsgPack(made.AppendMsgPack(nil)); err != nil {
		t.Fatal(err)
	}
	return in
}

// rows returns what a query selects, each row as the texts of its columns by their names; null is left out.
func rows(t *testing.T, s *servertest.Influx, query string) []map[string]string {
	t.Helper()
	var answer struct {
		Results []struct {
			Error  string
			Series []struct {
				Columns []string
				Values  [][]any
			}
		}
	}
	raw := s.Query("metrics", query)
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&answer); err != nil || len(answer.Results) != 1 || answer.Results[0].Error != "" {
		t.Fatalf("%s: %s, %v", query, raw, err)
	}
	var all []map[string]string
	for _, series := range answer.Results[0].Series {
		for _, values := range series.Values {
			row := map[string]string{}
			for i, v := range values {
				if v != nil {
					row[series.Columns[i]] = fmt.Sprint(v)
				}
			}
			all = append(all, row)
		}
	}
	return all
}

func influx(t *testing.T) *servertest.Influx {
	t.Helper()
	s := servertest.InfluxDB(t)
	s.CreateDatabase("metrics")
	return s
}

func TestInfluxDB(t *testing.T) {
	s := influx(t)
	for _, compression := range []string{none, gzipped} {
		t.Run(compression, func(t *testing.T) {
			p, _ := start(t, s.URL, func(c *Config) { c.Compression = compression })
			f := func(series string, tags telemetry.Tags, fields telemetry.Fields, want map[string]string) {
				t.Helper()
				point := telemetry.Point{Series: series, Time: time.Unix(0, at), Tags: tags, Fields: fields}
				if err := p.Publish(t.Context(), wire(t, point)); err != nil {
					t.Error(err)
					return
				}
				want["time"] = fmt.Sprint(at)
				got := rows(t, s, "SELECT * FROM "+quote(series))
				if len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
					t.Errorf("got %v\nwant %v", got, want)
				}
			}
			f(compression+"types", nil,
				telemetry.Fields{"f": 0.1, "g": -1e300, "i": math.MinInt64, "u": uint64(1) << 62, "t": true, "n": false, "s": "text"},
				map[string]string{"f": "0.1", "g": fmt.Sprint(json.Number("-1e+300")), "i": "-9223372036854775808",
					"u": "4611686018427387904", "t": "true", "n": "false", "s": "text"})
			f(compression+` a "b",c=d é`, telemetry.Tags{`k ,="é`: `v ,="\é x`, "host": "h"}, telemetry.Fields{`f ,="é`: 1},
				map[string]string{`k ,="é`: `v ,="\é x`, "host": "h", `f ,="é`: "1"})
			f(compression+"text", nil, telemetry.Fields{"s": "a \"q\" \\ back,=é\nline two", "e": ""},
				map[string]string{"s": "a \"q\" \\ back,=é\nline two", "e": ""})
		})
	}
}

// Times come back to the nanosecond, each of many.
func TestInfluxDBNanoseconds(t *testing.T) {
	s := influx(t)
	p, _ := start(t, s.URL, nil)
	if err := p.Publish(t.Context(), batch(5000, "cpu")); err != nil {
		t.Fatal(err)
	}
	got := rows(t, s, "SELECT v FROM cpu")
	if len(got) != 5000 {
		t.Fatalf("%d points, want 5000", len(got))
	}
	for i, row := range got {
		if row["time"] != fmt.Sprint(at+i) || row["v"] != fmt.Sprint(i) {
			t.Fatalf("point %d is %v", i, row)
		}
	}
}

// Nothing is lost while the server is away, and nothing is there twice.
func TestInfluxDBAway(t *testing.T) {
	s := influx(t)
	p, _ := start(t, s.URL, nil)
	if err := p.Publish(t.Context(), batch(10, "cpu")); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	wantPlain(t, p.Publish(t.Context(), batch(20, "cpu")))
	s.Start()
	for range 2 {
		if err := p.Publish(t.Context(), batch(20, "cpu")); err != nil {
			t.Fatal(err)
		}
	}
	if got := rows(t, s, "SELECT v FROM cpu"); len(got) != 20 {
		t.Errorf("%d points, want 20", len(got))
	}
}

func TestInfluxDBWithoutDatabase(t *testing.T) {
	s := servertest.InfluxDB(t)
	p, _ := start(t, s.URL, nil)
	err := p.Publish(t.Context(), batch(1, "cpu"))
	if !plugin.IsDenied(err) || !strings.Contains(err.Error(), `CREATE DATABASE "metrics"`) {
		t.Errorf("error %v", err)
	}
	p, _ = start(t, s.URL, func(c *Config) { c.CreateDatabase = true })
	for range 2 {
		if err := p.Publish(t.Context(), batch(1, "cpu")); err != nil {
			t.Error(err)
		}
	}
	if got := rows(t, s, "SELECT v FROM cpu"); len(got) != 1 {
		t.Errorf("%d points, want 1", len(got))
	}
	odd := `a"b é d`
	p, _ = start(t, s.URL, func(c *Config) { c.CreateDatabase, c.Database = true, odd })
	if err := p.Publish(t.Context(), batch(1, "cpu")); err != nil {
		t.Errorf("database %s: %v", odd, err)
	}
}

// What has to be set otherwise is said.
func TestInfluxDBMisconfigured(t *testing.T) {
	s := influx(t)
	f := func(change func(*Config), want string) {
		t.Helper()
		p, _ := start(t, s.URL, change)
		err := p.Publish(t.Context(), batch(1, "cpu"))
		if !plugin.IsDenied(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(func(c *Config) { c.Retention = "week" }, "retention policy not found: week")
	f(func(c *Config) { c.Database = "" }, "set database")
	f(func(c *Config) { c.URL += "/elsewhere" }, "check url and version")
	f(version(2), "this is not the path of InfluxDB 2")
	f(version(3), "this is not the path of InfluxDB 3")
}

// Of a batch that the server takes in part, the one part is stored and the other is left in the batch.
func TestInfluxDBPartialWrite(t *testing.T) {
	f := func(setup, retention string, bad func(i int) bool, point func(i int, bad bool) telemetry.Point, reason string) {
		t.Helper()
		s := influx(t)
		if setup != "" {
			s.Query("metrics", setup)
		}
		p, _ := start(t, s.URL, func(c *Config) { c.Retention = retention })
		first := point(0, false)
		if err := p.Publish(t.Context(), wire(t, first)); err != nil {
			t.Fatal(err)
		}
		var points []telemetry.Point
		refused := 0
		for i := range 1000 {
			points = append(points, point(i, bad(i)))
			if bad(i) {
				refused++
			}
		}
		in := wire(t, points...)
		err := p.Publish(t.Context(), in)
		if !plugin.IsPermanent(err) || !strings.Contains(err.Error(), reason) ||
			!strings.HasPrefix(err.Error(), fmt.Sprintf("%d of 1000 points refused, of m:", refused)) {
			t.Errorf("error %v", err)
		}
		for p := range in.Points() {
			if i := p.Fields["n"].(int64); !bad(int(i)) {
				t.Errorf("point %d is left", i)
			}
		}
		if in.Len() != refused {
			t.Errorf("%d points are left, want %d", in.Len(), refused)
		}
		from := "m"
		if retention != "" {
			from = quote(retention) + ".m"
		}
		got := rows(t, s, "SELECT n FROM "+from)
		if len(got) != 1000-refused {
			t.Errorf("%d points are stored, want %d", len(got), 1000-refused)
		}
		if slices.ContainsFunc(got, func(r map[string]string) bool { return r["n"] == "500" }) == bad(500) {
			t.Error("point 500 is stored and refused, or neither")
		}
	}
	now := time.Now().Truncate(time.Second)
	conflict := func(i int, bad bool) telemetry.Point {
		p := telemetry.Point{Series: "m", Time: now.Add(-time.Duration(i)), Fields: telemetry.Fields{"v": 1.5, "n": i}}
		if bad {
			p.Fields["v"] = "text"
		}
		return p
	}
	old := func(i int, bad bool) telemetry.Point {
		p := telemetry.Point{Series: "m", Time: now.Add(-time.Duration(i)), Fields: telemetry.Fields{"n": i}}
		if bad {
			p.Time = p.Time.Add(-100 * 24 * time.Hour)
		}
		return p
	}
	one := func(i int) bool { return i == 500 }
	many := func(i int) bool { return i >= 300 && i < 600 }
	f("", "", one, conflict, "field type conflict")
	f("", "", many, conflict, "field type conflict")
	f("CREATE RETENTION POLICY week ON metrics DURATION 7d REPLICATION 1", "week", one, old, "points beyond retention policy")
	f("CREATE RETENTION POLICY week ON metrics DURATION 7d REPLICATION 1", "week", many, old, "points beyond retention policy")
}

// VictoriaMetrics keeps floats, to the millisecond; a field is a series of its own, and texts are none.
func TestVictoriaMetrics(t *testing.T) {
	s := servertest.VictoriaMetrics(t)
	now := time.Now().Truncate(time.Millisecond)
	points := func(n int) *telemetry.Batch {
		var all []telemetry.Point
		for i := range n {
			all = append(all, telemetry.Point{
				Series: "cpu", Time: now.Add(time.Duration(i)*time.Millisecond + 999*time.Microsecond),
				Tags:   telemetry.Tags{"host": `a "b",c=d`},
				Fields: telemetry.Fields{"f": 0.5, "i": -7, "u": uint64(7), "b": true, "s": "text"},
			})
		}
		return wire(t, all...)
	}
	for _, compression := range []string{none, gzipped} {
		for _, change := range []func(*Config){
			func(c *Config) { c.Database = "" },
			func(c *Config) { version(2)(c); c.Database = "" },
		} {
			p, _ := start(t, s.URL, func(c *Config) { change(c); c.Compression = compression })
			if err := p.Publish(t.Context(), points(3)); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, _ := start(t, s.URL, func(c *Config) { c.Database = "" })
	s.Stop()
	wantPlain(t, p.Publish(t.Context(), points(5)))
	s.Start()
	if err := p.Publish(t.Context(), points(5)); err != nil {
		t.Fatal(err)
	}
	// A text is none of its numbers: it becomes 0.
	want := map[string]float64{"cpu_f": 0.5, "cpu_i": -7, "cpu_u": 7, "cpu_b": 1, "cpu_s": 0}
	for _, line := range export(t, s, len(want), now.UnixMilli()+4) {
		var got struct {
			Metric     map[string]string
			Values     []float64
			Timestamps []int64
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		name := got.Metric["__name__"]
		slices.Sort(got.Timestamps)
		times := slices.Compact(got.Timestamps)
		if v, ok := want[name]; !ok || got.Values[0] != v || len(times) != 5 || times[0] != now.UnixMilli() || times[4] != now.UnixMilli()+4 {
			t.Errorf("series %s", line)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not stored: %v", want)
	}
}

// export returns the series of the test, once the last point of all of them is to be seen.
func export(t *testing.T, s *servertest.Victoria, all int, last int64) []string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		s.Flush()
		lines := s.Export(`{host="a \"b\",c=d"}`)
		if strings.Count(strings.Join(lines, ""), fmt.Sprint(last)) >= all || time.Now().After(end) {
			return lines
		}
	}
}
