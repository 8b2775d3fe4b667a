package main

import (
	"fmt"
	"slices"
	"strings"
)

// sample puts a config into want that has every program with every setting at its default.
func sample(want map[string][]byte, programs []program) error {
	var b strings.Builder
	b.WriteString(`# Made by make gen; DO NOT EDIT.
#
# Every built-in plugin with every setting at its default. Take what you need: a setting that is left out has the value
# shown here, and one that is commented out has none.
`)
	var names []string
	for i, section := range []string{"collect", "process", "publish"} {
		fmt.Fprintf(&b, "\n%s:\n", section)
		for _, p := range programs {
			if p.kind != kinds()[i] {
				continue
			}
			name := p.Program
			if slices.Contains(names, name) { // the name of a plugin is its own among all kinds
				name += "_" + p.kind
			}
			names = append(names, name)
			if err := p.sample(&b, name); err != nil {
				return fmt.Errorf("%s: schema: %w", p.path(), err)
			}
		}
	}
	want["docs/sample.yaml"] = []byte(b.String())
	return nil
}

// sample writes the lines of one program under the name of a plugin.
func (p program) sample(b *strings.Builder, name string) error {
	list, err := settings(p.Schema, "")
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "  # %s\n", strings.Join(strings.Fields(p.Summary), " "))
	if name == p.Program && p.kind == "collector" && len(list) == 0 {
		fmt.Fprintf(b, "  %s: {}\n", name)
		return nil
	}
	fmt.Fprintf(b, "  %s:\n", name)
	if name != p.Program {
		fmt.Fprintf(b, "    use: %s\n", p.Program)
	}
	if p.kind != "collector" {
		b.WriteString("    from: all\n")
	}
	sampleSettings(b, list, "    ")
	return nil
}

func sampleSettings(b *strings.Builder, list []setting, indent string) {
	for _, s := range list {
		if s.Help != "" {
			fmt.Fprintf(b, "%s# %s\n", indent, strings.Join(strings.Fields(s.Help), " "))
		}
		key := s.Name[strings.LastIndexByte(s.Name, '.')+1:]
		switch {
		case len(s.Parts) > 0:
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			sampleSettings(b, s.Parts, indent+"  ")
		case s.Default == "":
			fmt.Fprintf(b, "%s# %s:\n", indent, key)
		default:
			fmt.Fprintf(b, "%s%s: %s\n", indent, key, s.Default) // JSON is YAML
		}
	}
}
