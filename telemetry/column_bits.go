package telemetry

import (
	"encoding/binary"
	"math"
	"slices"
)

// Full reports whether every row has a value.
func (c *Column) Full() bool {
	return c.absent == nil && (c.form != formConst || c.one.Present())
}

// Bits appends the value of every row to buf as 64 bits: those of a float64, an int64 or a uint64, and 0 or 1 for a bool.
// It is 0 where a row has no value, and in a column of text. This is the exact way to read many numbers; Floats rounds.
func (c *Column) Bits(buf []uint64) []uint64 {
	from := len(buf)
	buf = slices.Grow(buf, c.n)[:from+c.n]
	out := buf[from:]
	switch c.form {
	case formPacked:
		c.widenInto(out)
	case formConst:
		for row := range out {
			out[row] = c.one.bits
		}
	default:
		clear(out)
	}
	return buf
}

// widenInto sets out to the numbers of a formPacked as 64 bits: first the bytes, then what their type makes of them.
func (c *Column) widenInto(out []uint64) {
	switch c.width {
	case 8:
		for row := range out {
			out[row] = binary.LittleEndian.Uint64(c.data[8*row:])
		}
		return
	case 4:
		for row := range out {
			out[row] = uint64(binary.LittleEndian.Uint32(c.data[4*row:]))
		}
	case 2:
		for row := range out {
			out[row] = uint64(binary.LittleEndian.Uint16(c.data[2*row:]))
		}
	default:
		for row, b := range c.data[:len(out)] {
			out[row] = uint64(b)
		}
	}
	switch c.typ {
	case TypeInt:
		shift := 64 - 8*c.width
		for row, b := range out {
			out[row] = uint64(int64(b<<shift) >> shift)
		}
	case TypeFloat:
		for row, b := range out {
			out[row] = math.Float64bits(float64(math.Float32frombits(uint32(b))))
		}
	}
}
