package config

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pacewire/pacewire/internal/schedule"
	"github.com/pacewire/pacewire/telemetry"
)

// timing holds the keys of a schedule until all of them are known: what a date means depends on the time zone.
type timing struct {
	every, short                       *yaml.Node // beside schedule:; short is cron:
	cron, timezone, align, from, until *yaml.Node
	splay                              *yaml.Node
}

var scheduleKeys = []string{"cron", "timezone", "align", "splay", "from", "until", "count"}

// readSchedule reads the map of a collector's schedule.
func (d *definition) readSchedule(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && !empty(n) {
		d.fault(n, "did you mean cron: "+quoted(n.Value)+"?", "schedule: want a map such as { cron: \"0 5 * * *\" }, got %s", d.got(n))
		return
	}
	if !d.isMap("schedule", n, "{ cron: \"0 5 * * *\" }") {
		return
	}
	at := &d.timing
	keep := func(to **yaml.Node) func(*yaml.Node) {
		return func(n *yaml.Node) { *to = n }
	}
	d.fields("schedule", n, map[string]func(*yaml.Node){
		"cron": keep(&at.cron), "timezone": keep(&at.timezone), "from": keep(&at.from), "until": keep(&at.until),
		"align": func(n *yaml.Node) { at.align, d.Schedule.Align = n, d.flag("schedule.align", n) },
		"splay": func(n *yaml.Node) { at.splay, d.Schedule.Splay = n, d.duration("schedule.splay", n, time.Millisecond) },
		"count": func(n *yaml.Node) { d.Schedule.Count = d.count("schedule.count", n, 1_000_000_000) },
		"every": func(n *yaml.Node) { d.fault(n, "write it beside schedule:", "schedule: has no every") },
	}, scheduleKeys)
}

// quoted is text as it can stand in YAML, whatever it begins with.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// when checks what the keys of a schedule say together.
func (d *definition) when(offline bool) {
	at, key := d.timing, "schedule.cron"
	if d.Kind != Collector {
		return // it was refused
	}
	before := len(d.faults)
	switch {
	case at.short != nil && at.cron != nil:
		d.fault(at.short, "remove one of them", "cron is set twice: cron: beside schedule: is short for schedule: { cron: ... }")
	case at.short != nil:
		at.cron, key = at.short, "cron"
	}
	zone := d.zone(at, offline)
	if at.cron != nil {
		d.exclusive(key, at)
		d.cron(key, at.cron)
	}
	d.Schedule.From = d.instant("schedule.from", at.from, zone)
	d.Schedule.Until = d.instant("schedule.until", at.until, zone)
	if from, until := d.Schedule.From, d.Schedule.Until; !from.IsZero() && !until.IsZero() && !from.Before(until) {
		d.fault(at.until, "", "schedule.until: want a time after from (%s), got %s", d.raw(at.from), d.raw(at.until))
	}
	if len(d.faults) == before {
		d.judged(at)
	}
}

// doubtful warns of a schedule that can be carried out and is hardly meant.
func (l *loader) doubtful(d *definition) {
	at, s := d.timing, d.Schedule
	if !s.Until.IsZero() && !l.Now().Before(s.Until) {
		d.warn(at.until, "write a later time, or remove the plugin", "schedule.until: %s has passed: %s is not asked any more", d.raw(at.until), d.Name)
	}
	if every := l.interval(d); every > 0 && s.Splay > every {
		d.warn(at.splay, "write a shorter one, or a longer every:", "schedule.splay: %s is longer than the interval of %v", d.raw(at.splay), every)
	}
}

// interval is how often a collector is asked; 0 where only the program knows, or cron says it.
func (l *loader) interval(d *definition) time.Duration {
	switch {
	case d.Schedule.Cron != "":
		return 0
	case d.Every == 0 && (d.builtin == nil || !d.builtin.Inventory):
		return l.out.Every
	}
	return d.Every
}

// judged asks those who carry schedules out. What is left to them is how the keys go together.
func (d *definition) judged(at timing) {
	var faults schedule.Faults
	if !errors.As(schedule.Check(d.Schedule.Wire()), &faults) {
		return
	}
	nodes := map[string]*yaml.Node{"cron": at.cron, "until": at.until}
	for _, f := range faults {
		n := nodes[f.Key]
		switch {
		case f.Key == "timezone": // it was looked up, if this machine can
			continue
		case n == nil:
			n = d.key
		}
		d.fault(n, f.Hint, "schedule.%s: %s", f.Key, f.Message)
	}
}

// Wire returns the schedule as it stands in an ACK.
func (s Schedule) Wire() telemetry.Schedule {
	ns := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixNano()
	}
	return telemetry.Schedule{
		Cron: s.Cron, Timezone: s.Timezone, Align: s.Align, SplayMS: s.Splay.Milliseconds(),
		From: ns(s.From), Until: ns(s.Until), Count: int64(s.Count),
	}
}

// exclusive refuses an interval beside times.
func (d *definition) exclusive(key string, at timing) {
	if at.every != nil {
		d.fault(at.every, "remove one of them", "every and %s exclude each other: an interval, or times", key)
	}
	if d.Schedule.Align {
		d.fault(at.align, "remove it", "schedule.align is of an interval: what cron says is aligned to the clock already")
	}
}

// cron reads the times of a schedule.
func (d *definition) cron(key string, n *yaml.Node) {
	text := strings.Join(strings.Fields(d.text(key, n)), " ")
	if text == "" {
		return
	}
	if err := schedule.Check(telemetry.Schedule{Cron: text}); err != nil {
		d.noCron(key, n, text, err)
		return
	}
	d.Schedule.Cron = text
}

func (d *definition) noCron(key string, n *yaml.Node, text string, err error) {
	if hint := missingDay(text); hint != "" {
		d.fault(n, hint, "%s: %s never comes", key, d.got(n))
		return
	}
	hint, faults := cronHint(text), schedule.Faults{}
	if hint == "" && errors.As(err, &faults) {
		hint = strings.TrimPrefix(faults[0].Message, strconv.Quote(text)+": ")
	}
	d.fault(n, hint, "%s: want minute, hour, day, month and weekday such as \"*/5 * * * *\", got %s", key, d.got(n))
}

// zone reads the time zone that cron and days mean; without one it is the machine's.
func (d *definition) zone(at timing, offline bool) *time.Location {
	if at.timezone == nil {
		return time.Local
	}
	name := d.text("schedule.timezone", at.timezone)
	if name == "" {
		return time.Local
	}
	if at.cron == nil && !isDay(at.from) && !isDay(at.until) {
		d.fault(at.timezone, "remove it", "schedule.timezone: nothing here goes by a clock: it is for cron, and for from and until when they are days")
	}
	zone, fault, hint := findZone(name, time.LoadLocation)
	switch {
	case zone == nil && (!offline || fault != noZoneFiles): // other machines have their own files
		d.fault(at.timezone, hint, "schedule.timezone: %s: %s", d.got(at.timezone), fault)
	case at.cron != nil:
		d.Schedule.Timezone = name
	}
	if zone == nil {
		zone = time.UTC
	}
	return zone
}

func isDay(n *yaml.Node) bool {
	if n == nil {
		return false
	}
	_, err := time.Parse(time.DateOnly, n.Value)
	return err == nil
}

// instant reads a time, or the beginning of a day in zone.
func (d *definition) instant(key string, n *yaml.Node, zone *time.Location) time.Time {
	if n == nil {
		return time.Time{}
	}
	text := d.text(key, n)
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil && t.Year() >= 1970 && t.Year() < 2262 {
			return t.UTC()
		}
	}
	d.fault(n, instantHint(text), "%s: want a time such as 2026-01-31T08:00:00Z or a day such as 2026-01-31, got %s", key, d.got(n))
	return time.Time{}
}

// instantHint completes a time of which a part is missing.
func instantHint(text string) string {
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", "2.1.2006", "2006/01/02"} {
		t, err := time.Parse(layout, text)
		switch {
		case err != nil:
		case strings.Contains(layout, "15"):
			return "did you mean " + t.Format(time.RFC3339) + "? a time has a zone: Z, or +02:00"
		default:
			return "did you mean " + t.Format(time.DateOnly) + "?"
		}
	}
	return ""
}
