package telemetry

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Writers clean names and tag values before they send: each byte that is not UTF-8 becomes U+FFFD, a control character a blank.
// A reader refuses what is not clean.

// plain reports whether s is UTF-8 without control characters.
func plain(s string) bool {
	ascii := true
	for i := 0; i < len(s); i++ {
		b := s[i]
		if b < 0x20 || b == 0x7f {
			return false
		}
		ascii = ascii && b < utf8.RuneSelf
	}
	return ascii || utf8.ValidString(s)
}

// cleanName returns s as a name: clean, not empty and not longer than MaxName.
func cleanName(s string) string {
	if s == "" {
		return "_"
	}
	return clean(s, MaxName)
}

// cleanNames cleans the names of cols. Two that have become the same are told apart by a number.
func cleanNames(cols []Column) {
	var next map[string]int // by name, the number that is tried next: those below it are taken
	for i := range cols {
		base := cleanName(cols[i].Name)
		name := base
		for k := max(2, next[base]); column(cols[:i], name) != nil; k++ {
			suffix := "_" + strconv.Itoa(k)
			name = cut(base, MaxName-len(suffix)) + suffix
			if next == nil {
				next = map[string]int{}
			}
			next[base] = k + 1
		}
		cols[i].Name = name
	}
}

// cleanTag returns s as a tag value: clean, and not longer than MaxTagValue.
func cleanTag(s string) string { return clean(s, MaxTagValue) }

func clean(s string, limit int) string {
	if len(s) <= limit && plain(s) {
		return s
	}
	if short := cut(s, limit); plain(short) {
		return short
	}
	s = strings.Map(func(r rune) rune { // which is U+FFFD for each bad byte
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s[:min(len(s), limit+utf8.UTFMax)]) // nothing becomes shorter, and a long text may be that of many points
	return cut(s, limit)
}

// cleanText returns s as a string field: UTF-8 and not longer than MaxText.
func cleanText(s string) string {
	if short := cut(s, MaxText); utf8.ValidString(short) {
		return short
	}
	return cut(string([]rune(s[:min(len(s), MaxText+utf8.UTFMax)])), MaxText)
}

// cut returns the first bytes of s, limit at most, without splitting a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
