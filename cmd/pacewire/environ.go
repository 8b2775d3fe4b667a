package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/telemetry"
)

func (a *app) pluginEnv() *cobra.Command {
	var host string
	c := &cobra.Command{
		Use: "env NAME", Short: "Print the environment in which a shell starts an attached plugin", Args: cobra.ExactArgs(1),
		Long: "env prints shell commands that set what a plugin with attached: true needs to find its agent, its credentials among\n" +
			"it. Whoever sees them can act as that plugin.",
		Example:           "  eval \"$(pacewire plugin env nginx)\"\n  pacewire plugin env nginx -o json",
		ValidArgsFunction: a.completeOne,
		RunE: func(c *cobra.Command, args []string) error {
			environ, err := a.environ(c.Context(), host, args[0])
			if err != nil {
				return err
			}
			if a.flags.output == "json" {
				return json.NewEncoder(a.out).Encode(environ)
			}
			for _, entry := range environ.Environ {
				name, value, _ := strings.Cut(entry, "=")
				if !shellName(name) {
					return fmt.Errorf("the agent names a variable %q, which no shell has", name)
				}
				if _, err := fmt.Fprintf(a.out, "export %s=%s\n", name, quoted(value)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	hostFlag(c, &host)
	return c
}

func (a *app) environ(ctx context.Context, host, name string) (telemetry.PluginEnv, error) {
	l, err := a.link(ctx, host)
	if err != nil {
		return telemetry.PluginEnv{}, err
	}
	defer l.close()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	payload, err := l.request(ctx, "env", map[string]any{"plugin": name})
	if err != nil {
		return telemetry.PluginEnv{}, err
	}
	environ, _, err := telemetry.DecodePluginEnv(payload)
	if err != nil {
		return environ, fmt.Errorf("answer of the agent of %s: %w", l.host, err)
	}
	return environ, nil
}

// quoted returns s as one word of a shell that follows POSIX.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// shellName reports whether a shell can have a variable of this name: what is evaluated must be nothing else.
func shellName(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
