package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) pluginSwap() *cobra.Command {
	var to aim
	var s newcomer
	c := &cobra.Command{
		Use: "swap NAME (--file FILE | --use PROGRAM | -- COMMAND...)", Short: "Put another program or config in the place of a running plugin",
		Long: "swap starts the new program beside the old one, which ends when the new one works well. If it does not in time, or\n" +
			"refuses its config, the new one is ended and the old one has never stopped. FILE is a piece of config with the plugin's\n" +
			"new entry; --use and a command change only the program. If its own file has changed: pacewire plugin upgrade.",
		Example: "  pacewire plugin swap tidy --file tidy.yaml\n  pacewire plugin swap nginx -- python3 /opt/plugins/nginx2.py",
		ValidArgsFunction: func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault // a command
			}
			return a.completePlugins(c, args, word)
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.carryOut(c.Context(), to, func() ([]order, error) {
				names, command := aroundDash(c, args)
				if len(names) != 1 {
					return nil, exitWith(exitUsage, fmt.Errorf("%d names, but one plugin is swapped at a time; a command stands behind --", len(names)))
				}
				s.command = a.seenFromThere(command, to.host)
				request, err := s.args(names[0])
				if err != nil {
					return nil, err
				}
				return []order{{"swap", request, "swap " + names[0] + ": the new process makes itself ready"}}, nil
			})
		},
	}
	to.flags(c)
	c.Flags().StringVar(&s.file, "file", "", "piece of config with the plugin's new entry")
	c.Flags().StringVar(&s.use, "use", "", "another program")
	c.Flags().StringVar(&s.sha256, "sha256", "", "what the SHA-256 of the new executable must be, in hex")
	_ = c.RegisterFlagCompletionFunc("use", completeUse)
	suggest(c, "sha256")
	return c
}

// newcomer is what takes the place of a plugin.
type newcomer struct {
	file, use, sha256 string
	command           []string
}

// args returns the arguments of the request.
func (n *newcomer) args(plugin string) (map[string]any, error) {
	args := map[string]any{"plugin": plugin}
	told := 0
	if n.file != "" {
		text, err := readPiece(n.file)
		if err != nil {
			return nil, err
		}
		args["config"], args["file"] = text, filepath.Base(n.file)
		told++
	}
	if n.use != "" {
		args["use"] = n.use
		told++
	}
	if len(n.command) > 0 {
		args["run"] = n.command
		told++
	}
	if told != 1 {
		return nil, exitWith(exitUsage, errors.New("what takes its place? Give one of --file, --use, and a command behind --"))
	}
	if n.sha256 != "" {
		sum, err := hex.DecodeString(n.sha256)
		if err != nil || len(sum) != 32 {
			return nil, exitWith(exitUsage, fmt.Errorf("--sha256 %s: want 64 hex digits, as sha256sum prints them", n.sha256))
		}
		args["sha256"] = strings.ToLower(n.sha256)
	}
	return args, nil
}
