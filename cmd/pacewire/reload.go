package main

import "github.com/spf13/cobra"

func (a *app) reload() *cobra.Command {
	var to aim
	var dry bool
	c := &cobra.Command{
		Use: "reload", Short: "Let the agent read its config again, and touch only what has changed", Args: cobra.NoArgs,
		Long: "reload checks all files first: a fault in one of them changes nothing. Then plugins that are new start, those that are\n" +
			"gone drain, changed ones get their config or are swapped, and all others go on.",
		Example: "  pacewire reload --dry-run\n  pacewire reload --host web1",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.carryOut(c.Context(), to, func() ([]order, error) {
				doing := "reload: what has changed is put in place"
				return []order{{"reload", map[string]any{"dry_run": dry}, doing}}, nil
			})
		},
	}
	to.flags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "tell what would change, and change nothing")
	return c
}
