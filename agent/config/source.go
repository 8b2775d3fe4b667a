package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// source is one file: its lines for the messages, its tree, and what is wrong in it.
type source struct {
	name     string
	lines    []string
	root     *yaml.Node            // a map; nil when the file sets nothing
	written  map[*yaml.Node]string // scalars that held ${NAME}, as they stand in the file
	settled  map[*yaml.Node]bool   // scalars whose fault says it all: what follows from it is not said
	secrets  *regexp.Regexp        // finds literal secrets in a line
	faults   Faults
	warnings Faults
	fatal    bool // the tree is not to be walked

	loaded, replaces, strict, folder bool // as in Source
}

// entry is a key of a map with its value.
type entry struct {
	name     string
	key, val *yaml.Node
}

func newSource(name, text string, secrets *regexp.Regexp) *source {
	return &source{name: name, lines: splitLines(text), secrets: secrets,
		written: map[*yaml.Node]string{}, settled: map[*yaml.Node]bool{}}
}

// parsed reads one text. A byte order mark is what some editors put before UTF-8.
func parsed(from Source, secrets *regexp.Regexp) *source {
	text := strings.TrimPrefix(string(from.Text), "\uFEFF")
	s := newSource(from.Name, text, secrets)
	s.loaded, s.replaces, s.strict, s.folder = from.Loaded, from.Loaded && from.Replaces, from.Strict, from.folder
	s.parse(text)
	return s
}

// entries lists the pairs of a map, none for anything else.
func entries(n *yaml.Node) []entry {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	out := make([]entry, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		out = append(out, entry{n.Content[i].Value, n.Content[i], n.Content[i+1]})
	}
	return out
}

func names(list []entry) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.name
	}
	return out
}

// fault notes that something is wrong at a node; the hint may be empty. A hint is often made of the
// value, so what the environment brought in gets another one.
func (s *source) fault(at *yaml.Node, hint, format string, args ...any) {
	if s.settled[at] {
		return
	}
	if _, fromEnv := s.written[at]; fromEnv {
		hint = "the value comes from the environment"
	}
	s.faultAt(at.Line, at.Column, hint, format, args...)
}

// faultAt is fault for a place without a node.
func (s *source) faultAt(line, column int, hint, format string, args ...any) {
	s.faults = append(s.faults, s.at(line, column, hint, fmt.Sprintf(format, args...)))
}

func (s *source) warn(at *yaml.Node, hint, format string, args ...any) {
	s.warnings = append(s.warnings, s.at(at.Line, at.Column, hint, fmt.Sprintf(format, args...)))
}

func (s *source) at(line, column int, hint, message string) Fault {
	f := Fault{
		Position: Position{File: s.name},
		Message:  printable(noUserinfo(message)),
		Hint:     printable(noUserinfo(hint)),
	}
	if line < 1 || line > len(s.lines) {
		return f
	}
	text := s.lines[line-1]
	f.Line, f.Column = line, max(1, min(column, len([]rune(text))+1))
	f.Text, f.Caret = excerpt(text, f.Column-1, s.secrets)
	return f
}

// printable makes text that quotes a file fit for a terminal: names can be anything.
func printable(text string) string {
	const most = 500
	if cut := []rune(text); len(cut) > most {
		text = string(cut[:most]) + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// place names a node for a message about another one: "line 3", or with its file when that differs.
func (s *source) place(from *source, n *yaml.Node) string {
	if s == from {
		return fmt.Sprintf("line %d", n.Line)
	}
	return fmt.Sprintf("%s:%d", s.name, n.Line)
}

// raw is a scalar as it stands in the file, before ${NAME} was replaced.
func (s *source) raw(n *yaml.Node) string {
	if text, ok := s.written[n]; ok {
		return text
	}
	return n.Value
}

// got describes a node in a message.
func (s *source) got(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	if empty(n) {
		return "nothing"
	}
	text := s.raw(n)
	if short := []rune(text); len(short) > 60 {
		text = string(short[:57]) + "..."
	}
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// empty reports a key without a value, or one written as null.
func empty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

func sorted(f Faults) Faults {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(f)
}

// splitLines cuts where YAML does, so that its line numbers are ours.
func splitLines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for _, br := range []string{"\r", "\u0085", "\u2028", "\u2029"} {
		text = strings.ReplaceAll(text, br, "\n")
	}
	return strings.Split(text, "\n")
}

// excerpt makes a line fit to be shown: secrets masked, leading blanks and what is far from the
// caret left out, nothing that a terminal would obey.
func excerpt(line string, caret int, secrets *regexp.Regexp) (string, int) {
	text, caret := mask(line, caret, secrets)
	for i, r := range text {
		if !unicode.IsPrint(r) {
			text[i] = ' '
		}
	}
	for len(text) > 0 && text[0] == ' ' && caret > 0 {
		text, caret = text[1:], caret-1
	}
	const before, width = 60, 100
	if caret > before && len(text) > width {
		text = append([]rune("... "), text[caret-before:]...)
		caret = before + 4
	}
	if len(text) > width {
		text = append(text[:width:width], []rune(" ...")...)
	}
	for len(text) > caret && text[len(text)-1] == ' ' {
		text = text[:len(text)-1]
	}
	return string(text), caret
}

// userinfo is what stands before the @ of a URL, or of an address that lacks the scheme.
var userinfo = &pattern{text: `(://)[^\s"']+@|[^/\s"'@,\[{(:]+:[^/\s"'@,]+@`}

// noUserinfo hides the credentials in a text.
func noUserinfo(text string) string {
	return userinfo.re().ReplaceAllString(text, "${1}***@")
}

// mask replaces literal secrets by *** and moves the caret with the text.
func mask(line string, caret int, secrets *regexp.Regexp) ([]rune, int) {
	text := []rune(line)
	at := len(string(text[:min(caret, len(text))])) // in bytes, as the matches are
	line = string(text)
	cut := func(from, to int) {
		switch {
		case at >= to:
			at += len("***") - (to - from)
		case at > from:
			at = from
		}
		line = line[:from] + "***" + line[to:]
	}
	for _, m := range slices.Backward(userinfo.re().FindAllStringSubmatchIndex(line, -1)) {
		cut(max(m[0], m[3]), m[1]-len("@"))
	}
	for _, m := range slices.Backward(secrets.FindAllStringSubmatchIndex(line, -1)) {
		cut(m[2], m[3])
	}
	return []rune(line), len([]rune(line[:min(at, len(line))]))
}

// secretPattern finds the value of every key that programs declare secret or that sounds so.
func secretPattern(programs []string) *regexp.Regexp {
	keys := []string{`[\w-]*(?:password|passwd|secret|token|api_?key|private_?key)`}
	for _, name := range programs {
		keys = append(keys, regexp.QuoteMeta(name))
	}
	// A plain value ends at ", " or " #"; what begins with ${ names a secret and is none.
	value := `("(?:[^"\\]|\\.)*"?|'[^']*'?|(?:[^\s"'#$]|\$[^{])(?:[^,#]|,\S|\S#)*)`
	return regexp.MustCompile(`(?i)\b(?:` + strings.Join(keys, "|") + `)["']?\s*:\s*` + value)
}
