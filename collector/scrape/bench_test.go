package scrape

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// nowhere takes batches as the bus does, and encodes them.
type nowhere struct {
	emitter
	text []byte
}

func (n *nowhere) Emit(b *telemetry.Batch) error {
	n.text = b.AppendMsgPack(n.text[:0])
	return nil
}

// A canned answers each request with a page.
type canned string

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(c))), ContentLength: int64(len(c))}, nil
}

// BenchmarkScrape is a page of a thousand series, from the answer to the message.
func BenchmarkScrape(b *testing.B) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "app_metric_%d_total{method=\"GET\",code=\"200\",route=\"/api/v1/things/%d\"} %d\n", i/10, i%10, 100_000*i)
	}
	f := func(name, rules string) {
		b.Run(name, func(b *testing.B) {
			cfg := defaults()
			t, _, err := newTarget(cfg, nil, "web-1:9100", nil)
			if err != nil {
				b.Fatal(err)
			}
			s := &scraper{cfg: cfg, timeout: time.Minute, client: &http.Client{Transport: canned(text.String())}}
			if rules != "" {
				s.metric, err = compile("metric_relabel", []Rule{{SourceLabels: []string{"__name__"}, Regex: &rules, Action: "drop"}})
			}
			if err != nil {
				b.Fatal(err)
			}
			w := newWorker(s, t, &nowhere{})
			b.ReportAllocs()
			for b.Loop() {
				w.scrape(b.Context())
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/sample")
		})
	}
	f("plain", "")
	f("rules", "go_.*")
}
