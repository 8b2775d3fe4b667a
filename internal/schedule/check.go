package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A Fault is one thing that is wrong with a schedule.
type Fault struct {
	Key     string // as it stands in a config below "schedule"
	Message string // with the value
	Hint    string // the way out
}

// Error returns the fault with its key and the way out.
func (f Fault) Error() string { return f.Key + ": " + f.Message + ": " + f.Hint }

// Faults is everything that is wrong with a schedule.
type Faults []Fault

// Error returns the faults, a line each.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Check reports what is wrong with s in the words of an operator. The error is Faults.
func Check(s telemetry.Schedule) error {
	if faults := check(s); len(faults) > 0 {
		return faults
	}
	return nil
}

func check(s telemetry.Schedule) (faults Faults) {
	add := func(key, hint, message string, args ...any) {
		faults = append(faults, Fault{key, fmt.Sprintf(message, args...), hint})
	}
	zone, err := zoneOf(s.Timezone)
	if err != nil {
		add("timezone", `say it as "Europe/Berlin" or "UTC"`, "%q is no time zone that this machine knows", s.Timezone)
	}
	if s.Cron != "" && s.Align {
		add("align", "leave it out", "a cron is at the times of the clock already")
	}
	const most = 1 << 40 // ms; more does not fit a Duration
	if s.SplayMS < 0 || s.SplayMS > most {
		add("splay", "say how far hosts are to be spread, such as 30s", "%d ms", s.SplayMS)
	}
	if s.Count < 0 {
		add("count", "say how many runs there are to be, 0 for no end", "%d", s.Count)
	}
	if s.From != 0 && s.Until != 0 && s.Until <= s.From {
		add("until", "say a later time", "%s is not after from, %s", text(s.Until), text(s.From))
	}
	if s.Cron != "" {
		if f, ok := checkCron(s, zone); !ok {
			faults = append(faults, f)
		}
	}
	return faults
}

// checkCron reports a cron that cannot be read, never comes, or does not come in its window.
func checkCron(s telemetry.Schedule, zone *time.Location) (Fault, bool) {
	if zone == nil {
		zone = time.UTC // the fault is told elsewhere
	}
	c, err := parse(s.Cron, zone)
	if err != nil {
		return Fault{"cron", fmt.Sprintf("%q: %v", s.Cron, err), hintOf(s.Cron)}, false
	}
	if s.From == 0 || s.Until <= s.From {
		return Fault{}, true
	}
	if due := c.next(instant(s.From).Add(-1)); !due.Before(instant(s.Until)) {
		const hint = "widen the window of from and until"
		return Fault{"cron", fmt.Sprintf("%q does not come before until, %s: its first time is %s", s.Cron, text(s.Until), due.Format(time.RFC3339)), hint}, false
	}
	return Fault{}, true
}

// hintOf returns the way out for a cron that cannot be used.
func hintOf(cron string) string {
	switch {
	case strings.HasPrefix(cron, "@every"):
		return `use "every:" with an interval`
	case strings.HasPrefix(cron, "TZ=") || strings.HasPrefix(cron, "CRON_TZ="):
		return `use "timezone:"`
	}
	return `say it as "30 2 * * *" (minute, hour, day of month, month, day of week), with seconds first as "0 30 2 * * *", or @hourly, @daily, @weekly, @monthly, @yearly`
}

func text(ns int64) string { return instant(ns).UTC().Format(time.RFC3339) }
