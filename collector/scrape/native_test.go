package scrape

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/prototext"
)

// A page of classic families, and of one that is to have a native histogram.
const classicText = `# TYPE requests_total counter
requests_total{code="200"} 7
# TYPE latency histogram
latency_bucket{le="0.005"} 1
latency_bucket{le="+Inf"} 3
latency_sum 2.5
latency_count 3
# TYPE old summary
old{quantile="0.5"} 1
old_sum 3
old_count 2
# TYPE sizes histogram
sizes_bucket{le="1"} 18
sizes_sum 1
sizes_count 21
`

// The exponential histogram of collector/otlp's sample, whose indexes are lower by one there.
const nativeSizes = `sample_count: 21 sample_sum: 1 schema: 1 zero_count: 3 zero_threshold: 1e-9 bucket { upper_bound: 1 cumulative_count: 18 }
	positive_span { offset: -1 length: 4 } positive_delta: [1, 1, -2, 3] negative_span { offset: 5 length: 3 } negative_delta: [5, -5, 7]`

// answerAsAsked makes p answer in the format that the code of Prometheus finds in the request.
func (p *page) answerAsAsked(t *testing.T) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(classicText))
	if err != nil {
		t.Fatal(err)
	}
	if err := prototext.Unmarshal([]byte(nativeSizes), families["sizes"].Metric[0].Histogram); err != nil {
		t.Fatal(err)
	}
	p.does(func(w http.ResponseWriter, r *http.Request) {
		format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultAcceptedFormats()...)
		w.Header().Set("Content-Type", string(format))
		e := expfmt.NewEncoder(w, format)
		for _, f := range families {
			if err := e.Encode(f); err != nil {
				t.Error(err)
			}
		}
	})
}

// Native histograms come when they are asked for, as buckets with bounds, and take nothing else away.
func TestNative(t *testing.T) {
	p := newPage(t, "")
	p.answerAsAsked(t)
	classic := []string{
		"latency_bucket,instance=i,job=j,le=+Inf value=3", "latency_bucket,instance=i,job=j,le=0.005 value=1",
		"latency_count,instance=i,job=j value=3", "latency_sum,instance=i,job=j value=2.5",
		"old,instance=i,job=j,quantile=0.5 value=1", "old_count,instance=i,job=j value=2", "old_sum,instance=i,job=j value=3",
		"requests_total,code=200,instance=i,job=j value=7", "sizes_count,instance=i,job=j value=21", "sizes_sum,instance=i,job=j value=1",
	}
	f := func(native bool, sizes ...string) {
		t.Helper()
		w, e := p.worker(t, func(c *Config) { c.Native = native })
		w.scrape(t.Context())
		want := slices.Clone(classic)
		for _, s := range sizes {
			want = append(want, "sizes_bucket,instance=i,job=j,le="+s)
		}
		slices.Sort(want)
		check(t, e.take("requests_total", "latency_bucket", "latency_sum", "latency_count", "old", "old_sum", "old_count",
			"sizes_bucket", "sizes_sum", "sizes_count"), want...)
	}
	f(false, "1 value=18", "+Inf value=21")
	f(true, "-11.3137084989848 value=0", "-8 value=7", "-5.65685424949238 value=7", "-4 value=12", "1e-09 value=15",
		"0.5 value=15", "0.707106781186548 value=16", "1 value=18", "1.4142135623731 value=18", "2 value=21", "+Inf value=21")
}

// Buckets that a native histogram no longer has are marked as other series are.
func TestNativeStale(t *testing.T) {
	p := newPage(t, "")
	p.answerAsAsked(t)
	w, e := p.worker(t, func(c *Config) { c.Native, c.Stale = true, staleMark })
	w.scrape(t.Context())
	e.take()
	p.say("requests_total{code=\"200\"} 8\n")
	w.scrape(t.Context())
	got := e.take("requests_total", "sizes_bucket")
	if len(got) != 12 || got[0] != "requests_total,code=200,instance=i,job=j value=8" || !slices.Contains(got, "sizes_bucket,instance=i,job=j,le=1e-09 stale=true") {
		t.Errorf("%q", got)
	}
}

// The limits of a page hold for messages.
func TestNativeLimits(t *testing.T) {
	p := newPage(t, "")
	p.answerAsAsked(t)
	f := func(change func(*Config), want string) {
		t.Helper()
		w, e := p.worker(t, func(c *Config) { c.Native = true; change(c) })
		w.scrape(t.Context())
		if got := up(t, e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.MaxSamples = 20 }, "more than 20 samples (max_samples)")
	f(func(c *Config) { c.MaxBody = 50 }, "the body has more than 50 bytes (max_body_bytes)")
}
