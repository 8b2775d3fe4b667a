package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/schedule"
	"github.com/pacewire/pacewire/telemetry"
)

var (
	cronWords = []string{"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
	cronNames = strings.Fields("sun mon tue wed thu fri sat jan feb mar apr may jun jul aug sep oct nov dec")
)

// cronFields are the fields of a schedule from the last one, which every schedule has, to the first.
var cronFields = []struct {
	name, plural string
	least, most  int
}{
	{"weekday", "weekdays", 0, 7}, {"month", "months", 1, 12}, {"day", "days of a month", 1, 31},
	{"hour", "hours", 0, 23}, {"minute", "minutes", 0, 59}, {"second", "seconds", 0, 59},
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
	for _, word := range cronLetters.re().FindAllString(strings.ToLower(field), -1) {
		if len(word) > 3 && place < 2 {
			for _, name := range cronNames {
				if strings.HasPrefix(word, name) {
					return "did you mean " + quoted(replaceWord(text, word, name)) + "? names have three letters"
				}
			}
		}
	}
	about := cronFields[place]
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

// replaceWord replaces a word in whatever case it stands in text.
func replaceWord(text, word, by string) string {
	return regexp.MustCompile(`(?i)`+regexp.QuoteMeta(word)).ReplaceAllLiteralString(text, by)
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
