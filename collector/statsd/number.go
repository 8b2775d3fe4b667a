package statsd

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// powers of ten that a float64 holds exactly, as far as they are wanted.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// number reads a decimal number. The short ones, which most are, take a way of their own: an integer and a power of ten that a
// float64 holds exactly give the number that is nearest to their quotient.
func number(text []byte) (float64, reason) {
	digits := text
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		digits = text[1:]
	}
	if len(digits) == 0 || len(digits) >= len(powers) {
		return longNumber(text)
	}
	var n uint64
	point := len(digits) - 1
	for i, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			n = 10*n + uint64(c-'0')
		case c == '.' && point == len(digits)-1 && i < len(digits)-1:
			point = i
		default:
			return longNumber(text)
		}
	}
	v := float64(n) / powers[len(digits)-1-point]
	if text[0] == '-' {
		v = -v
	}
	return v, fine
}

// longNumber reads every number, and says what is wrong with what is none.
func longNumber(text []byte) (float64, reason) {
	if len(bytes.Trim(text, "0123456789+-.eE")) > 0 {
		word := bytes.TrimLeft(text, "+-")
		for _, name := range []string{"nan", "inf", "infinity"} {
			if bytes.EqualFold(word, []byte(name)) {
				return 0, notFinite
			}
		}
		return 0, badValue
	}
	v, err := strconv.ParseFloat(string(text), 64)
	switch {
	case math.IsInf(v, 0):
		return 0, notFinite
	case err != nil:
		return 0, badValue
	}
	return v, fine
}

func finite(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }

// latest is the last second whose nanoseconds an int64 holds.
const latest = math.MaxInt64 / int64(time.Second)

// seconds reads a time in whole seconds since 1970.
func seconds(text []byte) (int64, reason) {
	s, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || s <= 0 || s > latest {
		return 0, badTime
	}
	return s, fine
}
