package telemetry

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// A lineScan reads any line, one byte at a time and with every check. It is what lines that were not expected go through.
type lineScan struct {
	text []byte
	at   int
	code Code   // why the line is refused; 0 while it is good
	why  string // the same for people
	open bool   // no quote closes the text of its last field
	home *Batch // whose memory text takes that had escapes

	head   int // where the tags have ended
	series string
	tags   []Tag       // sorted by key
	fields []lineField // as they came
	order  []int       // the fields sorted by name
	stamp  int64       // ns
	timed  bool        // the line has a time
}

// A lineField is one field of a line.
type lineField struct {
	raw   string // what goes before the value: the name as it came, and =
	name  string
	typ   Type
	value Value
	drop  Code // why there is no value
}

func (s *lineScan) refuse(c Code, why string) {
	if s.code == 0 {
		s.code, s.why = c, why
	}
}

// peek returns the next byte; the end of the text is like the end of a line.
func (s *lineScan) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return '\n'
}

// skipBlanks goes to the next line that is neither empty nor a comment; more is false when there is none.
func (s *lineScan) skipBlanks() (more bool) {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == ' ' || c == '\n' || c == '\r' && s.endsLine():
			s.at++
		case c == '#':
			s.skipLine()
		default:
			return true
		}
	}
	return false
}

// skipLine goes behind the end of the line.
func (s *lineScan) skipLine() {
	if n := bytes.IndexByte(s.text[s.at:], '\n'); n >= 0 {
		s.at += n + 1
		return
	}
	s.at = len(s.text)
}

// endsLine reports whether the line ends here.
func (s *lineScan) endsLine() bool {
	switch rest := s.text[s.at:]; {
	case len(rest) == 0 || rest[0] == '\n':
		return true
	default:
		return rest[0] == '\r' && (len(rest) == 1 || rest[1] == '\n')
	}
}

// line reads the line at s.at and goes behind it. unit is the ns of a time's tick.
func (s *lineScan) line(unit int64) {
	s.code, s.why, s.open, s.timed = 0, "", false, false
	s.tags, s.fields = s.tags[:0], s.fields[:0]
	s.series = s.name("series", false)
	for s.code == 0 && s.peek() == ',' {
		s.tag()
	}
	if s.code == 0 && s.peek() != ' ' {
		s.refuse(CodeLine, "no space and fields after the series and its tags")
	}
	s.head = s.at + 1
	s.spaces()
	s.sortTags()
	for more := true; more && s.code == 0; {
		more = s.field()
	}
	s.sortFields()
	s.time(unit)
	if s.code == 0 && !s.endsLine() {
		s.refuse(CodeLine, "text after the time")
	}
	s.skipLine()
}

func (s *lineScan) spaces() {
	for s.peek() == ' ' {
		s.at++
	}
}

// token takes a name or a tag value: what goes up to a character that ends it. In a series = is like any other.
func (s *lineScan) token(tag bool) (raw, text string) {
	from, escaped := s.at, false
	special := func(c byte) bool { return c == ',' || c == ' ' || c == '=' && tag }
	for s.at < len(s.text) {
		c := s.text[s.at]
		if c == '\\' && s.at+1 < len(s.text) && special(s.text[s.at+1]) {
			escaped = true
			s.at += 2
			continue
		}
		if c < 0x20 || c == 0x7f || special(c) {
			break
		}
		s.at++
	}
	raw = view(s.text[from:s.at])
	if !escaped {
		return raw, raw
	}
	return raw, s.unescape(raw, func(c byte) byte {
		if special(c) {
			return c
		}
		return 0
	})
}

// view returns b as a string that shares its memory.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// unescape returns raw without the backslashes before characters that stand for another one.
func (s *lineScan) unescape(raw string, meant func(byte) byte) string {
	out := s.home.alloc(len(raw))[:0]
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '\\' && i+1 < len(raw) {
			if m := meant(raw[i+1]); m != 0 {
				c = m
				i++
			}
		}
		out = append(out, c)
	}
	return view(out)
}

// name takes the name of what.
func (s *lineScan) name(what string, tag bool) string {
	_, name := s.token(tag)
	s.check(what, "", name, MaxName)
	return name
}

// check refuses the line if text, which is what of the tag called of, is not fit for it.
func (s *lineScan) check(what, of, text string, limit int) {
	why := ""
	switch {
	case text == "" && s.at < len(s.text) && s.text[s.at] < 0x20 && !s.endsLine():
		why = " begins with a control character"
	case text == "":
		why = " is missing"
	case len(text) > limit:
		why = " is longer than " + strconv.Itoa(limit) + " bytes"
	case !utf8.ValidString(text):
		why = " is not UTF-8"
	default:
		return
	}
	s.refuse(CodeLine, what+of+why)
}

// tag takes one tag with the comma before it.
func (s *lineScan) tag() {
	s.at++
	key := s.name("tag key", true)
	if s.code != 0 {
		return
	}
	if s.peek() != '=' {
		s.refuse(CodeLine, "no = after tag key "+strconv.Quote(key))
		return
	}
	s.at++
	_, value := s.token(true)
	s.check("value of tag ", key, value, MaxTagValue)
	if len(s.tags) == MaxTags {
		s.refuse(CodeLine, "more than "+strconv.Itoa(MaxTags)+" tags")
	}
	s.tags = append(s.tags, Tag{key, value})
}

func (s *lineScan) sortTags() {
	slices.SortFunc(s.tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	for i := 1; i < len(s.tags); i++ {
		if s.tags[i].Key == s.tags[i-1].Key {
			s.refuse(CodeLine, "tag "+strconv.Quote(s.tags[i].Key)+" twice")
		}
	}
}

// field takes one field and the comma after it; more is false if there is none.
func (s *lineScan) field() (more bool) {
	raw, name := s.token(true)
	s.check("field name", "", name, MaxName)
	if s.code != 0 {
		return false
	}
	if s.peek() != '=' {
		s.refuse(CodeLine, "no = after field "+strconv.Quote(name))
		return false
	}
	s.at++
	f := lineField{raw: raw, name: name}
	if s.peek() == '"' {
		f.value, f.drop = s.quoted(name)
		f.typ = TypeString
	} else {
		f.typ, f.value, f.drop = s.value(name)
	}
	if len(s.fields) == MaxFields {
		s.refuse(CodeLine, "more than "+strconv.Itoa(MaxFields)+" fields")
	}
	s.fields = append(s.fields, f)
	if s.peek() == ',' {
		s.at++
		return true
	}
	if s.code == 0 && s.peek() != ' ' && !s.endsLine() {
		s.refuse(CodeLine, "text after the value of field "+strconv.Quote(name))
	}
	return false
}

func (s *lineScan) sortFields() {
	s.order = s.order[:0]
	for i := range s.fields {
		s.order = append(s.order, i)
	}
	slices.SortFunc(s.order, func(a, b int) int { return strings.Compare(s.fields[a].name, s.fields[b].name) })
	for i := 1; i < len(s.order); i++ {
		if name := s.fields[s.order[i]].name; name == s.fields[s.order[i-1]].name {
			s.refuse(CodeLine, "field "+strconv.Quote(name)+" twice")
		}
	}
}

// time takes the time, if the line has one, and the spaces around it.
func (s *lineScan) time(unit int64) {
	s.spaces()
	if s.code != 0 || s.endsLine() {
		return
	}
	from := s.at
	for c := s.peek(); c > ' '; c = s.peek() {
		s.at++
	}
	text := s.text[from:s.at]
	s.spaces()
	if !isInteger(text) {
		s.refuse(CodeLine, "the time is not an integer")
		return
	}
	ticks, err := strconv.ParseInt(view(text), 10, 64)
	s.timed, s.stamp = true, ticks*unit
	if err != nil || s.stamp/unit != ticks {
		s.refuse(CodeTimeRange, "the time is outside 64 bits of nanoseconds")
	}
}
