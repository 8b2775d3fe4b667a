package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/internal/amount"
)

func (a *app) validate() *cobra.Command {
	var offline bool
	c := &cobra.Command{
		Use: "validate [FILE...]", Short: "Check a config, and name every fault at once",
		Example: "  pacewire validate\n  pacewire validate --offline my.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			s, from, err := a.load(args, offline, false)
			if a.flags.output == "json" {
				return a.faultsAsJSON(s, err)
			}
			if err != nil {
				return err
			}
			for _, w := range s.Warnings {
				fmt.Fprintf(a.err, "warning: %s\n", w.Error())
			}
			_, err = fmt.Fprintf(a.out, "%s: good, %s\n", from, amount.Of(len(s.Plugins), "plugin", "plugins"))
			return err
		},
	}
	c.Flags().BoolVar(&offline, "offline", false, "look at no other files and programs")
	return c
}

func (a *app) faultsAsJSON(s *config.Settings, err error) error {
	faults, ok := errors.AsType[config.Faults](err)
	if err != nil && !ok {
		return err
	}
	result := map[string]any{"ok": err == nil, "errors": append(config.Faults{}, faults...)}
	if s != nil {
		result["warnings"] = append(config.Faults{}, s.Warnings...)
	}
	if err := json.NewEncoder(a.out).Encode(result); err != nil {
		return err
	}
	if !ok {
		return nil
	}
	return &exit{exitConfig, errors.New("")}
}
