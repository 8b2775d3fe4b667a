package telemetry

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
)

// Encoding is one of the two forms of a control message. The reply to a request has the form of the request.
type Encoding uint8

// The encodings of control messages.
const (
	MsgPack Encoding = iota
	JSON
)

// String returns "msgpack" or "json".
func (e Encoding) String() string {
	if e == JSON {
		return "json"
	}
	return "msgpack"
}

// controlMessage is implemented by all that EncodeControl takes.
type controlMessage interface {
	bounds() bounds
	check() error // what keys and types alone do not say
}

// EncodeControl encodes a control message or the payload of one, given by value. What a reader would refuse is an error here.
func EncodeControl(v any, enc Encoding) ([]byte, error) {
	m, ok := v.(controlMessage)
	if !ok {
		return nil, &ControlError{Code: ControlType, Detail: fmt.Sprintf("%T is no control message", v)}
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	b, err := encodeValue(v, MsgPack) // for JSON too: it finds what a reader would miss
	if err == nil && enc == JSON {
		b, err = encodeValue(v, JSON)
	}
	if err != nil {
		return nil, err
	}
	if _, _, err := guarded(b, m.bounds()); err != nil {
		return nil, err
	}
	return b, nil
}

func encodeValue(v any, enc Encoding) ([]byte, error) {
	if enc == JSON {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, &ControlError{Code: ControlType, Detail: err.Error()}
		}
		return b, nil
	}
	w := controlWriter{make([]byte, 0, 512)}
	if err := w.value(reflect.ValueOf(v)); err != nil {
		return nil, err
	}
	return w.buf, nil
}

// decodeControl guards, decodes and checks a message.
func decodeControl[T controlMessage](body []byte) (m T, enc Encoding, err error) {
	packed, enc, err := guarded(body, m.bounds())
	if err != nil {
		return m, enc, err
	}
	r := controlReader{packed}
	if err := r.into(&m); err != nil {
		return *new(T), enc, err
	}
	if err := m.check(); err != nil {
		return *new(T), enc, err
	}
	return m, enc, nil
}

// guarded returns body as msgpack that is safe to read. A msgpack map never begins with the byte of "{".
func guarded(body []byte, limit bounds) ([]byte, Encoding, error) {
	if len(body) == 0 || body[0] != '{' {
		return body, MsgPack, guard(body, limit)
	}
	if len(body) > limit.bytes {
		return nil, JSON, tooLong(len(body), limit)
	}
	packed, err := appendJSON(make([]byte, 0, len(body)), body)
	if err != nil {
		return nil, JSON, err
	}
	limit.bytes = math.MaxInt
	return packed, JSON, guard(packed, limit)
}
