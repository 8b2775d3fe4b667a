// Package protobuf goes through the fields of messages, of which it needs no generated code.
package protobuf

import (
	"math"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// Wire types, in the low TypeBits of a tag.
const (
	Varint   = uint64(protowire.VarintType)
	Fixed64  = uint64(protowire.Fixed64Type)
	Sized    = uint64(protowire.BytesType)
	TypeBits = 3
)

// Fields goes through the fields of a message, which is in Rest at first. A field of an unknown number or of another wire type than
// it should have matches no case of a switch over its tag, and so is left out, as protobuf wants it.
type Fields struct {
	Rest  []byte
	Tag   uint64 // number<<TypeBits | wire type
	Bits  uint64 // of a number
	Bytes []byte // of what has a size
	Err   error  // what ended it; who reads a field may set it too
}

// Next reads a field. It returns false at the end, and at a fault.
func (f *Fields) Next() bool {
	if len(f.Rest) == 0 || f.Err != nil {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.Rest)
	if n < 0 {
		f.Err = protowire.ParseError(n)
		return false
	}
	f.Rest, f.Tag = f.Rest[n:], uint64(num)<<TypeBits|uint64(typ)
	switch typ {
	case protowire.VarintType:
		f.Bits, n = protowire.ConsumeVarint(f.Rest)
	case protowire.Fixed64Type:
		f.Bits, n = protowire.ConsumeFixed64(f.Rest)
	case protowire.BytesType:
		f.Bytes, n = protowire.ConsumeBytes(f.Rest)
	default:
		n = protowire.ConsumeFieldValue(num, typ, f.Rest)
	}
	if n < 0 {
		f.Err = protowire.ParseError(n)
		return false
	}
	f.Rest = f.Rest[n:]
	return true
}

// Each calls do for the messages in the fields of msg that have tag, unless f has failed before.
func (f *Fields) Each(msg []byte, tag uint64, do func(msg []byte) error) error {
	if f.Err != nil {
		return f.Err
	}
	*f = Fields{Rest: msg}
	for f.Next() {
		if f.Tag == tag {
			f.Err = do(f.Bytes)
		}
	}
	return f.Err
}

// Float returns the number as a double.
func (f *Fields) Float() float64 { return math.Float64frombits(f.Bits) }

// Signed returns the number as a sint32.
func (f *Fields) Signed() int32 { return int32(Signed(f.Bits & math.MaxUint32)) }

// Signed returns the sint64 that bits are.
func Signed(bits uint64) int64 { return protowire.DecodeZigZag(bits) }

// Text returns the bytes as a text that lives as long as they do.
func (f *Fields) Text() string { return unsafe.String(unsafe.SliceData(f.Bytes), len(f.Bytes)) }

// EachFixed calls do for each number of a field of doubles and their like, which may be packed.
func (f *Fields) EachFixed(do func(bits uint64)) error {
	return f.eachNumber(protowire.ConsumeFixed64, do)
}

// EachVarint calls do for each number of a field of integers, which may be packed.
func (f *Fields) EachVarint(do func(bits uint64)) error {
	return f.eachNumber(protowire.ConsumeVarint, do)
}

func (f *Fields) eachNumber(consume func([]byte) (uint64, int), do func(bits uint64)) error {
	if f.Tag&(1<<TypeBits-1) != Sized {
		do(f.Bits)
		return nil
	}
	for packed := f.Bytes; len(packed) > 0; {
		v, n := consume(packed)
		if n < 0 {
			return protowire.ParseError(n)
		}
		do(v)
		packed = packed[n:]
	}
	return nil
}
