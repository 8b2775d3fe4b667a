package telemetry

import (
	"encoding/binary"
	"math"
	"slices"
)

// A lineSet is a series and the keys of its tags, and every value that each of these tags has had.
type lineSet struct {
	id     uint32
	series string
	keys   []string
	words  []tagWords // one a key
}

// tagWords numbers the values of a tag.
type tagWords struct {
	ids   map[string]uint32
	texts []string
}

// A lineTable is the group that lines of a set with the same fields go to. While it is open it writes straight into the
// memory of the group's columns, which have room for rows ahead; close makes what was written points of the group.
type lineTable struct {
	set    *lineSet
	fields []Field // sorted by name
	sig    string  // of the group, see Batch.Group
	size   *int    // of its decoder: what the decoder remembers

	batch *Batch
	gen   uint64 // of the batch, when the table was open last
	group *Group
	open  bool
	rows  int // of the group and written since
	room  int // rows there is memory for

	stamps []int64
	tags   []tagLane
	cols   []fieldLane
}

// A tagLane is a column of tag values being written.
type tagLane struct {
	col     *Column
	data    []byte
	width   uint8
	foreign bool     // others have added texts to the column
	texts   int      // texts of the column when the table was closed
	index   []uint32 // by number of the value: 1 + its index in the column, 0 when it is not there yet
}

// A fieldLane is a column of field values being written. Texts are appended to the column itself.
type fieldLane struct {
	col   *Column
	data  []byte
	words [][8]byte // data of a column with eight bytes a row
}

// put writes v into row.
func (l *fieldLane) put(row int, v uint64) {
	if row < len(l.words) {
		binary.LittleEndian.PutUint64(l.words[row][:], v)
	} else if row < len(l.data) {
		l.data[row] = byte(v)
	}
}

// use opens t for b. It reports whether b has room for its group.
func (t *lineTable) use(b *Batch) bool {
	g := b.index[t.sig]
	if g == nil || g.begun != g.Series { // none yet, or it has been changed since
		if b.full() {
			return false
		}
		g = b.addGroup(t.sig, t.set.series, t.set.keys, t.fields)
	}
	known := t.group == g && t.batch == b && t.gen == b.gen
	t.batch, t.gen, t.group = b, b.gen, g
	for i := range t.tags {
		lane, c := &t.tags[i], &g.tags[i]
		if !known || len(c.texts) != lane.texts {
			clear(lane.index)
			lane.foreign = len(c.texts) > 0
		}
	}
	t.reopen()
	return true
}

// reopen takes the memory behind the rows of the group's columns to write to.
func (t *lineTable) reopen() {
	g := t.group
	t.open, t.rows = true, g.n
	t.room = cap(g.stamps)
	t.stamps = g.stamps[:t.room]
	for i := range t.tags {
		lane := &t.tags[i]
		lane.col = &g.tags[i]
		lane.width = lane.col.width
		lane.data = nil
		if lane.col.form == formDict {
			lane.data = lane.col.data[:cap(lane.col.data)]
			t.room = min(t.room, len(lane.data)/int(lane.width))
			if lane.full() {
				t.room = t.rows
			}
		}
	}
	for i := range t.cols {
		lane := &t.cols[i]
		lane.col = &g.fields[i]
		lane.data, lane.words = nil, nil
		if lane.col.form == formPacked {
			lane.data = lane.col.data[:cap(lane.col.data)]
			t.room = min(t.room, len(lane.data)/int(lane.col.width))
			if lane.col.width == 8 {
				lane.words = wordsOf(lane.data)
			}
		}
	}
}

// close makes the rows written points of the group.
func (t *lineTable) close() {
	g := t.group
	g.n, g.stamps, t.open = t.rows, t.stamps[:t.rows], false
	for i := range t.tags {
		lane := &t.tags[i]
		lane.texts = len(lane.col.texts)
		lane.col.extend(lane.data, t.rows)
	}
	for i := range t.cols {
		t.cols[i].col.extend(t.cols[i].data, t.rows)
	}
}

// full reports whether the indices must be wider for another text.
func (l *tagLane) full() bool {
	return l.width == 1 && len(l.col.texts) > math.MaxUint8 || l.width == 2 && len(l.col.texts) > math.MaxUint16
}

// grow makes room for more rows, and for more texts of the tags.
func (t *lineTable) grow() {
	t.close()
	for i := range t.tags {
		if lane := &t.tags[i]; lane.full() {
			lane.col.widen(2 * lane.width)
		}
	}
	g, more := t.group, max(16, t.rows)
	g.stamps = slices.Grow(g.stamps, more)
	for _, cols := range [][]Column{g.tags, g.fields} {
		for i := range cols {
			if c := &cols[i]; c.form == formPacked || c.form == formDict {
				c.data = slices.Grow(c.data, more*int(c.width))
			}
		}
	}
	t.reopen()
}

// row adds a point whose fields are in the row already, but for texts.
func (t *lineTable) row(stamp int64, ids []uint32, texts []lineText) {
	row := t.rows
	for i, id := range ids {
		lane := &t.tags[i]
		if int(id) < len(lane.index) && lane.width == 1 && lane.index[id] != 0 {
			lane.data[row] = byte(lane.index[id] - 1)
		} else {
			t.tag(lane, row, id, &t.set.words[i])
		}
	}
	for _, text := range texts {
		t.cols[text.col].col.append(text.value)
	}
	t.stamps[row] = stamp
	t.rows++
}

// A lineText is the text of a field column in the row being added; no value: it is absent.
type lineText struct {
	col   int
	value Value
}

// tag writes the value with number id into row of lane.
func (t *lineTable) tag(lane *tagLane, row int, id uint32, words *tagWords) {
	var at uint32
	if int(id) < len(lane.index) {
		at = lane.index[id]
	}
	if at == 0 {
		if at = t.enter(lane, id, words); at == 0 {
			return
		}
	}
	at--
	switch lane.width {
	case 1:
		lane.data[row] = byte(at)
	case 2:
		binary.LittleEndian.PutUint16(lane.data[2*row:], uint16(at))
	default:
		binary.LittleEndian.PutUint32(lane.data[4*row:], at)
	}
}

// enter puts the value with number id into the column's dictionary and returns 1 + its index. In a column that has given
// its dictionary up it appends the value itself, and returns 0.
func (t *lineTable) enter(lane *tagLane, id uint32, words *tagWords) uint32 {
	c, text := lane.col, words.texts[id]
	if c.form == formText {
		c.appendText(text)
		return 0
	}
	i := len(c.texts)
	if lane.foreign {
		i = c.dict.find(c, text)
	} else {
		c.texts = append(c.texts, text)
	}
	if n := len(words.texts) - len(lane.index); n > 0 {
		lane.index = append(lane.index, make([]uint32, n)...)
		*t.size += 4 * n
	}
	lane.index[id] = uint32(i + 1)
	if lane.full() {
		t.room = t.rows + 1 // the row after this one waits for wider indices
	}
	return uint32(i + 1)
}
