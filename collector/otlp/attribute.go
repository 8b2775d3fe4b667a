package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"github.com/pacewire/pacewire/internal/bucket"
	"github.com/pacewire/pacewire/internal/protobuf"
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
	data protobuf.Merged
}

// readAttribute reads a KeyValue. Its key looks into msg.
func readAttribute(msg []byte) (key string, v anyValue, err error) {
	var value protobuf.Merged
	f := fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | sized:
			key = f.Text()
		case 2<<typeBits | sized:
			value.Add(f.Bytes)
		}
	}
	if f.Err != nil {
		return "", v, f.Err
	}
	v, err = readAny(value.Bytes)
	return key, v, err
}

// readAny reads an AnyValue, of which the last kind counts.
func readAny(msg []byte) (v anyValue, err error) {
	f := fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case anyString, anyBytes:
			v = anyValue{tag: f.Tag, data: protobuf.Merged{Bytes: f.Bytes}}
		case anyBool, anyInt, anyDouble:
			v = anyValue{tag: f.Tag, bits: f.Bits}
		case anyArray, anyList:
			if v.tag != f.Tag {
				v = anyValue{tag: f.Tag}
			}
			v.data.Add(f.Bytes)
		case anyIndex:
			v = anyValue{}
		}
	}
	return v, f.Err
}

// text returns v as a tag has it. A text looks into the message.
func (v anyValue) text() (string, error) {
	if v.tag == anyString {
		f := fields{Bytes: v.data.Bytes}
		return f.Text(), nil
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
		return string(v.data.Bytes), nil
	case anyBool:
		return v.bits != 0, nil
	case anyInt:
		return int64(v.bits), nil
	case anyDouble:
		return math.Float64frombits(v.bits), nil
	case anyBytes:
		return v.data.Bytes, nil
	case anyArray:
		return plainArray(v.data.Bytes, depth+1, nodes)
	case anyList:
		return plainList(v.data.Bytes, depth+1, nodes)
	}
	return nil, nil
}

func plainArray(msg []byte, depth int, nodes *int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	all := []any{}
	var f fields
	err := f.Each(msg, 1<<typeBits|sized, func(msg []byte) error {
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
	err := f.Each(msg, 1<<typeBits|sized, func(msg []byte) error {
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
		return bucket.Text(v)
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
