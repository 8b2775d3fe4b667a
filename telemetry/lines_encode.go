package telemetry

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
)

// AppendLines appends every point of b to dst as a line of line protocol, with its time in ns, and returns it. Tags are
// sorted by key, nearer wins; where nobody says host, it is that of b.
//
// What line protocol cannot say is written as near to it as can be: backslashes at the end of a name or a tag value are left
// out, and a # at the start of a series becomes _, because the line would be a comment.
func (b *Batch) AppendLines(dst []byte) []byte {
	for _, g := range b.groups {
		if g.n > 0 {
			b.writer.start(g, b.host)
			dst = b.writer.append(dst)
		}
	}
	return dst
}

// A lineWriter writes the points of a group as lines. Whatever is the same on several lines it puts together before.
type lineWriter struct {
	group *Group
	ready []byte     // text that is made once
	spans []lineSpan // of ready: for each dictionary, the text for each of its values
	cells []lineCell
	tags  int // how many of the cells are before the fields
	most  int // bytes a line has at most
	keys  []string
	time  timeWriter
}

// A lineSpan is a piece of ready.
type lineSpan struct{ from, to int }

// cellKind says how the text of a cell is made.
type cellKind uint8

const (
	cellFixed cellKind = iota // the same on every line
	cellDict                  // made before for each value of the dictionary
	cellTag                   // an own text on each line
	cellText                  // the same in quotes
	cellNumber
)

// A lineCell is one tag or field on all lines.
type lineCell struct {
	kind   cellKind
	col    *Column
	before lineSpan // what stands before the value; cellFixed: all of it
	spans  []lineSpan
	outer  string // cellTag: what it is on lines that do not say
}

// start prepares the writing of g.
func (w *lineWriter) start(g *Group, host string) {
	w.group = g
	w.ready, w.spans, w.cells = w.ready[:0], w.spans[:0], w.cells[:0]
	w.most = 2*longestNumber + 2 // the time, and what numbers may write too much
	w.startTags(host)
	w.tags = len(w.cells)
	for i := range g.fields {
		w.startField(&g.fields[i])
	}
}

// startTags prepares the series and its tags.
func (w *lineWriter) startTags(host string) {
	g := w.group
	from := len(w.ready)
	w.ready = appendSeries(w.ready, g.Series)
	for _, key := range w.tagKeys(host) {
		tag := g.Tag(key)
		if key == "host" && tag.outer == "" {
			tag.outer = host
		}
		if text, same := tag.Const(); same {
			w.ready = appendTag(w.ready, key, text)
			continue
		}
		w.tagCell(key, tag, w.since(from))
		from = len(w.ready)
	}
	w.cells = append(w.cells, lineCell{before: w.since(from)})
}

// since returns what was added to ready since it had the length from, and counts it for the length of a line.
func (w *lineWriter) since(from int) lineSpan {
	w.most += len(w.ready) - from
	return lineSpan{from, len(w.ready)}
}

// tagKeys returns the keys of all tags of the group, sorted.
func (w *lineWriter) tagKeys(host string) []string {
	g := w.group
	keys := w.keys[:0]
	for _, tags := range [2][]Tag{g.batch, g.shared} {
		for _, t := range tags {
			keys = append(keys, t.Key)
		}
	}
	for i := range g.tags {
		keys = append(keys, g.tags[i].Name)
	}
	if host != "" {
		keys = append(keys, "host")
	}
	slices.Sort(keys)
	w.keys = slices.Compact(keys)
	return w.keys
}

// tagCell adds the cell of a tag that differs from line to line, with the text before it.
func (w *lineWriter) tagCell(key string, tag TagView, before lineSpan) {
	c := tag.col
	w.most += 2*(longest(c.texts)+len(tag.outer)+len(key)) + 2
	if c.form != formDict || c.absent != nil {
		from := len(w.ready)
		w.ready = appendKey(w.ready, key)
		w.cells = append(w.cells, lineCell{before: before})
		w.cells = append(w.cells, lineCell{kind: cellTag, col: c, before: w.since(from), outer: tag.outer})
		return
	}
	w.dictCell(c, func(dst []byte, text string) []byte {
		dst = append(dst, dst[before.from:before.to]...)
		return appendTag(dst, key, tag.or(text))
	})
}

// dictCell adds a cell of the texts that made makes of the texts of c.
func (w *lineWriter) dictCell(c *Column, made func(dst []byte, text string) []byte) {
	first := len(w.spans)
	for _, text := range c.texts {
		from := len(w.ready)
		w.ready = made(w.ready, text)
		w.spans = append(w.spans, lineSpan{from, len(w.ready)})
	}
	w.cells = append(w.cells, lineCell{kind: cellDict, col: c, spans: w.spans[first:]})
}

func longest(texts []string) int {
	n := 0
	for _, t := range texts {
		n = max(n, len(t))
	}
	return n
}

// startField adds the cell of a field.
func (w *lineWriter) startField(c *Column) {
	from := len(w.ready)
	w.ready = appendKey(w.ready, c.Name)
	name := w.since(from)
	switch {
	case c.form == formConst:
		if c.one.Present() {
			w.ready = appendFieldValue(w.ready, c.one)
			w.cells = append(w.cells, lineCell{before: w.since(from)})
		}
	case c.form == formPacked:
		w.most += longestNumber
		w.cells = append(w.cells, lineCell{kind: cellNumber, col: c, before: name})
	case c.form == formDict:
		w.most += 2*longest(c.texts) + 2
		w.dictCell(c, func(dst []byte, text string) []byte {
			return appendQuoted(append(dst, dst[name.from:name.to]...), text)
		})
	default:
		w.most += 2*longest(c.texts) + 2
		w.cells = append(w.cells, lineCell{kind: cellText, col: c, before: name})
	}
}

// append writes all lines behind dst.
func (w *lineWriter) append(dst []byte) []byte {
	times := w.group.Times()
	for row, t := range times[:w.group.n] {
		dst = slices.Grow(dst, w.most)
		at := len(dst)
		buf := dst[:cap(dst)]
		for i := range w.cells[:w.tags] {
			at = w.cell(buf, at, &w.cells[i], row)
		}
		tags := at
		for i := range w.cells[w.tags:] {
			at = w.cell(buf, at, &w.cells[w.tags+i], row)
		}
		if at == tags {
			continue // no field is left of the point
		}
		buf[tags] = ' ' // for the comma of the first field
		buf[at] = ' '
		at = w.time.put(buf, at+1, t)
		buf[at] = '\n'
		dst = buf[:at+1]
	}
	return dst
}

// cell writes the value that c has in row, with what goes before it.
func (w *lineWriter) cell(buf []byte, at int, c *lineCell, row int) int {
	switch c.kind {
	case cellFixed:
		return at + copy(buf[at:], w.ready[c.before.from:c.before.to])
	case cellTag:
		text := c.col.Text(row)
		if text == "" {
			text = c.outer
		}
		if text = encodable(text); text == "" {
			return at
		}
		at += copy(buf[at:], w.ready[c.before.from:c.before.to])
		return len(appendEscaped(buf[:at], text, isKeySpecial))
	}
	if c.col.absent != nil && c.col.absent[row] {
		return at
	}
	if c.kind == cellDict {
		s := c.spans[c.col.index(row)]
		return at + copy(buf[at:], w.ready[s.from:s.to])
	}
	at += copy(buf[at:], w.ready[c.before.from:c.before.to])
	if c.kind == cellText {
		return len(appendQuoted(buf[:at], c.col.texts[row]))
	}
	return putValue(buf, at, c.col.typ, c.col.bits(row))
}

// putValue writes a number or a bool as the value of a field.
func putValue(buf []byte, at int, typ Type, bits uint64) int {
	switch typ {
	case TypeFloat:
		return putFloat(buf, at, math.Float64frombits(bits))
	case TypeInt:
		at = putInt(buf, at, int64(bits))
		buf[at] = 'i'
		return at + 1
	case TypeUint:
		at = putUint(buf, at, bits)
		buf[at] = 'u'
		return at + 1
	}
	return len(strconv.AppendBool(buf[:at], bits != 0))
}

// A timeWriter writes times. The digits that change seldom are kept.
type timeWriter struct {
	high uint64   // the time without its last eight digits
	text [16]byte // the same in decimal
	n    int
}

// put writes ns.
func (w *timeWriter) put(buf []byte, at int, ns int64) int {
	if ns < 0 {
		return putInt(buf, at, ns)
	}
	high := uint64(ns) / 1e8
	if high == 0 {
		return putUint(buf, at, uint64(ns))
	}
	if high != w.high || w.n == 0 {
		var text [longestNumber]byte
		w.high, w.n = high, putUint(text[:], 0, high)
		copy(w.text[:], text[:])
	}
	copy(buf[at:at+16], w.text[:])
	at += w.n
	binary.LittleEndian.PutUint64(buf[at:], digits(uint64(ns)%1e8)|ascii)
	return at + 8
}

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

// appendEscaped appends text with a backslash before what is special.
func appendEscaped(dst []byte, text string, special func(byte) bool) []byte {
	for i := 0; i < len(text); i++ {
		if special(text[i]) {
			dst = append(dst, '\\')
		}
		dst = append(dst, text[i])
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

// appendFieldValue appends the value of a field.
func appendFieldValue(dst []byte, v Value) []byte {
	if v.typ == TypeString {
		return appendQuoted(dst, v.text)
	}
	at := len(dst)
	dst = slices.Grow(dst, longestNumber)
	return dst[:putValue(dst[:cap(dst)], at, v.typ, v.bits)]
}
