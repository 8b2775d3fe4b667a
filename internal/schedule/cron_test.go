package schedule

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// span returns the times from one local date to another, in a time zone.
func span(t *testing.T, cron, zone, from, to string) []time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	date := func(text string) time.Time {
		day, err := time.ParseInLocation(time.DateOnly, text, loc)
		if err != nil {
			t.Fatal(err)
		}
		return day
	}
	return between(made(t, telemetry.Schedule{Cron: cron, Timezone: zone}, 0), date(from), date(to))
}

// TestCounts checks how often a cron comes: in common and leap years, and on the days on which the clock is set.
func TestCounts(t *testing.T) {
	f := func(cron, zone, from, to string, want int) {
		t.Helper()
		if got := len(span(t, cron, zone, from, to)); got != want {
			t.Errorf("%s in %s from %s to %s: %d times, want %d", cron, zone, from, to, got, want)
		}
	}
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York"} {
		f("30 2 * * *", zone, "2027-01-01", "2028-01-01", 365)
		f("30 2 * * *", zone, "2028-01-01", "2029-01-01", 366)
		f("10,40 * * * *", zone, "2028-01-01", "2029-01-01", 366*48)
		f("0 0 29 2 *", zone, "2027-01-01", "2037-01-01", 3) // 2028, 2032, 2036
		f("0 0 29 2 *", zone, "2097-01-01", "2105-01-01", 1) // 2100 has none
		f("0 0 31 * *", zone, "2027-01-01", "2028-01-01", 7)
		f("0 0 L * *", zone, "2028-01-01", "2029-01-01", 12)
		f("0 9 * * MON-FRI", zone, "2027-01-01", "2028-01-01", 261)
		f("0 9 * * MON#1", zone, "2027-01-01", "2028-01-01", 12)
		f("0 0 13 * FRI", zone, "2026-01-01", "2027-01-01", 12+52-3) // either; three Fridays are a 13th
		f("@weekly", zone, "2027-01-01", "2028-01-01", 52)
		f("@yearly", zone, "2027-01-01", "2037-01-01", 10)
	}
	f("* * * * * *", "UTC", "2027-01-01", "2027-01-02", 86_400)
	f("0 0 29 2 MON", "UTC", "2000-01-01", "2100-01-01", 25+mondays(2000, 2100))

	spring, autumn := "2027-03-28", "2027-10-31"
	f("30 2 * * *", "Europe/Berlin", spring, "2027-03-29", 1)
	f("30 2 * * *", "Europe/Berlin", autumn, "2027-11-01", 1)
	f("30 2 * * *", "America/New_York", "2027-03-14", "2027-03-15", 1)
	f("30 1 * * *", "America/New_York", "2027-11-07", "2027-11-08", 1)
	f("30 2 * * *", "America/New_York", "2027-11-07", "2027-11-08", 1)
	f("@hourly", "Europe/Berlin", spring, "2027-03-29", 23)
	f("@hourly", "Europe/Berlin", autumn, "2027-11-01", 25)
	f("*/15 * * * *", "Europe/Berlin", spring, "2027-03-29", 92)
	f("*/15 * * * *", "Europe/Berlin", autumn, "2027-11-01", 100)
	f("*/15 2 * * *", "Europe/Berlin", spring, "2027-03-29", 4)
	f("*/15 2 * * *", "Europe/Berlin", autumn, "2027-11-01", 4)
	f("0,30 2,3 * * *", "Europe/Berlin", spring, "2027-03-29", 2) // those of 2 and those of 3 are the same
	f("0 */2 * * *", "Europe/Berlin", autumn, "2027-11-01", 12)
}

// mondays returns how many February 1 ... 28 and 29 are Mondays: with a day of the month and a day of the week either counts.
func mondays(from, to int) (n int) {
	for year := from; year < to; year++ {
		for day := time.Date(year, 2, 1, 0, 0, 0, 0, time.UTC); day.Month() == time.February; day = day.AddDate(0, 0, 1) {
			if day.Weekday() == time.Monday && day.Day() != 29 {
				n++
			}
		}
	}
	return n
}

// TestChanges checks at what time a cron comes when the clock is set.
func TestChanges(t *testing.T) {
	f := func(cron, zone, from, to string, want ...string) {
		t.Helper()
		got := span(t, cron, zone, from, to)
		texts := make([]string, len(got))
		for i, due := range got {
			texts[i] = due.Format(time.RFC3339)
		}
		if fmt.Sprint(texts) != fmt.Sprint(want) {
			t.Errorf("%s in %s: %v, want %v", cron, zone, texts, want)
		}
	}
	f("30 2 * * *", "Europe/Berlin", "2027-03-27", "2027-03-30",
		"2027-03-27T02:30:00+01:00", "2027-03-28T03:30:00+02:00", "2027-03-29T02:30:00+02:00")
	f("30 2 * * *", "Europe/Berlin", "2027-10-30", "2027-11-02",
		"2027-10-30T02:30:00+02:00", "2027-10-31T02:30:00+02:00", "2027-11-01T02:30:00+01:00")
	f("0 2,3 * * *", "Europe/Berlin", "2027-10-31", "2027-11-01", "2027-10-31T02:00:00+02:00", "2027-10-31T03:00:00+01:00")
	f("0 2 * * *", "Europe/Berlin", "2027-03-28", "2027-03-29", "2027-03-28T03:00:00+02:00")
	f("0 0 * * *", "America/Sao_Paulo", "2018-11-03", "2018-11-06", // whose midnight of the 4th there was not
		"2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00")
	f("15 2 * * *", "Australia/Lord_Howe", "2027-10-03", "2027-10-04", "2027-10-03T02:45:00+11:00") // half an hour
	f("30 2 * * *", "Pacific/Apia", "2011-12-29", "2012-01-01",                                     // which left out the 30th
		"2011-12-29T02:30:00-10:00", "2011-12-31T02:30:00+14:00")
	f("0 12 * * *", "Asia/Kolkata", "2027-01-01", "2027-01-02", "2027-01-01T12:00:00+05:30")
}

// TestOnceEachDay checks that a time of the day comes exactly once on each day, whatever the clock does.
func TestOnceEachDay(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Cairo", "America/Santiago"} {
		for _, hour := range []int{0, 1, 2, 3} {
			for _, minute := range []int{0, 45} {
				cron := fmt.Sprintf("%d %d * * *", minute, hour)
				day := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
				for _, due := range span(t, cron, zone, "2027-01-01", "2028-01-01") {
					if got := due.Format(time.DateOnly); got != day.Format(time.DateOnly) {
						t.Fatalf("%s in %s: at %v, want a time on %v", cron, zone, due, day)
					}
					day = day.AddDate(0, 0, 1)
				}
				if day.Year() != 2028 {
					t.Errorf("%s in %s: none on %v", cron, zone, day)
				}
			}
		}
	}
}

// FuzzCron checks that no line makes Next hang or stand still.
func FuzzCron(f *testing.F) {
	for _, cron := range []string{"30 2 * * *", "*/5 * * * * *", "0 0 30 2 *", "0 0 L-3 * 7", "59 23 29 2 MON#5", "@hourly", "0 0 31W * *", ", * * * * *"} {
		f.Add(cron)
	}
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, cron string) {
		c, err := parse(cron, zone)
		if err != nil {
			return
		}
		last := moment("2027-03-27T12:00:00Z")
		for range 50 {
			due := c.next(last)
			if due.IsZero() && last.Year() < 2100 {
				t.Fatalf("%q never comes after %v", cron, last)
			}
			if due.IsZero() {
				return
			}
			if !due.After(last) {
				t.Fatalf("%q: %v after %v", cron, due, last)
			}
			last = due
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for _, cron := range []string{"* * * * * *", "*/5 * * * *", "30 2 * * *", "0 0 29 2 *"} {
		b.Run(cron, func(b *testing.B) {
			s, err := New(telemetry.Schedule{Cron: cron, Timezone: "Europe/Berlin"}, 0, "web-1", "cpu")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for at := moment("2027-03-27T12:00:00Z"); b.Loop(); {
				at, _ = s.Next(at)
			}
		})
	}
}
