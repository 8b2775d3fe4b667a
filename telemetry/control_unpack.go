package telemetry

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

// controlReader reads msgpack that the guard has passed, so no read of it can run over the end. It is typed by what it reads
// into, and lenient where languages differ: every width of an integer, integral floats and decimal text for integers
// (JavaScript), an empty array for an empty map and the other way round (Lua, PHP), nil for absent.
type controlReader struct{ buf []byte }

// unpackable reads itself.
type unpackable interface{ unpack(u *controlReader) error }

// peek returns the next item and leaves it there.
func (u *controlReader) peek() item {
	it, _ := readItem(u.buf)
	return it
}

// take returns the content of the item that peek returned, as a view into the message, and goes behind it.
func (u *controlReader) take(it item) []byte {
	content := u.buf[it.head:it.size]
	u.buf = u.buf[it.size:]
	return content
}

// skip goes behind the next value and all within it.
func (u *controlReader) skip() {
	for left := uint64(1); left > 0; left-- {
		it := u.peek()
		u.take(it)
		switch it.kind {
		case itemArray:
			left += it.n
		case itemMap:
			left += 2 * it.n
		}
	}
}

// into reads the next value into what to points to.
func (u *controlReader) into(to any) (err error) {
	switch to := to.(type) {
	case unpackable:
		return to.unpack(u)
	case *string:
		*to, err = u.text()
	case *bool:
		*to, err = u.bool()
	case *int64:
		*to, err = u.int()
	case *uint64:
		*to, err = u.uint()
	case *float64:
		*to, err = u.float()
	case *map[string]string:
		*to, err = unpackMap(u, u.text)
	case *map[string]uint64:
		*to, err = unpackMap(u, u.uint)
	case *map[string]float64:
		*to, err = unpackMap(u, u.float)
	case *map[string]any:
		*to, err = unpackMap(u, u.any)
	case *Facts:
		*to, err = unpackMap(u, u.any)
	case *json.RawMessage:
		*to, err = u.json()
	default:
		return u.compound(reflect.ValueOf(to).Elem())
	}
	return err
}

func (u *controlReader) compound(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		if u.peek().kind == itemNil {
			u.skip()
			return nil
		}
		to := reflect.New(v.Type().Elem())
		v.Set(to)
		return u.into(to.Interface())
	case reflect.Slice:
		return u.list(v)
	case reflect.Struct:
		return u.fields(v)
	}
	panic("telemetry: no decoding into " + v.Type().String())
}

// fields reads a map into a struct. Unknown keys are ignored; of a key that comes twice the last one counts.
func (u *controlReader) fields(v reflect.Value) error {
	n, err := u.open(itemMap)
	if err != nil {
		return err
	}
	v.SetZero()
	l := layoutOf(v.Type())
	var seen uint64
	for range n {
		key := u.take(u.peek())
		i, known := l.byKey[string(key)]
		if !known || u.peek().kind == itemNil {
			u.skip()
			continue
		}
		f := &l.fields[i]
		if err := u.into(f.in(v).Addr().Interface()); err != nil {
			return under(f.key, err)
		}
		seen |= 1 << i
	}
	for i, f := range l.fields {
		if f.missing(v, seen&(1<<i) != 0) {
			return &ControlError{Code: ControlRequired, Path: f.key}
		}
	}
	return nil
}

func (u *controlReader) list(v reflect.Value) error {
	n, err := u.open(itemArray)
	if err != nil {
		return err
	}
	list := reflect.MakeSlice(v.Type(), n, n)
	for i := range n {
		if err := u.into(list.Index(i).Addr().Interface()); err != nil {
			return underIndex(i, err)
		}
	}
	v.Set(list)
	return nil
}

// tuple reads an array with an item for each of to; later versions may send more.
func (u *controlReader) tuple(to ...any) error {
	n, err := u.open(itemArray)
	if err != nil {
		return err
	}
	if n < len(to) {
		return &ControlError{Code: ControlRequired, Detail: fmt.Sprintf("%d items of %d", n, len(to))}
	}
	for i, p := range to {
		if err := u.into(p); err != nil {
			return underIndex(i, err)
		}
	}
	for range n - len(to) {
		u.skip()
	}
	return nil
}

// open goes into a map or an array and returns how many pairs or items it has.
func (u *controlReader) open(kind itemKind) (int, error) {
	it := u.peek()
	switch {
	case it.kind == kind:
	case it.n == 0 && (it.kind == itemMap || it.kind == itemArray):
	case kind == itemMap:
		return 0, wrongType("a map", it)
	default:
		return 0, wrongType("an array", it)
	}
	u.take(it)
	return int(it.n), nil
}

func unpackMap[V any](u *controlReader, read func() (V, error)) (map[string]V, error) {
	n, err := u.open(itemMap)
	if err != nil {
		return nil, err
	}
	m := make(map[string]V, n)
	for range n {
		key := string(u.take(u.peek()))
		if m[key], err = read(); err != nil {
			return nil, under(key, err)
		}
	}
	return m, nil
}

func (u *controlReader) text() (string, error) {
	it := u.peek()
	if it.kind != itemStr {
		return "", wrongType("text", it)
	}
	return string(u.take(it)), nil
}

func (u *controlReader) bool() (bool, error) {
	it := u.peek()
	if it.kind != itemBool {
		return false, wrongType("true or false", it)
	}
	u.take(it)
	return it.n == 1, nil
}

func (u *controlReader) int() (int64, error) {
	it, err := u.integer()
	if err == nil && it.kind == itemUint && it.n > math.MaxInt64 {
		err = &ControlError{Code: ControlRange, Detail: fmt.Sprintf("%d is above int64", it.n)}
	}
	return int64(it.n), err
}

func (u *controlReader) uint() (uint64, error) {
	it, err := u.integer()
	if err == nil && it.kind == itemInt {
		err = &ControlError{Code: ControlRange, Detail: fmt.Sprintf("%d is negative", int64(it.n))}
	}
	return it.n, err
}

// integer reads an integer in any of its forms; the item returned is itemInt or itemUint.
func (u *controlReader) integer() (item, error) {
	it := u.peek()
	content := u.take(it)
	switch it.kind {
	case itemInt, itemUint:
		return it, nil
	case itemFloat:
		const exact = 1 << 53
		f := math.Float64frombits(it.n)
		if f != math.Trunc(f) || math.Abs(f) > exact {
			return it, &ControlError{Code: ControlRange, Detail: fmt.Sprintf("%v is no exact integer", f)}
		}
		return signed(int64(f)), nil
	case itemStr:
		if n, err := strconv.ParseInt(string(content), 10, 64); err == nil {
			return signed(n), nil
		}
		n, err := strconv.ParseUint(string(content), 10, 64)
		if err != nil {
			return it, wrongType("an integer", it)
		}
		return item{kind: itemUint, n: n}, nil
	}
	return it, wrongType("an integer", it)
}

func signed(n int64) item {
	if n < 0 {
		return item{kind: itemInt, n: uint64(n)}
	}
	return item{kind: itemUint, n: uint64(n)}
}

func (u *controlReader) float() (float64, error) {
	it := u.peek()
	u.take(it)
	switch it.kind {
	case itemFloat:
		return math.Float64frombits(it.n), nil
	case itemInt:
		return float64(int64(it.n)), nil
	case itemUint:
		return float64(it.n), nil
	}
	return 0, wrongType("a number", it)
}

// json reads JSON that came as text, or the value itself as JSON: both ways of sending settings are taken.
func (u *controlReader) json() (json.RawMessage, error) {
	it := u.peek()
	if it.kind != itemStr && it.kind != itemBin {
		v, err := u.any()
		if err != nil {
			return nil, err
		}
		return json.Marshal(v)
	}
	text := bytes.Clone(bytes.TrimSpace(u.take(it)))
	if len(text) == 0 || text[0] != '{' {
		return nil, &ControlError{Code: ControlType, Detail: "expected a JSON object"}
	}
	_, _, err := guarded(text, beatBounds)
	return text, err
}

// any reads a value as JSON knows it: what JSON lacks becomes text, bytes as hex and a timestamp as RFC 3339.
func (u *controlReader) any() (any, error) {
	it := u.peek()
	switch it.kind {
	case itemMap:
		return unpackMap(u, u.any)
	case itemArray:
		return u.anyList()
	}
	content := u.take(it)
	switch it.kind {
	case itemBool:
		return it.n == 1, nil
	case itemFloat:
		return math.Float64frombits(it.n), nil
	case itemStr:
		return string(content), nil
	case itemBin:
		return hex.EncodeToString(content), nil
	case itemExt:
		return timestamp(content)
	case itemUint:
		if it.n > math.MaxInt64 {
			return it.n, nil
		}
		return int64(it.n), nil
	case itemInt:
		return int64(it.n), nil
	}
	return nil, nil
}

func (u *controlReader) anyList() (list []any, err error) {
	n, err := u.open(itemArray)
	if err != nil {
		return nil, err
	}
	list = make([]any, n)
	for i := range list {
		if list[i], err = u.any(); err != nil {
			return nil, underIndex(i, err)
		}
	}
	return list, nil
}

// timestamp reads the msgpack timestamp in its three lengths.
func timestamp(b []byte) (string, error) {
	var sec, nsec int64
	switch len(b) {
	case 4:
		sec = int64(binary.BigEndian.Uint32(b))
	case 8:
		n := binary.BigEndian.Uint64(b)
		sec, nsec = int64(n&(1<<34-1)), int64(n>>34)
	default:
		nsec, sec = int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint64(b[4:]))
	}
	text, err := time.Unix(sec, nsec).UTC().MarshalText()
	if err != nil || nsec >= 1e9 {
		return "", &ControlError{Code: ControlRange, Detail: "timestamp outside the years 0 to 9999"}
	}
	return string(text), nil
}

var itemNames = [...]string{"nil", "a boolean", "an integer", "an integer", "a float", "text", "bytes", "a timestamp", "an array", "a map"}

func wrongType(want string, got item) error {
	return &ControlError{Code: ControlType, Detail: "expected " + want + ", got " + itemNames[got.kind]}
}
