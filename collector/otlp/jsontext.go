package otlp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unsafe"
)

// What is here reads JSON that json.Valid has found to be well-formed: so much need not be looked at again.

var null = []byte("null")

// members calls do for the members of an object; of null there are none.
func members(object []byte, do func(key string, value []byte) error) error {
	if bytes.Equal(object, null) {
		return nil
	}
	if object[0] != '{' {
		return fmt.Errorf("want an object instead of %s", short(object))
	}
	for rest := skipBlank(object[1:]); rest[0] != '}'; rest = nextItem(rest) {
		n := valueEnd(rest)
		key, err := stringOf(rest[:n])
		if err != nil {
			return err
		}
		rest = skipBlank(skipBlank(rest[n:])[1:]) // the colon
		n = valueEnd(rest)
		if err := do(key, rest[:n]); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		rest = rest[n:]
	}
	return nil
}

// elements calls do for the elements of an array; of null there are none.
func elements(array []byte, do func(value []byte) error) error {
	if bytes.Equal(array, null) {
		return nil
	}
	if array[0] != '[' {
		return fmt.Errorf("want a list instead of %s", short(array))
	}
	for rest := skipBlank(array[1:]); rest[0] != ']'; rest = nextItem(rest) {
		n := valueEnd(rest)
		if err := do(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// nextItem returns what comes behind an item and its comma, or the bracket that ends the items.
func nextItem(text []byte) []byte {
	text = skipBlank(text)
	if text[0] == ',' {
		return skipBlank(text[1:])
	}
	return text
}

func skipBlank(text []byte) []byte {
	for i, c := range text {
		if c > ' ' {
			return text[i:]
		}
	}
	return nil
}

// valueEnd returns how long the value at the start of text is.
func valueEnd(text []byte) int {
	switch text[0] {
	case '"':
		return stringEnd(text)
	case '{', '[':
		return nestEnd(text)
	}
	for i, c := range text {
		if c == ',' || c == ']' || c == '}' || c <= ' ' {
			return i
		}
	}
	return len(text)
}

// stringEnd returns how long the string at the start of text is.
func stringEnd(text []byte) int {
	for i := 1; ; i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// nestEnd returns how long the object or array at the start of text is.
func nestEnd(text []byte) int {
	for i, depth := 0, 0; ; i++ {
		switch text[i] {
		case '"':
			i += stringEnd(text[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// stringOf returns a string, which looks into value if it can.
func stringOf(value []byte) (string, error) {
	switch {
	case value[0] != '"':
		return "", fmt.Errorf("want a text instead of %s", short(value))
	case bytes.IndexByte(value, '\\') >= 0:
		return unescaped(value)
	}
	return view(value[1 : len(value)-1]), nil
}

// unescaped is stringOf for a string with escapes.
func unescaped(value []byte) (s string, err error) {
	err = json.Unmarshal(value, &s)
	return s, err
}

// digits returns what a number consists of: 64 bits are a text in JSON.
func digits(value []byte) string {
	if value[0] == '"' {
		if s, err := stringOf(value); err == nil {
			return s
		}
	}
	return view(value)
}

// view returns text as a string that lives as long as it does.
func view(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }

// readUint sets v to a number without a sign; null is 0.
func readUint(v *uint64, value []byte) (err error) {
	if *v = 0; bytes.Equal(value, null) {
		return nil
	}
	if *v, err = strconv.ParseUint(digits(value), 10, 64); err != nil {
		return fmt.Errorf("want a whole number from 0 to 2^64-1 instead of %s", short(value))
	}
	return nil
}

// readInt sets v to a whole number of so many bits; null is 0.
func readInt(v *int64, value []byte, bits int) (err error) {
	if *v = 0; bytes.Equal(value, null) {
		return nil
	}
	if *v, err = strconv.ParseInt(digits(value), 10, bits); err != nil {
		return fmt.Errorf("want a whole number of %d bits instead of %s", bits, short(value))
	}
	return nil
}

// readInt32 sets v to a whole number of 32 bits; null is 0.
func readInt32(v *int32, value []byte) error {
	var n int64
	err := readInt(&n, value, 32)
	*v = int32(n)
	return err
}

// readFloat sets v to a number, which may be one of the texts NaN, Infinity and -Infinity; null is 0.
func readFloat(v *float64, value []byte) (err error) {
	if *v = 0; bytes.Equal(value, null) {
		return nil
	}
	text := digits(value)
	if value[0] == '"' && text != "NaN" && text != "Infinity" && text != "-Infinity" && !json.Valid([]byte(text)) {
		err = errors.New("no number of JSON") // such as 0x1 and 1_000, which ParseFloat takes
	}
	if err == nil {
		*v, err = strconv.ParseFloat(text, 64)
	}
	if err != nil {
		return fmt.Errorf("want a number instead of %s", short(value))
	}
	return nil
}

// readBool sets v to a bool; null is false.
func readBool(v *bool, value []byte) error {
	*v = string(value) == "true"
	if !*v && string(value) != "false" && !bytes.Equal(value, null) {
		return fmt.Errorf("want true or false instead of %s", short(value))
	}
	return nil
}

// short returns the start of a value, for messages.
func short[T string | []byte](value T) string {
	const most = 40
	if len(value) > most {
		return fmt.Sprintf("%q...", value[:most])
	}
	return fmt.Sprintf("%q", value)
}
