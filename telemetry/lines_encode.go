package telemetry

import (
	"encoding/binary"
	"slices"
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
	group  *Group
	made   []byte // text that is made once
	cells  []lineCell
	tags   int // how many of the cells are before the fields
	most   int // bytes a line has at most
	keys   []string
	spans  []lineSpan
	wide   []byte     // numbers that came with less than eight bytes
	parts  []lineCell // dictionaries that were joined
	joint  []uint16   // the indices of those they became
	time   timeWriter
	digits *numerals
}

// A lineSpan is a piece of made.
type lineSpan struct{ from, to uint32 }

// cellKind says how the text of a cell is made.
type cellKind uint8

const (
	cellFixed cellKind = iota // the same on every line
	cellDict                  // made before for each value of the dictionary
	cellJoint                 // made for each combination of dictionaries when it occurs first
	cellFloat
	cellInt
	cellUint
	cellTag  // an own text on each line
	cellText // the same in quotes
)

// A lineCell is one tag or field on all lines.
type lineCell struct {
	kind   cellKind
	width  uint8      // cellDict: bytes an index
	before lineSpan   // what stands before the value; cellFixed: all of it
	n      int        // the length of that
	lo, hi uint64     // the first 16 bytes of it
	words  [][8]byte  // numbers
	index  []byte     // cellDict
	spans  []lineSpan // cellDict
	joint  []uint16   // cellJoint: which combination
	parts  []lineCell // cellJoint: the dictionaries
	absent []bool     // of a field: lines that do not have it
	col    *Column
	name   lineSpan // cellTag: what stands before it if there is one
	outer  string   // cellTag: what it is on lines that do not say
}

// start prepares the writing of g.
func (w *lineWriter) start(g *Group, host string) {
	w.group, w.digits = g, theNumerals()
	w.made, w.spans, w.cells, w.wide, w.parts = w.made[:0], w.spans[:0], w.cells[:0], w.wide[:0], w.parts[:0]
	w.joint = w.joint[:0]
	w.most = 2*longestNumber + 2 // the time, and what is written too much
	w.startTags(host)
	w.joinTags()
	w.tags = len(w.cells)
	for i := range g.fields {
		w.startField(&g.fields[i])
	}
	w.pad()
	for i := range w.cells {
		c := &w.cells[i]
		c.n = int(c.before.to - c.before.from)
		c.lo, c.hi = word(w.made, int(c.before.from)), word(w.made, int(c.before.from)+8)
	}
}

// startTags prepares the series and its tags.
func (w *lineWriter) startTags(host string) {
	g := w.group
	from := len(w.made)
	w.made = appendSeries(w.made, g.Series)
	for _, key := range w.tagKeys(host) {
		tag := g.Tag(key)
		if key == "host" && tag.outer == "" {
			tag.outer = host
		}
		if text, same := tag.Const(); same {
			w.made = appendTag(w.made, key, text)
			continue
		}
		w.tagCell(key, tag, w.since(from))
		from = len(w.made)
	}
	w.cells = append(w.cells, lineCell{before: w.since(from)})
}

// since returns what was added to made since it had the length from, and counts it for the length of a line.
func (w *lineWriter) since(from int) lineSpan {
	w.most += len(w.made) - from
	return lineSpan{uint32(from), uint32(len(w.made))}
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
		from := len(w.made)
		w.made = appendKey(w.made, key)
		w.cells = append(w.cells, lineCell{before: before})
		w.cells = append(w.cells, lineCell{kind: cellTag, col: c, name: w.since(from), outer: tag.outer})
		return
	}
	w.dictCell(c, c.texts, func(dst []byte, text string) []byte {
		dst = append(dst, dst[before.from:before.to]...)
		return appendTag(dst, key, tag.or(text))
	})
}

// boolNames are what the values of a bool column are called.
var boolNames = [2]string{"false", "true"}

// dictCell adds a cell of what form makes of the texts that the indices of c stand for.
func (w *lineWriter) dictCell(c *Column, texts []string, form func(dst []byte, text string) []byte) {
	first := len(w.spans)
	for _, text := range texts {
		from := len(w.made)
		w.made = form(w.made, text)
		w.spans = append(w.spans, lineSpan{uint32(from), uint32(len(w.made))})
	}
	w.cells = append(w.cells, lineCell{kind: cellDict, width: c.width, absent: c.absent, index: c.data, spans: w.spans[first:]})
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
	from := len(w.made)
	w.made = appendKey(w.made, c.Name)
	name := w.since(from)
	switch {
	case c.form == formConst:
		if c.one.Present() {
			w.made = w.digits.appendValue(w.made, c.one)
			w.since(from)
			w.cells = append(w.cells, lineCell{before: lineSpan{uint32(from), uint32(len(w.made))}})
		}
	case c.typ == TypeBool: // a dictionary of two
		w.most += len("false")
		w.dictCell(c, boolNames[:], func(dst []byte, text string) []byte {
			return append(append(dst, dst[name.from:name.to]...), text...)
		})
	case c.form == formPacked:
		w.most += longestNumber
		w.cells = append(w.cells, lineCell{kind: cellKinds[c.typ], absent: c.absent, before: name, words: w.words(c)})
	case c.form == formDict:
		w.most += 2*longest(c.texts) + 2
		w.dictCell(c, c.texts, func(dst []byte, text string) []byte {
			return appendQuoted(append(dst, dst[name.from:name.to]...), text)
		})
	default:
		w.most += 2*longest(c.texts) + 2
		w.cells = append(w.cells, lineCell{kind: cellText, absent: c.absent, before: name, col: c})
	}
}

// cellKinds are the kinds of numbers by type.
var cellKinds = [256]cellKind{TypeFloat: cellFloat, TypeInt: cellInt, TypeUint: cellUint}

// words returns the numbers of c with eight bytes each.
func (w *lineWriter) words(c *Column) [][8]byte {
	data := c.data
	if c.width < 8 {
		from := len(w.wide)
		for row := range c.n {
			w.wide = binary.LittleEndian.AppendUint64(w.wide, c.bits(row))
		}
		data = w.wide[from:]
	}
	return wordsOf(data)
}

// append writes all lines behind dst.
func (w *lineWriter) append(dst []byte) []byte {
	for row, t := range w.group.Times() {
		if cap(dst)-len(dst) < w.most {
			dst = slices.Grow(dst, w.most)
		}
		buf := dst[:cap(dst)]
		tags := w.put(buf, len(dst), w.cells[:w.tags], row)
		at := w.put(buf, tags, w.cells[w.tags:], row)
		if at == tags {
			continue // no field is left of the point
		}
		buf[tags] = ' ' // for the comma of the first field
		buf[at] = ' '
		at = w.time.put(w.digits, buf, at+1, t)
		buf[at] = '\n'
		dst = buf[:at+1]
	}
	return dst
}

// put writes the values that cells have in row, each with what goes before it.
func (w *lineWriter) put(buf []byte, at int, cells []lineCell, row int) int {
	for i := range cells {
		c := &cells[i]
		if c.absent != nil && c.absent[row] {
			continue
		}
		putWord(buf, at, c.lo)
		putWord(buf, at+8, c.hi)
		if c.n > 16 {
			copy(buf[at:], w.made[c.before.from:c.before.to])
		}
		at += c.n
		switch c.kind {
		case cellFloat:
			at = w.digits.putFloat(buf, at, binary.LittleEndian.Uint64(c.words[row][:]))
		case cellInt:
			at = w.digits.putInt(buf, at, int64(binary.LittleEndian.Uint64(c.words[row][:])))
			buf[at] = 'i'
			at++
		case cellJoint:
			s := c.spans[c.joint[row]]
			if s.to == 0 {
				s = w.join(c, row)
			}
			at = w.putSpan(buf, at, s)
		case cellDict:
			at = w.putSpan(buf, at, c.spans[c.indexAt(row)])
		case cellUint:
			at = w.digits.putUint(buf, at, binary.LittleEndian.Uint64(c.words[row][:]))
			buf[at] = 'u'
			at++
		case cellText:
			at = len(appendQuoted(buf[:at], c.col.texts[row]))
		case cellTag:
			at = w.putTag(buf, at, c, row)
		}
	}
	return at
}

// indexAt returns the index of row in the dictionary.
func (c *lineCell) indexAt(row int) int {
	switch c.width {
	case 1:
		return int(c.index[row])
	case 2:
		return int(c.index[2*row]) | int(c.index[2*row+1])<<8
	}
	return int(binary.LittleEndian.Uint32(c.index[4*row:]))
}

// putSpan writes the piece s of made, sixteen bytes at a time.
func (w *lineWriter) putSpan(buf []byte, at int, s lineSpan) int {
	from, n := int(s.from), int(s.to-s.from)
	for i := 0; i < n; i += 16 {
		putWord(buf, at+i, word(w.made, from+i))
		putWord(buf, at+i+8, word(w.made, from+i+8))
	}
	return at + n
}

// A timeWriter writes times. The digits that change seldom are kept.
type timeWriter struct {
	high   uint64 // the time without its last eight digits
	lo, hi uint64 // the same in decimal
	n      int
}

// put writes ns.
func (w *timeWriter) put(t *numerals, buf []byte, at int, ns int64) int {
	if ns < 1e8 {
		return t.putInt(buf, at, ns)
	}
	high := uint64(ns) / 1e8
	if high != w.high {
		var text [longestNumber]byte
		w.high, w.n = high, t.putUint(text[:], 0, high)
		w.lo, w.hi = word(text[:], 0), word(text[:], 8)
	}
	putWord(buf, at, w.lo)
	putWord(buf, at+8, w.hi)
	at += w.n
	putWord(buf, at, t.digits(uint64(ns)-high*1e8)|ascii)
	return at + 8
}

// putTag writes a tag that has an own text on each line.
func (w *lineWriter) putTag(buf []byte, at int, c *lineCell, row int) int {
	text := c.col.Text(row)
	if text == "" {
		text = c.outer
	}
	if text = encodable(text); text == "" {
		return at
	}
	at += copy(buf[at:], w.made[c.name.from:c.name.to])
	return len(appendEscaped(buf[:at], text, isKeySpecial))
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

// appendValue appends the value of a field.
func (t *numerals) appendValue(dst []byte, v Value) []byte {
	if v.typ == TypeString {
		return appendQuoted(dst, v.text)
	}
	at := len(dst)
	dst = slices.Grow(dst, longestNumber)
	buf := dst[:cap(dst)]
	switch v.typ {
	case TypeFloat:
		at = t.putFloat(buf, at, v.bits)
	case TypeInt:
		at = t.putInt(buf, at, int64(v.bits))
	case TypeUint:
		at = t.putUint(buf, at, v.bits)
	default:
		return append(dst[:at], boolNames[v.bits&1]...)
	}
	if v.typ != TypeFloat {
		buf[at] = byte(v.typ)
		at++
	}
	return buf[:at]
}
