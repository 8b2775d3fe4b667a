package telemetry

import "strings"

// encodable returns name without the backslashes at its end: they would escape what follows.
func encodable(name string) string { return strings.TrimRight(name, `\`) }

// appendSeries appends the name of a series.
func appendSeries(dst []byte, name string) []byte {
	if name = encodable(name); name == "" {
		name = "_"
	}
	at := len(dst)
	dst = appendEscaped(dst, name, func(c byte) bool { return c == ',' || c == ' ' })
	if dst[at] == '#' {
		dst[at] = '_'
	}
	return dst
}

// appendKey appends a comma, a name and =.
func appendKey(dst []byte, name string) []byte {
	if name = encodable(name); name == "" {
		name = "_"
	}
	dst = appendEscaped(append(dst, ','), name, isKeySpecial)
	return append(dst, '=')
}

// appendTag appends a tag; one without a value is none.
func appendTag(dst []byte, key, text string) []byte {
	if text = encodable(text); text == "" {
		return dst
	}
	return appendEscaped(appendKey(dst, key), text, isKeySpecial)
}

// isKeySpecial reports whether c must be escaped in keys and tag values.
func isKeySpecial(c byte) bool { return c == ',' || c == ' ' || c == '=' }

// appendEscaped appends text with a backslash before what is special. A control character becomes a blank: it would end the
// line, or the reader's patience.
func appendEscaped(dst []byte, text string, special func(byte) bool) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		if special(c) {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

// appendQuoted appends text in quotes. Line ends stay as they are: a reader takes them as part of the text.
func appendQuoted(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for {
		i := strings.IndexAny(text, `"\`)
		if i < 0 {
			dst = append(dst, text...)
			return append(dst, '"')
		}
		dst = append(append(dst, text[:i]...), '\\', text[i])
		text = text[i+1:]
	}
}
