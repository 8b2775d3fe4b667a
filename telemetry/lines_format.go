package telemetry

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// The functions here write into buf from at on and return the position after it. They may write up to longestNumber bytes
// from at, whatever they return, so that whole words can be stored.

const longestNumber = 40

// putUint writes v in decimal.
func putUint(buf []byte, at int, v uint64) int {
	if v < 1e8 {
		d := digits(v)
		zeros := bits.TrailingZeros64(d|1<<56) &^ 7
		binary.LittleEndian.PutUint64(buf[at:], (d|ascii)>>zeros)
		return at + 8 - zeros>>3
	}
	at = putUint(buf, at, v/1e8)
	binary.LittleEndian.PutUint64(buf[at:], digits(v%1e8)|ascii)
	return at + 8
}

// ascii turns eight digits into their characters.
const ascii = 0x3030303030303030

// digits returns the eight digits of v, which is below 1e8, one in each byte, the first one lowest.
func digits(v uint64) uint64 {
	v = v/1e4 | v%1e4<<32                       // two numbers of four digits
	hi := v * 10486 >> 20 & 0x0000007f_0000007f // divided by 100
	v = hi | (v-100*hi)<<16                     // four of two
	hi = v * 103 >> 10 & 0x000f_000f_000f_000f  // divided by 10
	return hi | (v-10*hi)<<8
}

// putInt writes v in decimal.
func putInt(buf []byte, at int, v int64) int {
	u := uint64(v)
	if v < 0 {
		buf[at] = '-'
		at++
		u = -u
	}
	return putUint(buf, at, u)
}

// putFloat writes v, which is finite, in the shortest form that reads back as v.
func putFloat(buf []byte, at int, v float64) int {
	raw := math.Float64bits(v)
	exp := int(raw>>52&0x7ff) - 1023 // v is 1 to 2 times 2^exp
	if exp < -29 || exp > 52 {
		return putRareFloat(buf, at, v)
	}
	if v < 0 {
		buf[at] = '-'
		at++
	}
	m := raw&(1<<52-1) | 1<<52
	if bits.TrailingZeros64(m) >= 52-exp {
		return putUint(buf, at, m>>(52-exp))
	}
	if m == 1<<52 {
		return putRareFloat(buf, at, math.Abs(v)) // its neighbours are not equally far away
	}
	d, places := shortest(m, 52-exp)
	return putDecimal(buf, at, d, places)
}

// putRareFloat writes floats that are zero, very small or very large.
func putRareFloat(buf []byte, at int, v float64) int {
	format := byte('f')
	if size := math.Abs(v); size != 0 && (size < 1e-9 || size >= 1e21) {
		format = 'e'
	}
	return len(strconv.AppendFloat(buf[:at], v, format, -1, 64))
}

// pow5 are the powers of five that fit into a uint64.
var pow5 = [28]uint64{1, 5, 25, 125, 625, 3125, 15625, 78125, 390625, 1953125, 9765625, 48828125, 244140625, 1220703125,
	6103515625, 30517578125, 152587890625, 762939453125, 3814697265625, 19073486328125, 95367431640625, 476837158203125,
	2384185791015625, 11920928955078125, 59604644775390625, 298023223876953125, 1490116119384765625, 7450580596923828125}

// shortest returns the shortest decimal d / 10^places that reads back as the float m / 2^down, the nearest one if there are
// several. m has 53 bits and is no power of two; down is 1 to 81, and the float is no integer.
//
// The floats that are nearest to the float itself are those less than half a unit of m away. With so many places that a
// unit of m is 1 to 10 units of d, there is a d in that stretch, and at most one that ends in 0: if there is one, it is
// the shortest but for more zeros, else it is the d nearest. In units of 1/2^(shift+1) all this is integers, and half a
// unit of m is pow5[places], an odd number: no d lies just on the border.
func shortest(m uint64, down int) (d uint64, places int) {
	places = (down*1233 + 4095) >> 12 // down * log10(2), rounded up
	half := pow5[places]
	shift := uint(down - places)
	hi, lo := bits.Mul64(m, half)
	d = hi<<(64-shift) | lo>>shift
	rest := lo & (1<<shift - 1)
	last := d % 10
	switch below := last<<shift | rest; {
	case 2*below < half:
		return trim(d-last, places)
	case 2*(10<<shift-below) < half:
		return trim(d-last+10, places)
	case 2*rest > 1<<shift || 2*rest == 1<<shift && d&1 != 0:
		d++
	}
	return d, places
}

// trim takes the zeros at the end of d away.
func trim(d uint64, places int) (uint64, int) {
	for d%1e8 == 0 { // 17 digits are at most two of these
		d, places = d/1e8, places-8
	}
	if d%1e4 == 0 {
		d, places = d/1e4, places-4
	}
	if d%100 == 0 {
		d, places = d/100, places-2
	}
	if d%10 == 0 {
		d, places = d/10, places-1
	}
	return d, places
}

// putDecimal writes d / 10^places.
func putDecimal(buf []byte, at int, d uint64, places int) int {
	end := putUint(buf, at, d)
	whole := end - at - places
	if whole <= 0 {
		return putSmall(buf, at, d, -whole)
	}
	point := at + whole // what is behind it moves by one
	b := buf[point : point+25]
	x, y, z := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	b[0] = '.'
	binary.LittleEndian.PutUint64(b[1:], x)
	binary.LittleEndian.PutUint64(b[9:], y)
	binary.LittleEndian.PutUint64(b[17:], z)
	return end + 1
}

// putSmall writes the digits of d after a point and zeros.
func putSmall(buf []byte, at int, d uint64, zeros int) int {
	binary.LittleEndian.PutUint64(buf[at:], ascii)
	binary.LittleEndian.PutUint64(buf[at+8:], ascii)
	buf[at+1] = '.'
	return putUint(buf, at+2+zeros, d)
}
