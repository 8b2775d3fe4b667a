package schedule

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// at returns a time in Unix ns.
func at(text string) int64 { return moment(text).UnixNano() }

// moment returns a time given as in RFC 3339.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// TestCheck checks that each fault names its key, the value and the way out.
func TestCheck(t *testing.T) {
	f := func(s telemetry.Schedule, want ...string) {
		t.Helper()
		err := Check(s)
		faults, _ := errors.AsType[Faults](err)
		if len(faults) != len(want) || (err == nil) != (len(want) == 0) {
			t.Fatalf("%+v: %v, want %d faults", s, err, len(want))
		}
		for i, text := range want {
			if got := faults[i].Error(); !strings.Contains(got, text) || faults[i].Hint == "" {
				t.Errorf("%+v: fault %q, want %q", s, got, text)
			}
		}
	}
	f(telemetry.Schedule{})
	f(telemetry.Schedule{Align: true, SplayMS: 30_000, From: at("2026-12-01T00:00:00Z"), Until: at("2027-01-01T00:00:00Z"), Count: 3})
	f(telemetry.Schedule{Timezone: "Europe/Berlin"})
	f(telemetry.Schedule{Cron: "@daily", Timezone: "Europe/Berlim"}, `timezone: "Europe/Berlim" is no time zone`)
	f(telemetry.Schedule{Cron: "@daily", Timezone: "../etc/passwd"}, `timezone: "../etc/passwd" is no time zone`)
	f(telemetry.Schedule{Cron: "@daily", Align: true}, "align: a cron is at the times of the clock already: leave it out")
	f(telemetry.Schedule{SplayMS: -1, Count: -2}, "splay: -1 ms: say how far", "count: -2: say how many")
	f(telemetry.Schedule{SplayMS: 1 << 62}, "splay: ")
	f(telemetry.Schedule{From: at("2026-12-01T00:00:00Z"), Until: at("2026-12-01T00:00:00Z")},
		"until: 2026-12-01T00:00:00Z is not after from, 2026-12-01T00:00:00Z: say a later time")
	f(telemetry.Schedule{Cron: "0 0 1 1 *", From: at("2026-02-01T00:00:00Z"), Until: at("2026-03-01T00:00:00Z"), Timezone: "UTC"},
		`cron: "0 0 1 1 *" does not come before until, 2026-03-01T00:00:00Z: its first time is 2027-01-01T00:00:00Z: widen`)
}

// TestCheckCron checks which cron lines are taken.
func TestCheckCron(t *testing.T) {
	f := func(cron, want string) {
		t.Helper()
		err := Check(telemetry.Schedule{Cron: cron})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", cron, err, want)
		}
	}
	for _, good := range []string{
		"30 2 * * *", "0 30 2 * * *", "*/5 * * * *", "0 9-17 * * MON-FRI", "0 0 29 2 *", "0 0 29 2 7", "0 0 L * *", "0 9 * * MON#1",
		"0 0 1,15 jan,jul *", "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually", "0 22-2 * * *",
	} {
		f(good, "")
	}
	const never, say = "never comes: no month of it has such a day", `say it as "30 2 * * *"`
	f("0 0 30 2 *", never)
	f("0 0 31 2,4,6,9,11 *", never)
	f("0 0 30 2 *", say)
	f(", 0 * * *", "comma")
	f(", * * * * *", "comma")
	f("* * , * *", never)
	f("60 * * * *", "above maximum")
	f("60 * * * *", say)
	f("* * * *", "expected 5 to 6 fields, found 4")
	f("* * * * * * 2026", "expected 5 to 6 fields, found 7")
	f("*/0 * * * *", "step")
	f("@every 5m", `an interval is no cron: use "every:" with an interval`)
	f("@reboot", "@reboot")
	f("TZ=Europe/Berlin 0 2 * * *", `the time zone does not belong here: use "timezone:"`)
	f("H * * * *", say)
	f(strings.Repeat("*", 2000), "too long")
	f(" ", "found 0")
	f("now and then", say)
}

// TestCheckTells checks that all faults are told at once.
func TestCheckTells(t *testing.T) {
	err := Check(telemetry.Schedule{Cron: "nonsense", Timezone: "Nowhere", Count: -1})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v, want three faults", err)
	}
	_, err = New(telemetry.Schedule{Count: -1}, 0, "web-1", "cpu")
	if faults, _ := errors.AsType[Faults](err); len(faults) != 2 || faults[1].Key != "every" {
		t.Errorf("%v, want faults of count and every", err)
	}
}
