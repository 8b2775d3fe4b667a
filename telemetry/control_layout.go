package telemetry

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// layout is what a struct looks like on the wire. It follows the struct's json tags, so that encoding/json and the codec
// here agree on every key; a field without omitzero is required of a reader and always there from a writer.
type layout struct {
	fields []layoutField
	byKey  map[string]int
}

type layoutField struct {
	key      string
	index    []int // more than one: within an embedded struct
	required bool
}

// maxLayout is how many fields a reader can tick off.
const maxLayout = 64

var layouts sync.Map // reflect.Type -> *layout

func layoutOf(t reflect.Type) *layout {
	if l, ok := layouts.Load(t); ok {
		return l.(*layout)
	}
	l := &layout{byKey: map[string]int{}}
	l.add(t, nil)
	if len(l.fields) > maxLayout {
		panic("telemetry: too many fields in " + t.String())
	}
	got, _ := layouts.LoadOrStore(t, l)
	return got.(*layout)
}

func (l *layout) add(t reflect.Type, index []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clip(index), i)
		if f.Anonymous && f.Type.Kind() == reflect.Pointer {
			l.add(f.Type.Elem(), at)
			continue
		}
		key, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		l.byKey[key] = len(l.fields)
		l.fields = append(l.fields, layoutField{key, at, option != "omitzero"})
	}
}

// wanted reports whether the struct that the field belongs to is there.
func (f layoutField) wanted(v reflect.Value) bool {
	return len(f.index) == 1 || !v.Field(f.index[0]).IsNil()
}

// written reports whether the field of v goes on the wire.
func (f layoutField) written(v reflect.Value) bool {
	return f.wanted(v) && (f.required || !v.FieldByIndex(f.index).IsZero())
}

// missing reports whether v lacks a required text: none may be empty.
func (f layoutField) missing(v reflect.Value) bool {
	if !f.required || !f.wanted(v) {
		return false
	}
	text := v.FieldByIndex(f.index)
	return text.Kind() == reflect.String && text.Len() == 0
}

// in returns the field of v, making the embedded struct it belongs to.
func (f layoutField) in(v reflect.Value) reflect.Value {
	v = v.Field(f.index[0])
	for _, i := range f.index[1:] {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem().Field(i)
	}
	return v
}

func sortByText(keys []reflect.Value) {
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
}
