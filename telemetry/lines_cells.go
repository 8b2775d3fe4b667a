package telemetry

import (
	"encoding/binary"
	"slices"
)

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
	if c.form != formDict || c.absent != nil || len(c.texts) > w.group.n {
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
	case c.form == formDict && len(c.texts) <= w.group.n:
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
