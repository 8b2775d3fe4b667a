package journal

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxText is how many bytes of a line are kept.
const maxText = 8 << 10

const cutMark = " [cut]"

// Printable replaces what could play tricks on a terminal or a reader: control characters, those that turn the direction of
// writing, and bytes that are no text. The end of a line within a text, as a traceback has, is shown as such.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == '\n':
			return '↵'
		case r < 0x20, r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// cut shortens a text that is too long.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText - len(cutMark)
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + cutMark
}

// plain returns line without the codes of colours: ESC [, parameters, a letter.
func plain(line []byte) []byte {
	if bytes.IndexByte(line, 0x1b) < 0 {
		return line
	}
	var out []byte
	for len(line) > 0 {
		if n := codeLength(line); n > 0 {
			line = line[n:]
			continue
		}
		out = append(out, line[0])
		line = line[1:]
	}
	return out
}

// codeLength returns how long the code is that line begins with, 0 if there is none.
func codeLength(line []byte) int {
	if !bytes.HasPrefix(line, []byte("\x1b[")) {
		return 0
	}
	for i := 2; i < len(line); i++ {
		switch c := line[i]; {
		case c >= 0x40 && c <= 0x7e:
			return i + 1
		case c < 0x20 || c > 0x3f:
			return 0 // no code after all
		}
	}
	return 0
}
