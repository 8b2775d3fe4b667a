package telemetry

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// The functions here write into buf from at on and return the position after it. They may write up to longestNumber bytes
// from at, whatever they return, so that whole words can be stored.

const longestNumber = 48

// putWord stores the eight bytes of v, the lowest one first. Like word, it does without slicing.
func putWord(buf []byte, at int, v uint64) {
	_ = buf[at+7]
	binary.LittleEndian.PutUint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(buf)), at))[:], v)
}

// wordsOf returns data as words of eight bytes.
func wordsOf(data []byte) [][8]byte {
	return unsafe.Slice((*[8]byte)(unsafe.Pointer(unsafe.SliceData(data))), len(data)/8)
}

// ascii turns eight digits into their characters.
const ascii = 0x3030303030303030

// A numerals holds short numbers in decimal, so that longer ones are put together from a few pieces.
type numerals struct {
	quads  [10000]uint32 // the four digits of a number, one in each byte, the first one lowest
	wholes [1000]piece   // numbers
	parts  [1000]piece   // thousandths, as they stand behind a point
}

// A piece is up to three characters, and in the last byte how many they are.
type piece uint32

// theNumerals makes the one numerals there is: 48 KB that only who writes lines shall have.
var theNumerals = sync.OnceValue(func() *numerals {
	t := new(numerals)
	for v := range t.quads {
		t.quads[v] = uint32(v/1000) | uint32(v/100%10)<<8 | uint32(v/10%10)<<16 | uint32(v%10)<<24
	}
	for v := range t.wholes {
		text := strconv.Itoa(v)
		t.wholes[v] = pieceOf(text)
		t.parts[v] = pieceOf(strings.TrimRight("00"[:3-len(text)]+text, "0"))
	}
	return t
})

func pieceOf(text string) piece {
	p := piece(len(text)) << 24
	for i := range len(text) {
		p |= piece(text[i]) << (8 * i)
	}
	return p
}

// put writes the characters of p.
func (p piece) put(buf []byte, at int) int {
	_ = buf[at+3]
	binary.LittleEndian.PutUint32((*[4]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(buf)), at))[:], uint32(p))
	return at + int(p>>24)
}

// digits returns the eight digits of v, which is below 1e8, one in each byte, the first one lowest.
func (t *numerals) digits(v uint64) uint64 {
	high := v / 1e4
	return uint64(t.quads[high]) | uint64(t.quads[v-1e4*high])<<32
}

// putUint writes v in decimal.
func (t *numerals) putUint(buf []byte, at int, v uint64) int {
	switch {
	case v < uint64(len(t.wholes)):
		return t.wholes[v].put(buf, at)
	case v < 1e8:
		d := t.digits(v)
		zeros := bits.TrailingZeros64(d) &^ 7
		putWord(buf, at, (d|ascii)>>(zeros&63))
		return at + 8 - zeros>>3
	}
	at = t.putUint(buf, at, v/1e8)
	putWord(buf, at, t.digits(v%1e8)|ascii)
	return at + 8
}

// putInt writes v in decimal.
func (t *numerals) putInt(buf []byte, at int, v int64) int {
	if uint64(v) < uint64(len(t.wholes)) {
		return t.wholes[v].put(buf, at)
	}
	sign := v >> 63 // 0 or -1
	buf[at] = '-'
	return t.putUint(buf, at-int(sign), uint64(v^sign-sign))
}

// putFloat writes the finite float64 whose bits are raw in the shortest form that reads back as the same.
func (t *numerals) putFloat(buf []byte, at int, raw uint64) int {
	v := math.Float64frombits(raw &^ (1 << 63))
	thousandths := int64(v*1e3 + 0.5)
	if v >= 1e9 || float64(thousandths)/1e3 != v { // no two decimals of less than 16 digits are the same float
		return t.putLongFloat(buf, at, raw)
	}
	buf[at] = '-'
	at += int(raw >> 63)
	whole := uint64(thousandths) / 1e3
	if whole < uint64(len(t.wholes)) {
		at = t.wholes[whole].put(buf, at)
	} else {
		at = t.putUint(buf, at, whole)
	}
	part := uint64(thousandths) - 1e3*whole
	if part == 0 {
		return at
	}
	buf[at] = '.'
	return t.parts[part].put(buf, at+1)
}

// putLongFloat writes a float that is not a few thousandths.
func (t *numerals) putLongFloat(buf []byte, at int, raw uint64) int {
	exp := int(raw>>52&0x7ff) - 1023 // the float is 1 to 2 times 2^exp
	if uint(exp) > 52 {
		return t.putSmall(buf, at, raw, exp)
	}
	buf[at] = '-'
	at += int(raw >> 63)
	m, down := raw&(1<<52-1)|1<<52, 52-exp // m / 2^down
	whole := m >> (uint(down) & 63)
	at = t.putUint(buf, at, whole)
	if m&(1<<(uint(down)&63)-1) == 0 {
		return at
	}
	d, places := shortest(m, down)
	buf[at] = '.'
	return t.putDigits(buf, at+1, d*pow10[16-places]-whole*1e16) // what does not fit into 64 bits goes away again
}

// putSmall writes a float below 1, or a very large one.
func (t *numerals) putSmall(buf []byte, at int, raw uint64, exp int) int {
	m := raw&(1<<52-1) | 1<<52
	d, places := uint64(0), 0
	switch {
	case exp > 0 || exp < -29 || m == 1<<52 && exp < -21:
		return putRareFloat(buf, at, raw)
	case m == 1<<52: // its neighbours are not equally far away, but it is short itself
		d, places = pow5[-exp], -exp
	default:
		d, places = shortest(m, 52-exp)
	}
	buf[at] = '-'
	at += int(raw >> 63)
	putWord(buf, at, '.'<<8|'0')
	if places <= 16 {
		return t.putDigits(buf, at+2, d*pow10[16-places])
	}
	return t.putTiny(buf, at+2, d, places)
}

// putRareFloat writes floats that are zero, very small or very large.
func putRareFloat(buf []byte, at int, raw uint64) int {
	v, format := math.Float64frombits(raw), byte('f')
	if size := math.Abs(v); size != 0 && (size < 1e-9 || size >= 1e21) {
		format = 'e'
	}
	return len(strconv.AppendFloat(buf[:at], v, format, -1, 64))
}

// pow5 are the powers of five that fit into a uint64.
var pow5 = [32]uint64{1, 5, 25, 125, 625, 3125, 15625, 78125, 390625, 1953125, 9765625, 48828125, 244140625, 1220703125,
	6103515625, 30517578125, 152587890625, 762939453125, 3814697265625, 19073486328125, 95367431640625, 476837158203125,
	2384185791015625, 11920928955078125, 59604644775390625, 298023223876953125, 1490116119384765625, 7450580596923828125}

// shortest returns the shortest decimal d / 10^places that reads back as the float m / 2^down, but for zeros at its end; the
// nearest one if there are several. m has 53 bits and is no power of two, down is 1 to 81, and the float is no integer. d is
// below 1e17.
//
// What reads back as the float is less than half a unit of m away from it. With so many places that a unit of m is 1 to 10
// units of d, there is a d in that stretch, and at most one that ends in 0: if there is one, it is the shortest, else the d
// nearest is. In units of 1/2^(shift+1) all this is integers, and half a unit of m is pow5[places], an odd number: so no d
// lies just on the border.
func shortest(m uint64, down int) (d uint64, places int) {
	places = (down*1233 + 4095) >> 12 // down * log10(2), rounded up
	half := pow5[places&31]
	shift := uint(down-places) & 63
	hi, lo := bits.Mul64(m, half)
	d = hi<<1<<(63-shift) | lo>>shift
	rest := lo & (1<<shift - 1)
	last := d % 10
	below := last<<shift | rest
	round := d - last
	if 2*rest+d&1 > 1<<shift {
		d++
	}
	if 2*below < half {
		d = round
	}
	if 2*(10<<shift-below) < half {
		d = round + 10
	}
	return d, places
}

// putDigits writes the sixteen digits of d, which is not 0, without the zeros at their end.
func (t *numerals) putDigits(buf []byte, at int, d uint64) int {
	first, second := t.digits(d/1e8), d%1e8
	putWord(buf, at, first|ascii)
	if second == 0 {
		return at + 8 - bits.LeadingZeros64(first)>>3
	}
	last := t.digits(second)
	putWord(buf, at+8, last|ascii)
	return at + 16 - bits.LeadingZeros64(last)>>3
}

// putTiny writes d, with so many zeros before it that it has places digits, 17 at least.
func (t *numerals) putTiny(buf []byte, at int, d uint64, places int) int {
	putWord(buf, at, ascii)
	at += places - 17
	buf[at] = byte('0' + d/1e16)
	if d %= 1e16; d == 0 {
		return at + 1
	}
	return t.putDigits(buf, at+1, d)
}
