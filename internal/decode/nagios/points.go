package nagios

import (
	"fmt"
	"maps"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// The series of checks.
const (
	StateSeries = "check_state" // what a check says: of checks of all kinds
	PerfSeries  = "nagios_perf" // what it has measured
)

// AppendTo adds what the check called name says to b: a point of its state, with more fields if there are, and one of each item.
func (c Check) AppendTo(b *telemetry.Batch, name string, o Options, more telemetry.Fields) {
	fields := telemetry.Fields{
		"state": int(c.State), "text": c.Text, "duration_ms": float64(c.Took.Microseconds()) / 1000,
		"timed_out": c.Reason == TimedOut, "perf_errors": c.faults(), "truncated": c.Truncated,
	}
	if c.Code >= 0 {
		fields["exit_code"] = c.Code
	}
	for key, text := range map[string]string{"long_text": c.LongText, "reason": c.Reason, "stderr": c.Stderr} {
		if text != "" {
			fields[key] = text
		}
	}
	maps.Copy(fields, more)
	tags := telemetry.Tags{"check": name}
	b.Add(StateSeries, fields, tags)
	for _, i := range c.Perf {
		i.appendTo(b, tags, o.Kilo)
	}
}

// faults returns how many faults there are.
func (c Check) faults() (n int) {
	for _, k := range c.Bad {
		n += k
	}
	return n
}

// appendTo adds an item to b as a point, unless it says nothing: neither a value nor a limit.
func (i Item) appendTo(b *telemetry.Batch, tags telemetry.Tags, kilo int) bool {
	fields := telemetry.Fields{}
	put := func(name string, n *float64) {
		if n != nil {
			fields[name] = *n
		}
	}
	limits := func(name string, r *Range) {
		if r != nil {
			put(name+"_low", r.Low)
			put(name+"_high", r.High)
			fields[name+"_inside"] = r.Inside
		}
	}
	if !i.Unknown {
		put("value", &i.Value)
		if _, factor := Base(i.Unit, kilo); kilo != 0 && factor != 1 {
			fields["base_value"] = i.Value * factor
		}
	}
	limits("warn", i.Warn)
	limits("crit", i.Crit)
	put("min", i.Min)
	put("max", i.Max)
	if len(fields) == 0 {
		return false
	}
	if i.Counter() {
		fields["counter"] = true
	}
	own := telemetry.Tags{"label": i.Label}
	maps.Copy(own, tags)
	if i.Unit != "" {
		own["unit"] = i.Unit
	}
	b.Add(PerfSeries, fields, own)
	return true
}

// Decode adds the items of what a check has printed to b, for who knows no more of it than that.
func Decode(b *telemetry.Batch, text []byte, at time.Time, o Options) (r report.Report) {
	c := Parse(Run{Stdout: string(text)}, o)
	b.At(at)
	for _, i := range c.Perf {
		if i.appendTo(b, nil, o.Kilo) {
			r.Points++
		}
	}
	for code, n := range c.Bad {
		r.Count(code, n)
	}
	if len(c.Faults) > 0 {
		r.First = fmt.Errorf("%s: %s", c.Faults[0].Code, c.Faults[0].Text)
	}
	return r
}
