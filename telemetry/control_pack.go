package telemetry

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"reflect"
	"strings"
)

// controlWriter appends msgpack to buf: integers in their shortest form, keys of structs in their order, of maps sorted.
type controlWriter struct{ buf []byte }

// packable writes itself.
type packable interface{ pack(w *controlWriter) error }

func (w *controlWriter) value(v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		w.str(v.String())
	case reflect.Bool:
		w.bool(v.Bool())
	case reflect.Int64:
		w.int(v.Int())
	case reflect.Uint64:
		w.uint(v.Uint())
	case reflect.Float64:
		return w.float(v.Float())
	case reflect.Pointer:
		if v.IsNil() {
			w.nil()
			return nil
		}
		return w.value(v.Elem())
	default:
		return w.compound(v)
	}
	return nil
}

func (w *controlWriter) compound(v reflect.Value) error {
	switch x := v.Interface().(type) {
	case packable:
		return x.pack(w)
	case json.RawMessage:
		return w.json(x)
	case Facts, map[string]any:
		return w.untyped(x)
	}
	switch v.Kind() {
	case reflect.Struct:
		return w.fields(v)
	case reflect.Slice:
		return w.list(v)
	case reflect.Map:
		return w.dict(v)
	}
	return &ControlError{Code: ControlType, Detail: "cannot encode " + v.Type().String()}
}

func (w *controlWriter) fields(v reflect.Value) error {
	l := layoutOf(v.Type())
	n := 0
	for _, f := range l.fields {
		if f.missing(v) {
			return &ControlError{Code: ControlRequired, Path: f.key}
		}
		if f.written(v) {
			n++
		}
	}
	w.openMap(n)
	for _, f := range l.fields {
		if !f.written(v) {
			continue
		}
		w.str(f.key)
		if err := w.value(v.FieldByIndex(f.index)); err != nil {
			return under(f.key, err)
		}
	}
	return nil
}

func (w *controlWriter) list(v reflect.Value) error {
	w.openArray(v.Len())
	for i := range v.Len() {
		if err := w.value(v.Index(i)); err != nil {
			return underIndex(i, err)
		}
	}
	return nil
}

func (w *controlWriter) dict(v reflect.Value) error {
	keys := v.MapKeys()
	sortByText(keys)
	w.openMap(len(keys))
	for _, key := range keys {
		w.str(key.String())
		if err := w.value(v.MapIndex(key)); err != nil {
			return under(key.String(), err)
		}
	}
	return nil
}

// tuple writes items as an array.
func (w *controlWriter) tuple(items ...any) error {
	w.openArray(len(items))
	for i, it := range items {
		if err := w.value(reflect.ValueOf(it)); err != nil {
			return underIndex(i, err)
		}
	}
	return nil
}

// untyped writes what an author put together, by way of JSON: so all that JSON can say has one form here.
func (w *controlWriter) untyped(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return &ControlError{Code: ControlType, Detail: err.Error()}
	}
	w.buf, err = appendJSON(w.buf, text)
	return err
}

// json writes a JSON object as text, so that the other side gets it to the byte.
func (w *controlWriter) json(text json.RawMessage) error {
	object, ok := jsonObject(text)
	if !ok {
		return &ControlError{Code: ControlType, Detail: "expected a JSON object"}
	}
	if _, _, err := guarded(object, textBounds); err != nil {
		return err
	}
	w.str(string(object))
	return nil
}

func (w *controlWriter) bool(v bool) {
	if v {
		w.buf = append(w.buf, 0xc3)
	} else {
		w.buf = append(w.buf, 0xc2)
	}
}

// str writes text; what is no UTF-8 in it becomes U+FFFD, as in JSON, so that no odd byte in an error message stops a heartbeat.
func (w *controlWriter) str(s string) {
	w.buf = appendString(w.buf, strings.ToValidUTF8(s, "\uFFFD"))
}

func (w *controlWriter) float(v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return &ControlError{Code: ControlNaN}
	}
	w.buf = binary.BigEndian.AppendUint64(append(w.buf, 0xcb), math.Float64bits(v))
	return nil
}

func (w *controlWriter) nil()            { w.buf = append(w.buf, 0xc0) }
func (w *controlWriter) int(v int64)     { w.buf = appendInt(w.buf, v) }
func (w *controlWriter) uint(v uint64)   { w.buf = appendUint(w.buf, v) }
func (w *controlWriter) bin(b []byte)    { w.buf = append(appendBinHead(w.buf, len(b)), b...) }
func (w *controlWriter) openArray(n int) { w.buf = appendArray(w.buf, n) }
func (w *controlWriter) openMap(n int)   { w.buf = appendMap(w.buf, n) }

// appendMap appends the head of a map of n pairs.
func appendMap(buf []byte, n int) []byte {
	switch {
	case n < 16:
		return append(buf, 0x80|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(buf, 0xde), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(buf, 0xdf), uint32(n))
}
