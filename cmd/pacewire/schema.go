package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
)

func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use: "schema config | plugin PROGRAM", Short: "Print a JSON Schema, for editors", Args: cobra.RangeArgs(1, 2),
		Example:           "  pacewire schema config > pacewire.schema.json\n  pacewire schema plugin filter",
		ValidArgsFunction: completeSchema,
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case args[0] == "config" && len(args) == 1:
				return a.indented(config.Schema(forConfig()))
			case args[0] == "plugin" && len(args) == 2:
				d, err := program(args[1])
				if err != nil {
					return err
				}
				return a.indented(d.Schema())
			}
			return exitWith(exitUsage, fmt.Errorf("want schema config, or schema plugin PROGRAM"))
		},
	}
}

func (a *app) indented(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s\n", text)
	return err
}
