package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/internal/process"
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
			return a.runPlugin(c.Context(), d, args[1:])
		},
	}
}

// runPlugin runs a plugin in this process to its end.
func (a *app) runPlugin(ctx context.Context, d plugin.Definition, args []string) error {
	code, err := a.exitOf(ctx, d, args, a.in)
	if err == nil && code != 0 {
		return &exit{code, fmt.Errorf("")}
	}
	return err
}

// exitOf runs a plugin in this process to its end, and returns its exit code. What programs that it runs leave behind ends with them.
func (a *app) exitOf(ctx context.Context, d plugin.Definition, args []string, in io.Reader) (code int, err error) {
	release, err := process.Tend()
	if err != nil {
		return 0, err
	}
	defer release()
	return plugin.Run(ctx, d, args, in, a.out, a.err, os.Environ()), nil
}
