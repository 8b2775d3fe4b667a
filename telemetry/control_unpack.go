package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
)

// controlReader reads msgpack that the guard has passed, so no read of it can run over the end. It is typed by what it reads
// into, and lenient where languages differ: every width of an integer, integral floats and decimal text for integers
// (JavaScript), an empty array for an empty map and the other way round (Lua, PHP), nil for absent.
type controlReader struct{ buf []byte }

// unpackable reads itself.
type unpackable interface{ unpack(r *controlReader) error }

// peek returns the next item and leaves it there.
func (r *controlReader) peek() item {
	it, _ := readItem(r.buf)
	return it
}

// take returns the content of the item that peek returned, as a view into the message, and goes behind it.
func (r *controlReader) take(it item) []byte {
	content := r.buf[it.head:it.size]
	r.buf = r.buf[it.size:]
	return content
}

// skip goes behind the next value and all within it.
func (r *controlReader) skip() {
	for left := uint64(1); left > 0; left-- {
		it := r.peek()
		r.take(it)
		switch it.kind {
		case itemArray:
			left += it.n
		case itemMap:
			left += 2 * it.n
		}
	}
}

// into reads the next value into what to points to.
func (r *controlReader) into(to any) (err error) {
	switch to := to.(type) {
	case unpackable:
		return to.unpack(r)
	case *string:
		*to, err = r.text()
	case *bool:
		*to, err = r.bool()
	case *int64:
		*to, err = r.int()
	case *uint64:
		*to, err = r.uint()
	case *float64:
		*to, err = r.float()
	case *map[string]string:
		*to, err = unpackMap(r, r.text)
	case *map[string]uint64:
		*to, err = unpackMap(r, r.uint)
	case *map[string]float64:
		*to, err = unpackMap(r, r.float)
	case *map[string]any:
		*to, err = unpackMap(r, r.any)
	case *Facts:
		*to, err = unpackMap(r, r.any)
	case *json.RawMessage:
		*to, err = r.json()
	default:
		return r.compound(reflect.ValueOf(to).Elem())
	}
	return err
}

func (r *controlReader) compound(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		if r.peek().kind == itemNil {
			r.skip()
			return nil
		}
		to := reflect.New(v.Type().Elem())
		v.Set(to)
		return r.into(to.Interface())
	case reflect.Slice:
		return r.list(v)
	case reflect.Struct:
		return r.fields(v)
	}
	panic("telemetry: no decoding into " + v.Type().String())
}

// fields reads a map into a struct. Unknown keys are ignored; of a key that comes twice the last one counts.
func (r *controlReader) fields(v reflect.Value) error {
	n, err := r.open(itemMap)
	if err != nil {
		return err
	}
	v.SetZero()
	l := layoutOf(v.Type())
	var seen uint64
	for range n {
		key := r.take(r.peek())
		i, known := l.byKey[string(key)]
		if !known || r.peek().kind == itemNil {
			r.skip()
			continue
		}
		f := &l.fields[i]
		if err := r.into(f.in(v).Addr().Interface()); err != nil {
			return under(f.key, err)
		}
		seen |= 1 << i
	}
	for i, f := range l.fields {
		if f.missing(v) || f.required && seen&(1<<i) == 0 && f.wanted(v) {
			return &ControlError{Code: ControlRequired, Path: f.key}
		}
	}
	return nil
}

func (r *controlReader) list(v reflect.Value) error {
	n, err := r.open(itemArray)
	if err != nil {
		return err
	}
	list := reflect.MakeSlice(v.Type(), n, n)
	for i := range n {
		if err := r.into(list.Index(i).Addr().Interface()); err != nil {
			return underIndex(i, err)
		}
	}
	v.Set(list)
	return nil
}

// tuple reads an array with an item for each of to; later versions may send more.
func (r *controlReader) tuple(to ...any) error {
	n, err := r.open(itemArray)
	if err != nil {
		return err
	}
	if n < len(to) {
		return &ControlError{Code: ControlRequired, Detail: fmt.Sprintf("%d items of %d", n, len(to))}
	}
	for i, p := range to {
		if err := r.into(p); err != nil {
			return underIndex(i, err)
		}
	}
	for range n - len(to) {
		r.skip()
	}
	return nil
}

// open goes into a map or an array and returns how many pairs or items it has.
func (r *controlReader) open(kind itemKind) (int, error) {
	it := r.peek()
	switch {
	case it.kind == kind:
	case it.n == 0 && (it.kind == itemMap || it.kind == itemArray):
	case kind == itemMap:
		return 0, wrongType("a map", it)
	default:
		return 0, wrongType("an array", it)
	}
	r.take(it)
	return int(it.n), nil
}

func unpackMap[V any](r *controlReader, read func() (V, error)) (map[string]V, error) {
	n, err := r.open(itemMap)
	if err != nil {
		return nil, err
	}
	m := make(map[string]V, n)
	for range n {
		key := string(r.take(r.peek()))
		if m[key], err = read(); err != nil {
			return nil, under(cut(key, maxQuote), err)
		}
	}
	return m, nil
}

func (r *controlReader) text() (string, error) {
	it := r.peek()
	if it.kind != itemStr {
		return "", wrongType("text", it)
	}
	return string(r.take(it)), nil
}

func (r *controlReader) bool() (bool, error) {
	it := r.peek()
	if it.kind != itemBool {
		return false, wrongType("true or false", it)
	}
	r.take(it)
	return it.n == 1, nil
}

func (r *controlReader) int() (int64, error) {
	it, err := r.integer()
	if err == nil && it.kind == itemUint && it.n > math.MaxInt64 {
		err = &ControlError{Code: ControlRange, Detail: fmt.Sprintf("%d is above int64", it.n)}
	}
	return int64(it.n), err
}

func (r *controlReader) uint() (uint64, error) {
	it, err := r.integer()
	if err == nil && it.kind == itemInt {
		err = &ControlError{Code: ControlRange, Detail: fmt.Sprintf("%d is negative", int64(it.n))}
	}
	return it.n, err
}

// integer reads an integer in any of its forms; the item returned is itemInt or itemUint.
func (r *controlReader) integer() (item, error) {
	it := r.peek()
	content := r.take(it)
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

func (r *controlReader) float() (float64, error) {
	it := r.peek()
	r.take(it)
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

// textBounds leave JSON that comes as text room to be sent on in a JSON message.
var textBounds = bounds{beatBounds.bytes, maxDepth - 2, beatBounds.values}

// json reads JSON that came as text, or the value itself as JSON: both ways of sending settings are taken.
func (r *controlReader) json() (json.RawMessage, error) {
	it := r.peek()
	switch {
	case it.kind == itemMap:
		return r.asJSON(nil)
	case it.kind == itemArray && it.n == 0:
		r.take(it)
		return json.RawMessage("{}"), nil
	case it.kind != itemStr && it.kind != itemBin:
		return nil, wrongType("a JSON object", it)
	}
	text, ok := jsonObject(r.take(it))
	if !ok {
		return nil, &ControlError{Code: ControlType, Detail: "expected a JSON object"}
	}
	_, _, err := guarded(text, textBounds)
	return bytes.Clone(text), err
}

var itemNames = [...]string{"nil", "a boolean", "an integer", "an integer", "a float", "text", "bytes", "a timestamp", "an array", "a map"}

func wrongType(want string, got item) error {
	return &ControlError{Code: ControlType, Detail: "expected " + want + ", got " + itemNames[got.kind]}
}
