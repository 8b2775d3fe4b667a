package uplink

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPlaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "uplink.json")
	p := newPlaces(path, "nats://one")
	if err := p.load(); err != nil { // the first start
		t.Fatal(err)
	}
	if err := p.save(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file that says nothing was written")
	}
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p.change("METRICS/~uplink", func(at *place) { *at = place{Settled: 7, Sent: 9, After: 5} })
	p.change("METRICS/~uplink-8", func(at *place) { at.Settled = 8 })
	p.drop("METRICS/~uplink-8")
	p.setAway(since)
	if err := p.save(); err != nil {
		t.Fatal(err)
	}

	f := func(bus string, want place) {
		t.Helper()
		next := newPlaces(path, bus)
		if err := next.load(); err != nil {
			t.Fatal(err)
		}
		got, known := next.of("METRICS/~uplink")
		if _, dropped := next.of("METRICS/~uplink-8"); got != want || !known || dropped || !next.awaySince().Equal(since) {
			t.Errorf("%s: %+v, %v, away since %v", bus, got, known, next.awaySince())
		}
	}
	f("nats://one", place{Settled: 7, Sent: 9, After: 5})
	f("nats://two", place{Settled: 7, Sent: 9}) // whose sequences are others

	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newPlaces(path, "").load(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("of a file that is broken: %v", err)
	}
	p = newPlaces(filepath.Join(path, "no folder"), "")
	p.setAway(since)
	if err := p.save(); err == nil {
		t.Error("a file in no folder was written")
	}
	p = newPlaces("", "")
	p.setAway(since)
	if err := p.save(); err != nil || p.load() != nil {
		t.Errorf("without a file: %v", err)
	}
}
