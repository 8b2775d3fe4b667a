package telemetry

import (
	"math"
	"strconv"
)

// A Type is the type of a field, by its letter on the wire.
type Type byte

// The types of a field.
const (
	TypeFloat  Type = 'f' // float64, finite
	TypeInt    Type = 'i' // int64
	TypeUint   Type = 'u' // uint64
	TypeBool   Type = 'b' // bool
	TypeString Type = 's' // UTF-8 text
)

// known reports whether t is a type of this version.
func (t Type) known() bool {
	switch t {
	case TypeFloat, TypeInt, TypeUint, TypeBool, TypeString:
		return true
	}
	return false
}

// String returns the name of t: float, int, uint, bool or string.
func (t Type) String() string {
	switch t {
	case TypeFloat:
		return "float"
	case TypeInt:
		return "int"
	case TypeUint:
		return "uint"
	case TypeBool:
		return "bool"
	case TypeString:
		return "string"
	}
	return "type " + strconv.QuoteRune(rune(t))
}

// A Value is the value of one field. The zero Value is no value: the field is absent.
type Value struct {
	typ  Type
	bits uint64
	text string
}

// Float returns v as a field value.
func Float(v float64) Value { return Value{typ: TypeFloat, bits: math.Float64bits(v)} }

// Int returns v as a field value.
func Int(v int64) Value { return Value{typ: TypeInt, bits: uint64(v)} }

// Uint returns v as a field value.
func Uint(v uint64) Value { return Value{typ: TypeUint, bits: v} }

// Bool returns v as a field value.
func Bool(v bool) Value {
	if v {
		return Value{typ: TypeBool, bits: 1}
	}
	return Value{typ: TypeBool}
}

// String returns v as a field value.
func String(v string) Value { return Value{typ: TypeString, text: v} }

// ValueOf returns v as a field value. It takes every integer and float of Go, bool, string and Value; anything else,
// nil among it, is no value.
func ValueOf(v any) Value {
	switch v := v.(type) {
	case float64:
		return Float(v)
	case int:
		return Int(int64(v))
	case int64:
		return Int(v)
	case uint64:
		return Uint(v)
	case bool:
		return Bool(v)
	case string:
		return String(v)
	case Value:
		return v
	}
	return valueOfRare(v)
}

func valueOfRare(v any) Value {
	switch v := v.(type) {
	case float32:
		return Float(float64(v))
	case int8:
		return Int(int64(v))
	case int16:
		return Int(int64(v))
	case int32:
		return Int(int64(v))
	case uint:
		return Uint(uint64(v))
	case uint8:
		return Uint(uint64(v))
	case uint16:
		return Uint(uint64(v))
	case uint32:
		return Uint(uint64(v))
	}
	return Value{}
}

// Type returns the type of v, 0 when v is no value.
func (v Value) Type() Type { return v.typ }

// Present reports whether v is a value.
func (v Value) Present() bool { return v.typ != 0 }

// finite reports whether v may stand in a batch: NaN and infinities may not.
func (v Value) finite() bool {
	return v.typ != TypeFloat || !nonFinite(v.bits)
}

// Float returns v as the nearest float64; a bool is 0 or 1, text and no value are NaN.
func (v Value) Float() float64 {
	switch v.typ {
	case TypeFloat:
		return math.Float64frombits(v.bits)
	case TypeInt:
		return float64(int64(v.bits))
	case TypeUint, TypeBool:
		return float64(v.bits)
	}
	return math.NaN()
}

// Int returns the integer of an int value.
func (v Value) Int() int64 { return int64(v.bits) }

// Uint returns the integer of a uint value.
func (v Value) Uint() uint64 { return v.bits }

// Bool returns the truth of a bool value.
func (v Value) Bool() bool { return v.bits != 0 }

// Text returns the text of a string value.
func (v Value) Text() string { return v.text }

// Any returns v as float64, int64, uint64, bool or string, nil when it is no value.
func (v Value) Any() any {
	switch v.typ {
	case TypeFloat:
		return math.Float64frombits(v.bits)
	case TypeInt:
		return int64(v.bits)
	case TypeUint:
		return v.bits
	case TypeBool:
		return v.bits != 0
	case TypeString:
		return v.text
	}
	return nil
}

const (
	exponentMask = 0x7ff0000000000000
	exponentUnit = 0x0010000000000000
)

// nonFinite reports whether the bits of a float64 are NaN or an infinity: all bits of the exponent are set.
func nonFinite(bits uint64) bool { return bits&exponentMask == exponentMask }
