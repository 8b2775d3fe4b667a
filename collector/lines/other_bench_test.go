package lines

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

// BenchmarkOthers makes points of the lines of each format, as they come over one connection.
func BenchmarkOthers(b *testing.B) {
	for format, line := range map[string]string{
		"graphite": "servers.web-1.cpu.idle 97.5 1700000000\n",
		"opentsdb": "put cpu.idle 1700000000 97.5 host=web-1 cpu=0\n",
		"json":     `{"series":"cpu","tags":{"host":"web-1"},"fields":{"idle":97.5}}` + "\n",
		"collectd": "PUTVAL web-1/disk-sda/disk_ops interval=10 1700000000:1:2\n",
	} {
		b.Run(format, func(b *testing.B) {
			cfg := in(format, "tcp://127.0.0.1:0", nil)
			options, err := cfg.Options("lines")
			if err != nil {
				b.Fatal(err)
			}
			l := &listener{cfg: cfg, options: options, log: slog.New(slog.DiscardHandler)}
			in := l.intake(&emitter{drops: map[string]int{}}, "test")
			const n = 1000
			text := []byte(strings.Repeat(line, n))
			var batch telemetry.Batch
			b.ReportAllocs()
			for b.Loop() {
				batch.Reset()
				if _, err := in.take(&batch, text, false); err != nil || batch.Len() != n {
					b.Fatal(fmt.Sprint(err, batch.Len()))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/line")
		})
	}
}
