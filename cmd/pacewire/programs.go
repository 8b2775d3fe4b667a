package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/agent/config"
	collectors "github.com/pacewire/pacewire/collector/all"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/processor"
	processors "github.com/pacewire/pacewire/processor/all"
	publishers "github.com/pacewire/pacewire/publisher/all"
)

// programs returns the built-ins.
func programs() []plugin.Definition {
	return slices.Concat(collectors.All(), processors.All(), []plugin.Definition{processor.Chain(processors.All())}, publishers.All())
}

// forConfig returns what a config is checked against.
func forConfig() []config.Program {
	var list []config.Program
	for _, d := range programs() {
		list = append(list, config.Program{
			Kind: string(d.Kind), Name: d.Program, Summary: d.Summary, Schema: d.Schema(), Inventory: d.Inventory, Series: d.Series, Times: d.Times,
			Alone: d.Alone})
	}
	return list
}

// program finds a built-in by "kind.name", or by its name where that says enough.
func program(name string) (plugin.Definition, error) {
	var found []plugin.Definition
	var names []string
	for _, d := range programs() {
		full := string(d.Kind) + "." + d.Program
		names = append(names, full)
		if name == full || name == d.Program {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		d := found[0]
		d.Command = "pacewire plugin run " + string(d.Kind) + "." + d.Program
		return d, nil
	case 0:
		hint := "pacewire plugin list --programs names them"
		if near := config.Suggest(name, append(names, shortNames(names)...)); near != "" {
			hint = "did you mean " + near + "?"
		}
		return plugin.Definition{}, exitWith(exitUsage, fmt.Errorf("no built-in program %q: %s", name, hint))
	}
	var which []string
	for _, d := range found {
		which = append(which, string(d.Kind)+"."+d.Program)
	}
	return plugin.Definition{}, exitWith(exitUsage, fmt.Errorf("program %q: which one, %s?", name, strings.Join(which, " or ")))
}

func shortNames(full []string) []string {
	var short []string
	for _, n := range full {
		_, name, _ := strings.Cut(n, ".")
		short = append(short, name)
	}
	return short
}
