package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/plugin"
)

func (a *app) pluginRun() *cobra.Command {
	return &cobra.Command{
		Use: "run PROGRAM [FLAG...]", Short: "Run a built-in program as a plugin, once, or to look at it",
		Long: "run is what the agent starts. By hand: without flags it shows the program, its settings and a sample;\n" +
			"--once runs it once, --describe prints its manifest, --help tells the rest.",
		Example:            "  pacewire plugin run host\n  pacewire plugin run collector.host --once",
		DisableFlagParsing: true, // the flags are the plugin's
		ValidArgsFunction:  completeProgram,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "-h" || args[0] == "--help" {
				return c.Help()
			}
			d, err := program(args[0])
			if err != nil {
				return err
			}
			if code := plugin.Run(c.Context(), d, args[1:], a.in, a.out, a.err, os.Environ()); code != 0 {
				return &exit{code, fmt.Errorf("")}
			}
			return nil
		},
	}
}
