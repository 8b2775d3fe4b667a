package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
)

// completeTime is how long a shell waits for the names of plugins.
const completeTime = time.Second

const noFiles = cobra.ShellCompDirectiveNoFileComp

// suggest gives shells the values of a flag.
func suggest(c *cobra.Command, flag string, values ...string) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, noFiles))
}

// pluginNames returns the names of the plugins that run on a host, by default on this one or, where no agent answers, of
// those in the config.
func (a *app) pluginNames(ctx context.Context, host string) []string {
	if names := a.runningNames(ctx, host); names != nil || host != "" {
		return names
	}
	return a.configNames("")
}

func (a *app) runningNames(ctx context.Context, host string) []string {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	l, err := a.link(ctx, host)
	if err != nil {
		return nil
	}
	defer l.close()
	list, err := l.list(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}

// configNames returns the plugins of a kind in the config; an empty kind means all.
func (a *app) configNames(kind string) []string {
	s, _, err := a.load(a.filesOfAgent(), true, true)
	if err != nil {
		return nil
	}
	var names []string
	for _, p := range s.Plugins {
		if kind == "" || p.Kind == kind {
			names = append(names, p.Name)
		}
	}
	return names
}

func programNames() []string {
	var names []string
	for _, d := range programs() {
		names = append(names, string(d.Kind)+"."+d.Program)
	}
	return names
}

// without leaves out of names those that the command line has already.
func without(names, args []string) []string {
	return slices.DeleteFunc(names, func(n string) bool { return slices.Contains(args, n) })
}

func (a *app) completePlugins(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	host := ""
	if f := c.Flags().Lookup("host"); f != nil {
		host = f.Value.String()
	}
	return without(a.pluginNames(c.Context(), host), args), noFiles
}

// completeOne is for verbs that take one plugin.
func (a *app) completeOne(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return a.completePlugins(c, args, word)
}

func (a *app) completeCollectors(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return without(a.configNames(config.Collector), args), noFiles
}

func (a *app) completeInfo(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	names, _ := a.completePlugins(c, args, word)
	return append(names, programNames()...), noFiles
}

// completeUse offers programs as the config calls them.
func completeUse(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, d := range programs() {
		names = append(names, d.Program)
	}
	return names, noFiles
}

func completeProgram(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return programNames(), noFiles
}

func completeSchema(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0:
		return []string{"config", "plugin"}, noFiles
	case len(args) == 1 && args[0] == "plugin":
		return programNames(), noFiles
	}
	return nil, noFiles
}

// completeHost offers this host: others are known to their agents only.
func completeHost(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	n, err := readNote()
	if err != nil {
		return nil, noFiles
	}
	return []string{n.Host}, noFiles
}
