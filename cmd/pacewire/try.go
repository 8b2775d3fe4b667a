package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/collector/exec"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/process"
	"github.com/pacewire/pacewire/plugin"
)

// tryFlags are those of try: what an exec collector has in its config.
type tryFlags struct {
	exec.Config
	timeout  time.Duration
	name     string
	settings string
}

func (a *app) try() *cobra.Command {
	o := tryFlags{Config: exec.Defaults()}
	c := &cobra.Command{
		Use: "try [FLAG...] -- COMMAND...", Short: "Run a command once, and show what would be read from it",
		Long: "try runs a command as the collector exec does: without a shell, in the locale C.UTF-8, within a time, and with an end of all that\n" +
			"it has started. It shows the points, the state as of a check, what the command says on standard error, and how long it took.\n" +
			"Nothing is published, and neither a bus nor a config is needed.",
		Example: "  pacewire try -- /usr/lib/nagios/plugins/check_load -w 5 -c 10\n" +
			"  pacewire try --format influx -- ./queues.sh\n" +
			"  pacewire try --format json --settings '{\"json\": {\"root\": \"disks\", \"tag_keys\": [\"name\"]}}' -- ./disks.py\n" +
			"  pacewire try --shell -- 'df -P / | tail -n 1'",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.Command = args
			if err := o.take(); err != nil {
				return exitWith(exitUsage, fmt.Errorf("--settings: %w", err))
			}
			return a.tryOut(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Format, "format", "auto", "what the command prints: "+strings.Join(decode.Formats(), ", "))
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "end the command after so long")
	f.StringVar(&o.name, "name", "try", "what the plugin would be called")
	f.StringVar(&o.settings, "settings", "", "settings of the collector exec, as a `JSON` object")
	f.BoolVar(&o.Shell, "shell", false, "COMMAND is one line, which /bin/sh reads")
	f.StringVar(&o.User, "user", "", "who the command runs as; takes root")
	suggest(c, "format", decode.Formats()...)
	return c
}

// take reads the settings that are given as an object.
func (o *tryFlags) take() error {
	if o.settings == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(o.settings))
	d.DisallowUnknownFields()
	return d.Decode(&o.Config)
}

// tryOut runs the command and shows what became of it.
func (a *app) tryOut(ctx context.Context, o tryFlags) error {
	if err := o.Validate(); err != nil {
		return exitWith(exitUsage, err)
	}
	release, err := process.Adopt() // who has lost its parent is no zombie of somebody else's
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	trials, err := exec.Try(ctx, o.Config, plugin.Env{Name: o.name, Log: slog.New(slog.DiscardHandler)})
	faults := []error{err}
	for _, t := range trials {
		show := showTrial
		if a.flags.output == "json" {
			show = encodeTrial
		}
		faults = append(faults, show(a.out, t), verdictOf(t))
	}
	return errors.Join(faults...)
}

// verdictOf returns the error that makes try end with another exit code than 0: a run of which an exec collector would have nothing.
func verdictOf(t exec.Trial) error {
	switch {
	case t.Fault != nil:
		return t.Fault
	case t.Reason != "" && !t.Check:
		return fmt.Errorf("%s: %s", t.Command, t.Reason)
	case t.Report.Points == 0 && t.Report.First != nil:
		return fmt.Errorf("%s: no point can be read from what it prints, as %s: %w", t.Command, t.Format, t.Report.First)
	}
	return nil
}
