package telemetry

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
	"unsafe"
)

// A reader walks over the msgpack of a batch. The first fault sticks: what is read after it is empty, so a caller may look
// for it once in a while.
type reader struct {
	buf   []byte
	at    int
	fault error
	seen  map[string]struct{} // finds a key that occurs twice among many

	decimal bool // the message was JSON, where an integer may be a decimal string
}

func (r *reader) start(buf []byte) { r.buf, r.at, r.fault, r.decimal = buf, 0, nil, false }

// fail notes the first fault and ends the reading.
func (r *reader) fail(c Code, where string) {
	if r.fault == nil {
		r.fault = refuse(c, where)
	}
	r.at = len(r.buf)
}

func (r *reader) failed() bool { return r.fault != nil }

func (r *reader) left() int { return len(r.buf) - r.at }

// peek returns the next byte without taking it. It is 0xc1, which is no msgpack, at the end.
func (r *reader) peek() byte {
	if r.at < len(r.buf) {
		return r.buf[r.at]
	}
	return 0xc1
}

// kind is what a msgpack value is.
type kind uint8

const (
	kindBad kind = iota
	kindNil
	kindBool
	kindInt
	kindFloat
	kindStr
	kindBin
	kindArray
	kindMap
	kindExt
)

// kindOf returns the kind of the value that begins with b.
func kindOf(b byte) kind {
	switch {
	case b <= 0x7f || b >= 0xe0 || b >= 0xcc && b <= 0xd3:
		return kindInt
	case b <= 0x8f || b == 0xde || b == 0xdf:
		return kindMap
	case b <= 0x9f || b == 0xdc || b == 0xdd:
		return kindArray
	case b <= 0xbf || b >= 0xd9 && b <= 0xdb:
		return kindStr
	case b == 0xc0:
		return kindNil
	case b == 0xc2 || b == 0xc3:
		return kindBool
	case b >= 0xc4 && b <= 0xc6:
		return kindBin
	case b == 0xca || b == 0xcb:
		return kindFloat
	case b == 0xc1:
		return kindBad
	}
	return kindExt
}

// next returns the kind of the next value, kindBad at the end, having noted the fault.
func (r *reader) next(where string) kind {
	if r.at >= len(r.buf) {
		r.fail(CodeTruncated, where)
		return kindBad
	}
	k := kindOf(r.buf[r.at])
	switch k {
	case kindBad:
		r.fail(CodeSyntax, where)
	case kindExt:
		r.fail(CodeExt, where)
		return kindBad
	}
	return k
}

// expect takes nothing, but fails unless the next value is of kind k.
func (r *reader) expect(k kind, where string) bool {
	got := r.next(where)
	if got != k && !r.failed() {
		r.fail(CodeShape, where)
	}
	return !r.failed()
}

// number returns the n bytes after the next one as a big-endian number, and takes them.
func (r *reader) number(n int, where string) uint64 {
	if r.left() < 1+n {
		r.fail(CodeTruncated, where)
		return 0
	}
	b := r.buf[r.at+1:]
	r.at += 1 + n
	switch n {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return binary.BigEndian.Uint64(b)
}

// length takes the head of a string, bin, array or map, and returns what it claims: bytes or elements.
func (r *reader) length(where string) int {
	b := r.buf[r.at]
	var n uint64
	switch {
	case b >= 0xa0 && b <= 0xbf:
		r.at++
		n = uint64(b & 0x1f)
	case b <= 0x9f:
		r.at++
		n = uint64(b & 0x0f)
	case b == 0xd9 || b == 0xc4:
		n = r.number(1, where)
	case b == 0xda || b == 0xc5 || b == 0xdc || b == 0xde:
		n = r.number(2, where)
	default:
		n = r.number(4, where)
	}
	return int(n)
}

// claimed fails when n things of at least each bytes cannot be in what is left.
func (r *reader) claimed(n, each int, where string) int {
	if n*each > r.left() {
		r.fail(CodeTruncated, where)
		return 0
	}
	return n
}

// array takes the head of an array and returns its number of elements. lenient: nil and an empty map are an empty array.
func (r *reader) array(lenient bool, where string) int {
	k := r.next(where)
	switch {
	case r.failed():
		return 0
	case k == kindArray:
		return r.claimed(r.length(where), 1, where)
	case lenient && r.empty(k, kindMap):
		return 0
	}
	r.fail(CodeShape, where)
	return 0
}

// mapping takes the head of a map and returns its number of pairs; nil and an empty array are an empty map.
func (r *reader) mapping(where string) int {
	k := r.next(where)
	switch {
	case r.failed():
		return 0
	case k == kindMap:
		return r.claimed(r.length(where), 2, where)
	case r.empty(k, kindArray):
		return 0
	}
	r.fail(CodeShape, where)
	return 0
}

// empty takes nil, or a value of kind k that is empty, and reports whether there was one.
func (r *reader) empty(k, of kind) bool {
	if k == kindNil {
		r.at++
		return true
	}
	if k != of {
		return false
	}
	before := r.at
	if r.length("") == 0 {
		return true
	}
	r.at = before
	return false
}

// text takes a string, as a view of the message.
func (r *reader) text(where string) string {
	if !r.expect(kindStr, where) {
		return ""
	}
	n := r.claimed(r.length(where), 1, where)
	if r.failed() || n == 0 {
		return ""
	}
	s := unsafe.String(&r.buf[r.at], n)
	r.at += n
	if !validText(s) {
		r.fail(CodeUTF8, where)
		return ""
	}
	return s
}

// validText is utf8.ValidString with a short way for the short ASCII strings that names and tags are.
func validText(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return utf8.ValidString(s[i:])
		}
	}
	return true
}

// name takes a series, a key or a field name.
func (r *reader) name(where string) string {
	s := r.text(where)
	if !r.failed() && (s == "" || len(s) > MaxName || control(s)) {
		r.fail(CodeName, where)
	}
	return s
}

// control reports whether s has a control character.
func control(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// bin takes a bin, as a view of the message.
func (r *reader) bin(where string) []byte {
	n := r.claimed(r.length(where), 1, where)
	b := r.buf[r.at : r.at+n : r.at+n]
	r.at += n
	return b
}

// integer takes an integer; big says that it is above int64 and v its bits.
func (r *reader) integer(where string) (v int64, big bool) {
	if !r.expect(kindInt, where) {
		return 0, false
	}
	b := r.buf[r.at]
	switch {
	case b <= 0x7f || b >= 0xe0:
		r.at++
		return int64(int8(b)), false
	case b == 0xcc:
		return int64(r.number(1, where)), false
	case b == 0xcd:
		return int64(r.number(2, where)), false
	case b == 0xce:
		return int64(r.number(4, where)), false
	case b == 0xcf:
		u := r.number(8, where)
		return int64(u), u > math.MaxInt64
	case b == 0xd0:
		return int64(int8(r.number(1, where))), false
	case b == 0xd1:
		return int64(int16(r.number(2, where))), false
	case b == 0xd2:
		return int64(int32(r.number(4, where))), false
	}
	return int64(r.number(8, where)), false
}

// float takes a float32 or float64 and returns its bits as float64.
func (r *reader) float(where string) uint64 {
	if r.buf[r.at] == 0xca {
		return math.Float64bits(float64(math.Float32frombits(uint32(r.number(4, where)))))
	}
	return r.number(8, where)
}

// cell takes the value of a field of type typ. A value that does not fit is no value, and drop says why.
func (r *reader) cell(typ Type, where string) (v Value, drop Code) {
	k := r.next(where)
	switch {
	case r.failed():
		return Value{}, 0
	case k == kindNil:
		r.at++
		return Value{}, 0
	case k == kindInt && typ != TypeBool && typ != TypeString:
		return r.integerAs(typ, where)
	case k == kindFloat && typ != TypeBool && typ != TypeString:
		return floatAs(typ, r.float(where))
	case k == kindBool && typ == TypeBool:
		r.at++
		return Value{typ: TypeBool, bits: uint64(r.buf[r.at-1] & 1)}, 0
	case k == kindStr && typ == TypeString:
		s := r.text(where)
		if len(s) > MaxText {
			return Value{}, CodeTooLong
		}
		return String(s), 0
	case k == kindStr && r.decimal && (typ == TypeInt || typ == TypeUint):
		return decimalAs(typ, r.text(where))
	}
	r.skip(maxUnknownDeep, where)
	if !typ.known() {
		return Value{}, CodeUnknownType
	}
	return Value{}, CodeType
}

func (r *reader) integerAs(typ Type, where string) (Value, Code) {
	v, big := r.integer(where)
	switch {
	case typ == TypeFloat && big:
		return Float(float64(uint64(v))), 0
	case typ == TypeFloat:
		return Float(float64(v)), 0
	case typ == TypeInt && big, typ == TypeUint && v < 0 && !big:
		return Value{}, CodeIntRange
	case !typ.known():
		return Value{}, CodeUnknownType
	}
	return Value{typ: typ, bits: uint64(v)}, 0
}

// floatAs returns the float64 of bits as a value of type typ: an integer only when it is one, and exact.
func floatAs(typ Type, bits uint64) (Value, Code) {
	v := math.Float64frombits(bits)
	switch {
	case !typ.known():
		return Value{}, CodeUnknownType
	case nonFinite(bits):
		return Value{}, CodeNaN
	case typ == TypeFloat:
		return Float(v), 0
	case v != math.Trunc(v) || math.Abs(v) > 1<<53:
		return Value{}, CodeType
	case typ == TypeUint && v < 0:
		return Value{}, CodeIntRange
	}
	return Value{typ: typ, bits: uint64(int64(v))}, 0
}

// skip takes one value whatever it is, nested in at most depth arrays and maps.
func (r *reader) skip(depth int, where string) {
	var open [maxUnknownDeep + 1]int // values still due at each level
	level := 0
	open[0] = 1
	for level >= 0 {
		if open[level] == 0 {
			level--
			continue
		}
		open[level]--
		n := r.skipOne(where)
		switch {
		case r.failed():
			return
		case n < 0:
			continue
		case level == depth:
			r.fail(CodeDepth, where)
			return
		}
		level++
		open[level] = n
	}
}

// skipOne takes a scalar and returns -1, or the head of an array or a map and returns the number of values in it.
func (r *reader) skipOne(where string) int {
	k := r.next(where)
	if r.failed() {
		return -1
	}
	switch k {
	case kindNil, kindBool:
		r.at++
	case kindInt:
		r.integer(where)
	case kindFloat:
		r.float(where)
	case kindStr:
		r.text(where)
	case kindBin:
		r.bin(where)
	case kindArray:
		return r.claimed(r.length(where), 1, where)
	case kindMap:
		return 2 * r.claimed(r.length(where), 2, where)
	}
	return -1
}

// few is the number of names up to which comparing each with each is quick enough.
const few = 16

// unique fails when a name occurs twice. name(i) returns the i-th of n.
func (r *reader) unique(n int, name func(int) string, where string) {
	if n > few {
		r.uniqueMany(n, name, where)
		return
	}
	for i := 1; i < n; i++ {
		for j := range i {
			if name(i) == name(j) {
				r.fail(CodeDuplicateKey, where)
				return
			}
		}
	}
}

func (r *reader) uniqueMany(n int, name func(int) string, where string) {
	if r.seen == nil {
		r.seen = make(map[string]struct{}, n)
	}
	clear(r.seen)
	for i := range n {
		r.seen[name(i)] = struct{}{}
	}
	if len(r.seen) != n {
		r.fail(CodeDuplicateKey, where)
	}
	clear(r.seen)
}
