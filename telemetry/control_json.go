package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// appendJSON appends one JSON value as msgpack. JSON messages go this way first and are then guarded and decoded like
// any other, so both encodings have the same keys (encoding/json would match them in any case), limits and checks.
func appendJSON(buf, text []byte) ([]byte, error) {
	if !utf8.Valid(text) { // the decoder would put U+FFFD
		return nil, &ControlError{Code: ControlUTF8}
	}
	c := jsonConverter{controlWriter: controlWriter{buf}, dec: json.NewDecoder(bytes.NewReader(text))}
	c.dec.UseNumber()
	for first := true; first || len(c.open) > 0; first = false {
		if err := c.token(); err != nil {
			return nil, jsonFault(err)
		}
	}
	if _, err := c.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &ControlError{Code: ControlTrailing}
	}
	return c.buf, nil
}

// jsonObject returns text without blanks around it, and whether it looks like an object.
func jsonObject(text []byte) ([]byte, bool) {
	text = bytes.TrimSpace(text)
	return text, len(text) > 0 && text[0] == '{'
}

func jsonFault(err error) error {
	if _, ours := errors.AsType[*ControlError](err); ours {
		return err
	}
	code := ControlSyntax
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		code = ControlTruncated
	}
	return &ControlError{Code: code, Detail: err.Error()}
}

// jsonConverter turns tokens into msgpack.
type jsonConverter struct {
	controlWriter
	dec  *json.Decoder
	open []jsonOpen
}

// jsonOpen is an object or array that is not closed yet.
type jsonOpen struct{ at, tokens int }

func (c *jsonConverter) token() error {
	tok, err := c.dec.Token()
	if err != nil {
		return err
	}
	if d, ok := tok.(json.Delim); ok && (d == '}' || d == ']') {
		c.close(d == '}')
		return nil
	}
	if n := len(c.open); n > 0 {
		c.open[n-1].tokens++
	}
	switch v := tok.(type) {
	case json.Delim:
		return c.begin()
	case string:
		c.str(v)
	case bool:
		c.bool(v)
	case json.Number:
		return c.number(v.String())
	default:
		c.nil()
	}
	return nil
}

// longHead is what begin leaves for a head whose count is not known yet.
const longHead = 5

func (c *jsonConverter) begin() error {
	if len(c.open) >= maxDepth {
		return &ControlError{Code: ControlDepth}
	}
	c.open = append(c.open, jsonOpen{at: len(c.buf)})
	c.buf = append(c.buf, make([]byte, longHead)...)
	return nil
}

// close puts the head in its shortest form before the content.
func (c *jsonConverter) close(object bool) {
	last := c.open[len(c.open)-1]
	c.open = c.open[:len(c.open)-1]
	content := c.buf[last.at+longHead:]
	c.buf = c.buf[:last.at]
	if object {
		c.openMap(last.tokens / 2)
	} else {
		c.openArray(last.tokens)
	}
	c.buf = append(c.buf, content...) // moves to the left within the same memory
}

func (c *jsonConverter) number(text string) error {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		c.int(n)
		return nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		c.uint(n)
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return &ControlError{Code: ControlRange, Detail: quote(text) + " is beyond float64"}
	}
	return c.float(f)
}

// asJSON appends the next value as JSON, keys in the order they came.
func (r *controlReader) asJSON(dst []byte) (_ []byte, err error) {
	it := r.peek()
	if it.kind != itemMap && it.kind != itemArray {
		return r.scalarAsJSON(dst)
	}
	r.take(it)
	brackets := "[]"
	if it.kind == itemMap {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	for i := range it.n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if it.kind == itemMap {
			dst, _ = r.scalarAsJSON(dst) // a key is text
			dst = append(dst, ':')
		}
		if dst, err = r.asJSON(dst); err != nil {
			return nil, err
		}
	}
	return append(dst, brackets[1]), nil
}

func (r *controlReader) scalarAsJSON(dst []byte) ([]byte, error) {
	v, err := r.any()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(v)
	return append(dst, text...), err
}
