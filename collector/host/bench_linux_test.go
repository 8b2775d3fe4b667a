package host

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// BenchmarkCollect is a collection of the machine that runs it, whole and by section.
func BenchmarkCollect(b *testing.B) {
	b.Run("all", func(b *testing.B) { benchCollect(b, nil) })
	for _, name := range sectionNames() {
		b.Run(name, func(b *testing.B) { benchCollect(b, []string{name}) })
	}
}

func benchCollect(b *testing.B, only []string) {
	h := realHost(b, func(c *Config) { c.Only = only })
	var batch telemetry.Batch
	b.ReportAllocs()
	for b.Loop() {
		rewind(h)
		batch.Reset()
		batch.At(time.Unix(1763559525, 0))
		if err := h.Collect(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(batch.Len()), "points")
}

// BenchmarkScan counts 5,000 processes whose files are in memory or on disk, not in procfs.
func BenchmarkScan(b *testing.B) {
	dir := b.TempDir()
	for pid := 1; pid <= 5000; pid++ {
		folder := filepath.Join(dir, fmt.Sprint(pid))
		if err := os.Mkdir(folder, 0o700); err != nil {
			b.Fatal(err)
		}
		text := fmt.Sprintf("%d (worker) S 1 1 1 0 -1 4194560 918273 0 99 0 91827 18273 0 0 20 0 3 0 1301 3222298112 270012\n", pid)
		if err := os.WriteFile(filepath.Join(folder, "stat"), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	s := newScanner(dir)
	b.ReportAllocs()
	for b.Loop() {
		if t, err := s.scan(b.Context()); err != nil || t[counted] != 5000 {
			b.Fatal(t, err)
		}
	}
}
