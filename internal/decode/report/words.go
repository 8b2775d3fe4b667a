package report

import (
	"bytes"
	"iter"
	"strings"
)

// MaxLine is how long a line of words may be, in bytes.
const MaxLine = 64 << 10

// Words yields the words of each line of a text that has any, with the number of the line. A line longer than MaxLine is refused.
func (r *Report) Words(text []byte) iter.Seq2[int, []string] {
	return func(yield func(int, []string) bool) {
		n := 0
		for line := range bytes.Lines(text) {
			n++
			if len(line) > MaxLine {
				r.Refuse(Limit, n, "it has %d bytes, of which %d are the most", len(line), MaxLine)
				continue
			}
			if words := strings.Fields(string(line)); len(words) > 0 && !yield(n, words) {
				return
			}
		}
	}
}
