package otlp

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Wire types, in the low bits of a tag.
const (
	varint   = uint64(protowire.VarintType)
	fixed64  = uint64(protowire.Fixed64Type)
	sized    = uint64(protowire.BytesType)
	typeBits = 3
)

// fields goes through the fields of a message. A field of an unknown number or of another wire type than it should have
// matches no case of a switch over its tag, and so is left out, as protobuf wants it.
type fields struct {
	rest  []byte
	tag   uint64 // number<<3 | wire type
	bits  uint64 // of a number
	bytes []byte // of what has a size
	err   error
}

// next reads a field. It returns false at the end, and at a fault.
func (f *fields) next() bool {
	if len(f.rest) == 0 || f.err != nil {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.rest)
	if n < 0 {
		f.err = protowire.ParseError(n)
		return false
	}
	f.rest, f.tag = f.rest[n:], uint64(num)<<typeBits|uint64(typ)
	switch typ {
	case protowire.VarintType:
		f.bits, n = protowire.ConsumeVarint(f.rest)
	case protowire.Fixed64Type:
		f.bits, n = protowire.ConsumeFixed64(f.rest)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(f.rest)
	default:
		n = protowire.ConsumeFieldValue(num, typ, f.rest)
	}
	if n < 0 {
		f.err = protowire.ParseError(n)
		return false
	}
	f.rest = f.rest[n:]
	return true
}

// float returns the number as a double.
func (f *fields) float() float64 { return float(f.bits) }

// float returns the double that bits are.
func float(bits uint64) float64 { return math.Float64frombits(bits) }

// signed returns the number as a sint32.
func (f *fields) signed() int32 { return int32(protowire.DecodeZigZag(f.bits & math.MaxUint32)) }

// text returns the bytes as a text that lives as long as they do.
func (f *fields) text() string { return view(f.bytes) }

// eachFixed calls f for the numbers of a packed field.
func eachFixed(packed []byte, f func(bits uint64)) error {
	return each(packed, protowire.ConsumeFixed64, f)
}

// eachVarint calls f for the numbers of a packed field.
func eachVarint(packed []byte, f func(bits uint64)) error {
	return each(packed, protowire.ConsumeVarint, f)
}

func each(packed []byte, consume func([]byte) (uint64, int), f func(bits uint64)) error {
	for len(packed) > 0 {
		v, n := consume(packed)
		if n < 0 {
			return protowire.ParseError(n)
		}
		f(v)
		packed = packed[n:]
	}
	return nil
}
