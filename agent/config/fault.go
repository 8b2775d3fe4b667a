package config

import (
	"fmt"
	"strings"
)

// Position is a place in a config file; lines and columns count from 1, columns in characters.
// A Line of 0 means the file as a whole.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Fault is one thing that is wrong in a config file: where, what, and the way out.
type Fault struct {
	Position
	Text    string `json:"text,omitempty"`  // the line as shown: secrets masked, long lines cut
	Caret   int    `json:"caret,omitempty"` // characters of Text before the place meant
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Error renders the fault with its line, a caret below the place meant, and the hint.
func (f Fault) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", f.Position, f.Message)
	const indent = "\n    "
	switch {
	case f.Text != "":
		b.WriteString(indent + f.Text + indent + strings.Repeat(" ", f.Caret) + "^")
		if f.Hint != "" {
			b.WriteString(" " + f.Hint)
		}
	case f.Hint != "":
		b.WriteString(indent + f.Hint)
	}
	return b.String()
}

// Faults is every fault of a config, in the order of the files and their lines.
type Faults []Fault

// shown bounds what Error renders; the slice itself always holds every fault.
const shown = 50

// Error renders the faults, each with its line and caret.
func (f Faults) Error() string {
	texts := make([]string, 0, len(f))
	for i, fault := range f {
		if i == shown {
			texts = append(texts, fmt.Sprintf("and %d more", len(f)-shown))
			break
		}
		texts = append(texts, fault.Error())
	}
	return strings.Join(texts, "\n")
}
