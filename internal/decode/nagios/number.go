package nagios

import (
	"strconv"
	"strings"
)

// numberLen returns the length of the number that text begins with, 0 if there is none: a sign, digits with a point or the comma
// of some locales, and an exponent if it has digits. What looks like more of a number behind it (1.2.3; 1,234,567) makes it none.
func numberLen(text string) int {
	n := signLen(text)
	whole := digits(text[n:])
	n += whole
	part := 0
	if n < len(text) && (text[n] == '.' || text[n] == ',') {
		part = digits(text[n+1:])
		n += 1 + part
	}
	if whole+part == 0 {
		return 0
	}
	if n < len(text) && (text[n] == 'e' || text[n] == 'E') {
		sign := signLen(text[n+1:])
		if d := digits(text[n+1+sign:]); d > 0 {
			n += 1 + sign + d
		}
	}
	if n < len(text) && strings.IndexByte(".,", text[n]) >= 0 {
		return 0
	}
	return n
}

func signLen(text string) int {
	if text != "" && (text[0] == '-' || text[0] == '+') {
		return 1
	}
	return 0
}

func digits(text string) int {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}

// number reads a text that is a number and nothing else.
func number(text string) (float64, bool) {
	n, unit, ok := measure(text)
	return n, ok && unit == ""
}

// measure reads a number and the unit behind it. A number too large to be held is none.
func measure(text string) (n float64, unit string, ok bool) {
	end := numberLen(text)
	if end == 0 {
		return 0, "", false
	}
	n, err := strconv.ParseFloat(strings.Replace(text[:end], ",", ".", 1), 64)
	return n, text[end:], err == nil
}

// parseRange reads [@]start:end. A number alone is the end of a range from 0, no end is infinity, and ~ is minus infinity.
func parseRange(text string) (r Range, ok bool) {
	text, r.Inside = strings.CutPrefix(text, "@")
	start, end, both := strings.Cut(text, ":")
	if !both {
		start, end = "", text
	}
	if start != "~" {
		r.Low = new(float64)
		if start != "" {
			if *r.Low, ok = number(start); !ok {
				return r, false
			}
		}
	}
	if end != "" || !both {
		r.High = new(float64)
		if *r.High, ok = number(end); !ok {
			return r, false
		}
	}
	return r, r.Low == nil || r.High == nil || *r.Low <= *r.High
}
