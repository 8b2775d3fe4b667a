package main

import (
	"fmt"
	"strings"
)

// A frame is what the screen shows at one time; lines fits it to a terminal.
type frame struct {
	head   string
	title  string // of the columns
	rows   []string
	points []string
	log    []string
}

// lines returns at most height lines of at most width columns. Where there is no room for all, points go first, then log
// lines, then plugins.
func (f frame) lines(width, height int) []string {
	lines := []string{f.head, "", f.title}
	lines = append(lines, some(f.rows, height-len(lines), "plugins: pacewire plugin list")...)
	left := height - len(lines)

	log := f.log[len(f.log)-max(min(len(f.log), left-1), 0):] // below an empty line
	if len(log) > 0 {
		left -= len(log) + 1
	}
	if left > 2 && len(f.points) > 0 {
		lines = append(lines, "", "latest points")
		lines = append(lines, some(f.points, left-2, "series: pacewire tap")...)
	}
	if len(log) > 0 {
		lines = append(lines, "")
		lines = append(lines, log...)
	}
	lines = lines[:min(len(lines), height)]
	for i, line := range lines {
		lines[i] = cut(line, width)
	}
	return lines
}

// some returns all lines if there is room for them, else the first ones and how many more there are.
func some(lines []string, room int, of string) []string {
	if len(lines) <= room {
		return lines
	}
	room = max(room-1, 0)
	return append(lines[:room:room], fmt.Sprintf("  and %d more %s", len(lines)-room, of))
}

// over writes lines over those of a terminal with so many rows. The last line ends without a line end, which would scroll.
func over(lines []string, height int) string {
	var b strings.Builder
	b.WriteString(topLeft)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(clearLine + line)
	}
	if len(lines) < height {
		b.WriteString("\r\n" + clearRest)
	}
	return b.String()
}
