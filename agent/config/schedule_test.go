package config

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func TestScheduleWire(t *testing.T) {
	s, err := Parse(options(), "c.yaml", []byte(
		`collect: { cpu: { schedule: { cron: "0 5 * * *", timezone: Europe/Berlin, splay: 90s, from: 2026-01-31, until: 2026-07-01, count: 7 } } }`))
	if err != nil {
		t.Fatal(err)
	}
	// Midnight in Berlin is 23:00 in winter and 22:00 in summer.
	want := telemetry.Schedule{Cron: "0 5 * * *", Timezone: "Europe/Berlin", SplayMS: 90_000, Count: 7,
		From: time.Date(2026, 1, 30, 23, 0, 0, 0, time.UTC).UnixNano(), Until: time.Date(2026, 6, 30, 22, 0, 0, 0, time.UTC).UnixNano()}
	if got := s.Plugins[0].Schedule.Wire(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := (Schedule{}).Wire(); got != (telemetry.Schedule{}) {
		t.Errorf("nothing is %+v", got)
	}
}

// TestFindZone has the machines that a test cannot be run on.
func TestFindZone(t *testing.T) {
	none := func(string) (*time.Location, error) { return nil, errors.New("no such file") }
	f := func(name string, load func(string) (*time.Location, error), fault, hint string) {
		t.Helper()
		zone, gotFault, gotHint := findZone(name, load)
		if gotFault != fault || gotHint != hint || (zone != nil) != (fault == "") {
			t.Errorf("findZone(%q) = %v, %q, %q; want %q, %q", name, zone, gotFault, gotHint, fault, hint)
		}
	}
	f("Europe/Berlin", none, noZoneFiles, "install tzdata, or leave it out for the machine's own zone")
	f("Europe/Berlin", time.LoadLocation, "", "")
	f("UTC", time.LoadLocation, "", "")
	f("Berlin", time.LoadLocation, noSuchZone, "did you mean Europe/Berlin?")
	f("GMT-05:00", time.LoadLocation, noSuchZone, "did you mean Etc/GMT+5? the sign of these names is turned about")
	f("../etc/passwd", time.LoadLocation, noSuchZone, "it is named by a place, such as Europe/Berlin or America/New_York")
	f("/", time.LoadLocation, noSuchZone, "it is named by a place, such as Europe/Berlin or America/New_York")
	f("é/é", time.LoadLocation, noSuchZone, "it is named by a place, such as Europe/Berlin or America/New_York")
}

func TestMissingDay(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := missingDay(text); got != want {
			t.Errorf("missingDay(%q) = %q, want %q", text, got, want)
		}
	}
	f("0 0 30 2 *", "February has at most 29 days")
	f("0 0 0 30 FEB ?", "February has at most 29 days")
	f("0 0 31 11 *", "November has at most 30 days")
	f("0 0 29 2 *", "")
	f("0 0 30 2 mon", "") // it comes on Mondays
	f("0 0 32 2 *", "")   // no month has it
	f("0 0 30 2,3 *", "")
	f("@daily", "")
}

func TestCores(t *testing.T) {
	f := func(text string, want float64, hint string) {
		t.Helper()
		s, err := Parse(options(), "c.yaml", []byte("collect: { cpu: { limits: { cpu: "+text+" } } }"))
		switch {
		case err == nil && s.Plugins[0].Limits.CPU != want:
			t.Errorf("%s: got %v cores, want %v", text, s.Plugins[0].Limits.CPU, want)
		case err != nil && (want != 0 || faultsOf(err)[0].Hint != hint):
			t.Errorf("%s: %v", text, err)
		}
	}
	f("50%", 0.5, "")
	f("1.5", 1.5, "")
	f("250%", 2.5, "")
	f("1", 1, "")
	f("1500m", 0, "did you mean 150%?")
	f(`"1,5"`, 0, "")
	f("-1", 0, "")
	f("0.001", 0, "")
	f("0%", 0, "")
	f("5000", 0, "")
	f("9999999999999999999999", 0, "")
}

func faultsOf(err error) Faults {
	var faults Faults
	errors.As(err, &faults)
	return faults
}

// TestDoubts has what can be carried out and is hardly meant; the clock stands at the beginning of 2026.
func TestDoubts(t *testing.T) {
	f := func(entry string, want ...string) {
		t.Helper()
		s, err := Parse(options(), "c.yaml", []byte("every: 20s\ncollect: { mem: , "+entry+" }\npublish: { prometheus: { from: all } }"))
		if err != nil {
			t.Errorf("%s: %v", entry, err)
			return
		}
		var got []string
		for _, w := range s.Warnings {
			got = append(got, w.Message)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", entry, got, want)
		}
	}
	f("cpu: { schedule: { until: 2025-12-31T23:59:59Z } }", "schedule.until: 2025-12-31T23:59:59Z has passed: cpu is not asked any more")
	f("cpu: { schedule: { until: 2026-01-01T00:00:00Z } }", "schedule.until: 2026-01-01T00:00:00Z has passed: cpu is not asked any more")
	f("cpu: { schedule: { until: 2026-01-01T00:00:01Z } }")
	f("cpu: { every: 5s, schedule: { splay: 6s } }", "schedule.splay: 6s is longer than the interval of 5s")
	f("cpu: { every: 5s, schedule: { splay: 5s } }")
	f("cpu: { schedule: { splay: 30s } }", "schedule.splay: 30s is longer than the interval of 20s")
	f("cpu: { schedule: { cron: '@hourly', splay: 30s } }")
	f("os: { schedule: { splay: 1h } }") // it knows how often
	f("os: { every: 1m, schedule: { splay: 1h } }", "schedule.splay: 1h is longer than the interval of 1m0s")
	f("cpu: { limits: { processes: 15 } }", "limits.processes: a built-in has about a dozen threads, with 15 it may not start")
	f("cpu: { limits: { processes: 16 } }")
	f("cpu: { limits: { memory: 20MiB } }")
	f("cpu: { run: python3 x.py, limits: { processes: 1 } }")
	f("k: { use: kafka, limits: { processes: 1 } }") // a program of its own
}
