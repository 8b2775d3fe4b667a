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

var layouts sync.Map // reflect.Type -> *layout

func layoutOf(t reflect.Type) *layout {
	if l, ok := layouts.Load(t); ok {
		return l.(*layout)
	}
	l := &layout{byKey: map[string]int{}}
	l.add(t, nil)
	got, _ := layouts.LoadOrStore(t, l)
	return got.(*layout)
}

func (l *layout) add(t reflect.Type, index []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(index[:len(index):len(index)], i)
		if f.Anonymous && f.Type.Kind() == reflect.Pointer {
			l.add(f.Type.Elem(), at)
			continue
		}
		key, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		l.byKey[key] = len(l.fields)
		l.fields = append(l.fields, layoutField{key, at, option != "omitzero"})
	}
}

// written reports whether the field of v goes on the wire.
func (f layoutField) written(v reflect.Value) bool {
	if len(f.index) > 1 && v.Field(f.index[0]).IsNil() {
		return false
	}
	return f.required || !v.FieldByIndex(f.index).IsZero()
}

// missing reports whether a reader must refuse v because of this field.
func (f layoutField) missing(v reflect.Value, seen bool) bool {
	if !f.required || len(f.index) > 1 && v.Field(f.index[0]).IsNil() {
		return false
	}
	field := v.FieldByIndex(f.index)
	return !seen || field.Kind() == reflect.String && field.Len() == 0
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
