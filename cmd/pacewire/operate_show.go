package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// changes is what -o json shows of an operation; its keys are stable.
type changes struct {
	Host     string    `json:"host"`
	DryRun   bool      `json:"dry_run"`
	Changes  []changed `json:"changes"`
	Warnings []string  `json:"warnings"`
	Error    *failure  `json:"error,omitzero"` // nil: all is done
}

type changed struct {
	Plugin string `json:"plugin"`
	Action string `json:"action"`
	Reason string `json:"reason"`
	Error  string `json:"error"`
	OldPID int64  `json:"old_pid"`
	PID    int64  `json:"pid"`
	TookMS int64  `json:"took_ms"`
}

// A failure is why an operation failed as -o json shows it; its keys are stable.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`

	File   string `json:"file,omitzero"` // where the first fault of a config stands
	Line   int    `json:"line,omitzero"`
	Column int    `json:"column,omitzero"`
}

// Codes of failures beside those of an agent.
const (
	failedUsage       = "usage"       // of the command line
	failedUnavailable = "unavailable" // no bus, or no agent there
	failedInterrupted = "interrupted"
)

// failureOf returns nil for no faults; with several, the first one tells the class.
func failureOf(faults []error) *failure {
	if len(faults) == 0 {
		return nil
	}
	f := &failure{Code: failureCode(faults[0]), Message: errors.Join(faults...).Error()}
	if at := faultPlace.FindStringSubmatch(f.Message); at != nil && f.Code == telemetry.FaultInvalid {
		f.File = at[1]
		f.Line, _ = strconv.Atoi(at[2])
		f.Column, _ = strconv.Atoi(at[3])
	}
	return f
}

// faultPlace is how the text of faults begins.
var faultPlace = regexp.MustCompile(`^(\S[^\n]*?):(\d+):(\d+): `)

// failureCode returns the class of an error: the agent's if it is the agent that refuses.
func failureCode(err error) string {
	if r, ok := errors.AsType[*refused](err); ok {
		return r.fault.Code
	}
	switch {
	case errors.Is(err, bus.ErrDenied):
		return telemetry.FaultDenied
	case errors.Is(err, context.Canceled):
		return failedInterrupted
	case errors.Is(err, bus.ErrNoLetter):
		return telemetry.FaultNotFound
	}
	switch codeOf(err) {
	case exitUsage:
		return failedUsage
	case exitNoBus:
		return failedUnavailable
	case exitTryAgain:
		return telemetry.FaultTimeout
	case exitConfig:
		return telemetry.FaultInvalid
	}
	return telemetry.FaultInternal
}

// finish shows what became of an operation, and returns why it failed.
func (a *app) finish(host string, list telemetry.ChangeList, faults ...error) error {
	show := a.showChanges
	if a.flags.output == "json" {
		show = a.encodeChanges
	}
	if err := show(host, list, faults); err != nil || len(faults) == 0 {
		return err
	}
	return exitWith(codeOf(faults[0]), errors.Join(faults...))
}

func (a *app) encodeChanges(host string, list telemetry.ChangeList, faults []error) error {
	shown := changes{Host: host, DryRun: list.DryRun, Changes: []changed{}, Warnings: append([]string{}, list.Warnings...), Error: failureOf(faults)}
	for _, c := range list.Changes {
		shown.Changes = append(shown.Changes, changed(c))
	}
	return json.NewEncoder(a.out).Encode(shown)
}

// showChanges shows people what an agent did, or would do; faults are told elsewhere.
func (a *app) showChanges(_ string, list telemetry.ChangeList, faults []error) error {
	for _, w := range list.Warnings {
		fmt.Fprintf(a.err, "warning: %s\n", told(w))
	}
	if list.DryRun && len(faults) == 0 {
		fmt.Fprintln(a.err, "dry run: nothing was done")
	}
	rows, same := list.Changes[:0:0], 0
	for _, c := range list.Changes {
		if c.Action == telemetry.ChangeNone && c.Error == "" && c.Reason == "" {
			same++
			continue
		}
		rows = append(rows, c)
	}
	if len(rows) > 0 {
		if err := a.table("PLUGIN\tACTION\tPID\tTOOK\tREASON", func(w io.Writer) {
			for _, c := range rows {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(c.Plugin), printable(action(c)), pids(c), took(c), printable(c.Reason))
			}
		}); err != nil {
			return err
		}
	}
	if len(faults) == 0 && (same > 0 || len(rows) == 0) {
		_, err := fmt.Fprintln(a.out, unchanged(same, len(rows)))
		return err
	}
	return nil
}

// unchanged says of how many plugins nothing is to be told.
func unchanged(same, others int) string {
	if others == 0 {
		return "no plugin has changed"
	}
	return amount.Of(same, "plugin stays as it is", "plugins stay as they are")
}

func action(c telemetry.Change) string {
	if c.Error != "" {
		return c.Action + " (failed)"
	}
	return c.Action
}

// pids writes the processes before and after.
func pids(c telemetry.Change) string {
	if c.OldPID == 0 || c.OldPID == c.PID {
		return orDash(c.PID)
	}
	return orDash(c.OldPID) + " → " + orDash(c.PID)
}

func took(c telemetry.Change) string {
	if c.TookMS == 0 {
		return "-"
	}
	return (time.Duration(c.TookMS) * time.Millisecond).String()
}
