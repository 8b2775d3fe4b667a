package telemetry

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// bounds are the limits of one kind of control message.
type bounds struct {
	bytes  int // of the encoded message
	depth  int // of maps and arrays within each other, at most maxDepth
	values int // keys do not count
}

const maxDepth = 16

// The limits by kind of message.
var (
	beatBounds = bounds{256 << 10, maxDepth, 20_000} // HTB with its manifest, ACK with its config
	ctlBounds  = bounds{64 << 10, maxDepth, 4_096}
	plgBounds  = bounds{256 << 10, maxDepth, 100_000}
	logBounds  = bounds{16 << 10, 4, 256}
)

// guard walks msgpack from foreign hands once, without allocation or recursion, and refuses what could harm a decoder: a
// count or length that claims more than is there, nesting, floods of values, keys that are no text, bad UTF-8,
// extensions other than a timestamp, NaN and bytes behind the end. What it lets pass, controlReader reads without further checks of structure.
func guard(b []byte, limit bounds) error {
	switch {
	case len(b) == 0:
		return &ControlError{Code: ControlEmpty}
	case len(b) > limit.bytes:
		return tooLong(len(b), limit)
	}
	w := guardWalk{size: len(b), owed: 1, values: limit.values}
	w.open[0] = opened{left: 1}
	for w.owed > 0 {
		n, code := w.step(b, limit.depth)
		if code != "" {
			return &ControlError{Code: code, Detail: fmt.Sprintf("byte %d of %d", w.size-len(b), w.size)}
		}
		b = b[n:]
	}
	if len(b) > 0 {
		return &ControlError{Code: ControlTrailing, Detail: fmt.Sprintf("%d bytes after the message", len(b))}
	}
	return nil
}

func tooLong(n int, limit bounds) error {
	return &ControlError{Code: ControlLimit, Detail: fmt.Sprintf("%d bytes, at most %d are taken", n, limit.bytes)}
}

// guardWalk is where the walk stands.
type guardWalk struct {
	size   int // of the message
	values int // that may still come
	owed   int // items that the open maps and arrays together still claim, a byte each at least
	depth  int
	open   [maxDepth + 1]opened // [0] holds the message itself
}

// opened is a map or array whose items are being walked.
type opened struct {
	left  int // items to come; a pair of a map is two
	isMap bool
}

// step checks the item at the front of b and returns its length; for a map or an array that of its head.
func (w *guardWalk) step(b []byte, maxDepth int) (int, ControlCode) {
	it, code := readItem(b)
	if code != "" {
		return 0, code
	}
	top := &w.open[w.depth]
	if top.isMap && top.left%2 == 0 {
		if it.kind != itemStr {
			return 0, ControlKey
		}
	} else if w.values--; w.values < 0 {
		return 0, ControlLimit
	}
	top.left--
	w.owed--
	if it.kind == itemMap || it.kind == itemArray {
		code = w.enter(it, len(b)-it.size, maxDepth)
	} else {
		code = it.refused(b)
	}
	w.leave()
	return it.size, code
}

// enter opens a map or an array with rest bytes behind its head.
func (w *guardWalk) enter(it item, rest, maxDepth int) ControlCode {
	items := it.n
	if it.kind == itemMap {
		items *= 2
	}
	switch {
	case items > uint64(rest-min(rest, w.owed)):
		return ControlTruncated
	case w.depth >= maxDepth:
		return ControlDepth
	}
	w.depth++
	w.open[w.depth] = opened{left: int(items), isMap: it.kind == itemMap}
	w.owed += int(items)
	return ""
}

// leave closes what has no more items to come.
func (w *guardWalk) leave() {
	for w.depth > 0 && w.open[w.depth].left == 0 {
		w.depth--
	}
}

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
		it = wide[c-0xc0].read(b)
	}
	it.size = it.head
	if it.kind == itemStr || it.kind == itemBin || it.kind == itemExt {
		it.size += int(min(it.n, math.MaxInt32)) // 32 bits at most on the wire
	}
	if it.head == 0 || it.size > len(b) || it.n > math.MaxInt32 && it.size > it.head {
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

var wide = [32]wideForm{
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
