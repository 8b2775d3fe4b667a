package collectd

import (
	"strings"

	"github.com/pacewire/pacewire/internal/decode/report"
)

// A scanner takes a line apart at its blanks. Within quotes a blank is a letter, and so is what stands behind a backslash.
type scanner struct{ rest string }

// next returns the next field; ok is false at the end of the line.
func (s *scanner) next() (field string, ok bool, err error) {
	s.rest = strings.TrimLeft(s.rest, blanks)
	if s.rest == "" {
		return "", false, nil
	}
	var text []byte
	quoted := false
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && i+1 < len(s.rest):
			i++
			text = append(text, s.rest[i])
		case strings.IndexByte(blanks, c) >= 0 && !quoted:
			s.rest = s.rest[i:]
			return string(text), true, nil
		default:
			text = append(text, c)
		}
	}
	if quoted {
		return "", false, faultf(report.Syntax, "%.40q: a quote is missing", s.rest)
	}
	s.rest = ""
	return string(text), true, nil
}

const blanks = " \t\r\n\v\f"

// option returns a field that is key=value as those.
func option(field string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(field, "=")
	word := strings.ContainsFunc(key, func(c rune) bool {
		return c != '_' && c != ':' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
	return key, value, ok && key != "" && !word
}

// An identifier names a value, or what a notification is about.
type identifier struct{ host, plugin, instance, typ, typeInstance string }

// parseIdentifier reads host/plugin[-instance]/type[-instance]. The instance of a type may have slashes in it.
func parseIdentifier(text string) (id identifier, err error) {
	parts := strings.SplitN(text, "/", 3)
	if len(parts) == 3 {
		id.host = parts[0]
		id.plugin, id.instance, _ = strings.Cut(parts[1], "-")
		id.typ, id.typeInstance, _ = strings.Cut(parts[2], "-")
	}
	if id.host == "" || id.plugin == "" || id.typ == "" {
		return id, faultf(report.Syntax, "identifier %.80q: want host/plugin/type, with -instance behind plugin and type", text)
	}
	return id, nil
}

// String returns the identifier without its host.
func (id identifier) String() string {
	join := func(a, separator, b string) string {
		if a == "" || b == "" {
			return a + b
		}
		return a + separator + b
	}
	return join(join(id.plugin, "-", id.instance), "/", join(id.typ, "-", id.typeInstance))
}
