package main

import (
	"fmt"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

// What info says of counters: what is not lost does not stand with what is, and what there is none of is not mentioned.
func TestCountersOf(t *testing.T) {
	rows := func(c telemetry.Stats) map[string]string {
		all := map[string]string{}
		countersOf(c, func(key string, v any) { all[key] = fmt.Sprint(v) })
		return all
	}
	f := func(c telemetry.Stats, key, want string) {
		t.Helper()
		if got := rows(c)[key]; got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	quiet := telemetry.Stats{}
	f(quiet, "dropped", "none")
	f(quiet, "refused", "")
	f(quiet, "sent again", "")
	f(quiet, "ticks", "")
	f(telemetry.Stats{Ticks: 7}, "ticks", "7, missed 0")
	f(telemetry.Stats{Calls: 3, CallP50US: 250, CallP99US: 12_345, CallMaxUS: 30_000_880}, "calls", "3, p50 250µs, p99 12.35ms, max 30s")
	busy := telemetry.Stats{Dropped: map[string]uint64{"nan": 2}, Refused: map[string]uint64{telemetry.FlagRefused: 70}, Resent: 5, LateResent: 3}
	f(busy, "dropped", "nan 2")
	f(busy, "refused", "refused_flood 70 points, which their senders keep")
	f(busy, "sent again", "5 messages that the bus had not answered, 3 so late that they may be stored twice")
}
