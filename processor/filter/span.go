package filter

import (
	"math"

	"github.com/pacewire/pacewire/telemetry"
)

// A span is what a comparison with a constant means for the numbers of one type: those within two keys, or those outside.
// A key is a number as an uint64 that sorts as the number does, so one subtraction tells whether it is within.
type span struct {
	low, size uint64
	empty     bool
	outside   bool
}

const signBit = 1 << 63

// keyOf returns the key of a number of typ that has these bits.
func keyOf(typ telemetry.Type, bits uint64) uint64 {
	switch typ {
	case telemetry.TypeInt:
		return bits ^ signBit
	case telemetry.TypeFloat:
		return bits ^ (uint64(int64(bits)>>63) | signBit) // negative floats sort backwards
	}
	return bits
}

// ofKey returns the number of typ that has key.
func ofKey(typ telemetry.Type, key uint64) telemetry.Value {
	switch typ {
	case telemetry.TypeInt:
		return telemetry.Int(int64(key ^ signBit))
	case telemetry.TypeFloat:
		if key&signBit != 0 {
			return telemetry.Float(math.Float64frombits(key ^ signBit))
		}
		return telemetry.Float(math.Float64frombits(^key))
	}
	return telemetry.Uint(key)
}

// spanOf returns the numbers v of typ for which "v op c" is true. The bounds are searched with the very comparison that
// rows are compared with, so both agree for every constant.
func spanOf(typ telemetry.Type, op string, c telemetry.Value) span {
	s := span{outside: op == "!="}
	if s.outside {
		op = "=="
	}
	first, last := uint64(0), uint64(math.MaxUint64)
	if typ == telemetry.TypeFloat { // beyond the infinities are the NaNs
		first, last = keyOf(typ, math.Float64bits(math.Inf(-1))), keyOf(typ, math.Float64bits(math.Inf(1)))
	}
	low, high := first, last
	sign := func(key uint64) int { return compareNumbers(ofKey(typ, key), c) }
	if op == "==" || op == ">=" || op == ">" {
		least := 0
		if op == ">" {
			least = 1
		}
		low = search(first, last, func(key uint64) bool { return sign(key) >= least })
		s.empty = sign(low) < least
	}
	if op == "==" || op == "<=" || op == "<" {
		most := 0
		if op == "<" {
			most = -1
		}
		high = search(first, last, func(key uint64) bool { return sign(key) > most })
		if sign(high) > most {
			s.empty = s.empty || high == first
			high--
		}
	}
	s.empty = s.empty || low > high
	s.low, s.size = low, high-low
	return s
}

// search returns the first key from first to last for which ok is true, last if there is none.
func search(first, last uint64, ok func(uint64) bool) uint64 {
	for first < last {
		if middle := first + (last-first)/2; ok(middle) {
			last = middle
		} else {
			first = middle + 1
		}
	}
	return first
}

// holds reports whether the number with key is one of the span's.
func (s span) holds(key uint64) bool { return (key-s.low <= s.size) != s.outside }

// narrow takes the rows out of mask whose number, given by its bits, is none of the span's. A span that is empty is not
// for it.
func (s span) narrow(typ telemetry.Type, bits []uint64, mask []bool) {
	mask = mask[:len(bits)]
	low, size, outside := s.low, s.size, s.outside
	if typ == telemetry.TypeFloat {
		for row, b := range bits {
			key := b ^ (uint64(int64(b)>>63) | signBit) // as keyOf, which asks for the type each time
			hit := (key-low <= size) != outside
			mask[row] = mask[row] && hit
		}
		return
	}
	if typ == telemetry.TypeInt {
		low ^= signBit // what keyOf adds to each number is taken from the bound once
	}
	for row, b := range bits {
		hit := (b-low <= size) != outside
		mask[row] = mask[row] && hit
	}
}
