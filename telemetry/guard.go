package telemetry

import "fmt"

// bounds are the limits of one kind of control message.
type bounds struct {
	bytes  int // of the encoded message
	depth  int // of maps and arrays within each other, at most maxDepth
	values int // keys do not count
}

const maxDepth = 16

// The limits by kind of message.
var (
	beatBounds = bounds{256 << 10, maxDepth, 20_000}     // HTB with its manifest, ACK with its config
	hostBounds = bounds{1<<20 - 8<<10, maxDepth, 60_000} // HostRecord with its inventory: what a message of the bus takes, less its headers
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
func (w *guardWalk) step(b []byte, deepest int) (int, ControlCode) {
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
		code = w.enter(it, len(b)-it.size, deepest)
	} else {
		code = it.refused(b)
	}
	w.leave()
	return it.size, code
}

// enter opens a map or an array with rest bytes behind its head.
func (w *guardWalk) enter(it item, rest, deepest int) ControlCode {
	items := it.n
	if it.kind == itemMap {
		items *= 2
	}
	switch {
	case items > uint64(rest-min(rest, w.owed)):
		return ControlTruncated
	case w.depth >= deepest:
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
