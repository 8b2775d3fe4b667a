package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/internal/servertest"
)

// What tap showed is in InfluxDB, with values, tags, types and nanoseconds, also after the server was away.
func TestInfluxDB(t *testing.T) {
	t.Parallel()
	db := servertest.InfluxDB(t)
	outage(t, "use: influxdb, database: e2e, create_database: true, url: "+`"`+db.URL+`"`, db, inInflux, func(want store) store {
		return influxHas(t, db, want)
	})
}

// inInflux is what InfluxDB 1 has of points: it knows no unsigned integers.
func inInflux(points []point) store {
	s := store{}
	for _, p := range points {
		fields := map[string]any{}
		for name, v := range p.Fields {
			kind := map[string]string{"i": "integer", "u": "integer", "": "float"}[p.Types[name]]
			fields[name] = influxValue(kind, v)
		}
		s[identity(p.Series, p.Tags, p.Time.UnixNano())] = fields
	}
	return s
}

// influxValue gives a number the type of its field. Large integers are texts in the JSON of tap.
func influxValue(kind string, v any) any {
	if kind == "integer" {
		i, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
		if err != nil {
			return err
		}
		return i
	}
	if n, ok := v.(json.Number); ok {
		return float(n)
	}
	return v
}

// influxHas reads all series that want has.
func influxHas(t *testing.T, db *servertest.Influx, want store) store {
	t.Helper()
	s := store{}
	done := map[string]bool{}
	for id := range want {
		name, _, _ := strings.Cut(id, "[")
		if !done[name] {
			influxSeries(t, db, name, s)
		}
		done[name] = true
	}
	return s
}

func influxSeries(t *testing.T, db *servertest.Influx, name string, s store) {
	t.Helper()
	types := map[string]string{}
	for _, row := range influxQuery(t, db, `SHOW FIELD KEYS FROM "`+name+`"`) {
		for _, v := range row.Values {
			types[v[0].(string)] = v[1].(string)
		}
	}
	for _, row := range influxQuery(t, db, `SELECT * FROM "`+name+`" GROUP BY *`) {
		for _, v := range row.Values {
			fields := map[string]any{}
			for i, column := range row.Columns[1:] {
				if v[i+1] != nil {
					fields[column] = influxValue(types[column], v[i+1])
				}
			}
			ns, _ := v[0].(json.Number).Int64()
			s[identity(name, row.Tags, ns)] = fields
		}
	}
}

// An influxRow is a part of an answer: the values of one combination of tags.
type influxRow struct {
	Tags    map[string]string
	Columns []string
	Values  [][]any
}

func influxQuery(t *testing.T, db *servertest.Influx, query string) []influxRow {
	t.Helper()
	var answer struct {
		Results []struct {
			Error  string
			Series []influxRow
		}
	}
	raw := string(db.Query("e2e", query))
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&answer); err != nil || len(answer.Results) != 1 || answer.Results[0].Error != "" {
		t.Fatalf("%s: %s, %v", query, raw, err)
	}
	return answer.Results[0].Series
}
