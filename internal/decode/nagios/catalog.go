package nagios

import "github.com/pacewire/pacewire/telemetry"

// Catalog describes the series of checks: that of states first.
func Catalog() []telemetry.Desc {
	check := "name of the check"
	return []telemetry.Desc{
		{
			Series: StateSeries, Help: "What a check says, at the end of each run.",
			Tags: map[string]string{"check": check},
			Fields: map[string]string{
				"state": "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN", "exit_code": "1", "text": "first line", "long_text": "further lines",
				"reason": "why it is not the state of the exit code", "stderr": "last 4 KiB", "duration_ms": "ms", "timed_out": "bool",
				"perf_errors": "1", "truncated": "bool",
			},
			Types: map[string]string{
				"state": "i", "exit_code": "i", "text": "s", "long_text": "s", "reason": "s", "stderr": "s", "timed_out": "b", "perf_errors": "i", "truncated": "b",
			},
		},
		{
			Series: PerfSeries, Help: "What a check has measured, a point for each item.",
			Tags: map[string]string{"check": check, "label": "name of the item", "unit": "as the check gives it; absent where it gives none"},
			Fields: map[string]string{
				"value": "unit", "base_value": "s, B or b", "min": "unit", "max": "unit", "counter": "bool",
				"warn_low": "unit", "warn_high": "unit", "warn_inside": "bool", "crit_low": "unit", "crit_high": "unit", "crit_inside": "bool",
			},
			Types: map[string]string{"counter": "b", "warn_inside": "b", "crit_inside": "b"},
		},
	}
}
