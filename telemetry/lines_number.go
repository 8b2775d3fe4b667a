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

// word returns the eight bytes from at, the first one lowest. It does without slicing, because that takes four instructions
// that the next position would have to wait for.
func word(text []byte, at int) uint64 {
	_ = text[at+7]
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(text)), at))[:])
}

// others returns a word with the high bit set in the byte of the first character of w that is no digit, and maybe in later
// ones; 0 when there are eight digits.
func others(w uint64) uint64 {
	w ^= 0x3030303030303030                                    // digits become 0 to 9
	return ((w + 0x7676767676767676) | w) & 0x8080808080808080 // adding sets the bit above 9; a carry goes to later ones only
}

// number8 returns the value of the eight digits of w.
func number8(w uint64) uint64 {
	w = (w & 0x0f0f0f0f0f0f0f0f) * 2561 >> 8
	w = (w & 0x00ff00ff00ff00ff) * 6553601 >> 16
	return (w & 0x0000ffff0000ffff) * 42949672960001 >> 32
}

// number returns the value of the n digits at the start of w; n is 1 to 8.
func number(w uint64, n int) uint64 {
	return number8(w << (uint(64-8*n) & 63)) // as if zeros went before them
}

// parseDigits returns the number at at, and the position after it. -1: there is no digit, or more than 19.
func parseDigits(text []byte, at int) (v uint64, next int) {
	w := word(text, at)
	if m := others(w); m != 0 {
		n := bits.TrailingZeros64(m) >> 3
		if n == 0 {
			return 0, -1
		}
		return number(w, n), at + n
	}
	v = number8(w)
	at += 8
	w = word(text, at)
	if m := others(w); m != 0 {
		n := bits.TrailingZeros64(m) >> 3
		if n == 0 {
			return v, at
		}
		return v*pow10[n&15] + number(w, n), at + n
	}
	v = v*1e8 + number8(w)
	at += 8
	w = word(text, at)
	n := bits.TrailingZeros64(others(w)|1<<63) >> 3
	switch {
	case n == 0:
		return v, at
	case n > 3:
		return 0, -1
	}
	return v*pow10[n&15] + number(w, n), at + n
}

// parseInt returns the integer at at, as the bits of an int64, and the position after its i.
func parseInt(text []byte, at int) (v uint64, next int) {
	w := word(text, at)
	other := others(w)
	n := bits.TrailingZeros64(other|1<<63) >> 3
	if n == 0 || other == 0 {
		return parseLongInt(text, at)
	}
	if text[at+n] != 'i' {
		return 0, -1
	}
	return number(w, n), at + n + 1
}

// parseLongInt reads an integer with a minus or with many digits.
func parseLongInt(text []byte, at int) (v uint64, next int) {
	from := at
	if text[at] == '-' {
		from++
	}
	v, next = parseDigits(text, from)
	if next < 0 || v > math.MaxInt64 || text[next] != 'i' {
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
	if next < 0 || text[next] != 'u' {
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
	w := word(text, at)
	other := others(w)
	n := bits.TrailingZeros64(other|1<<63) >> 3 // digits before the point
	if n == 0 || byte(w>>(8*n&63)) != '.' {
		return parsePlainFloat(text, at)
	}
	point := other & -other
	after := other ^ point
	if after == 0 {
		return parseFraction(text, at, number(w, n), n)
	}
	end := bits.TrailingZeros64(after) >> 3
	if byte(w>>(8*end&63)) > ',' { // an exponent
		return parseLongFloat(text, at)
	}
	whole := point>>7 - 1 // the bytes before the point
	m := number(w&whole|w>>8&^whole, end-1)
	return math.Float64bits(float64(int64(m)) / tens[(end-n-1)&7]), at + end
}

// tens are powers of ten.
var tens = [8]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7}

// parseFraction goes on with a float that has the n digits of whole before a point, and so many behind it that all of it
// takes more than seven characters.
func parseFraction(text []byte, from int, whole uint64, n int) (v uint64, next int) {
	at := from + n + 1
	m, places := whole, 0
	w := word(text, at)
	other := others(w)
	for other == 0 && places < 16 {
		m = m*1e8 + number8(w)
		at += 8
		places += 8
		w = word(text, at)
		other = others(w)
	}
	if more := bits.TrailingZeros64(other|1<<63) >> 3; more > 0 {
		m = m*pow10[more&15] + number(w, more)
		places += more
		at += more
	}
	if n+places > 19 || text[at] > ',' {
		return parseLongFloat(text, from)
	}
	return ratio(m, places), at
}

// parsePlainFloat reads a float that has a minus, or no point, or much before it.
func parsePlainFloat(text []byte, at int) (v uint64, next int) {
	if text[at] == '-' && text[at+1] != '-' {
		v, next = parseFloat(text, at+1)
		return v | 1<<63, next
	}
	v, next = parseDigits(text, at)
	if next < 0 || v >= 1<<53 || text[next] > ',' {
		return parseLongFloat(text, at)
	}
	return math.Float64bits(float64(int64(v))), next
}

// inverse10 are 2^127 / (10^n << zeros10[n]), rounded down to 64 bits, and zeros10 the leading zeros of 10^n.
var (
	inverse10 = [20]uint64{
		0xffffffffffffffff, 0xcccccccccccccccc, 0xa3d70a3d70a3d70a, 0x83126e978d4fdf3b,
		0xd1b71758e219652b, 0xa7c5ac471b478423, 0x8637bd05af6c69b5, 0xd6bf94d5e57a42bc,
		0xabcc77118461cefc, 0x89705f4136b4a597, 0xdbe6fecebdedd5be, 0xafebff0bcb24aafe,
		0x8cbccc096f5088cb, 0xe12e13424bb40e13, 0xb424dc35095cd80f, 0x901d7cf73ab0acd9,
		0xe69594bec44de15b, 0xb877aa3236a4b449, 0x9392ee8e921d5d07, 0xec1e4a7db69561a5,
	}
	zeros10 = [20]uint8{63, 60, 57, 54, 50, 47, 44, 40, 37, 34, 30, 27, 24, 20, 17, 14, 10, 7, 4, 0}
)

// ratio returns the bits of the float64 nearest to m / 10^places; places is at most 19.
//
// A multiplication instead of the division gives a quotient of 64 bits that is at most 3 too small in the last of them, and
// a float64 does not keep the last 11. Where the 3 would make a difference, it divides.
func ratio(m uint64, places int) uint64 {
	if m < 1<<53 { // both sides are exact, so the quotient is rounded once
		return math.Float64bits(float64(int64(m)) / float64(int64(pow10[places])))
	}
	hi, lo := bits.Mul64(m, inverse10[places])
	zeros := bits.LeadingZeros64(hi)
	q := hi<<(zeros&63) | lo>>1>>((63-zeros)&63)
	const half = 1 << 10
	if low := q & (2*half - 1); low >= half-3 && low <= half {
		return exactRatio(m, places)
	}
	return uint64(int(zeros10[places])-zeros+1022)<<52 + q>>11 + q>>10&1
}

// exactRatio is ratio by division.
func exactRatio(m uint64, places int) uint64 {
	by := pow10[places]
	up, down := bits.LeadingZeros64(m), bits.LeadingZeros64(by)
	m, by = m<<up, by<<down
	q, rest := bits.Div64(m>>1, m<<63, by)
	one := bits.LeadingZeros64(q)
	exp := uint64(down - up - one + 1022)
	if rest != 0 {
		q |= 1 // not a tie
	}
	q <<= one
	even := q >> 11 & 1
	q, over := bits.Add64(q, 1<<10-1+even, 0)
	return exp<<52 + (q>>11 | over<<53)
}

// parseLongFloat reads a float from its first digit, with an exponent or with more digits than fit.
func parseLongFloat(text []byte, at int) (v uint64, next int) {
	end := at
	for isFloatChar(text[end]) {
		end++
	}
	if end == at {
		return 0, -1
	}
	f, err := strconv.ParseFloat(unsafe.String(&text[at], end-at), 64)
	if err != nil || text[at] == '-' {
		return 0, -1
	}
	return math.Float64bits(f), end
}

// isFloatChar reports whether c may stand in a float of decimal digits.
func isFloatChar(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c|0x20 == 'e'
}
