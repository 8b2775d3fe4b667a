package lines

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// FuzzOthers: whatever comes, in whatever pieces, nothing breaks, and the same points come out of it, with the same things left out.
func FuzzOthers(f *testing.F) {
	for _, text := range []string{
		graphiteText, "put a 1700000000 1 t=u\nput\n\xff", "{\"series\":\"a\",\"fields\":{\"n\":1}}\n{\n[]\n",
		"PUTVAL h/a/b N:1\nPUTNOTIF severity=okay message=x\nPUTVAL \"h/a/b 1:2\n" + strings.Repeat("x", 100) + "\n",
	} {
		f.Add([]byte(text), uint(7))
	}
	noon := time.Unix(1700000000, 0)
	f.Fuzz(func(t *testing.T, text []byte, cut uint) {
		for _, format := range formats()[1:] {
			cfg := defaults()
			cfg.Format, cfg.MaxLine = format, minLine
			options, err := cfg.Options("lines")
			if err != nil {
				t.Fatal(err)
			}
			read := func(pieces ...[]byte) ([]string, map[string]int) {
				e := &emitter{drops: map[string]int{}}
				l := &listener{cfg: cfg, options: options, log: slog.New(slog.DiscardHandler)}
				in := l.intake(e, "test")
				var b telemetry.Batch
				var rest []byte
				for _, piece := range pieces {
					rest, _ = in.take(&b, append(slices.Clone(rest), piece...), false)
				}
				points := slices.Collect(b.Points())
				for i := range points {
					points[i].Time = noon // that of some is when they came
				}
				return linesOf(points), e.drops
			}
			k := int(cut % uint(len(text)+1))
			points, drops := read(text)
			cutPoints, cutDrops := read(text[:k], text[k:])
			if !slices.Equal(points, cutPoints) || !maps.Equal(drops, cutDrops) {
				t.Errorf("%s: %q %v\ncut at %d\n%q %v", format, points, drops, k, cutPoints, cutDrops)
			}
		}
	})
}
