package statsd

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkTake reads messages of each kind about a thousand metrics, as they are in a datagram of several lines.
func BenchmarkTake(b *testing.B) {
	f := func(name, form string) {
		b.Run(name, func(b *testing.B) {
			t := newTable("h", "statsd", 10_000, "")
			var texts [][]byte
			lines := 0
			for i := range 100 {
				var text strings.Builder
				for k := range 10 {
					fmt.Fprintf(&text, form+"\n", 10*i+k)
					lines++
				}
				texts = append(texts, []byte(text.String()))
			}
			b.ReportAllocs()
			n := 0
			begun := time.Now()
			for b.Loop() {
				t.mu.Lock()
				t.take(texts[n%len(texts)])
				t.mu.Unlock()
				n++
			}
			b.ReportMetric(float64(time.Since(begun).Nanoseconds())/float64(10*n), "ns/message")
			if t.losses.first != fine {
				b.Errorf("%v: %s", t.losses.first, t.losses.line)
			}
		})
	}
	f("counter", "app.requests.%d:1|c")
	f("tags", "app.requests:1|c|#route:r%d,status:200,host:web-1")
	f("rate", "app.requests:1|c|@0.1|#route:r%d")
	f("gauge", "app.temperature.%d:21.5|g")
	f("timer", "app.latency.%d:320.25|ms|#route:index")
	f("set", "app.users.%d:alice|s")
	f("packed", "app.latency.%d:1:2:3:4:5:6:7:8:9:10|ms")
}
