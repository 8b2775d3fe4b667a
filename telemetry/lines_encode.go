package telemetry

import (
	"encoding/binary"
	"slices"
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

// append writes all lines behind dst.
func (w *lineWriter) append(dst []byte) []byte {
	if len(w.cells) == w.tags {
		return dst // no point has a field
	}
	for row, t := range w.group.Times() {
		if cap(dst)-len(dst) < w.most {
			dst = slices.Grow(dst, w.most)
		}
		buf := dst[:cap(dst)]
		tags, at := w.put(buf, len(dst), row)
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

// put writes all cells of row, each with what goes before it. It returns where the tags and where the fields end.
func (w *lineWriter) put(buf []byte, at, row int) (tags, end int) {
	for i := range w.cells {
		c := &w.cells[i]
		if i == w.tags {
			tags = at
		}
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
			at = len(appendQuoted(buf[:at], c.col.text(row)))
		case cellTag:
			at = w.putTag(buf, at, c, row)
		}
	}
	return tags, at
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
