package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/shim"
	"github.com/pacewire/pacewire/telemetry"
)

func (a *app) pluginShim() *cobra.Command {
	return &cobra.Command{
		Use:   "shim --kind KIND [FLAG...] -- COMMAND...",
		Short: "Make a plugin of any program that reads and prints lines",
		Long: "shim runs a program, and is a plugin for it: heartbeat, settings, delivery. A collector prints points, one a line. A processor\n" +
			"reads the points of a batch, and an empty line; it prints what it makes of them, and an empty line. A publisher prints only the\n" +
			"empty line, when it has brought the batch out. The line \"!retry TEXT\" or \"!permanent TEXT\" in an answer refuses the batch.\n" +
			"With --each the program is started for each tick or batch and reads to the end; its exit code 0 is the answer, 75 to try\n" +
			"again, 65 that trying again does not help. Settings reach it as PW_<KEY>. Page: docs/shim.md\n\nIts own flags:\n" +
			new(shimFlags).set().FlagUsages() + "\nThe others are those of every plugin: --once, --describe, --config JSON, --name, --bus ...; without any it reports on itself.",
		Example: "  pacewire plugin shim --kind collector --once -- ./load.sh\n" +
			"  pacewire plugin shim --kind processor --format lines -- sed -u s/eth0/lan/\n" +
			"  pacewire plugin shim --kind publisher --each -- sh -c 'cat >>points.json'",
		DisableFlagParsing: true, // most of them are the plugin's
		RunE: func(c *cobra.Command, args []string) error {
			own, _ := parted(args)
			if len(args) == 0 || slices.Contains(own, "-h") || slices.Contains(own, "--help") {
				return c.Help()
			}
			d, rest, err := shimOf(args)
			if err != nil {
				return exitWith(exitUsage, fmt.Errorf("%w: see %s --help", err, c.CommandPath()))
			}
			return a.runPlugin(c.Context(), d, rest)
		},
	}
}

// shimFlags are the flags of the shim itself.
type shimFlags struct {
	kind, format, catalog, program string
	each                           bool
}

func (s *shimFlags) set() *pflag.FlagSet {
	f := pflag.NewFlagSet("shim", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringVar(&s.kind, "kind", "", "collector, processor or publisher")
	f.StringVar(&s.format, "format", "", "json (a point object a line) or lines (line protocol); what a collector\nprints is told by its first letter, the others have json")
	f.BoolVar(&s.each, "each", false, "start the program for each tick or batch, instead of once")
	f.StringVar(&s.catalog, "catalog", "", "`FILE` that says what it emits: a JSON list of series")
	f.StringVar(&s.program, "program", "", "what it is called in lists; by default as its file is")
	return f
}

// shimOf returns the plugin that a command line asks for, and the flags that are every plugin's.
func shimOf(args []string) (d plugin.Definition, rest []string, err error) {
	before, command := parted(args)
	var flags shimFlags
	if rest, err = takeFlags(flags.set(), before); err != nil {
		return d, nil, err
	}
	if flags.kind == "" {
		return d, nil, errors.New("which kind? --kind collector, processor or publisher")
	}
	o := shim.Options{
		Kind: plugin.Kind(flags.kind), Command: command, Program: flags.program, Each: flags.each,
		Once: slices.Contains(rest, "--once"), Environ: os.Environ(),
	}
	if o.Format, err = shim.ParseFormat(flags.format); err != nil {
		return d, nil, err
	}
	if o.Catalog, err = readCatalog(flags.catalog); err != nil {
		return d, nil, err
	}
	if d, err = shim.Define(o); err != nil {
		return d, nil, err
	}
	d.Command = "pacewire plugin shim " + strings.Join(slices.Concat(before, []string{"--"}, command), " ")
	return d, rest, nil
}

// parted returns what stands before --, and behind it.
func parted(args []string) (before, command []string) {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i], args[i+1:]
	}
	return args, nil
}

// takeFlags sets those of args that are flags of f, and returns the others.
func takeFlags(f *pflag.FlagSet, args []string) (rest []string, err error) {
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(args[i], "=")
		own := f.Lookup(strings.TrimPrefix(name, "--"))
		if own == nil || !strings.HasPrefix(name, "--") {
			rest = append(rest, args[i])
			continue
		}
		switch {
		case given:
		case own.NoOptDefVal != "":
			value = own.NoOptDefVal
		case i+1 == len(args):
			return nil, fmt.Errorf("%s wants a value", name)
		default:
			i++
			value = args[i]
		}
		if err := f.Set(own.Name, value); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// readCatalog reads what a program emits; no path is no catalog.
func readCatalog(path string) ([]telemetry.Desc, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	defer f.Close()
	var catalog []telemetry.Desc
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&catalog); err != nil {
		return nil, fmt.Errorf("catalog %s: %w: want a JSON list of objects with series, help, tags, fields", path, err)
	}
	for _, s := range catalog {
		if s.Series == "" || len(s.Fields) == 0 {
			return nil, fmt.Errorf("catalog %s: series %q: want a name, and fields with their units", path, s.Series)
		}
	}
	return catalog, nil
}
