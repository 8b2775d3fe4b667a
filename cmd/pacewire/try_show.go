package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pacewire/pacewire/collector/exec"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/decode/nagios"
)

// showTrial shows what became of a command, to a person or to a program.
func (a *app) showTrial(o tryFlags, t exec.Trial) error {
	all := t.Points.Len()
	if o.most > 0 {
		t.Points.Slice(0, o.most)
	}
	if a.flags.output == "json" {
		return encodeTrial(a.out, t, o.verdictOf(t))
	}
	lines := t.Points.AppendLines(nil)
	if isTerminal(a.out) {
		width, _ := terminalSize(a.out)
		lines = folded(harmless(lines), width)
	}
	if more := all - t.Points.Len(); more > 0 {
		lines = fmt.Appendf(lines, "... and %d points more: -n 0 shows all\n", more)
	}
	if _, err := a.out.Write(lines); err != nil {
		return err
	}
	return a.sumUp(o, t)
}

// folded breaks lines that are wider than a terminal where a field begins.
func folded(lines []byte, width int) (out []byte) {
	for line := range strings.Lines(string(lines)) {
		used := 0
		for part := range strings.SplitAfterSeq(line, ",") {
			n := columns(strings.TrimSuffix(part, "\n"))
			if used > 0 && used+n > width {
				out = append(out, "\n    "...)
				used = 4
			}
			out = append(out, part...)
			used += n
		}
	}
	return out
}

// sumUp shows what there is to say beside the points.
func (a *app) sumUp(o tryFlags, t exec.Trial) error {
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	if len(o.Command) > 0 {
		row("command", "%s", t.Command)
		fmt.Fprintf(table, "state\t%s\n", a.stateText(o, t))
	} else {
		row("text of", "%s", t.Command)
	}
	row("points", "%d, format %s%s", t.Report.Points, t.Format, o.guess(t))
	row("time", "%s", t.Took.Round(time.Millisecond/10))
	for _, reason := range slices.Sorted(maps.Keys(t.Report.Bad)) {
		row("left out", "%d: %s", t.Report.Bad[reason], reason)
	}
	if t.Report.First != nil {
		row("", "%s", t.Report.First)
	}
	if t.Cut {
		row("output", "there is more of it than is kept")
	}
	name := "stderr"
	for line := range strings.Lines(strings.ToValidUTF8(string(t.Stderr), "\uFFFD")) {
		row(name, "%s", strings.TrimRight(line, "\r\n"))
		name = ""
	}
	return table.Flush()
}

// guess says why a format was taken that nothing in the text points to.
func (o tryFlags) guess(t exec.Trial) string {
	if o.Format != "auto" || !t.Check || t.Fault != nil || decode.Detect(t.Stdout) != "" {
		return ""
	}
	return ": a check, as it looks like none of the others (--format)"
}

// stateText says how the command ended, and what that means.
func (a *app) stateText(o tryFlags, t exec.Trial) string {
	text := t.Exit.String()
	switch {
	case t.Fault != nil:
		text = t.Reason
	case t.Reason != "":
		text += ", " + t.Reason
	}
	switch {
	case t.Check:
		return fmt.Sprintf("%s (%s)", a.stateWord(t.State), text)
	case o.dropped(t):
		return text + ": its points would be dropped"
	}
	return text
}

// stateWord is the name of a state, on a terminal in its colour.
func (a *app) stateWord(s nagios.State) string {
	if a.flags.noColor || !isTerminal(a.out) {
		return s.String()
	}
	return []string{"\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[35m"}[s] + s.String() + noColour
}

// A trialRow is what became of a command, for programs.
type trialRow struct {
	Command  string            `json:"command"`
	Format   string            `json:"format"`
	Count    int               `json:"count"` // points may be fewer, by --count
	Points   []json.RawMessage `json:"points"`
	Check    bool              `json:"check"`
	State    string            `json:"state"`
	ExitCode *int              `json:"exit_code,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Stderr   string            `json:"stderr,omitempty"`
	TookMS   float64           `json:"took_ms"`
	Cut      bool              `json:"truncated"`
	Bad      map[string]int    `json:"left_out,omitempty"`
	First    string            `json:"first_fault,omitempty"`
	Error    string            `json:"error,omitempty"` // why try ends with another exit code than 0
}

func encodeTrial(w io.Writer, t exec.Trial, verdict error) error {
	row := trialRow{
		Command: t.Command, Format: t.Format, Count: t.Report.Points, Points: []json.RawMessage{}, Check: t.Check, State: t.State.String(), Reason: t.Reason,
		Stderr: strings.ToValidUTF8(string(t.Stderr), "\uFFFD"), TookMS: float64(t.Took.Microseconds()) / 1000, Cut: t.Cut, Bad: t.Report.Bad,
	}
	for line := range strings.Lines(string(t.Points.AppendPoints(nil))) {
		row.Points = append(row.Points, json.RawMessage(line))
	}
	if t.Fault == nil && t.Exit.Code >= 0 {
		row.ExitCode = &t.Exit.Code
	}
	if t.Report.First != nil {
		row.First = t.Report.First.Error()
	}
	if verdict != nil {
		row.Error = verdict.Error()
	}
	return json.NewEncoder(w).Encode(row)
}
