package telemetry

import (
	"slices"
)

// DecodeMsgPack makes b the batch that msg holds, rows or columns. Columns look into msg, which is not to be changed while
// b is in use. On an error b is empty; points and fields that had to be left out are counted by [Batch.Drops].
func (b *Batch) DecodeMsgPack(msg []byte) error {
	b.Reset()
	switch {
	case len(msg) == 0:
		return refuse(CodeEmpty, "no bytes")
	case len(msg) > MaxMessage:
		return refuse(CodeTooLarge, "message")
	}
	r := &b.read
	r.start(msg)
	b.decode(r)
	if r.left() > 0 {
		r.fail(CodeTrailing, "message")
	}
	if r.failed() {
		b.Reset()
	}
	return r.fault
}

func (b *Batch) decode(r *reader) {
	if n := r.array(false, "batch"); n != 5 {
		r.fail(CodeShape, "batch: want 5 elements")
		return
	}
	if v, _ := r.integer("version"); v != version {
		r.fail(CodeVersion, "version")
	}
	d := decoder{reader: r, batch: b}
	d.unit, _ = r.integer("unit")
	if !r.failed() && !slices.Contains(ticks[:], d.unit) {
		r.fail(CodeUnit, "unit: want 1, 1000, 1000000 or 1000000000")
	}
	t0, big := r.wide("t0")
	if big {
		r.fail(CodeShape, "t0: above int64")
	}
	d.t0 = t0
	b.shared = d.tags(b.shared)
	n := r.array(true, "groups")
	if n > MaxGroups {
		r.fail(CodeLimit, "groups")
	}
	for i := 0; i < n && !r.failed(); i++ {
		d.group()
	}
}

// A decoder reads the groups of one message.
type decoder struct {
	*reader
	batch          *Batch
	unit, t0       int64
	points, values int    // of the message so far
	bad            []bool // points of the group to leave out; nil: none
}

// tags reads a map of tags and appends it to dst.
func (d *decoder) tags(dst []Tag) []Tag {
	n := d.mapping("tags")
	if n > MaxTags {
		d.fail(CodeLimit, "tags")
	}
	for i := 0; i < n && !d.failed(); i++ {
		key := d.name("tag key")
		if d.peek() == 0xc0 {
			d.at++
			dst = append(dst, Tag{Key: key})
			continue
		}
		v := d.text("tag value")
		if len(v) > MaxTagValue || control(v) {
			d.fail(CodeTagValue, "tag value")
		}
		dst = append(dst, Tag{key, v})
	}
	d.unique(len(dst), func(i int) string { return dst[i].Key }, "tags")
	return dst
}

func (d *decoder) group() {
	if n := d.array(false, "group"); n != 6 {
		d.fail(CodeShape, "group: want 6 elements")
		return
	}
	g := d.batch.newGroup()
	g.reset()
	g.batch, g.unit, g.t0 = d.batch.shared, d.unit, d.t0
	g.Series = d.name("series")
	g.shared = d.tags(g.shared)
	g.tags = d.names(g.tags, MaxTags, true, "tagkeys")
	g.fields = d.names(g.fields, MaxFields, false, "fields")
	if len(g.fields) == 0 {
		d.fail(CodeShape, "fields: want at least one")
	}
	d.types(g)
	n := d.array(true, "rows")
	d.bad = nil
	switch {
	case d.failed():
		return
	case n > 0 && kindOf(d.peek()) == kindInt:
		d.columns(g, n)
	default:
		d.rows(g, n)
	}
	if !d.failed() {
		d.finish(g)
	}
}

// names reads the names of columns into cols.
func (d *decoder) names(cols []Column, limit int, lenient bool, where string) []Column {
	n := d.array(lenient, where)
	if n > limit {
		d.fail(CodeLimit, where)
		return cols[:0]
	}
	cols = grow(cols, n)
	for i := range cols {
		cols[i].reset()
		cols[i].Name = d.name(where)
		cols[i].typ = TypeString
	}
	d.unique(n, func(i int) string { return cols[i].Name }, where)
	return cols
}

func (d *decoder) types(g *Group) {
	letters := d.text("types")
	if d.failed() {
		return
	}
	if len(letters) != len(g.fields) {
		d.fail(CodeShape, "types: want one letter for each field")
		return
	}
	for i := range g.fields {
		g.fields[i].typ = Type(letters[i])
	}
}

// count adds n points to what the message holds, and fails above the limits.
func (d *decoder) count(g *Group, n int) {
	if n < 0 || n > MaxPoints {
		d.fail(CodeLimit, "points of a group")
		return
	}
	d.points += n
	d.values += n * (len(g.tags) + len(g.fields))
	if d.points > MaxPoints || d.values > MaxCells {
		d.fail(CodeLimit, "points or cells of the batch")
		return
	}
	g.n = n
}

// drop marks a point to be left out, for the first reason found.
func (d *decoder) drop(g *Group, row int, c Code) {
	if d.bad == nil {
		d.bad = slices.Repeat([]bool{false}, g.n)
	}
	if !d.bad[row] {
		d.bad[row] = true
		d.batch.drops.add(c, 1)
	}
}

// finish leaves out what was found bad: fields of a type this version does not know, marked points, points without fields.
func (d *decoder) finish(g *Group) {
	for _, v := range slices.Backward(g.fields) {
		if !v.typ.known() {
			g.fields = dropColumn(g.fields, v.Name)
		}
	}
	if d.bad != nil {
		g.Keep(func(row int) bool { return !d.bad[row] })
	}
	d.batch.drops.add(CodeNoFields, g.dropEmpty())
	if g.n == 0 {
		d.batch.dropLast()
	}
}

func (d *decoder) rows(g *Group, n int) {
	d.count(g, n)
	if d.failed() {
		return
	}
	g.timed = true
	g.stamps = slices.Grow(g.stamps, n)
	for i := range g.tags {
		g.tags[i].start(g.tags[i].Name, TypeString)
	}
	for i := range g.fields {
		g.fields[i].start(g.fields[i].Name, g.fields[i].typ)
	}
	want := 1 + len(g.tags) + len(g.fields)
	for row := 0; row < n && !d.failed(); row++ {
		if got := d.array(false, "row"); got != want {
			d.fail(CodeShape, "row: want a time, each tag and each field")
			return
		}
		d.row(g, row)
	}
}

func (d *decoder) row(g *Group, row int) {
	dt, big := d.wide("row time")
	t, ok := d.time(dt)
	if big || !ok {
		d.drop(g, row, CodeTimeRange)
	}
	g.stamps = append(g.stamps, t)
	for i := range g.tags {
		d.tagCell(g, &g.tags[i], row)
	}
	for i := range g.fields {
		c := &g.fields[i]
		v, drop := d.cell(c.typ, "field value")
		if drop != 0 {
			d.batch.drops.add(drop, 1)
		}
		c.append(v)
	}
}

// tagCell reads one tag value and appends it to c; a bad one drops the point.
func (d *decoder) tagCell(g *Group, c *Column, row int) {
	text, ok := d.tagText()
	if !ok {
		d.drop(g, row, CodeTagValue)
	}
	c.appendText(text)
}

// tagText takes one tag value; ok is false when it is none, and the point is to be left out.
func (r *reader) tagText() (text string, ok bool) {
	switch r.next("tag value") {
	case kindNil:
		r.at++
		return "", true
	case kindStr:
		text = r.text("tag value")
		if len(text) <= MaxTagValue && !control(text) {
			return text, true
		}
	default:
		r.skip(maxUnknownDeep, "tag value")
	}
	return "", r.failed() // after a fault no point is counted
}

// time returns t0 + dt in nanoseconds; ok is false when that is outside int64.
func (d *decoder) time(dt int64) (ns int64, ok bool) {
	t := d.t0 + dt
	if (t > d.t0) != (dt > 0) && dt != 0 {
		return 0, false
	}
	ns = t * d.unit
	return ns, ns/d.unit == t
}
