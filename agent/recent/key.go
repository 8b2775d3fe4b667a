package recent

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/telemetry"
)

// A key names a set: host, plugin, series, and the tags by their keys. Each text ends with textEnd, and a NUL within one is
// escaped, so the order of the bytes is that of the texts, and what begins alike stands together. Its texts are looked at where
// they are, so a set needs no others.
type key string

const (
	textEnd = "\x00\x01"
	nul     = "\x00\xff" // escaped
)

// longestKey is in bytes: a place in a list is a key, and has to fit into a URL.
const longestKey = 4096

// appendText appends one text of a key.
func appendText(dst []byte, text string) []byte {
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", nul)
	}
	return append(append(dst, text...), textEnd...)
}

// next returns the first text of a key, and the rest; ok is false when there is none.
func (k key) next() (text string, rest key, ok bool) {
	for i := 0; ; i += len(nul) {
		n := strings.IndexByte(string(k[i:]), 0)
		if i += n; n < 0 || i+1 == len(k) {
			return "", "", false
		}
		switch k[i : i+2] {
		case textEnd:
			text = string(k[:i])
			if strings.Contains(text, nul) {
				text = strings.ReplaceAll(text, nul, "\x00")
			}
			return text, k[i+2:], true
		case nul:
		default:
			return "", "", false
		}
	}
}

// tag returns the value of a tag, "" when there is none.
func (k key) tag(name string) string {
	for _, rest := k.head(); rest != ""; {
		var have, text string
		have, rest, _ = rest.next()
		text, rest, _ = rest.next()
		if have == name {
			return text
		}
	}
	return ""
}

// tags returns all tags.
func (k key) tags() map[string]string {
	_, rest := k.head()
	if rest == "" {
		return nil
	}
	all := map[string]string{}
	for rest != "" {
		var name, text string
		name, rest, _ = rest.next()
		text, rest, _ = rest.next()
		all[name] = text
	}
	return all
}

// head returns host, plugin and series, and the tags.
func (k key) head() (head [3]string, tags key) {
	for i := range head {
		head[i], k, _ = k.next()
	}
	return head, k
}

// A place is where a list goes on: at the set with this key or else the next one, behind a field of it; "" is before all fields.
type place struct {
	key   key
	field string
}

// id returns a place as a text for URLs.
func (p place) id() string {
	return base64.RawURLEncoding.EncodeToString(append([]byte(p.key), p.field...))
}

// placeOf returns the place of an id; ok is false when it is none.
func placeOf(id string) (p place, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		return place{}, false
	}
	texts, rest := 0, key(b)
	for {
		_, behind, more := rest.next()
		if !more {
			break
		}
		texts, rest = texts+1, behind
	}
	return place{key(b[:len(b)-len(rest)]), string(rest)}, texts >= 3 && texts%2 == 1 && rest != ""
}

// A seeker makes the keys of a group's points, in memory that it uses again.
type seeker struct {
	same  bool // all points of the group have the same tags
	host  string
	names []string
	views []telemetry.TagView
	buf   []byte
	fixed int // bytes of buf that all points have
}

func (s *seeker) begin(g *telemetry.Group, host, plugin string) {
	s.host, s.same = host, true
	s.names = g.TagKeys(s.names[:0])
	slices.Sort(s.names)
	s.views = s.views[:0]
	for _, name := range s.names {
		view := g.Tag(name)
		if _, one := view.Const(); !one {
			s.same = false
		}
		s.views = append(s.views, view)
	}
	s.buf = appendText(s.buf[:0], host)
	s.buf = appendText(s.buf, plugin)
	s.buf = appendText(s.buf, g.Series)
	s.fixed = len(s.buf)
}

// key returns the key of a point; the next call uses its memory again.
func (s *seeker) key(row int) []byte {
	s.buf = s.buf[:s.fixed]
	for i, name := range s.names {
		text := s.views[i].At(row)
		if text == "" || name == "host" && text == s.host {
			continue // says nothing, or what the subject says
		}
		s.buf = appendText(s.buf, name)
		s.buf = appendText(s.buf, text)
	}
	return s.buf
}
