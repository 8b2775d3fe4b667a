package main

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
)

func (a *app) once() *cobra.Command {
	return &cobra.Command{
		Use: "once [PLUGIN...]", Short: "Run collectors once, and print their points",
		Long: `once runs the collectors of the config, or the named ones, one time each and prints their points as JSON lines.
The config is that of the agent on this machine, where one runs. Nothing is published, and no bus is needed.
A collector that listens has no end: it is run until Ctrl-C where it alone is named, and left out otherwise.`,
		Example:           "  pacewire once\n  pacewire once host -c my.yaml",
		ValidArgsFunction: a.completeCollectors,
		RunE: func(c *cobra.Command, args []string) error {
			s, _, err := a.load(a.filesOfAgent(), false, true)
			if err != nil {
				return err
			}
			chosen, err := choose(s, args)
			if err != nil {
				return err
			}
			var faults []error
			for _, p := range chosen {
				if err := a.onceOf(c, p, args); err != nil {
					faults = append(faults, fmt.Errorf("%s: %w", p.Name, err))
				}
			}
			return errors.Join(faults...)
		},
	}
}

// choose returns the collectors called names, all when none is named.
func choose(s *config.Settings, names []string) ([]config.Plugin, error) {
	var all []config.Plugin
	var known []string
	for _, p := range s.Plugins {
		if p.Kind == config.Collector {
			all = append(all, p)
			known = append(known, p.Name)
		}
	}
	if len(names) == 0 {
		return all, nil
	}
	var chosen []config.Plugin
	for _, name := range names {
		i := slices.Index(known, name)
		if i < 0 {
			hint := "the config has " + strings.Join(known, ", ")
			if near := config.Suggest(name, known); near != "" {
				hint = "did you mean " + near + "?"
			}
			return nil, exitWith(exitUsage, fmt.Errorf("no collector %q: %s", name, hint))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// onceOf runs one collector to its first points, unless it is one that listens and somebody has named others, or none.
func (a *app) onceOf(c *cobra.Command, p config.Plugin, named []string) error {
	args := []string{"--once"}
	if len(p.Config) > 0 {
		args = append(args, "--config", string(p.Config))
	}
	if len(p.Run) > 0 {
		foreign := exec.CommandContext(c.Context(), p.Run[0], append(slices.Clone(p.Run[1:]), args...)...)
		foreign.Stdout, foreign.Stderr = a.out, a.err
		return foreign.Run()
	}
	d, err := program(p.Kind + "." + p.Program)
	if err != nil {
		return err
	}
	if d.Endless && len(named) != 1 {
		err := fmt.Errorf("not run, as it has no end of its own: pacewire once %s alone runs it until Ctrl-C", p.Name)
		if len(named) > 0 {
			return err
		}
		fmt.Fprintf(a.err, "%s: %v\n", p.Name, err)
		return nil
	}
	args = append(args, "--name", p.Name)
	if p.Timeout > 0 {
		args = append(args, "--timeout", p.Timeout.String())
	}
	code, err := a.exitOf(c.Context(), d, args, strings.NewReader(""))
	if err == nil && code != 0 {
		return fmt.Errorf("ended with exit code %d", code)
	}
	return err
}
