package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
)

// maxPiece is how long a piece of config may be, to have room in a request.
const maxPiece = 60 << 10

func (a *app) pluginLoad() *cobra.Command {
	var to aim
	var p draft
	var replace bool
	c := &cobra.Command{
		Use: "load [FILE] [--name NAME [--use PROGRAM] [-- COMMAND...]]", Short: "Start plugins that the config does not name",
		Long: "load gives the agent a piece of config, from FILE or stdin. It starts its plugins beside those of its own files, and keeps\n" +
			"them until pacewire plugin unload, also when it starts anew. With --name the piece is made of the command line: of a\n" +
			"program by --use, or of any command behind --.",
		Example: "  pacewire plugin load trial.yaml\n" +
			"  pacewire plugin load --name nginx --every 5s --set url=http://127.0.0.1/status -- python3 /opt/plugins/nginx.py",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, noFiles
			}
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.carryOut(c.Context(), to, func() ([]order, error) {
				files, command := aroundDash(c, args)
				p.command = a.seenFromThere(command, to.host)
				text, name, err := a.pieceOf(p, files)
				if err != nil {
					return nil, err
				}
				return []order{{"load", map[string]any{"config": text, "file": name, "replace": replace},
					"load " + cmp.Or(p.name, name) + ": the first heartbeats are awaited"}}, nil
			})
		},
	}
	to.flags(c)
	p.flags(a, c)
	c.Flags().BoolVar(&replace, "replace", false, "swap plugins that are there already")
	return c
}

// aroundDash returns what stands before -- on the command line, and what behind.
func aroundDash(c *cobra.Command, args []string) (before, behind []string) {
	if n := c.ArgsLenAtDash(); n >= 0 {
		return args[:n], args[n:]
	}
	return args, nil
}

// seenFromThere returns a command of the command line as the agent is to find it: from another folder than ours.
func (a *app) seenFromThere(command []string, host string) []string {
	if len(command) == 0 || host != "" {
		return command
	}
	command = slices.Clone(command)
	if path, err := filepath.Abs(command[0]); err == nil && strings.Contains(command[0], "/") {
		command[0] = path
	}
	for _, word := range command[1:] {
		if filepath.IsAbs(word) {
			continue
		}
		if info, err := os.Stat(word); err == nil && info.Mode().IsRegular() {
			fmt.Fprintf(a.err, "warning: the plugin does not run in this folder: give the whole path of %s\n", printable(word))
		}
	}
	return command
}

// pieceOf returns a piece of config, of the command line or of a file, and what to call it.
func (a *app) pieceOf(p draft, files []string) (text, name string, err error) {
	switch {
	case p.made() && len(files) > 0:
		return "", "", exitWith(exitUsage, fmt.Errorf("%q: name a file, or make the piece by --name, but not both; a command stands behind --", files[0]))
	case p.made():
		text, err = p.text()
		return text, "command line", err
	case len(files) > 1:
		return "", "", exitWith(exitUsage, fmt.Errorf("%d files, but one is loaded at a time; a command stands behind --", len(files)))
	case len(files) == 1 && files[0] != "-":
		text, err = readPiece(files[0])
		return text, filepath.Base(files[0]), err
	case isTerminal(a.in):
		return "", "", exitWith(exitUsage, errors.New("what to load? Name a FILE, give --name and a command behind --, or send a piece of config to stdin"))
	}
	text, err = pieceFrom(a.in, "stdin")
	return text, "stdin", err
}

func readPiece(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", exitWith(exitUsage, err)
	}
	defer f.Close()
	return pieceFrom(f, path)
}

func pieceFrom(in io.Reader, name string) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxPiece+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read %s: %w", name, err)
	case len(text) > maxPiece:
		return "", exitWith(exitUsage, fmt.Errorf("%s is longer than the %d KiB of a piece: put it into conf.d and call pacewire reload", name, maxPiece>>10))
	case len(bytes.TrimSpace(text)) == 0:
		return "", exitWith(exitConfig, fmt.Errorf("%s is empty", name))
	}
	return string(text), nil
}

// A draft is a plugin as the command line tells it.
type draft struct {
	name, kind, use, every string

	from, set, command []string
}

func (p *draft) flags(a *app, c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&p.name, "name", "", "name of the plugin")
	f.StringVar(&p.kind, "kind", "", "collector (the default without --from), processor or publisher")
	f.StringVar(&p.use, "use", "", "program; by default the one called like the plugin")
	f.StringSliceVar(&p.from, "from", nil, "plugins whose points it reads")
	f.StringVar(&p.every, "every", "", "interval of a collector")
	f.StringArrayVar(&p.set, "set", nil, "a setting, as key=value; JSON values keep their type")
	suggest(c, "kind", config.Collector, config.Processor, config.Publisher)
	suggest(c, "name")
	_ = c.RegisterFlagCompletionFunc("use", completeUse)
	_ = c.RegisterFlagCompletionFunc("from", a.completePlugins)
}

// made reports whether the command line tells of a plugin at all.
func (p *draft) made() bool {
	return p.name != "" || p.kind != "" || p.use != "" || p.every != "" || len(p.from)+len(p.set)+len(p.command) > 0
}

// text returns the piece as a config. It is JSON, which is YAML too and lets no value become structure.
func (p *draft) text() (string, error) {
	section, err := p.section()
	if err != nil {
		return "", exitWith(exitUsage, err)
	}
	entry := map[string]any{}
	for key, v := range map[string]string{"use": p.use, "every": p.every} {
		if v != "" {
			entry[key] = v
		}
	}
	for key, v := range map[string][]string{"run": p.command, "from": p.from} {
		if len(v) > 0 {
			entry[key] = v
		}
	}
	settings, err := p.settings()
	if err != nil {
		return "", exitWith(exitUsage, err)
	}
	if len(settings) > 0 {
		entry["config"] = settings
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // faults show these lines
	e.SetIndent("", "  ")
	err = e.Encode(map[string]any{section: map[string]any{p.name: entry}})
	return b.String(), err
}

// section returns where in a config the plugin stands.
func (p *draft) section() (string, error) {
	switch {
	case p.name == "":
		return "", errors.New("the plugin has no name: give it one by --name")
	case p.use != "" && len(p.command) > 0:
		return "", fmt.Errorf("--use %s and a command behind --: a plugin has one of the two", p.use)
	case p.kind == "" && len(p.from) > 0:
		return "", errors.New("what reads others is a processor or a publisher: say which by --kind")
	}
	switch kind := cmp.Or(p.kind, config.Collector); kind {
	case config.Collector:
		return "collect", nil
	case config.Processor:
		return "process", nil
	case config.Publisher:
		return "publish", nil
	default:
		return "", fmt.Errorf("--kind %q: want collector, processor or publisher", kind)
	}
}

func (p *draft) settings() (map[string]any, error) {
	settings := map[string]any{}
	for _, s := range p.set {
		key, text, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--set %q: want key=value", s)
		}
		if _, twice := settings[key]; twice {
			return nil, fmt.Errorf("--set %s: set twice", key)
		}
		var v any = text
		if json.Valid([]byte(text)) {
			v = json.RawMessage(text)
		}
		settings[key] = v
	}
	return settings, nil
}
