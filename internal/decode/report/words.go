package report

import (
	"bytes"
	"iter"
	"strings"
	"unicode/utf8"
)

// blanks stand between words. Those of other alphabets are letters here, as they are where such lines are written.
const blanks = " \t\r\n\v\f"

func blank(c rune) bool { return strings.ContainsRune(blanks, c) }

// MaxLine is how long a line may be, in bytes, in the formats whose points are a line each.
const MaxLine = 64 << 10

// Lines yields each line of a text without the blanks around it, with its number. A line longer than MaxLine is refused.
func (r *Report) Lines(text []byte) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range bytes.Lines(WithoutMark(text)) {
			n++
			if len(line) > MaxLine {
				r.Refuse(Limit, n, "it has %d bytes, of which %d are the most", len(line), MaxLine)
				continue
			}
			if line = bytes.Trim(line, blanks); len(line) > 0 && !yield(n, string(line)) {
				return
			}
		}
	}
}

// Cut returns the first bytes of a text, limit at most, without a part of a character at their end.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// mark is what some programs of another system begin a text with.
var mark = []byte("\uFEFF")

// WithoutMark returns a text without the byte order mark at its begin.
func WithoutMark(text []byte) []byte { return bytes.TrimPrefix(text, mark) }

// Words yields the words of each line of a text that has any, as Lines does.
func (r *Report) Words(text []byte) iter.Seq2[int, []string] {
	return func(yield func(int, []string) bool) {
		for n, line := range r.Lines(text) {
			if !yield(n, strings.FieldsFunc(line, blank)) {
				return
			}
		}
	}
}
