package telemetry

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value takes a field value that is not in quotes.
func (s *lineScan) value(name string) (Type, Value, Code) {
	from := s.at
	for s.at < len(s.text) && s.text[s.at] > ' ' && s.text[s.at] != ',' {
		s.at++
	}
	typ, v, drop := parseValue(s.text[from:s.at])
	if typ == 0 {
		s.refuse(CodeLine, "value of field "+strconv.Quote(name)+" is neither number, bool nor text in quotes")
	}
	return typ, v, drop
}

// parseValue returns the type and the value of a field. No type: it is none; no value: it must be dropped, for drop.
func parseValue(text []byte) (typ Type, v Value, drop Code) {
	if b, ok := boolOf(text); ok {
		return TypeBool, Value{typ: TypeBool, bits: b}, 0
	}
	switch {
	case len(text) == 0:
		return 0, Value{}, 0
	case isInteger(text[:len(text)-1]) && text[len(text)-1] == 'i':
		n, err := strconv.ParseInt(view(text[:len(text)-1]), 10, 64)
		if err != nil {
			return TypeInt, Value{}, CodeIntRange
		}
		return TypeInt, Int(n), 0
	case isInteger(text[:len(text)-1]) && text[len(text)-1] == 'u':
		n, err := strconv.ParseUint(view(text[:len(text)-1]), 10, 64)
		if err != nil {
			return TypeUint, Value{}, CodeIntRange
		}
		return TypeUint, Uint(n), 0
	case notFinite(text):
		return TypeFloat, Value{}, CodeNaN
	case text[0] == '+' || slices.ContainsFunc(text, func(c byte) bool { return !isFloatChar(c) }):
		return 0, Value{}, 0
	}
	f, err := strconv.ParseFloat(view(text), 64)
	switch {
	case math.IsInf(f, 0):
		return TypeFloat, Value{}, CodeNaN
	case err != nil:
		return 0, Value{}, 0
	}
	return TypeFloat, Float(f), 0
}

// isInteger reports whether text is digits with or without a minus before them.
func isInteger(text []byte) bool {
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0
}

// notFinite reports whether text is NaN or an infinity, in whatever case and with or without a sign.
func notFinite(text []byte) bool {
	if text[0] == '+' || text[0] == '-' {
		text = text[1:]
	}
	switch strings.ToLower(view(text)) {
	case "nan", "inf", "infinity":
		return true
	}
	return false
}

// quoted takes the text in quotes that field name has.
func (s *lineScan) quoted(name string) (v Value, drop Code) {
	open := s.at
	s.at++
	escaped := false
	for s.at < len(s.text) && s.text[s.at] != '"' {
		if s.text[s.at] == '\\' {
			escaped = true
			s.at++
		}
		s.at++
	}
	if s.at >= len(s.text) {
		s.at = open // so that the lines after this one are not lost with it
		s.open = true
		s.refuse(CodeLine, "no closing quote of field "+strconv.Quote(name))
		return Value{}, 0
	}
	text := view(s.text[open+1 : s.at])
	s.at++
	if escaped {
		text = s.unescape(text, meantInQuotes)
	}
	switch {
	case !utf8.ValidString(text):
		s.refuse(CodeLine, "text of field "+strconv.Quote(name)+" is not UTF-8")
	case len(text) > MaxText:
		return Value{}, CodeTooLong
	}
	return String(text), 0
}

// meantInQuotes returns what a backslash and c stand for in quotes, 0 when the backslash is nothing special there.
func meantInQuotes(c byte) byte {
	switch c {
	case '"', '\\':
		return c
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}
