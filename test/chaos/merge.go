package main

import (
	"slices"
	"strings"
)

// A published is a table as it stands in a document: what it was taken with, and for each row its line and its remarks.
type published struct {
	head    []string // a paragraph for each run
	columns []string
	lines   map[string]string
	remarks map[string]string
}

// read takes a table apart. What is none has no rows.
func read(table string) published {
	p := published{lines: map[string]string{}, remarks: map[string]string{}}
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		switch cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |"); {
		case line == "":
		case strings.HasPrefix(line, "- **"):
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "- **"), "**")
			p.remarks[name] = line
		case strings.HasPrefix(line, "| row |"), strings.HasPrefix(line, "|---"):
			p.columns = append(p.columns, line)
		case strings.HasPrefix(line, "| "):
			p.lines[cell] = line
		default:
			p.head = append(p.head, line)
		}
	}
	return p
}

// merged returns the table old with the rows of fresh, a run of some rows, in place of its own; order names all rows.
func merged(old, fresh string, order []string) string {
	was, is := read(old), read(fresh)
	if len(was.lines) == 0 {
		return fresh
	}
	var names, lines, remarks []string
	for _, name := range order {
		from := was
		if _, again := is.lines[name]; again {
			from, names = is, append(names, name)
		}
		if line := from.lines[name]; line != "" {
			lines = append(lines, line)
		}
		if text := from.remarks[name]; text != "" {
			remarks = append(remarks, text)
		}
	}
	head := append(slices.Clone(was.head), strings.Join(names, ", ")+" again: "+strings.Join(is.head, " "))
	return strings.Join([]string{strings.Join(head, "\n\n"), strings.Join(slices.Concat(is.columns, lines), "\n"), strings.Join(remarks, "\n")}, "\n\n") + "\n"
}
