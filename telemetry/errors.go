package telemetry

import (
	"fmt"
	"strings"
)

// A Code names why a reader refused a batch, a point or a field. It is an error, so
// errors.Is(err, telemetry.CodeTruncated) asks for the reason of a [DecodeError].
type Code uint8

// The codes of the wire. The first block refuses a whole batch, the others a point, a field or a line.
const (
	CodeEmpty        Code = iota + 1 // no bytes
	CodeTooLarge                     // more bytes than MaxMessage
	CodeContentType                  // unknown Content-Type, or bytes that are none of the known forms
	CodeEncoding                     // a Content-Encoding, which nobody reads
	CodeSyntax                       // not msgpack, JSON or line protocol
	CodeTruncated                    // a length claims more than is left
	CodeTrailing                     // bytes after the batch
	CodeExt                          // a msgpack extension type
	CodeDepth                        // nested deeper than allowed
	CodeVersion                      // a layout this reader does not know
	CodeUnit                         // a tick that is none of ns, us, ms, s
	CodeShape                        // a part of the wrong kind or length
	CodeIndex                        // a dictionary index outside the dictionary
	CodeName                         // a series, key or field name that is empty, too long or has control characters
	CodeDuplicateKey                 // a key twice
	CodeUTF8                         // a string that is not UTF-8
	CodeLimit                        // a count above its limit
	CodeTagValue                     // a tag value that is too long, not text, or has control characters
	CodeTimeRange                    // a time outside int64 nanoseconds
	CodeNoFields                     // a point with no field left
	CodeType                         // a value that does not fit its field's type
	CodeIntRange                     // an integer outside its field's type
	CodeNaN                          // NaN or an infinity
	CodeTooLong                      // a string field longer than MaxText
	CodeUnknownType                  // a field of a reserved type
	CodeLine                         // a line of line protocol that cannot be read
	CodeIdentity                     // a point that claims another host
	CodeTimeSkew                     // a time long ago or ahead; the point is kept
	codeCount
)

var codeNames = [codeCount]string{
	"", "empty", "too_large", "content_type", "encoding", "syntax", "truncated", "trailing", "ext", "depth", "version",
	"unit", "shape", "index", "name", "duplicate_key", "utf8", "limit", "tag_value", "time_range", "no_fields", "type",
	"int_range", "nan", "too_long", "unknown_type", "line", "identity", "time_skew",
}

// String returns the code as counters and dead letters show it.
func (c Code) String() string {
	if c < codeCount {
		return codeNames[c]
	}
	return fmt.Sprintf("code(%d)", uint8(c))
}

// Error returns the same as String.
func (c Code) Error() string { return c.String() }

// A DecodeError says why bytes are not a batch. It wraps its Code.
type DecodeError struct {
	Code  Code
	Line  int    // of line protocol and JSON lines, from 1; 0 where there are no lines
	Where string // the part that was being read
}

// Error says what is wrong and where. What is wrong with a line of line protocol needs no code.
func (e *DecodeError) Error() string {
	parts := make([]string, 0, 3)
	if e.Line > 0 {
		parts = append(parts, fmt.Sprintf("line %d", e.Line))
	} else {
		parts = append(parts, "batch")
	}
	if e.Code != CodeLine || e.Where == "" {
		parts = append(parts, e.Code.String())
	}
	if e.Where != "" {
		parts = append(parts, e.Where)
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the code.
func (e *DecodeError) Unwrap() error { return e.Code }

func refuse(c Code, where string) error { return &DecodeError{Code: c, Where: where} }

// Drops counts, by code, the points, fields and lines that were left out of a batch that was otherwise taken. A point that has
// lost its last field counts twice: the field under its own code, then the point under no_fields.
type Drops [codeCount]int

// Count returns how many were left out for c.
func (d *Drops) Count(c Code) int { return d[c] }

// Total returns how many were left out, without those that were only noted (time_skew).
func (d *Drops) Total() int {
	n := 0
	for c, k := range d {
		if Code(c) != CodeTimeSkew {
			n += k
		}
	}
	return n
}

// Each calls f for every code that occurred.
func (d *Drops) Each(f func(c Code, n int)) {
	for c, n := range d {
		if n > 0 {
			f(Code(c), n)
		}
	}
}

// add counts n more for c.
func (d *Drops) add(c Code, n int) { d[c] += n }

// merge adds what other counted.
func (d *Drops) merge(other *Drops) {
	for c, n := range other {
		d[c] += n
	}
}
