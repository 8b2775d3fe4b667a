package telemetry

import (
	"errors"
	"strconv"
)

// ControlCode says why a control message was refused. It is an error, what a ControlError wraps.
type ControlCode string

// Error returns the code itself.
func (c ControlCode) Error() string { return string(c) }

// Why control messages are refused.
const (
	ControlEmpty     ControlCode = "empty"     // no bytes
	ControlTruncated ControlCode = "truncated" // a length or count needs more bytes than there are
	ControlTrailing  ControlCode = "trailing"  // bytes after the message
	ControlDepth     ControlCode = "depth"     // nested deeper than allowed
	ControlLimit     ControlCode = "limit"     // more bytes or values than allowed
	ControlSyntax    ControlCode = "syntax"    // neither msgpack nor JSON
	ControlExt       ControlCode = "ext"       // a msgpack extension other than a timestamp
	ControlKey       ControlCode = "key"       // a map key that is no string
	ControlUTF8      ControlCode = "utf8"      // text that is not UTF-8
	ControlNaN       ControlCode = "nan"       // NaN or an infinity
	ControlRequired  ControlCode = "required"  // a required key is missing or empty
	ControlType      ControlCode = "type"      // a value of another type than its key wants
	ControlRange     ControlCode = "range"     // a value outside what its key allows
)

// ControlError is the refusal of one control message: nothing of it was used.
type ControlError struct {
	Code   ControlCode
	Path   string // keys down to the value, as "manifest.catalog[2].series"; empty: the message as a whole
	Detail string
}

// Error says the code, the place and the detail.
func (e *ControlError) Error() string {
	text := "control message: " + string(e.Code)
	if e.Path != "" {
		text += " at " + e.Path
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap returns the code: errors.Is(err, telemetry.ControlTruncated) asks for it.
func (e *ControlError) Unwrap() error { return e.Code }

// under puts key before the path of err, as the error climbs out of a nested value.
func under(key string, err error) error {
	e, ok := errors.AsType[*ControlError](err)
	if !ok {
		return err
	}
	if e.Path != "" && e.Path[0] != '[' {
		key += "."
	}
	e.Path = key + e.Path
	return e
}

func underIndex(i int, err error) error { return under("["+strconv.Itoa(i)+"]", err) }

// maxQuote is how many bytes of a foreign text an error repeats.
const maxQuote = 64

func quote(s string) string { return strconv.Quote(cut(s, maxQuote)) }
