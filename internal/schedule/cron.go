package schedule

import (
	"errors"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// cronTimes are the times of a cron line.
//
// The line is read on a clock without time zone, and what it says there is carried over to the zone, so that all that is
// odd about a zone stands here. A line that names hours comes once for each of its times: a time that the clock jumps over
// comes as much after the jump as it would have without, one that the clock shows twice comes the first time. A line for all
// 24 hours is meant as an interval: it follows what the clock shows, whatever that does.
type cronTimes struct {
	line   cron.Schedule
	allDay bool // all 24 hours
	zone   *time.Location
}

// searchYears is how far ahead a time is looked for. February 29 on a given day of the week comes each 28 years, and after 40
// around a year such as 2100.
const searchYears = 40

// parse reads a cron line: five fields, six with seconds first, or a word such as @daily. A line that never comes is an error.
func parse(text string, zone *time.Location) (cronTimes, error) {
	switch {
	case strings.HasPrefix(text, "@every"):
		return cronTimes{}, errors.New("an interval is no cron")
	case strings.HasPrefix(text, "TZ="), strings.HasPrefix(text, "CRON_TZ="):
		return cronTimes{}, errors.New("the time zone does not belong here")
	}
	// As in crontab(5), a line with both a day of the month and a day of the week comes on either.
	parser, err := cron.TryNewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom |
		cron.Descriptor | cron.Extended)
	if err != nil {
		return cronTimes{}, err
	}
	line, err := parser.WithMaxSearchYears(searchYears).Parse(text)
	if err != nil {
		return cronTimes{}, err
	}
	c := cronTimes{line: line, zone: zone}
	const hours = 1<<24 - 1
	if s, ok := line.(*cron.SpecSchedule); ok {
		if s.Second == 0 || s.Minute == 0 || s.Hour == 0 || s.Month == 0 { // it would be looked for second by second
			return cronTimes{}, errors.New("this never comes: there is a comma with nothing beside it")
		}
		c.allDay = s.Hour&hours == hours
	}
	if line.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return cronTimes{}, errors.New("this never comes: no month of it has such a day")
	}
	return c, nil
}

// next returns the first time after a given one; zero when there is none.
func (c cronTimes) next(after time.Time) time.Time {
	for at := after.In(c.zone).Add(1); ; {
		begin, end := at.ZoneBounds()
		if !end.IsZero() && !end.After(at) { // as package time has it on the last day of some leap years from 2040 on
			end = at.AddDate(0, 0, 1)
		}
		due := c.within(at, begin)
		if due.IsZero() || end.IsZero() || due.Before(end) {
			return due
		}
		// After the change due is another time, by no more than offsets differ.
		if at = due.Add(-48 * time.Hour); at.Before(end) {
			at = end
		}
	}
}

// within returns the first time not before at, as if the clock were never changed after at. The last change was at begin.
func (c cronTimes) within(at, begin time.Time) time.Time {
	now := offset(at)
	if c.allDay || begin.IsZero() {
		return c.read(at, now)
	}
	change := now - offset(begin.Add(-1))
	if change <= 0 { // the clock was set back, and shows for a while what it showed before
		if again := begin.Add(-change); at.Before(again) {
			at = again
		}
		return c.read(at, now)
	}
	due := c.read(at, now)
	if jumped := c.read(at, now-change); jumped.Before(due) && jumped.Before(begin.Add(change)) {
		return jumped
	}
	return due
}

// read returns the first time not before at on a clock that is ahead of UTC by offset.
func (c cronTimes) read(at time.Time, offset time.Duration) time.Time {
	due := c.line.Next(at.UTC().Add(offset - 1))
	if due.IsZero() {
		return due
	}
	return due.Add(-offset).In(c.zone)
}

func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// zoneOf returns the time zone of an IANA name; the machine's without one.
func zoneOf(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	return time.LoadLocation(name)
}
