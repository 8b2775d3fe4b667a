package host

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"strconv"

	"github.com/pacewire/pacewire/telemetry"
)

// lines returns the lines of text with their numbers, from 1.
func lines(text []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for n := 1; len(text) > 0; n++ {
			line, rest, _ := bytes.Cut(text, []byte{'\n'})
			if !yield(n, line) {
				return
			}
			text = rest
		}
	}
}

// word cuts the first word off line; it is empty when there is none.
func word(line []byte) (first, rest []byte) {
	from := 0
	for from < len(line) && blank(line[from]) {
		from++
	}
	to := from
	for to < len(line) && !blank(line[to]) {
		to++
	}
	return line[from:to], line[to:]
}

func blank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// parseUint reads a decimal number.
func parseUint(word []byte) (uint64, error) {
	var n uint64
	for _, b := range word {
		digit := uint64(b - '0')
		if b < '0' || b > '9' || n > (math.MaxUint64-digit)/10 {
			return 0, notNumber(word)
		}
		n = 10*n + digit
	}
	if len(word) == 0 {
		return 0, notNumber(word)
	}
	return n, nil
}

// parseFloat reads a decimal number that is finite and not negative, as the kernel writes averages.
func parseFloat(word []byte) (float64, error) {
	v, err := strconv.ParseFloat(string(word), 64)
	if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, notNumber(word)
	}
	return v, nil
}

func notNumber(word []byte) error { return fmt.Errorf("want a number, got %.40q", word) }

// parseUints reads the words of line into into until one of them ends, and returns how many it read.
func parseUints(line []byte, into []uint64) (int, error) {
	for i := range into {
		var w []byte
		if w, line = word(line); len(w) == 0 {
			return i, nil
		}
		n, err := parseUint(w)
		if err != nil {
			return i, err
		}
		into[i] = n
	}
	return len(into), nil
}

// A count is a number that a file may lack.
type count struct {
	n  uint64
	ok bool
}

// value returns c as a field; one that the file lacked is no field.
func (c count) value() telemetry.Value {
	if !c.ok {
		return telemetry.Value{}
	}
	return telemetry.Uint(c.n)
}

// parseKeys reads the numbers that follow keys from text, whose lines are a key, perhaps a colon, and numbers. The first
// number of a line counts. What text has besides is left out, a key that it lacks is not ok.
func parseKeys(text []byte, keys []string, into []count) error {
	clear(into)
	for i, line := range lines(text) {
		key, rest := word(line)
		k := indexOf(keys, bytes.TrimSuffix(key, []byte{':'}))
		if k < 0 {
			continue
		}
		w, _ := word(rest)
		n, err := parseUint(w)
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", i, keys[k], err)
		}
		into[k] = count{n, true}
	}
	return nil
}

// indexOf returns the index of key in keys, -1 when it is none of them.
func indexOf(keys []string, key []byte) int {
	for i, k := range keys {
		if k == string(key) {
			return i
		}
	}
	return -1
}
