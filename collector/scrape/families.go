package scrape

import (
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/internal/decode/prometheus"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	familiesEvery = time.Hour
	maxFamilies   = 20_000 // that are remembered, and so told
)

// families are what targets have said of their families, so that it is told once an hour and not with each page.
type families struct {
	mu   sync.Mutex
	told map[family]time.Time
}

// A family is what is told. The same family of two targets may have two types: both are.
type family struct{ job, name, kind, unit string }

// tell adds a point to b for each family of a page that has not been told within the hour.
func (f *families) tell(b *telemetry.Batch, job string, page []prometheus.Family, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.told == nil {
		f.told = map[family]time.Time{}
	}
	for _, p := range page {
		key := family{job, short(p.Name), short(p.Type), short(p.Unit)}
		last, known := f.told[key]
		if known && now.Sub(last) < familiesEvery || !known && len(f.told) >= maxFamilies {
			continue
		}
		f.told[family{job, strings.Clone(key.name), strings.Clone(key.kind), strings.Clone(key.unit)}] = now // they look into the page
		b.Add("scrape_family", telemetry.Fields{"help": p.Help, "samples": p.Samples},
			telemetry.Tags{"job": job, "family": key.name, "type": key.kind, "unit": key.unit})
	}
}

// short returns what is remembered of a text that a target says.
func short(text string) string { return report.Cut(text, telemetry.MaxName) }
