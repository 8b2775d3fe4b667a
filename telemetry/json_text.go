package telemetry

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Nesting of JSON: a batch of columns has six levels and four more in a value of a reserved type, a point object a map of
// fields and such a value.
const (
	batchDeep = 6 + maxUnknownDeep
	valueDeep = 1 + maxUnknownDeep
)

// jsonText turns JSON into msgpack, so that one reader checks both and knows one set of limits and codes. Heads stand in
// their longest form, because a length is known only at its end. The first fault sticks and ends the reading.
type jsonText struct {
	text    string
	at      int
	out     []byte
	fault   error
	literal bool // numbers and bools become text, as they are written
}

func (p *jsonText) fail(c Code, what string) {
	if p.fault == nil {
		p.fault = refuse(c, fmt.Sprintf("%s, byte %d", what, p.at))
	}
	p.at = len(p.text)
}

func (p *jsonText) failed() bool { return p.fault != nil }

// here returns the next byte, 0 at the end.
func (p *jsonText) here() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// peek skips blanks and returns the next byte, 0 at the end.
func (p *jsonText) peek() byte {
	for p.at < len(p.text) && blank(p.text[p.at]) {
		p.at++
	}
	return p.here()
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// take takes c if it is the next byte, and reports whether it was.
func (p *jsonText) take(c byte) bool {
	if p.here() != c {
		return false
	}
	p.at++
	return true
}

// more reports whether an array or object that ends with end goes on after n elements, and takes what stands between.
func (p *jsonText) more(end byte, n int) bool {
	p.peek()
	switch {
	case p.failed() || p.take(end):
		return false
	case n > 0 && !p.take(','):
		p.fail(CodeSyntax, "want a comma or "+string(end))
		return false
	}
	return true
}

// end fails unless only blanks are left.
func (p *jsonText) end() {
	if p.peek(); p.at < len(p.text) {
		p.fail(CodeTrailing, "bytes after the end")
	}
}

// value takes one value, nested in at most depth arrays and objects.
func (p *jsonText) value(depth int) {
	switch c := p.peek(); {
	case c == '[' || c == '{':
		if depth == 0 {
			p.fail(CodeDepth, "nested too deep")
			return
		}
		p.at++
		if c == '[' {
			p.array(depth - 1)
		} else {
			p.object(depth - 1)
		}
	case c == '"':
		p.str()
	case c == '-' || digit(c):
		p.number()
	default:
		p.word()
	}
}

func (p *jsonText) array(depth int) {
	head, n := p.head(0xdd), 0
	for ; p.more(']', n); n++ {
		p.value(depth)
	}
	p.patch(head, n)
}

func (p *jsonText) object(depth int) {
	head, n := p.head(0xdf), 0
	for ; p.more('}', n); n++ {
		p.key()
		p.value(depth)
	}
	p.patch(head, n)
}

// key takes the key of an object and its colon.
func (p *jsonText) key() {
	if p.peek() != '"' {
		p.fail(CodeSyntax, "want a key")
		return
	}
	p.str()
	if p.peek(); !p.take(':') {
		p.fail(CodeSyntax, "want a colon")
	}
}

// head begins a value with the byte of its kind and room for its length, which patch fills in.
func (p *jsonText) head(kind byte) int {
	p.out = append(p.out, kind, 0, 0, 0, 0)
	return len(p.out)
}

func (p *jsonText) patch(head, n int) { binary.BigEndian.PutUint32(p.out[head-4:], uint32(n)) }

func (p *jsonText) put(text string) {
	head := p.head(0xdb)
	p.out = append(p.out, text...)
	p.patch(head, len(text))
}

func (p *jsonText) word() {
	words := [...]struct {
		text string
		code byte
	}{{"null", 0xc0}, {"false", 0xc2}, {"true", 0xc3}}
	for _, w := range words {
		if !strings.HasPrefix(p.text[p.at:], w.text) {
			continue
		}
		p.at += len(w.text)
		if p.literal && w.text != "null" {
			p.put(w.text)
		} else {
			p.out = append(p.out, w.code)
		}
		return
	}
	p.fail(CodeSyntax, "want a value")
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// digits takes digits and returns how many.
func (p *jsonText) digits() int {
	from := p.at
	for digit(p.here()) {
		p.at++
	}
	return p.at - from
}

func (p *jsonText) number() {
	from := p.at
	p.take('-')
	zero := p.here() == '0'
	n := p.digits()
	good := n == 1 || n > 1 && !zero
	whole := true
	if p.take('.') {
		whole = false
		good = p.digits() > 0 && good
	}
	if p.take('e') || p.take('E') {
		whole = false
		_ = p.take('+') || p.take('-')
		good = p.digits() > 0 && good
	}
	if !good {
		p.fail(CodeSyntax, "number")
		return
	}
	p.putNumber(p.text[from:p.at], whole)
}

// maxDigits is the length of the longest integer of 64 bits, with its sign.
const maxDigits = 20

// putNumber puts integers as such where 64 bits hold them; "-0" is one only as a float.
func (p *jsonText) putNumber(text string, whole bool) {
	if p.literal {
		p.put(text)
		return
	}
	if whole && text != "-0" && len(text) <= maxDigits {
		if v, err := strconv.ParseInt(text, 10, 64); err == nil {
			p.out = appendInt(p.out, v)
			return
		}
		if v, err := strconv.ParseUint(text, 10, 64); err == nil {
			p.out = appendUint(p.out, v)
			return
		}
	}
	v, _ := strconv.ParseFloat(text, 64) // too large for a float64 is an infinity, which the reader drops as such
	p.out = appendValue(p.out, Float(v))
}

// str takes a string, with what its escapes stand for.
func (p *jsonText) str() {
	p.at++
	head := p.head(0xdb)
	for {
		from := p.at
		for p.at < len(p.text) && p.text[p.at] >= ' ' && p.text[p.at] != '"' && p.text[p.at] != '\\' {
			p.at++
		}
		p.out = append(p.out, p.text[from:p.at]...)
		if !p.take('\\') {
			break
		}
		p.escape()
	}
	if !p.take('"') {
		p.fail(CodeSyntax, "string without an end, or with a control character")
	}
	p.patch(head, len(p.out)-head)
}

func (p *jsonText) escape() {
	const letters, meant = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := p.here()
	if i := strings.IndexByte(letters, c); i >= 0 {
		p.at++
		p.out = append(p.out, meant[i])
		return
	}
	r := p.unicode()
	if utf16.IsSurrogate(r) {
		low := rune(utf8.RuneError)
		if p.take('\\') {
			low = p.unicode()
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			p.fail(CodeUTF8, "half of a surrogate pair")
		}
	}
	p.out = utf8.AppendRune(p.out, r)
}

// unicode takes the rest of an escape like u00e9.
func (p *jsonText) unicode() rune {
	if p.take('u') && p.at+4 <= len(p.text) {
		if v, err := strconv.ParseUint(p.text[p.at:p.at+4], 16, 16); err == nil {
			p.at += 4
			return rune(v)
		}
	}
	p.fail(CodeSyntax, "escape")
	return utf8.RuneError
}

// The keys of a point object, and where they stand in a pointAt.
const (
	keySeries = iota
	keyTime
	keyTags
	keyFields
	keyTypes
	keyCount
)

var pointKeys = [keyCount]string{"series", "time", "tags", "fields", "types"}

// pointAt says where in the msgpack the value of each key of a point object begins; 0 for a key that is not there.
type pointAt [keyCount]int

// point takes a point object.
func (p *jsonText) point() (at pointAt) {
	if p.peek() != '{' {
		p.value(valueDeep)
		p.fail(CodeShape, "want a point object")
		return at
	}
	p.at++
	for n := 0; p.more('}', n); n++ {
		from := len(p.out)
		p.key()
		if p.failed() {
			return at
		}
		which := slices.Index(pointKeys[:], string(p.out[from+5:])) // behind the head
		switch {
		case which < 0:
			p.fail(CodeShape, "a point has series, time, tags, fields and types only")
			return at
		case at[which] != 0:
			p.fail(CodeDuplicateKey, "key of a point")
			return at
		}
		p.out = p.out[:from]
		at[which] = from
		p.literal = which == keyTags
		p.value(valueDeep)
		p.literal = false
	}
	return at
}
