package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

// mostDepth bounds the nesting of JSON.
const mostDepth = 16

// decodeStrictly decodes one JSON object into v: no key twice, in whatever case, none that v does not have, nothing behind it.
func decodeStrictly(text []byte, v any) error {
	if !utf8.Valid(text) {
		return badJSON("it is not UTF-8")
	}
	if err := checkKeys(text); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return badJSON("%s: want %s, got %s", wrong.Field, wrong.Type, wrong.Value).at(wrong.Field)
	}
	if err != nil {
		return badJSON("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func badJSON(format string, args ...any) *Problem {
	return problem(http.StatusBadRequest, "json", "the body is not as it should be: "+format, args...)
}

// checkKeys walks through the tokens of one JSON object.
func checkKeys(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var open []level
	for first := true; first || len(open) > 0; first = false {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return badJSON("it ends too early")
		}
		if err != nil {
			return badJSON("%v", err)
		}
		if first && tok != json.Delim('{') {
			return badJSON("want an object")
		}
		if open, err = step(open, tok); err != nil {
			return err
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badJSON("there is something behind the object")
	}
	return nil
}

// A level is an object or array that is open.
type level struct {
	keys  map[string]bool // of an object; nil: an array
	value bool            // a value comes next, not a key
}

// step takes a token into account.
func step(open []level, tok json.Token) ([]level, error) {
	switch tok {
	case json.Delim('}'), json.Delim(']'):
		return open[:len(open)-1], nil
	}
	if n := len(open); n > 0 && open[n-1].keys != nil {
		top := &open[n-1]
		if top.value = !top.value; top.value {
			key := tok.(string) // the decoder lets nothing else be a key
			folded := strings.ToLower(key)
			if top.keys[folded] {
				return nil, badJSON("%.100q is there twice", key).at(key)
			}
			top.keys[folded] = true
			return open, nil
		}
	}
	if tok != json.Delim('{') && tok != json.Delim('[') {
		return open, nil
	}
	if len(open) == mostDepth {
		return nil, badJSON("it is nested deeper than %d", mostDepth)
	}
	next := level{}
	if tok == json.Delim('{') {
		next.keys = map[string]bool{}
	}
	return append(open, next), nil
}
