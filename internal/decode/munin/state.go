package munin

import (
	"fmt"
	"maps"
	"time"

	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/telemetry"
)

// NoValue is the reason of a state that is unknown because there is no value to compare with the limits.
const NoValue = "no_value"

// state adds what the limits of a field say of its newest value.
func (w *writer) state(graph string, f *field, newest *sample) {
	if f.warning == nil && f.critical == nil || !w.judge {
		return
	}
	at, fields := w.at, telemetry.Fields{}
	switch {
	case newest == nil:
		fields["state"], fields["reason"] = int(nagios.Unknown), NoValue
		fields["text"] = f.label + ": no value"
	case !newest.known:
		return // the next run tells
	default:
		state, text := f.compare(newest.level)
		at, fields["state"], fields["text"] = newest.at, int(state), text
		if f.kind != gauge {
			fields["text"] = text + " (per second)"
		}
	}
	w.append(at, graph+"."+f.name, fields)
}

func (w *writer) append(at time.Time, check string, fields telemetry.Fields) {
	tags := maps.Clone(w.tags)
	tags["check"] = check
	w.report.Append(w.b, 0, telemetry.Point{Series: nagios.StateSeries, Time: at, Tags: tags, Fields: fields})
}

// compare returns the state of a field that has a level, and a sentence that says why.
func (f *field) compare(level float64) (nagios.State, string) {
	for _, limit := range []struct {
		state nagios.State
		name  string
		r     *Range
	}{{nagios.Critical, "critical", f.critical}, {nagios.Warning, "warning", f.warning}} {
		if limit.r != nil && !limit.r.Holds(level) {
			return limit.state, fmt.Sprintf("%s: %v is not within %s, the limit of %s", f.label, level, limit.r, limit.name)
		}
	}
	return nagios.OK, fmt.Sprintf("%s: %v", f.label, level)
}
