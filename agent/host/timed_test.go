package host

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// Who is due by the clock shows when, who is due by an interval does not, and a window that has ended is told as the reason.
func TestTimed(t *testing.T) {
	at := time.Date(2026, 11, 20, 12, 30, 0, 0, time.UTC)
	f := func(keys, state, words, due, reason string) {
		t.Helper()
		h := newHost(t, bustest.New(t).URL, "collect: { numbers: { "+keys+" } }\n")
		s := telemetry.PluginStatus{State: state}
		h.find("numbers").now.timed(&s, at)
		got := ""
		if s.Due != 0 {
			got = time.Unix(0, s.Due).UTC().Format(time.DateTime)
		}
		if s.Schedule != words || got != due || s.Reason != reason {
			t.Errorf("%s: schedule %q, due %q, reason %q", keys, s.Schedule, got, s.Reason)
		}
	}
	f("every: 10s", running, "", "", "")
	f(`schedule: { cron: "0 5 * * *", timezone: UTC }`, running, "cron 0 5 * * *, in UTC", "2026-11-21 05:00:00", "")
	f("every: 1h, schedule: { align: true }", running, "every 1h0m0s, aligned", "2026-11-20 13:00:00", "")
	f("every: 1m, schedule: { until: 2026-11-20T00:00:00Z }", idle, "every 1m0s, until 2026-11-20T00:00:00Z", "", "its schedule is over")
}
