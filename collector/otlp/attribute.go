package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
)

// Bounds of a value that is a list or has names in it. More than maxNodes would not fit into a tag.
const (
	maxDepth = 32
	maxNodes = 1024
)

var errDepth = errors.New("an attribute is nested too deeply")

// Tags of the kinds of an AnyValue.
const (
	anyString = 1<<typeBits | sized
	anyBool   = 2<<typeBits | varint
	anyInt    = 3<<typeBits | varint
	anyDouble = 4<<typeBits | fixed64
	anyArray  = 5<<typeBits | sized
	anyList   = 6<<typeBits | sized
	anyBytes  = 7<<typeBits | sized
	anyIndex  = 8<<typeBits | varint // of a table that metrics do not have
)

// anyValue is the value of an attribute.
type anyValue struct {
	tag  uint64 // its kind; 0: none
	bits uint64
	data merged
}

// readAttribute reads a KeyValue. Its key looks into msg.
func readAttribute(msg []byte) (key string, v anyValue, err error) {
	var value merged
	f := fields{rest: msg}
	for f.next() {
		switch f.tag {
		case 1<<typeBits | sized:
			key = f.text()
		case 2<<typeBits | sized:
			value.add(f.bytes)
		}
	}
	if f.err != nil {
		return "", v, f.err
	}
	v, err = readAny(value.bytes)
	return key, v, err
}

// readAny reads an AnyValue, of which the last kind counts.
func readAny(msg []byte) (v anyValue, err error) {
	f := fields{rest: msg}
	for f.next() {
		switch f.tag {
		case anyString, anyBytes:
			v = anyValue{tag: f.tag, data: merged{bytes: f.bytes}}
		case anyBool, anyInt, anyDouble:
			v = anyValue{tag: f.tag, bits: f.bits}
		case anyArray, anyList:
			if v.tag != f.tag {
				v = anyValue{tag: f.tag}
			}
			v.data.add(f.bytes)
		case anyIndex:
			v = anyValue{}
		}
	}
	return v, f.err
}

// text returns v as a tag has it. A text looks into the message.
func (v anyValue) text() (string, error) {
	if v.tag == anyString {
		f := fields{bytes: v.data.bytes}
		return f.text(), nil
	}
	nodes := maxNodes
	plain, err := v.plain(0, &nodes)
	if err != nil {
		return "", err
	}
	return textOf(plain), nil
}

// plain returns v as encoding/json has it. nodes is how many values there may be within.
func (v anyValue) plain(depth int, nodes *int) (any, error) {
	switch v.tag {
	case anyString:
		return string(v.data.bytes), nil
	case anyBool:
		return v.bits != 0, nil
	case anyInt:
		return int64(v.bits), nil
	case anyDouble:
		return float(v.bits), nil
	case anyBytes:
		return v.data.bytes, nil
	case anyArray:
		return plainArray(v.data.bytes, depth+1, nodes)
	case anyList:
		return plainList(v.data.bytes, depth+1, nodes)
	}
	return nil, nil
}

func plainArray(msg []byte, depth int, nodes *int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	all := []any{}
	var f fields
	err := f.each(msg, 1<<typeBits|sized, func(msg []byte) error {
		v, err := readAny(msg)
		if err != nil {
			return err
		}
		one, err := v.plain(depth, nodes)
		if *nodes > 0 {
			all = append(all, finite(one))
		}
		*nodes--
		return err
	})
	return all, err
}

func plainList(msg []byte, depth int, nodes *int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	all := map[string]any{}
	var f fields
	err := f.each(msg, 1<<typeBits|sized, func(msg []byte) error {
		key, v, err := readAttribute(msg)
		if err != nil {
			return err
		}
		one, err := v.plain(depth, nodes)
		if *nodes > 0 {
			all[key] = finite(one)
		}
		*nodes--
		return err
	})
	return all, err
}

// finite returns v as JSON can have it.
func finite(v any) any {
	if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return textOf(f)
	}
	return v
}

// textOf returns a value as a tag has it: numbers and texts as they are, bytes in base64, anything else as JSON with sorted
// keys, "" for nil.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return floatText(v)
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return "" // there is nothing in it that JSON does not have
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// floatText returns v as the usual clients write it: shortest, and the infinities as +Inf and -Inf.
func floatText(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
