package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/telemetry"
)

// pages puts the README of each program into want, its tables made new, and the page made of it.
func (m module) pages(want map[string][]byte, programs []program) error {
	var faults []error
	for _, p := range programs {
		readme := p.path() + "/README.md"
		text, err := os.ReadFile(filepath.Join(m.root, filepath.FromSlash(readme)))
		if errors.Is(err, os.ErrNotExist) {
			err = errors.New("missing: write one, with the lines <!-- settings -->, <!-- /settings -->, <!-- series --> and <!-- /series -->")
		}
		if err == nil {
			text, err = p.fill(text)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", readme, err))
			continue
		}
		want[readme] = text
		want["docs/plugins/"+p.label()+".md"] = p.page(string(text))
	}
	return errors.Join(faults...)
}

// fill returns a README with the tables of p between its markers.
func (p program) fill(readme []byte) ([]byte, error) {
	list, err := settings(p.Schema, "")
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	text, err := between(string(readme), "settings", settingsTable(list))
	if err != nil {
		return nil, err
	}
	text, err = between(text, "series", seriesTables(p.Catalog))
	return []byte(text), err
}

// between returns text with the lines between two markers replaced.
func between(text, name, lines string) (string, error) {
	first, last := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	head, rest, ok := strings.Cut(text, first)
	if !ok {
		return "", fmt.Errorf("no line %s: put it, and after it %s, where the table belongs", strings.TrimSpace(first), strings.TrimSpace(last))
	}
	_, tail, ok := strings.Cut(rest, last)
	if !ok {
		return "", fmt.Errorf("no line %s after %s", strings.TrimSpace(last), strings.TrimSpace(first))
	}
	return head + first + "\n" + lines + "\n" + last + tail, nil
}

// settingsTable returns settings as Markdown.
func settingsTable(list []setting) string {
	if len(list) == 0 {
		return "It has no settings.\n"
	}
	var b strings.Builder
	b.WriteString("| setting | type | default | what it is |\n|---|---|---|---|\n")
	settingsRows(&b, list)
	return b.String()
}

func settingsRows(b *strings.Builder, list []setting) {
	for _, s := range list {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(s.Name), cell(s.Type), code(s.Default), cell(s.Help))
		settingsRows(b, s.Parts)
	}
}

// seriesTables returns a catalog as Markdown.
func seriesTables(catalog []telemetry.Desc) string {
	if len(catalog) == 0 {
		return "It emits no series of its own.\n"
	}
	var tables []string
	for _, d := range catalog {
		var b strings.Builder
		fmt.Fprintf(&b, "**%s**: %s\n\n", d.Series, cell(d.Help))
		for _, tag := range slices.Sorted(maps.Keys(d.Tags)) {
			fmt.Fprintf(&b, "- tag %s: %s\n", code(tag), cell(d.Tags[tag]))
		}
		if len(d.Tags) > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("| field | type | unit |\n|---|---|---|\n")
		for _, field := range slices.Sorted(maps.Keys(d.Fields)) {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", code(field), typeName(d.Types[field]), cell(d.Fields[field]))
		}
		tables = append(tables, b.String())
	}
	return strings.Join(tables, "\n")
}

// typeName returns the word for a type letter of a catalog.
func typeName(letter string) string {
	switch letter {
	case "i":
		return "integer"
	case "u":
		return "unsigned integer"
	case "b":
		return "boolean"
	case "s":
		return "text"
	}
	return "float"
}

// cell makes text fit into a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(strings.Join(strings.Fields(text), " "))
}

// code returns text as code in a cell of a table.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}

// page returns the page of docs/plugins that is made of a README.
func (p program) page(readme string) []byte {
	note := fmt.Sprintf(pageHeader+" from %s/README.md by make gen; DO NOT EDIT. -->\n\n", p.path())
	return []byte(note + moveLinks(readme, p.path(), "docs/plugins"))
}

// moveLinks returns the Markdown text of a file in the folder from so that its links work in the folder to.
func moveLinks(text, from, to string) string {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	return link.ReplaceAllStringFunc(text, func(found string) string {
		target := link.FindStringSubmatch(found)[1]
		if strings.HasPrefix(target, "#") || strings.HasPrefix(target, "/") || strings.Contains(target, ":") {
			return found
		}
		up := strings.Repeat("../", 1+strings.Count(to, "/"))
		return "](" + up + path.Join(from, target) + ")"
	})
}

// pageHeader begins each page that gen writes, and tells it which it may remove.
const pageHeader = "<!-- Made"

// handmade returns the programs without a folder of their own, which have a page that somebody wrote: its first sentence is
// their summary.
func (m module) handmade() ([]program, error) {
	files, err := filepath.Glob(m.file("docs/plugins/*.*.md"))
	if err != nil {
		return nil, err
	}
	var found []program
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(string(text), pageHeader) {
			continue
		}
		kind, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".md"), ".")
		_, about, ok := strings.Cut(string(text), "# "+name+"\n\n")
		if !ok || !slices.Contains(kinds(), kind) {
			return nil, fmt.Errorf("docs/plugins/%s: want a page of KIND.NAME.md that begins with # NAME and a sentence", filepath.Base(file))
		}
		summary, _, _ := strings.Cut(about, ". ")
		found = append(found, program{folder{kind: kind, name: name}, definition{Program: name, Summary: strings.TrimSuffix(summary, ".") + "."}})
	}
	return found, nil
}

// index puts the list of all programs into want.
func (m module) index(want map[string][]byte, programs []program) error {
	more, err := m.handmade()
	if err != nil {
		return err
	}
	programs = slices.SortedFunc(slices.Values(slices.Concat(programs, more)), func(a, b program) int { return strings.Compare(a.label(), b.label()) })
	var b strings.Builder
	b.WriteString(pageHeader + " by make gen; DO NOT EDIT. -->\n\n# Plugins\n\nEvery setting at its default: [sample.yaml](../sample.yaml).\n")
	for _, kind := range kinds() {
		fmt.Fprintf(&b, "\n## %ss\n\n| program | what it does |\n|---|---|\n", strings.ToUpper(kind[:1])+kind[1:])
		for _, p := range programs {
			if p.kind != kind {
				continue
			}
			fmt.Fprintf(&b, "| [%s](%s.md) | %s |\n", p.Program, p.label(), cell(p.Summary+p.binaryNote()))
		}
	}
	want["docs/plugins/README.md"] = []byte(b.String())
	return nil
}

// binaryNote says which file holds a program that is not in pacewire itself.
func (p program) binaryNote() string {
	if !p.binary {
		return ""
	}
	return " A program of its own: pacewire-" + p.Program + "."
}
