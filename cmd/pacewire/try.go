package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/collector/exec"
	"github.com/pacewire/pacewire/collector/nagios"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/process"
	"github.com/pacewire/pacewire/plugin"
)

// tryFlags are those of try: what an exec collector has in its config, and how it is shown.
type tryFlags struct {
	exec.Config
	timeout  time.Duration
	name     string
	settings string
	most     int
}

const tryHelp = `try runs a command as the collector exec does: without a shell, in the locale C.UTF-8, within a time, and with an end of all that
it has started. It shows the points, the state as of a check, what the command says on standard error, and how long it took.
Instead of a command it takes a URL, such as that of an exporter, or - for what comes on standard input.
Nothing is published, and neither a bus nor a config is needed. Flags go before the command; what follows it is the command's own.

Exit codes:
  0   a collector would have taken it: points, or a check in whatever state
  1   it would not: the command does not start, does not end in time or fails, or nothing that it prints can be read
  64  the flags are not right`

const tryExamples = `  pacewire try /usr/lib/nagios/plugins/check_load -w 5 -c 10
  pacewire try --format influx -- ./queues.sh
  pacewire try --format json --settings '{"json": {"root": "disks", "tag_keys": ["name"]}}' ./disks.py
  pacewire try --shell 'df -P / | tail -n 1'
  pacewire try http://127.0.0.1:9100/metrics
  pacewire try --format graphite < lines.txt`

func (a *app) try() *cobra.Command {
	o := tryFlags{Config: exec.Defaults()}
	c := &cobra.Command{
		Use: "try COMMAND...|URL|-", Short: "Run a command once, and show what would be read from it", Long: tryHelp, Example: tryExamples,
		RunE: func(c *cobra.Command, args []string) error {
			if err := errors.Join(a.tried(o, args), o.take()); err != nil {
				return exitWith(exitUsage, err)
			}
			if !c.Flags().Changed("count") && isTerminal(a.out) {
				o.most = 20
			}
			return a.tryOut(c.Context(), o, args)
		},
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.StringVar(&o.Format, "format", "auto", "what the command prints: "+strings.Join(decode.Formats(), ", "))
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "end the command after so long")
	f.StringVar(&o.name, "name", "try", "what the plugin would be called")
	f.StringVar(&o.settings, "settings", "", "settings of the collector exec, as a `JSON` object")
	f.BoolVar(&o.Shell, "shell", false, "COMMAND is one line, which /bin/sh reads")
	f.StringVar(&o.User, "user", "", "who the command runs as; takes root")
	f.IntVarP(&o.most, "count", "n", 0, "show so many points at most, 0 for all; 20 on a terminal")
	suggest(c, "format", decode.Formats()...)
	return c
}

// tried reports what is wrong with what is to be tried.
func (a *app) tried(o tryFlags, args []string) error {
	switch {
	case len(args) == 0 && isTerminal(a.in):
		return errors.New("try what? pacewire try COMMAND, or a URL, or - for standard input; pacewire try --help has examples")
	case len(args) > 1 && isText(args[0]):
		return fmt.Errorf("%s: nothing may follow it: flags go before, as in pacewire try --format json %s", strings.Join(args, " "), args[0])
	case len(args) == 1 && !o.Shell && strings.ContainsAny(args[0], " |;&<>$"):
		return fmt.Errorf("%q: no program is called so: leave the quotes round the whole out, or let a shell read it by --shell", args[0])
	case o.timeout <= 0 || o.most < 0:
		return fmt.Errorf("--timeout %s, --count %d: want a time above 0, and a count of 0 or more", o.timeout, o.most)
	}
	return nil
}

// take reads the settings that are given as an object.
func (o *tryFlags) take() error {
	if o.settings == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(o.settings))
	d.DisallowUnknownFields()
	if err := d.Decode(&o.Config); err != nil {
		return fmt.Errorf("--settings: %w", err)
	}
	return nil
}

// tryOut tries what args name, and shows what became of it.
func (a *app) tryOut(ctx context.Context, o tryFlags, args []string) error {
	if len(args) > 0 && !isText(args[0]) {
		o.Command = o.found(args)
	}
	if err := o.Validate(); err != nil {
		return exitWith(exitUsage, err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	trials, err := a.trials(ctx, o, args)
	faults := []error{err}
	for _, t := range trials {
		faults = append(faults, a.showTrial(o, t), o.verdictOf(t))
	}
	return errors.Join(faults...)
}

// trials runs the command, or reads the text, that args name.
func (a *app) trials(ctx context.Context, o tryFlags, args []string) ([]exec.Trial, error) {
	if len(o.Command) == 0 {
		return a.readText(ctx, o, cmp.Or(strings.Join(args, ""), "-"))
	}
	release, err := process.Tend()
	if err != nil {
		return nil, err
	}
	defer release()
	return exec.Try(ctx, o.Config, o.env())
}

func (o tryFlags) env() plugin.Env {
	return plugin.Env{Name: o.name, Log: slog.New(slog.DiscardHandler)}
}

// found returns the command with the whole path of its program where that is a check that is not on the PATH: the collector nagios
// would find it in its folders.
func (o tryFlags) found(command []string) []string {
	if _, err := osexec.LookPath(command[0]); err == nil || o.Shell || strings.Contains(command[0], "/") {
		return command
	}
	for _, folder := range nagios.Defaults().Folders {
		if path, err := osexec.LookPath(filepath.Join(folder, command[0])); err == nil {
			return append([]string{path}, command[1:]...)
		}
	}
	return command
}

// verdictOf returns the error that makes try end with another exit code than 0: a run of which an exec collector would have nothing.
func (o tryFlags) verdictOf(t exec.Trial) error {
	switch {
	case t.Fault != nil:
		return t.Fault
	case t.Reason != "" && !t.Check:
		return fmt.Errorf("%s: %s", t.Command, t.Reason)
	case o.dropped(t):
		return fmt.Errorf("%s: %s: points of such a run are dropped, unless ignore_error is set", t.Command, t.Exit)
	case t.Report.Points == 0 && t.Report.First != nil:
		return fmt.Errorf("%s: no point can be read from what it prints, as %s: %w", t.Command, t.Format, t.Report.First)
	}
	return nil
}

// dropped reports whether the points of a run would be dropped for its exit code.
func (o tryFlags) dropped(t exec.Trial) bool {
	return !t.Check && t.Fault == nil && t.Reason == "" && t.Exit.Code > 0 && !o.IgnoreError
}
