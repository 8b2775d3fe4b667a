package telemetry

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// DecodeJSON makes b what text holds: a batch in its JSON form, or points as objects: one, a list, or one per line. A point
// without a time gets arrival, which is when the message came to its stream; the zero time is now. On an error b is empty;
// points and fields that had to be left out are counted by [Batch.Drops].
func (b *Batch) DecodeJSON(text []byte, arrival time.Time) error {
	b.Reset()
	switch {
	case len(text) == 0:
		return refuse(CodeEmpty, "no bytes")
	case len(text) > MaxMessage:
		return refuse(CodeTooLarge, "message")
	case !utf8.Valid(text):
		return refuse(CodeUTF8, "JSON")
	}
	// What is read looks into out, which therefore is never used again. It begins with nil, the value of absent keys.
	in := jsonText{text: string(text), out: append(make([]byte, 0, len(text)+16), 0xc0)}
	stamp := arrival.UnixNano()
	if arrival.IsZero() {
		stamp = b.now()
	}
	err := b.decodeJSON(&in, stamp)
	if err != nil {
		b.Reset()
	}
	return err
}

func (b *Batch) decodeJSON(in *jsonText, arrival int64) error {
	points := pointReader{reader: &b.read, batch: b, in: in, arrival: arrival}
	switch in.peek() {
	case '{':
		return points.lines()
	case '[':
		if c := (&jsonText{text: in.text, at: in.at + 1}).peek(); c == '-' || digit(c) {
			return b.decodeArrays(in)
		}
		return points.list()
	}
	in.value(batchDeep)
	in.end()
	in.fail(CodeShape, "want a batch or points")
	return in.fault
}

// decodeArrays reads the JSON form of a batch.
func (b *Batch) decodeArrays(in *jsonText) error {
	in.value(batchDeep)
	in.end()
	if in.failed() {
		return in.fault
	}
	r := &b.read
	r.startDecimal(in.out[1:])
	b.decode(r)
	for _, g := range b.groups {
		g.forgetWire()
	}
	return r.fault
}

// forgetWire has the columns encoded anew: what came may hold decimal strings, which msgpack does not know.
func (g *Group) forgetWire() {
	g.dt.wire = nil
	for _, cols := range [][]Column{g.tags, g.fields} {
		for i := range cols {
			cols[i].wire = nil
		}
	}
}

// startDecimal starts r with msgpack that was JSON: integers may be decimal strings.
func (r *reader) startDecimal(buf []byte) {
	r.start(buf)
	r.decimal = true
}

// wide takes an integer that JSON may write as a decimal string, because not every program keeps those above 2^53.
func (r *reader) wide(where string) (v int64, big bool) {
	if !r.decimal || r.next(where) != kindStr {
		return r.integer(where)
	}
	s := r.text(where)
	if !decimal(s) {
		r.fail(CodeShape, where+": want an integer")
	}
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err != nil
}

// decimal reports whether s is a decimal integer.
func decimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return s != ""
}

// decimalAs returns the integer that s writes as a value of type typ.
func decimalAs(typ Type, s string) (Value, Code) {
	if !decimal(s) {
		return Value{}, CodeType
	}
	var bits uint64
	var err error
	if typ == TypeInt {
		var v int64
		v, err = strconv.ParseInt(s, 10, 64)
		bits = uint64(v)
	} else {
		bits, err = strconv.ParseUint(s, 10, 64)
	}
	if err != nil {
		return Value{}, CodeIntRange
	}
	return Value{typ: typ, bits: bits}, 0
}

// parseTime reads the time of a point object: RFC 3339, or nanoseconds since 1970.
func parseTime(s string) (ns int64, c Code) {
	if decimal(s) {
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, CodeTimeRange
		}
		return v, 0
	}
	var t time.Time
	if err := t.UnmarshalText([]byte(s)); err != nil || decimals(s) > 9 || !strict(s) {
		return 0, CodeShape
	}
	ns, ok := nanos(t)
	if !ok {
		return 0, CodeTimeRange
	}
	return ns, 0
}

// strict reports whether a time that time.Time takes is one of RFC 3339: it takes a comma for the point, an hour of one digit,
// and zones that are a day off too.
func strict(s string) bool {
	zone := s[len(s)-len("23:59"):]
	return !strings.Contains(s, ",") && s[len("2006-01-02T15")] == ':' && (strings.HasSuffix(s, "Z") || zone[:2] <= "23" && zone[3:] <= "59")
}

// decimals returns the number of digits after the point of a time. Those beyond nine time.Time drops without a word.
func decimals(s string) int {
	_, fraction, _ := strings.Cut(s, ".")
	for i := range len(fraction) {
		if !digit(fraction[i]) {
			return i
		}
	}
	return len(fraction)
}

// inLine returns err with the line of text in which the byte at stands.
func inLine(err error, text string, at int) error {
	if e, ok := errors.AsType[*DecodeError](err); ok {
		e.Line = 1 + strings.Count(text[:at], "\n")
	}
	return err
}
