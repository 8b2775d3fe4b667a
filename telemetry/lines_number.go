package telemetry

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unsafe"
)

// Numbers of line protocol are read eight characters at a time. The functions here expect that eight bytes can be loaded
// from wherever a number or what follows it begins, and return -1 as the next position for what they do not read: numbers
// that are rare, or none at all. parseValue reads those.

// pow10 are the powers of ten that fit into a uint64.
var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// word returns the eight bytes from at, the first one lowest.
func word(text []byte, at int) uint64 { return binary.LittleEndian.Uint64(text[at:]) }

// leadingDigits returns how many of the characters of w are digits before the first one that is none.
func leadingDigits(w uint64) int {
	w ^= 0x3030303030303030               // digits become 0 to 9
	other := (w + 0x7676767676767676) | w // the high bit of a byte is set above 9; a carry goes to later ones only
	return bits.TrailingZeros64(other&0x8080808080808080) >> 3
}

// number returns the value of the n digits at the start of w.
func number(w uint64, n int) uint64 {
	w <<= uint(64 - 8*n) // as if zeros went before them
	w = (w & 0x0f0f0f0f0f0f0f0f) * 2561 >> 8
	w = (w & 0x00ff00ff00ff00ff) * 6553601 >> 16
	return (w & 0x0000ffff0000ffff) * 42949672960001 >> 32
}

// parseDigits returns the number at at, and the position after it. There may be no digit; of more than 19 it is -1.
func parseDigits(text []byte, at int) (v uint64, next int) {
	w := word(text, at)
	n := leadingDigits(w)
	v = number(w, n)
	if n < 8 {
		return v, at + n
	}
	w = word(text, at+8)
	n = leadingDigits(w)
	v = v*pow10[n] + number(w, n)
	if n < 8 {
		return v, at + 8 + n
	}
	w = word(text, at+16)
	n = leadingDigits(w)
	if n > 3 {
		return 0, -1
	}
	return v*pow10[n] + number(w, n), at + 16 + n
}

// parseInt returns the integer at at, as the bits of an int64, and the position after its i.
func parseInt(text []byte, at int) (v uint64, next int) {
	from := at
	if text[at] == '-' {
		from++
	}
	v, next = parseDigits(text, from)
	if next <= from || v > math.MaxInt64 || text[next] != 'i' {
		return 0, -1
	}
	if from != at {
		v = -v
	}
	return v, next + 1
}

// parseUint returns the unsigned integer at at and the position after its u.
func parseUint(text []byte, at int) (v uint64, next int) {
	v, next = parseDigits(text, at)
	if next <= at || text[next] != 'u' {
		return 0, -1
	}
	return v, next + 1
}

// parseBool returns the bool at at and the position after it.
func parseBool(text []byte, at int) (v uint64, next int) {
	w := word(text, at)
	switch {
	case uint32(w) == 'e'<<24|'u'<<16|'r'<<8|'t':
		return 1, at + 4
	case w&0xffffffffff == 'e'<<32|'s'<<24|'l'<<16|'a'<<8|'f':
		return 0, at + 5
	}
	end := at
	for isLetter(text[end]) {
		end++
	}
	v, ok := boolOf(text[at:end])
	if !ok {
		return 0, -1
	}
	return v, end
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// boolOf returns what word means as a bool.
func boolOf(word []byte) (v uint64, ok bool) {
	switch string(word) {
	case "t", "T", "true", "True", "TRUE":
		return 1, true
	case "f", "F", "false", "False", "FALSE":
		return 0, true
	}
	return 0, false
}

// parseFloat returns the float at at, as the bits of a float64, and the position after it.
func parseFloat(text []byte, at int) (v uint64, next int) {
	from := at
	var sign uint64
	if text[at] == '-' {
		sign = 1 << 63
		from++
	}
	m, at := parseDigits(text, from)
	if at < 0 {
		return parseLongFloat(text, from, sign)
	}
	digits, places := at-from, 0
	if text[at] == '.' {
		at++
		w := word(text, at)
		places = leadingDigits(w)
		if digits += places; digits > 19 {
			return parseLongFloat(text, from, sign)
		}
		m = m*pow10[places] + number(w, places)
		at += places
		if places == 8 {
			more, end := parseDigits(text, at)
			n := end - at
			if digits += n; end < 0 || digits > 19 {
				return parseLongFloat(text, from, sign)
			}
			m = m*pow10[n] + more
			at, places = end, places+n
		}
	}
	if digits == 0 {
		return 0, -1
	}
	if text[at]|0x20 == 'e' {
		return parseLongFloat(text, from, sign)
	}
	return sign | ratio(m, places), at
}

// ratio returns the bits of the float64 nearest to m / 10^places; places is at most 19.
func ratio(m uint64, places int) uint64 {
	if m < 1<<53 { // both sides are exact, so the quotient is rounded once
		return math.Float64bits(float64(int64(m)) / float64(int64(pow10[places])))
	}
	// The quotient of 128 bits by 64 has 64 bits, the first of them set: what float64 does not keep says how to round.
	by := pow10[places]
	up, down := bits.LeadingZeros64(m), bits.LeadingZeros64(by)
	m, by = m<<up, by<<down
	exp := down - up - 1
	hi, lo := m, uint64(0)
	if m >= by {
		hi, lo = m>>1, m<<63
		exp++
	}
	q, rest := bits.Div64(hi, lo, by)
	const low = 1<<11 - 1
	half, kept := q&low, q>>11
	if half > 1<<10 || half == 1<<10 && (rest != 0 || kept&1 != 0) {
		kept++ // a carry into bit 53 raises the exponent by itself
	}
	return uint64(exp+1022)<<52 + kept
}

// parseLongFloat reads a float from its first digit, with an exponent or with more digits than fit.
func parseLongFloat(text []byte, at int, sign uint64) (v uint64, next int) {
	end := at
	for isFloatChar(text[end]) {
		end++
	}
	if end == at {
		return 0, -1
	}
	f, err := strconv.ParseFloat(unsafe.String(&text[at], end-at), 64)
	if err != nil || f < 0 {
		return 0, -1
	}
	return sign | math.Float64bits(f), end
}

// isFloatChar reports whether c may stand in a float of decimal digits.
func isFloatChar(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c|0x20 == 'e'
}
