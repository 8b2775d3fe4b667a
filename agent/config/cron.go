package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/schedule"
	"github.com/pacewire/pacewire/telemetry"
)

var cronWords = []string{"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}

// cronFields are the fields of a schedule from the last one, which every schedule has, to the first.
var cronFields = []struct {
	name, plural string
	least, most  int
	names        []string
}{
	{"weekday", "weekdays", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
	{"month", "months", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day", "days of a month", 1, 31, nil},
	{"hour", "hours", 0, 23, nil},
	{"minute", "minutes", 0, 59, nil},
	{"second", "seconds", 0, 59, nil},
}

var (
	cronZone    = &pattern{text: `^(?:CRON_)?TZ=(\S*) (.*)$`}
	cronUnit    = &pattern{text: `^(?:\*/)?([0-9]+(?:ms|s|m|h|d))$`}
	cronInteger = &pattern{text: `[0-9]+`}
	cronLetters = &pattern{text: `(?i)[a-z]+`}
)

// cronHint guesses what was meant by times that nobody understands.
func cronHint(text string) string {
	if m := cronZone.re().FindStringSubmatch(text); m != nil {
		return "write schedule: { cron: " + quoted(m[2]) + ", timezone: " + m[1] + " }"
	}
	if rest, ok := strings.CutPrefix(text, "@every "); ok {
		return "write every: " + rest + " in place of cron"
	}
	if strings.HasPrefix(text, "@") {
		return didYouMean(text, cronWords, "known are "+strings.Join(cronWords, ", "))
	}
	fields := strings.Fields(text)
	for _, field := range fields {
		if m := cronUnit.re().FindStringSubmatch(field); m != nil {
			return "a field has no unit: write every: " + m[1] + " in place of cron, or " + quoted("*/5 * * * *") + " for each 5 minutes"
		}
	}
	if n := len(fields); n < 5 || n > 6 {
		return fmt.Sprintf("want 5 fields, or 6 with seconds first, not %d", n)
	}
	for i, field := range fields {
		if hint := cronFieldHint(text, field, len(fields)-1-i); hint != "" {
			return hint
		}
	}
	return ""
}

// cronFieldHint looks at one field; place counts from the last one.
func cronFieldHint(text, field string, place int) string {
	about := cronFields[place]
	for _, word := range cronLetters.re().FindAllString(field, -1) {
		if name := word[:min(3, len(word))]; len(word) > 3 && slices.Contains(about.names, strings.ToLower(name)) {
			return "did you mean " + quoted(strings.Replace(text, word, strings.ToLower(name), 1)) + "? names have three letters"
		}
	}
	base, step, _ := strings.Cut(field, "/")
	for _, number := range cronInteger.re().FindAllString(base, -1) {
		if n, err := strconv.Atoi(number); err != nil || n < about.least || n > about.most {
			return fmt.Sprintf("%s is the %s: %s are %d to %d", number, about.name, about.plural, about.least, about.most)
		}
	}
	if step == "0" {
		return "a step (" + field + ") is at least 1"
	}
	alone := slices.Repeat([]string{"*"}, max(5, place+1))
	alone[len(alone)-1-place] = field
	if schedule.Check(telemetry.Schedule{Cron: strings.Join(alone, " ")}) != nil {
		return fmt.Sprintf("%s is no %s: %s are %d to %d", field, about.name, about.plural, about.least, about.most)
	}
	return ""
}

// missingDay says which day the named month of a schedule lacks, "" when it has one.
func missingDay(text string) string {
	fields := strings.Fields(text)
	if len(fields) < 5 || len(fields) > 6 {
		return ""
	}
	tail := fields[len(fields)-3:]
	day, err := strconv.Atoi(tail[0])
	month, bad := cronMonth(tail[1])
	if err != nil || bad || tail[2] != "*" && tail[2] != "?" || day < 1 || day > 31 {
		return ""
	}
	// 2024 has a February 29; the day before the first of the next month is a month's last.
	if last := time.Date(2024, month+1, 0, 0, 0, 0, 0, time.UTC).Day(); day > last {
		return fmt.Sprintf("%s has at most %d days", month, last)
	}
	return ""
}

func cronMonth(field string) (month time.Month, bad bool) {
	for m := time.January; m <= time.December; m++ {
		if field == strconv.Itoa(int(m)) || strings.EqualFold(field, m.String()[:3]) {
			return m, false
		}
	}
	return 0, true
}
