package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
)

// The table of a document stands between these lines.
const (
	tableBegin = "<!-- chaos -->\n"
	tableEnd   = "<!-- /chaos -->\n"
)

// table is the report in Markdown.
func (s settings) table(ctx context.Context, results []result) string {
	var b strings.Builder
	form := "full form"
	if s.short {
		form = "short form"
	}
	fmt.Fprintf(&b, "Seed %d, %s, %s, on %s.\n\n", s.seed, form, s.version(ctx), lab.Machine())
	b.WriteString("| row | fault | acknowledged | lost | duplicated | reordered | unknown | ack gap | recovery, median / longest | peak memory, MB | result |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		if r.verdict == skipped {
			fmt.Fprintf(&b, "| %s | %s | | | | | | | | | skipped: %s |\n", r.row.name, r.row.title, r.why)
			continue
		}
		c := r.count
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %s | %s | %s | %s |\n", r.row.name, r.row.title,
			c.Acknowledged, c.Lost, c.Duplicated, c.Reordered, c.Unknown, round(r.ackGap), r.recovery(), r.memory(), r.verdict)
	}
	b.WriteString("\n")
	for _, r := range results {
		if text := r.remarks(); text != "" {
			fmt.Fprintf(&b, "- **%s** %s\n", r.row.name, text)
		}
	}
	return b.String()
}

// version says what was under test.
func (s settings) version(ctx context.Context) string {
	out, err := lab.Place{Binary: s.binary}.Verb(ctx, "version")
	if err != nil {
		return "an unknown version"
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}

// remarks are what a row publishes beside its figures.
func (r result) remarks() string {
	var all []string
	if r.verdict == failed || r.verdict == invalid {
		all = append(all, string(r.verdict)+": "+strings.ReplaceAll(r.why, "\n", " "))
	}
	all = append(all, r.row.promise)
	if c := r.count; c.Buried > 0 {
		all = append(all, fmt.Sprintf("%d points are dead letters", c.Buried))
	}
	return strings.Join(append(all, r.notes...), "; ")
}

// recovery is the median and the longest of the recoveries.
func (r result) recovery() string { return medianAndMost(r.recoveries) }

// medianAndMost are two of some times, as they stand in the table.
func medianAndMost(all []time.Duration) string {
	if len(all) == 0 {
		return "–"
	}
	all = slices.Sorted(slices.Values(all))
	return round(all[len(all)/2]) + " / " + round(all[len(all)-1])
}

// round shows a duration with the digits that mean something.
func round(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// memory shows the most that each role has had.
func (r result) memory() string {
	var all []string
	for _, role := range slices.Sorted(maps.Keys(r.peak)) {
		all = append(all, fmt.Sprintf("%s %d", role, r.peak[role]>>20))
	}
	return cmp.Or(strings.Join(all, ", "), "–")
}

// publish puts the table into a document, if one was named; that of some rows takes the place of these rows only.
func (s settings) publish(table string) error {
	if s.write == "" {
		return nil
	}
	text, err := os.ReadFile(s.write)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return errors.New(s.write + " has no place for the table: it stands between " + strings.TrimSpace(tableBegin) + " and " + strings.TrimSpace(tableEnd))
	}
	if s.only != "" {
		table = merged(strings.TrimSuffix(rest, tableEnd+after), table, namesOf(rows()))
	}
	return os.WriteFile(s.write, []byte(before+tableBegin+"\n"+table+"\n"+tableEnd+after), 0o644)
}
