package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pacewire/pacewire/internal/servertest"
)

// Every family and every sample of Debian's exporter is in VictoriaMetrics, with its type and its value.
func TestScrapeNodeExporter(t *testing.T) {
	t.Parallel()
	page := &oncePage{from: servertest.NodeExporter(t).URL + "/metrics"}
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	db := servertest.VictoriaMetrics(t)
	up(t, `every: 1s
collect: { exporter: { use: scrape, groups: [ { targets: [ "`+server.URL+`" ], labels: { instance: web-1, job: node } } ] } }
publish: { out: { from: [exporter], use: influxdb, database: "", url: "`+db.URL+`" } }
`)
	await(t, readyWithin, "the target is up, and then down", func() bool {
		db.Flush()
		ups := valuesIn(t, db.Export(`{__name__="up_value"}`))["up_value{instance=web-1,job=node}"]
		return slices.Contains(ups, 1) && slices.Contains(ups, 0)
	})
	db.Flush()
	has := valuesIn(t, db.Export(`{__name__!=""}`))
	samples, types := page.expected(t)
	if len(types) < 50 || len(samples) < 100 {
		t.Fatalf("the exporter has %d families and %d samples", len(types), len(samples))
	}
	for name, want := range samples {
		if got := has[name]; len(got) != 1 || !same(about(got[0]), about(want)) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for name, kind := range types {
		if got := has["scrape_family_samples{family="+name+",job=node,type="+kind+"}"]; len(got) != 1 || got[0] < 1 {
			t.Errorf("family %s of type %s: %v", name, kind, got)
		}
	}
	if got := has["scrape_samples_value{instance=web-1,job=node}"]; len(got) != 1 || int(got[0]) < len(samples) {
		t.Errorf("samples of the page: %v, want %d", got, len(samples))
	}
}

// A oncePage is the page of an exporter, as it is when it is asked for first. After that it is away.
type oncePage struct {
	from string

	mu   sync.Mutex
	text []byte
}

func (p *oncePage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text != nil {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, p.from, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	ask.Header = r.Header.Clone()
	ask.Header.Del("Accept-Encoding") // the transport decompresses then
	ask.Close = true
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	p.text = text
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	_, _ = w.Write(text)
}

// expected returns the samples of the page by their names in VictoriaMetrics, and the types of its families, as the parser of
// Prometheus reads them.
func (p *oncePage) expected(t *testing.T) (samples map[string]float64, types map[string]string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(p.text))
	if err != nil {
		t.Fatal(err)
	}
	samples, types = map[string]float64{}, map[string]string{}
	for name, f := range families {
		types[name] = strings.ToLower(f.GetType().String())
		for _, m := range f.Metric {
			tags := map[string]string{"instance": "web-1", "job": "node"}
			for _, l := range m.Label {
				tags[l.GetName()] = l.GetValue()
			}
			add := func(suffix string, v float64) {
				if !math.IsNaN(v) && !math.IsInf(v, 0) { // no point holds them
					samples[seriesName(name+suffix+"_value", tags)] = v
				}
			}
			switch {
			case m.Counter != nil:
				add("", m.Counter.GetValue())
			case m.Gauge != nil:
				add("", m.Gauge.GetValue())
			case m.Untyped != nil:
				add("", m.Untyped.GetValue())
			case m.Summary != nil:
				add("_sum", m.Summary.GetSampleSum())
				add("_count", float64(m.Summary.GetSampleCount()))
				for _, q := range m.Summary.Quantile {
					tags["quantile"] = fmt.Sprint(q.GetQuantile())
					add("", q.GetValue())
				}
			default:
				t.Errorf("%s: %v is not looked for here", name, f.GetType())
			}
		}
	}
	return samples, types
}

// seriesName writes a series with all tags but that of the host, which is this machine's.
func seriesName(name string, tags map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if key != "host" && tags[key] != "" {
			all = append(all, key+"="+tags[key])
		}
	}
	return name + "{" + strings.Join(all, ",") + "}"
}

// valuesIn reads the values of each series of an export.
func valuesIn(t *testing.T, export []string) map[string][]float64 {
	t.Helper()
	all := map[string][]float64{}
	for _, line := range export {
		var row struct {
			Metric map[string]string
			Values []float64
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		name := row.Metric["__name__"]
		delete(row.Metric, "__name__")
		all[seriesName(name, row.Metric)] = row.Values
	}
	return all
}
