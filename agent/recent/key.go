package recent

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/telemetry"
)

// A key names a set: host, plugin, series, and the tags by their keys, each text behind its length. Its texts are looked at where
// they are, so a set needs no others.
type key string

// appendText appends one text of a key.
func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// next returns the first text of a key, and the rest.
func (k key) next() (string, key) {
	n, head, shift := uint64(0), 0, 0
	for head < len(k) {
		c := k[head]
		n |= uint64(c&0x7f) << shift
		head, shift = head+1, shift+7
		if c < 0x80 {
			break
		}
	}
	end := head + int(n)
	return string(k[head:end]), k[end:]
}

// tag returns the value of a tag, "" when there is none.
func (k key) tag(name string) string {
	for _, rest := k.head(); rest != ""; {
		var have, text string
		have, rest = rest.next()
		text, rest = rest.next()
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
		name, rest = rest.next()
		text, rest = rest.next()
		all[name] = text
	}
	return all
}

// head returns host, plugin and series, and the tags.
func (k key) head() (head [3]string, tags key) {
	for i := range head {
		head[i], k = k.next()
	}
	return head, k
}

// compare orders keys by host, plugin and series as people do, then by their tags somehow.
func (k key) compare(other key) int {
	a, aTags := k.head()
	b, bTags := other.head()
	for i := range a {
		if c := strings.Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return strings.Compare(string(aTags), string(bTags))
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
