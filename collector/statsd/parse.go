package statsd

import (
	"bytes"
)

// A kind is what is made of the values of a metric.
type kind byte

const (
	counter kind = 'c'
	gauge   kind = 'g'
	timer   kind = 't' // and what else has quantiles
	set     kind = 's'
)

// String returns what Telegraf calls a kind.
func (k kind) String() string {
	switch k {
	case counter:
		return "counter"
	case gauge:
		return "gauge"
	case set:
		return "set"
	}
	return "timing"
}

// A message is what a line says about a metric. Its texts look into the line.
type message struct {
	name      []byte // with tags, where that is how they are written
	tags      []byte // behind #
	container []byte
	time      int64 // s; 0: that of its arrival
	parts     []part
}

// A part is values of one kind.
type part struct {
	values []byte // with colons between them
	kind   kind
	weight float64 // how many each of them stands for: 1 / rate
}

// parse reads a line such as name:1:2|ms|@0.1|#tag:v. It uses the memory of m again.
func (m *message) parse(line []byte) reason {
	name, rest, ok := cut(line, ':')
	if !ok || len(name) == 0 {
		return badName
	}
	*m = message{name: name, parts: m.parts[:0]}
	for more := true; more; {
		var r reason
		if rest, more, r = m.part(rest); r != fine {
			return r
		}
	}
	return m.sections(rest)
}

// part reads values and their type from the start of text. With more, another part begins at rest: name:1|c:2|g.
func (m *message) part(text []byte) (rest []byte, more bool, r reason) {
	values, text, ok := cut(text, '|')
	if !ok {
		return nil, false, badType
	}
	if len(values) == 0 {
		return nil, false, badValue
	}
	token, rest := cutBar(text)
	token, next, more := cutPart(token, text)
	p := part{values: values, kind: kindOf(token), weight: 1}
	if p.kind == 0 {
		return nil, false, badType
	}
	if more {
		rest = next
	} else if len(rest) > 0 && rest[0] == '@' {
		text = rest[1:]
		token, rest = cutBar(text)
		if token, next, more = cutPart(token, text); more {
			rest = next
		}
		if r = p.sampled(token); r != fine {
			return nil, false, r
		}
	}
	m.parts = append(m.parts, p)
	return rest, more, fine
}

// cut parts text at the first c, as bytes.Cut does, which takes longer.
func cut(text []byte, c byte) (before, behind []byte, found bool) {
	n := bytes.IndexByte(text, c)
	if n < 0 {
		return text, nil, false
	}
	return text[:n], text[n+1:], true
}

// cutBar returns text up to its first bar, and what is behind that.
func cutBar(text []byte) (token, rest []byte) {
	token, rest, _ = cut(text, '|')
	return token, rest
}

// cutPart returns token, which text begins with, without the part that begins in it, and the text of that.
func cutPart(token, text []byte) (first, next []byte, more bool) {
	first, _, more = cut(token, ':')
	if !more {
		return first, nil, false
	}
	return first, text[len(first)+1:], true
}

func kindOf(name []byte) kind {
	switch string(name) {
	case "c":
		return counter
	case "g":
		return gauge
	case "ms", "h", "d":
		return timer
	case "s":
		return set
	}
	return 0
}

// sampled heeds the rate at which values were chosen to be sent.
func (p *part) sampled(rate []byte) reason {
	v, r := number(rate)
	if r != fine || v <= 0 || v > 1 || !finite(1/v) {
		return badRate
	}
	p.weight = 1 / v
	return fine
}

// sections reads what comes behind the last type: @rate, #tags, c:container, Ttime. Others, which newer clients may write, are
// passed over if they look like one.
func (m *message) sections(text []byte) reason {
	for len(text) > 0 {
		var s []byte
		s, text = cutBar(text)
		if r := m.section(s); r != fine {
			return r
		}
	}
	return fine
}

func (m *message) section(s []byte) reason {
	switch {
	case len(s) == 0:
	case s[0] == '#':
		m.tags = s[1:]
	case s[0] == '@':
		return m.parts[len(m.parts)-1].sampled(s[1:])
	case s[0] == 'T':
		var r reason
		m.time, r = seconds(s[1:])
		return r
	case bytes.HasPrefix(s, []byte("c:")):
		m.container = s[2:]
	case bytes.IndexByte(s, ':') < 1:
		return badType
	}
	return fine
}
