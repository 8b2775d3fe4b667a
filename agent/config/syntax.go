package config

import (
	"errors"
	"io"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The YAML library says what it did not find, not what is wrong, its line is often that of the
// enclosing map, and it knows no column. So the place is searched: the shortest beginning of the
// text that fails in the same way ends there.

// wording is an error of the YAML library in plain words.
type wording struct {
	theirs, ours, hint string
	word               bool // the caret goes to the beginning of the word, not to its end
}

var wordings = []wording{
	{"mapping values are not allowed", "a colon that cannot stand here", "quote a value that holds \": \"; set each key on a line of its own", false},
	{"violates indentation", tabs, tabsHint, false},
	{"did not find expected key", "this does not line up with the lines above", "the keys of one map begin in the same column", true},
	{"did not find expected '-'", "this does not line up with the list above", "each item begins with - in the same column", true},
	{"could not find expected ':'", "a key without a colon", "write key: value", true},
	{"did not find expected ',' or '}'", "a } or a comma is missing", "quote what holds , { } [ ]", true},
	{"did not find expected ',' or ']'", "a ] or a comma is missing", "quote what holds , { } [ ]", true},
	{"found unexpected end of stream", "a quote is opened in this line and never closed", "close it with the same quote", true},
	{"found unknown escape character", "a backslash sequence that double quotes do not know", "use single quotes: '\\d' is taken as it is", false},
	{"block sequence entries are not allowed", "a list that cannot begin here", "begin it on the next line, or write [a, b]", false},
	{"did not find expected node content", "a value is missing, or a bracket too many", "", true},
	{"exceeded max depth", "nested more than 32 deep", "", false},
}

const (
	blankMissing = "a blank is missing after the colon"
	blankHint    = "write key: value"
	tabs         = "a tab: YAML is indented with blanks only"
	tabsHint     = "replace each tab by two blanks"
)

// syntax turns an error of the YAML library into a fault.
func (s *source) syntax(text string, err error) {
	s.fatal = true
	problem := problemOf(err)
	if name, ok := strings.CutPrefix(problem, "unknown anchor '"); ok {
		s.alias(strings.TrimSuffix(name, "' referenced"))
		return
	}
	line, column := s.locate(text, err)
	at := []rune(s.lines[line-1])
	for _, w := range wordings {
		if !strings.Contains(problem, w.theirs) {
			continue
		}
		if w.word {
			column = wordStart(at, column)
		}
		if !s.known(w.theirs, line, column) {
			s.faultAt(line, column, w.hint, "%s", w.ours)
		}
		return
	}
	if rest, ok := strings.CutPrefix(string(at[min(column-1, len(at)):]), "*"); ok && strings.Contains(problem, "expected alphabetic") {
		s.starred(line, column, rest)
		return
	}
	if strings.Contains(problem, "cannot start any token") && column <= len(at) {
		s.badStart(line, column, at[column-1])
		return
	}
	s.faultAt(line, column, "", "not YAML: %s", problem)
}

func (s *source) badStart(line, column int, r rune) {
	if r == '\t' {
		s.faultAt(line, column, tabsHint, tabs)
		return
	}
	s.faultAt(line, column, "put the value into quotes", "a value cannot begin with %c", r)
}

// known words the mistakes behind an error that can be told apart by looking at the lines.
func (s *source) known(theirs string, line, column int) bool {
	text := []rune(s.lines[line-1])
	before, here := string(text[:min(column-1, len(text))]), string(text[min(column-1, len(text)):])
	above := ""
	if line > 1 {
		above = s.lines[line-2]
	}
	first := strings.TrimSpace(before) == "" // the place is the first thing in its line
	switch theirs {
	case "mapping values are not allowed":
		if m := glued.re().FindStringIndex(above); m != nil {
			s.faultAt(line-1, len([]rune(above[:m[1]])), blankHint, blankMissing)
			return true
		}
		if firstKey.re().MatchString(before) {
			s.faultAt(line, wordStart(text, column), "end the line above with its colon, or indent both lines alike", "a key below a line that already has a value")
			return true
		}
	case "did not find expected key":
		if strings.HasPrefix(here, "}") || strings.HasPrefix(here, "]") {
			s.faultAt(line, column, "remove it", "a closing bracket too many")
			return true
		}
		if strings.HasPrefix(here, "- ") {
			s.faultAt(line, column, "each item begins with - in the same column", "this item does not line up with the list above")
			return true
		}
		if !first {
			s.faultAt(line, column, "quote the value as a whole, or not at all", "nothing can follow the end of a value")
			return true
		}
	case "did not find expected node content":
		if strings.HasPrefix(here, "}") || strings.HasPrefix(here, "]") {
			s.faultAt(line, column, "", "a value is missing before the bracket, or the bracket is one too many")
			return true
		}
		return s.bracket(theirs, line, column)
	case "did not find expected ',' or '}'", "did not find expected ',' or ']'":
		return s.bracket(theirs, line, column)
	}
	return false
}

// bracket finds what is wrong in { } or [ ]: ${NAME} without quotes, or the bracket that stays open.
func (s *source) bracket(theirs string, line, column int) bool {
	text := s.lines[line-1]
	if m := bareName.re().FindStringSubmatchIndex(text); m != nil {
		name := text[m[2]:m[3]]
		s.faultAt(line, len([]rune(text[:m[2]]))+1, `write "`+name+`"`, "within { } and [ ], %s must be quoted", name)
		return true
	}
	kinds := "{["
	if _, shut, ok := strings.Cut(theirs, "or "); ok {
		kinds = map[string]string{"'}'": "{", "']'": "["}[shut]
	}
	// The error shows at the first thing behind the bracket.
	end := len(string([]rune(text)[:min(column, len([]rune(text)))]))
	i := strings.LastIndexAny(text[:end], kinds)
	if i < 0 {
		return false
	}
	shut := map[byte]string{'{': "}", '[': "]"}[text[i]]
	s.faultAt(line, len([]rune(text[:i]))+1, "close it with "+shut+"; quote what holds , { } [ ]", "%c is not closed, or a comma is missing in it", text[i])
	return true
}

var (
	glued    = &pattern{text: `^\s*[A-Za-z0-9_-]+:\S`}
	firstKey = &pattern{text: `^\s*[A-Za-z0-9_-]+$`}
	bareName = &pattern{text: `[\s,:\[{](\$\{[A-Za-z_][A-Za-z0-9_]*\})`}
)

func (s *source) alias(name string) {
	for i, line := range s.lines {
		if at := strings.Index(line, "*"+name); at >= 0 {
			s.starred(i+1, len([]rune(line[:at]))+1, name)
			return
		}
	}
	s.faultAt(1, 1, "", "aliases (*%s) are not used here", name)
}

// starred reports a value that begins with *, such as */5 in a cron; rest is what follows the star.
func (s *source) starred(line, column int, rest string) {
	value, _, _ := strings.Cut(strings.NewReplacer("}", "\n", " #", "\n", ", ", "\n").Replace(rest), "\n")
	s.faultAt(line, column, "quote it: "+quoted("*"+strings.TrimRight(value, " ")), "a value that begins with * must be quoted")
}

// locate finds the line and column where the text goes wrong.
func (s *source) locate(text string, err error) (line, column int) {
	ends := lineEnds(text)
	same := func(end int) bool { return sameError(text[:end], err) }
	if strings.Contains(err.Error(), "end of stream") {
		return s.opened(text, ends)
	}
	i := min(sort.Search(len(ends), func(i int) bool { return same(ends[i]) }), len(ends)-1)
	begin := 0
	if i > 0 {
		begin = ends[i-1]
	}
	stops := []int{}
	for at, r := range text[begin:ends[i]] {
		stops = append(stops, begin+at+len(string(r)))
	}
	return i + 1, min(sort.Search(len(stops), func(k int) bool { return same(stops[k]) })+1, max(1, len(stops)))
}

// opened finds the line of a quote that is never closed: above it the text is whole, or fails
// otherwise. Going up from the end meets it before any quote that spans lines and is closed. The work
// is bounded; a text too long for it gets its last line blamed.
func (s *source) opened(text string, ends []int) (line, column int) {
	budget := 16 << 20
	for i, end := range slices.Backward(ends) {
		if budget -= end; budget < 0 {
			break
		}
		err := parseError(text[:end])
		if err == nil || !strings.Contains(err.Error(), "end of stream") {
			line := min(i+2, len(s.lines))
			return line, max(1, strings.LastIndexAny(s.lines[line-1], `"'`)+1)
		}
	}
	if budget > 0 {
		return 1, max(1, strings.IndexAny(s.lines[0], `"'`)+1)
	}
	return len(s.lines), 1
}

// lineEnds gives the offset behind each line, its line break included.
func lineEnds(text string) []int {
	var ends []int
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\r' && strings.HasPrefix(text[i:], "\r\n"):
		case text[i] == '\n', text[i] == '\r':
			ends = append(ends, i+1)
		case strings.HasPrefix(text[i:], "\u0085"):
			ends = append(ends, i+2)
		case strings.HasPrefix(text[i:], "\u2028"), strings.HasPrefix(text[i:], "\u2029"):
			ends = append(ends, i+3)
		}
	}
	return append(ends, len(text))
}

func sameError(text string, want error) bool {
	err := parseError(text)
	return err != nil && err.Error() == want.Error()
}

// parseError reads every document of the text for its error alone.
func parseError(text string) error {
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

var yamlLine = &pattern{text: `^yaml: (?:line \d+: )?`}

func problemOf(err error) string {
	return yamlLine.re().ReplaceAllString(err.Error(), "")
}

// wordStart goes back from a column to where its word began.
func wordStart(line []rune, column int) int {
	i := min(column, len(line))
	for i > 1 && !strings.ContainsRune(" \t[{,", line[i-2]) {
		i--
	}
	return max(1, i)
}
