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
)

// showTrial shows a person what became of a command: first its points, then what there is to say.
func showTrial(w io.Writer, t exec.Trial) error {
	if _, err := w.Write(t.Points.AppendLines(nil)); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("command", "%s", t.Command)
	row("points", "%d, format %s", t.Report.Points, t.Format)
	row("state", "%s", stateText(t))
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

// stateText says how the command ended, and what that means.
func stateText(t exec.Trial) string {
	text := t.Exit.String()
	switch {
	case t.Fault != nil:
		text = t.Reason
	case t.Reason != "":
		text += ", " + t.Reason
	}
	switch {
	case t.Check:
		return fmt.Sprintf("%s (%s)", t.State, text)
	case t.Fault == nil && t.Exit.Code > 0 && t.Reason == "":
		return text + ": points of such a run are dropped, unless ignore_error is set"
	}
	return text
}

// A trialRow is what became of a command, for programs.
type trialRow struct {
	Command  string            `json:"command"`
	Format   string            `json:"format"`
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
}

func encodeTrial(w io.Writer, t exec.Trial) error {
	row := trialRow{
		Command: t.Command, Format: t.Format, Points: []json.RawMessage{}, Check: t.Check, State: t.State.String(), Reason: t.Reason,
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
	return json.NewEncoder(w).Encode(row)
}
