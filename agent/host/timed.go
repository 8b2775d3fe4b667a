package host

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/internal/schedule"
	"github.com/pacewire/pacewire/telemetry"
)

// timed tells when a collector with a schedule is due. The caller has the lock of the entry.
func (i *instance) timed(s *telemetry.PluginStatus, now time.Time) {
	w := i.plan.work
	if w.Schedule == nil {
		return
	}
	s.Schedule = describe(*w.Schedule, time.Duration(w.EveryMS)*time.Millisecond)
	at, err := schedule.New(*w.Schedule, time.Duration(w.EveryMS)*time.Millisecond, i.entry.host.o.Host, i.entry.name)
	if err != nil {
		return // the config was checked: it is another version's
	}
	due, ok := at.Next(now)
	switch {
	case ok && at.Wall():
		s.Due = due.UnixNano()
	case !ok && s.State == idle:
		s.Reason = cmp.Or(s.Reason, "its schedule is over")
	}
}

// describe writes a schedule in the words of the config.
func describe(s telemetry.Schedule, every time.Duration) string {
	var parts []string
	add := func(is bool, format string, args ...any) {
		if is {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(s.Cron != "", "cron %s", s.Cron)
	add(s.Cron == "", "every %v", every)
	add(s.Timezone != "", "in %s", s.Timezone)
	add(s.Align, "aligned")
	add(s.SplayMS > 0, "splay %v", time.Duration(s.SplayMS)*time.Millisecond)
	add(s.From != 0, "from %s", time.Unix(0, s.From).UTC().Format(time.RFC3339))
	add(s.Until != 0, "until %s", time.Unix(0, s.Until).UTC().Format(time.RFC3339))
	add(s.Count > 0, "%s", amount.Of(s.Count, "time", "times"))
	return strings.Join(parts, ", ")
}
