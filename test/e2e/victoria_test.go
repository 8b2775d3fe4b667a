package e2e

import (
	"encoding/json"
	"testing"

	"github.com/pacewire/pacewire/internal/servertest"
)

// What tap showed is in VictoriaMetrics, as far as that can hold it: numbers, and milliseconds.
func TestVictoriaMetrics(t *testing.T) {
	t.Parallel()
	db := servertest.VictoriaMetrics(t)
	outage(t, `use: influxdb, database: "", url: "`+db.URL+`"`, db, inVictoria, func(store) store {
		db.Flush()
		return victoriaHas(t, db.Export(`{__name__!=""}`))
	})
}

// inVictoria is what VictoriaMetrics has of points: a series of floats, of a dozen digits, for each field; a text that is no
// number is 0.
func inVictoria(points []point) store {
	s := store{}
	for _, p := range points {
		for name, v := range p.Fields {
			number := 0.0
			switch v := v.(type) {
			case json.Number:
				number = float(v)
			case string: // a large integer
				number = float(json.Number(v))
			case bool:
				if v {
					number = 1
				}
			}
			s[identity(p.Series+"_"+name, p.Tags, p.Time.UnixMilli())] = only(number)
		}
	}
	return s
}

// only is the one field of a point.
func only(v float64) map[string]any { return map[string]any{"value": about(v)} }

// victoriaHas reads lines of an export.
func victoriaHas(t *testing.T, export []string) store {
	t.Helper()
	s := store{}
	for _, line := range export {
		var row struct {
			Metric     map[string]string
			Values     []float64
			Timestamps []int64
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		name := row.Metric["__name__"]
		delete(row.Metric, "__name__")
		for i, v := range row.Values {
			s[identity(name, row.Metric, row.Timestamps[i])] = only(v)
		}
	}
	return s
}
