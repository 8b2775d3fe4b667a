package telemetry

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"reflect"
)

// controlWriter appends msgpack to buf: integers in their shortest form, keys of structs in their order, of maps sorted.
type controlWriter struct{ buf []byte }

// packable writes itself.
type packable interface{ pack(p *controlWriter) error }

func (p *controlWriter) value(v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		p.str(v.String())
	case reflect.Bool:
		p.bool(v.Bool())
	case reflect.Int64:
		p.int(v.Int())
	case reflect.Uint64:
		p.head(v.Uint(), 0x00, 0x7f, 0xcc)
	case reflect.Float64:
		return p.float(v.Float())
	case reflect.Pointer:
		if v.IsNil() {
			p.buf = append(p.buf, 0xc0)
			return nil
		}
		return p.value(v.Elem())
	default:
		return p.compound(v)
	}
	return nil
}

func (p *controlWriter) compound(v reflect.Value) error {
	switch x := v.Interface().(type) {
	case packable:
		return x.pack(p)
	case json.RawMessage:
		return p.json(x)
	case Facts, map[string]any:
		return p.untyped(x)
	}
	switch v.Kind() {
	case reflect.Struct:
		return p.fields(v)
	case reflect.Slice:
		return p.list(v)
	case reflect.Map:
		return p.dict(v)
	}
	return &ControlError{Code: ControlType, Detail: "cannot encode " + v.Type().String()}
}

func (p *controlWriter) fields(v reflect.Value) error {
	l := layoutOf(v.Type())
	n := 0
	for _, f := range l.fields {
		if f.written(v) {
			n++
		}
	}
	p.mapHead(n)
	for _, f := range l.fields {
		if !f.written(v) {
			continue
		}
		p.str(f.key)
		if err := p.value(v.FieldByIndex(f.index)); err != nil {
			return under(f.key, err)
		}
	}
	return nil
}

func (p *controlWriter) list(v reflect.Value) error {
	p.arrayHead(v.Len())
	for i := range v.Len() {
		if err := p.value(v.Index(i)); err != nil {
			return underIndex(i, err)
		}
	}
	return nil
}

func (p *controlWriter) dict(v reflect.Value) error {
	keys := v.MapKeys()
	sortByText(keys)
	p.mapHead(len(keys))
	for _, key := range keys {
		p.str(key.String())
		if err := p.value(v.MapIndex(key)); err != nil {
			return under(key.String(), err)
		}
	}
	return nil
}

// tuple writes items as an array.
func (p *controlWriter) tuple(items ...any) error {
	p.arrayHead(len(items))
	for i, it := range items {
		if err := p.value(reflect.ValueOf(it)); err != nil {
			return underIndex(i, err)
		}
	}
	return nil
}

// untyped writes what an author put together, by way of JSON: so all that JSON can say has one form here.
func (p *controlWriter) untyped(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return &ControlError{Code: ControlType, Detail: err.Error()}
	}
	p.buf, err = appendJSON(p.buf, text)
	return err
}

// json writes JSON as text, so that the other side gets it to the byte.
func (p *controlWriter) json(text json.RawMessage) error {
	if !json.Valid(text) {
		return &ControlError{Code: ControlSyntax, Detail: "not JSON"}
	}
	p.str(string(text))
	return nil
}

func (p *controlWriter) bool(v bool) {
	if v {
		p.buf = append(p.buf, 0xc3)
	} else {
		p.buf = append(p.buf, 0xc2)
	}
}

func (p *controlWriter) int(v int64) {
	switch {
	case v >= 0:
		p.head(uint64(v), 0x00, 0x7f, 0xcc)
	case v >= -32:
		p.buf = append(p.buf, byte(v))
	case v >= math.MinInt8:
		p.buf = append(p.buf, 0xd0, byte(v))
	case v >= math.MinInt16:
		p.buf = binary.BigEndian.AppendUint16(append(p.buf, 0xd1), uint16(v))
	case v >= math.MinInt32:
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, 0xd2), uint32(v))
	default:
		p.buf = binary.BigEndian.AppendUint64(append(p.buf, 0xd3), uint64(v))
	}
}

func (p *controlWriter) float(v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return &ControlError{Code: ControlNaN}
	}
	p.buf = binary.BigEndian.AppendUint64(append(p.buf, 0xcb), math.Float64bits(v))
	return nil
}

func (p *controlWriter) str(s string) {
	p.head(uint64(len(s)), 0xa0, 0x1f, 0xd9)
	p.buf = append(p.buf, s...)
}

func (p *controlWriter) bin(b []byte) {
	p.head(uint64(len(b)), 0, noShort, 0xc4)
	p.buf = append(p.buf, b...)
}

// noShort says that a form has no single-byte head; the length of bin and of an unsigned integer begin with 8 bits then.
const noShort = -1

// head appends n in the shortest form: within the byte short when it is at most most, else behind the byte long (8 bits)
// or those that follow it (16, 32, 64 bits).
func (p *controlWriter) head(n uint64, short byte, most int64, long byte) {
	switch {
	case most >= 0 && n <= uint64(most):
		p.buf = append(p.buf, short|byte(n))
	case n <= math.MaxUint8:
		p.buf = append(p.buf, long, byte(n))
	case n <= math.MaxUint16:
		p.buf = binary.BigEndian.AppendUint16(append(p.buf, long+1), uint16(n))
	case n <= math.MaxUint32:
		p.buf = binary.BigEndian.AppendUint32(append(p.buf, long+2), uint32(n))
	default:
		p.buf = binary.BigEndian.AppendUint64(append(p.buf, long+3), n)
	}
}

func (p *controlWriter) mapHead(n int)   { p.buf = appendCount(p.buf, n, 0x80, 0xde) }
func (p *controlWriter) arrayHead(n int) { p.buf = appendCount(p.buf, n, 0x90, 0xdc) }

// appendCount appends the head of a map or an array of n items.
func appendCount(buf []byte, n int, short, long byte) []byte {
	switch {
	case n <= 15:
		return append(buf, short|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(buf, long), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(buf, long+1), uint32(n))
}
