package telemetry

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// itemKind is what a msgpack item holds.
type itemKind uint8

const (
	itemNil itemKind = iota
	itemBool
	itemInt  // negative
	itemUint // not negative
	itemFloat
	itemStr
	itemBin
	itemExt
	itemArray
	itemMap
)

// item is one msgpack value; of a map or an array, its head.
type item struct {
	kind itemKind
	head int    // bytes before the content
	size int    // bytes in all, without the items of a map or an array
	n    uint64 // the value's bits (bool 0 or 1, float as float64), or a count of items or bytes
}

// refused says why a scalar that fits must not pass.
func (it item) refused(b []byte) ControlCode {
	switch it.kind {
	case itemStr:
		if !utf8.Valid(b[it.head:it.size]) {
			return ControlUTF8
		}
	case itemFloat:
		if f := math.Float64frombits(it.n); math.IsNaN(f) || math.IsInf(f, 0) {
			return ControlNaN
		}
	case itemExt:
		if b[it.head-1] != 0xff || it.n != 4 && it.n != 8 && it.n != 12 {
			return ControlExt
		}
	}
	return ""
}

// readItem reads the item at the front of b. It promises that all it.size bytes are there.
func readItem(b []byte) (it item, code ControlCode) {
	if len(b) == 0 {
		return it, ControlTruncated
	}
	c := b[0]
	switch {
	case c < 0x80:
		it = item{kind: itemUint, head: 1, n: uint64(c)}
	case c < 0x90:
		it = item{kind: itemMap, head: 1, n: uint64(c & 0x0f)}
	case c < 0xa0:
		it = item{kind: itemArray, head: 1, n: uint64(c & 0x0f)}
	case c < 0xc0:
		it = item{kind: itemStr, head: 1, n: uint64(c & 0x1f)}
	case c >= 0xe0:
		it = item{kind: itemInt, head: 1, n: uint64(int64(int8(c)))}
	case c == 0xc1:
		return it, ControlSyntax
	default:
		it = wideForms[c-0xc0].read(b)
	}
	it.size = it.head
	if it.kind == itemStr || it.kind == itemBin || it.kind == itemExt {
		it.size += int(min(it.n, 1<<30)) // no message is as long, and no int too short
	}
	if it.head == 0 || it.size > len(b) {
		return it, ControlTruncated
	}
	return it, ""
}

// wideForm is the form of an item whose first byte, c0 to df, is followed by a number.
type wideForm struct {
	kind  itemKind
	width uint8 // bytes of the number
	fixed uint8 // the number itself where width is 0
	ext   uint8 // 1: a type byte stands before the content
}

// wideForms are the forms of the first bytes c0 to df.
var wideForms = [32]wideForm{
	{kind: itemNil}, {}, {kind: itemBool}, {kind: itemBool, fixed: 1},
	{kind: itemBin, width: 1}, {kind: itemBin, width: 2}, {kind: itemBin, width: 4},
	{itemExt, 1, 0, 1}, {itemExt, 2, 0, 1}, {itemExt, 4, 0, 1},
	{kind: itemFloat, width: 4}, {kind: itemFloat, width: 8},
	{kind: itemUint, width: 1}, {kind: itemUint, width: 2}, {kind: itemUint, width: 4}, {kind: itemUint, width: 8},
	{kind: itemInt, width: 1}, {kind: itemInt, width: 2}, {kind: itemInt, width: 4}, {kind: itemInt, width: 8},
	{itemExt, 0, 1, 1}, {itemExt, 0, 2, 1}, {itemExt, 0, 4, 1}, {itemExt, 0, 8, 1}, {itemExt, 0, 16, 1},
	{kind: itemStr, width: 1}, {kind: itemStr, width: 2}, {kind: itemStr, width: 4},
	{kind: itemArray, width: 2}, {kind: itemArray, width: 4}, {kind: itemMap, width: 2}, {kind: itemMap, width: 4},
}

// read reads the number behind the first byte of b. An item without head is one that is cut.
func (f wideForm) read(b []byte) item {
	head := 1 + int(f.width) + int(f.ext)
	if len(b) < head {
		return item{}
	}
	n := f.number(b[1:])
	switch f.kind {
	case itemFloat:
		if f.width == 4 {
			n = math.Float64bits(float64(math.Float32frombits(uint32(n))))
		}
	case itemInt:
		shift := 64 - 8*f.width
		n = uint64(int64(n<<shift) >> shift)
		if int64(n) >= 0 {
			f.kind = itemUint
		}
	}
	return item{kind: f.kind, head: head, n: n}
}

func (f wideForm) number(b []byte) uint64 {
	switch f.width {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	return uint64(f.fixed)
}
