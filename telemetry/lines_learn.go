package telemetry

import (
	"encoding/binary"
	"strings"
)

// add adds the point that was scanned from the line at at, and remembers the shape of the line.
func (d *LineDecoder) add(at int) {
	s := &d.scan
	shape := d.shape(at)
	t := shape.body.table
	if !t.open && !d.use(t) {
		d.batch.drops.add(CodeLimit, 1)
		return
	}
	if t.rows == t.room {
		t.grow()
	}
	some := false
	d.texts = d.texts[:0]
	for i := range s.fields {
		f, col := &s.fields[i], shape.body.keys[i].col
		some = some || f.value.Present()
		switch f.typ {
		case TypeString:
			d.texts = append(d.texts, lineText{col, f.value})
		default:
			t.cols[col].put(t.rows, f.value.bits)
		}
		if f.drop != 0 {
			d.batch.drops.add(f.drop, 1)
		}
	}
	if !some {
		d.batch.drops.add(CodeNoFields, 1)
		return
	}
	stamp := d.arrival
	if s.timed {
		stamp = s.stamp
	}
	t.row(stamp, shape.ids, d.texts)
	d.leaveOut(shape.body)
	d.follow(shape)
}

// leaveOut takes the values away that the line just added lacks.
func (d *LineDecoder) leaveOut(body *lineBody) {
	t := body.table
	for i := range d.scan.fields {
		if f := &d.scan.fields[i]; f.drop != 0 && f.typ != TypeString {
			t.close()
			t.cols[body.keys[i].col].col.leaveOut(t.rows - 1)
			t.reopen()
		}
	}
}

// shape returns the shape of the scanned line, a new one if need be.
func (d *LineDecoder) shape(at int) *lineShape {
	if d.shapes == nil {
		d.sets, d.tables = make(map[string]*lineSet), make(map[string]*lineTable)
		d.bodies, d.shapes = make(map[string]*lineBody), make(map[string]*lineShape)
	}
	if d.size > maxLineMemory {
		d.forget()
	}
	set := d.set()
	body := d.body(set)
	head := d.text[at:min(d.scan.head, len(d.text))]
	first, others := d.shapes[string(head)], 0
	for s := first; s != nil; s = s.other {
		if s.body == body {
			return s
		}
		others++
	}
	s := &lineShape{body: body, ids: make([]uint32, len(d.scan.tags))}
	for i, tag := range d.scan.tags {
		s.ids[i] = d.number(&set.words[i], tag.Value)
	}
	d.size += 160 + len(head) + 4*len(s.ids)
	switch {
	case first == nil:
		s.head = string(head)
	case others < maxOthers:
		s.head, s.other, first.other = first.head, first.other, s
		return s
	default: // too many to look through: the search begins anew
		s.head = first.head
	}
	if len(head) <= maxHead {
		d.shapes[s.head] = s
	}
	return s
}

// number returns the number of a tag's value.
func (d *LineDecoder) number(w *tagWords, value string) uint32 {
	id, known := w.ids[value]
	if !known {
		value = strings.Clone(value)
		id = uint32(len(w.texts))
		w.ids[value] = id
		w.texts = append(w.texts, value)
		d.size += 80 + len(value)
	}
	return id
}

// set returns the set of the scanned line.
func (d *LineDecoder) set() *lineSet {
	key := append(d.key[:0], d.scan.series...)
	for _, tag := range d.scan.tags {
		key = append(append(key, 0), tag.Key...)
	}
	d.key = key
	if set := d.sets[string(key)]; set != nil {
		return set
	}
	set := &lineSet{series: strings.Clone(d.scan.series), words: make([]tagWords, len(d.scan.tags)), id: uint32(len(d.sets))}
	for i, tag := range d.scan.tags {
		set.keys = append(set.keys, strings.Clone(tag.Key))
		set.words[i].ids = make(map[string]uint32)
	}
	d.sets[string(key)] = set
	d.size += 200 + 2*len(key) + 120*len(set.keys)
	return set
}

// body returns the body of the scanned line, which is of set.
func (d *LineDecoder) body(set *lineSet) *lineBody {
	key := binary.LittleEndian.AppendUint32(d.key[:0], set.id)
	for i := range d.scan.fields {
		f := &d.scan.fields[i]
		key = append(append(key, byte(f.typ)), f.raw...)
		key = append(key, 0)
	}
	d.key = key
	if body := d.bodies[string(key)]; body != nil {
		return body
	}
	body := &lineBody{keys: make([]lineKey, len(d.scan.fields))}
	d.bodies[string(key)] = body
	d.size += 100 + 2*len(key) + 100*len(body.keys)
	body.table = d.table(set)
	for col, i := range d.scan.order {
		body.keys[i] = newLineKey(&d.scan.fields[i], i > 0, col)
	}
	return body
}

func newLineKey(f *lineField, comma bool, col int) lineKey {
	text := f.raw + "="
	if comma {
		text = "," + text
	}
	k := lineKey{text: strings.Clone(text), n: len(text), typ: f.typ, col: col}
	var head [16]byte
	n := copy(head[:], text)
	k.lo, k.hi = binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(head[8:])
	k.loM = 1<<uint(8*min(n, 8)) - 1
	k.hiM = 1<<uint(8*max(n-8, 0)) - 1
	return k
}

// table returns the table of set with the fields of the scanned line.
func (d *LineDecoder) table(set *lineSet) *lineTable {
	key := binary.LittleEndian.AppendUint32(d.key[:0], set.id)
	for _, i := range d.scan.order {
		f := &d.scan.fields[i]
		key = append(append(key, byte(f.typ)), f.name...)
		key = append(key, 0)
	}
	d.key = key
	if t := d.tables[string(key)]; t != nil {
		return t
	}
	t := &lineTable{set: set, size: &d.size, tags: make([]tagLane, len(set.keys)), cols: make([]fieldLane, len(d.scan.order))}
	for _, i := range d.scan.order {
		t.fields = append(t.fields, Field{strings.Clone(d.scan.fields[i].name), d.scan.fields[i].typ})
	}
	t.sig = string(d.batch.signature(set.series, set.keys, t.fields))
	d.tables[string(key)] = t
	d.size += 200 + 2*len(key) + 100*len(t.cols)
	return t
}
