package telemetry

import (
	"encoding/binary"
	"math"
	"slices"
)

func (d *decoder) columns(g *Group, columns int) {
	if columns != 2+len(g.tags)+len(g.fields) {
		d.fail(CodeShape, "columns: want n, the times, each tag and each field")
		return
	}
	n, big := d.integer("number of points")
	if big {
		n = math.MaxInt64
	}
	d.count(g, int(n))
	if d.failed() {
		return
	}
	d.times(g)
	for i := range g.tags {
		c := &g.tags[i]
		from := d.at
		if d.tagColumn(g, c); !d.failed() {
			d.checkTag(g, c)
			c.wire = d.buf[from:d.at:d.at]
		}
	}
	for i := range g.fields {
		c := &g.fields[i]
		from, before := d.at, d.batch.drops
		if d.column(g, c); !d.failed() && d.batch.drops == before {
			c.wire = d.buf[from:d.at:d.at]
		}
	}
}

// times reads the column of times. It stays as it came unless a time is outside int64.
func (d *decoder) times(g *Group) {
	c := &g.dt
	c.typ = TypeInt
	c.n = g.n
	from := d.at
	switch d.next("times") {
	case kindArray:
		d.timeCells(g)
		return
	case kindBin:
		d.packed(c)
	default:
		v, big := d.wide("times")
		if c.one = Int(v); big {
			c.one = Value{}
		}
	}
	if d.failed() {
		return
	}
	c.wire = d.buf[from:d.at:d.at]
	if !d.inRange(c) {
		d.lateTimes(g)
	}
}

// timeCells reads times given one by one.
func (d *decoder) timeCells(g *Group) {
	if n := d.array(false, "times"); n != g.n {
		d.fail(CodeShape, "times: want one for each point")
		return
	}
	g.timed = true
	for row := 0; row < g.n && !d.failed(); row++ {
		dt, big := d.wide("times")
		t, ok := d.time(dt)
		if big || !ok {
			d.drop(g, row, CodeTimeRange)
		}
		g.stamps = append(g.stamps, t)
	}
}

// inRange reports whether every time of c, and the base itself, is within int64 nanoseconds.
func (d *decoder) inRange(c *Column) bool {
	if v, same := c.Const(); same && !v.Present() {
		return false
	}
	low, high := c.bounds()
	_, first := d.time(low)
	_, last := d.time(high)
	return first && last
}

// bounds returns two integers between which 0 and all of an int column lie. They are not always the nearest.
func (c *Column) bounds() (low, high int64) {
	switch v, same := c.Const(); {
	case same:
		return min(0, v.Int()), max(0, v.Int())
	case c.width < 8:
		high = 1 << (8*c.width - 1)
		return -high, high
	}
	for row := range c.n {
		v := int64(c.bits(row))
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

// lateTimes turns the times into nanoseconds one by one, because some are outside int64: those points are dropped.
func (d *decoder) lateTimes(g *Group) {
	g.timed = true
	for row := range g.n {
		v := g.dt.Value(row)
		t, ok := d.time(v.Int())
		if !ok || !v.Present() {
			d.drop(g, row, CodeTimeRange)
		}
		g.stamps = append(g.stamps, t)
	}
}

// column reads one column of g.n values in any of its forms.
func (d *decoder) column(g *Group, c *Column) {
	c.n = g.n
	k := d.next("column")
	switch {
	case d.failed():
	case !c.typ.known():
		d.unknown(g, k)
	case k == kindBin:
		d.packed(c)
	case k == kindArray:
		d.cells(c)
	default:
		v, drop := d.cell(c.typ, "column")
		if drop != 0 {
			d.batch.drops.add(drop, g.n)
		}
		c.form, c.one = formConst, v
	}
}

// tagColumn reads one column of g.n tag values in any of its forms.
func (d *decoder) tagColumn(g *Group, c *Column) {
	c.n = g.n
	switch k := d.next("tag column"); {
	case d.failed():
	case k == kindArray:
		d.tagCells(g, c)
	case k == kindBin:
		d.fail(CodeShape, "tag column: want text")
	default:
		text, ok := d.tagText()
		c.one = String(text)
		for row := range g.n {
			if !ok {
				d.drop(g, row, CodeTagValue)
			}
		}
	}
}

// tagCells reads tag values given as an array: one a point, or a dictionary and indices.
func (d *decoder) tagCells(g *Group, c *Column) {
	n := d.array(false, "tag column")
	if !d.failed() && n == 2 && kindOf(d.peek()) == kindArray {
		d.dictionary(c)
		return
	}
	if n != g.n {
		d.fail(CodeShape, "tag column: want one value for each point")
		return
	}
	c.start(c.Name, TypeString)
	c.form = formText // as they came: looking for repeats would cost more than it saves
	for row := 0; row < n && !d.failed(); row++ {
		d.tagCell(g, c, row)
	}
}

// unknown skips a column of a reserved type.
func (d *decoder) unknown(g *Group, k kind) {
	if k == kindNil {
		d.at++
		return
	}
	d.skip(maxUnknownDeep, "column of a reserved type")
	d.batch.drops.add(CodeUnknownType, g.n)
}

// packed reads a column of numbers of one width.
func (d *decoder) packed(c *Column) {
	data := d.bin("column")
	width := widthOf(data, c.n)
	switch {
	case d.failed():
		return
	case c.n == 0 && len(data) == 0:
		width = 1
	case !widthAllowed(c.typ, width):
		d.fail(CodeShape, "column: want n numbers of an allowed width")
		return
	case c.typ == TypeBool && !bools(data):
		d.fail(CodeShape, "column: want bools of 0 or 1")
		return
	}
	c.form, c.width, c.data = formPacked, uint8(width), data
	if c.typ == TypeFloat && !finite(data, width) {
		d.dropNonFinite(c)
	}
}

// widthOf returns how many bytes of data each of n numbers has, 0 when they do not share it evenly.
func widthOf(data []byte, n int) int {
	if n == 0 || len(data)%n != 0 {
		return 0
	}
	return len(data) / n
}

func widthAllowed(typ Type, width int) bool {
	switch typ {
	case TypeFloat:
		return width == 8 || width == 4
	case TypeInt, TypeUint:
		return width == 1 || width == 2 || width == 4 || width == 8
	case TypeBool:
		return width == 1
	}
	return false
}

// bools reports whether every byte is 0 or 1.
func bools(data []byte) bool {
	var all byte
	for _, b := range data {
		all |= b
	}
	return all <= 1
}

// finite reports whether no float of data is NaN or an infinity: adding one to an exponent of all ones carries over.
func finite(data []byte, width int) bool {
	var carry uint64
	if width == 8 {
		for ; len(data) >= 32; data = data[32:] {
			carry |= binary.LittleEndian.Uint64(data)&exponentMask + exponentUnit
			carry |= binary.LittleEndian.Uint64(data[8:])&exponentMask + exponentUnit
			carry |= binary.LittleEndian.Uint64(data[16:])&exponentMask + exponentUnit
			carry |= binary.LittleEndian.Uint64(data[24:])&exponentMask + exponentUnit
		}
		for ; len(data) >= 8; data = data[8:] {
			carry |= binary.LittleEndian.Uint64(data)&exponentMask + exponentUnit
		}
		return carry>>63 == 0
	}
	for ; len(data) >= 4; data = data[4:] {
		carry |= uint64(binary.LittleEndian.Uint32(data)&0x7f800000 + 0x00800000)
	}
	return carry>>31 == 0
}

// dropNonFinite makes the rows absent whose float is NaN or an infinity.
func (d *decoder) dropNonFinite(c *Column) {
	c.absent = slices.Repeat([]bool{false}, c.n)
	for row := range c.absent {
		if nonFinite(c.bits(row)) {
			c.absent[row] = true
			d.batch.drops.add(CodeNaN, 1)
		}
	}
}

// cells reads a column given as an array: one value a row, or a dictionary and indices.
func (d *decoder) cells(c *Column) {
	n := d.array(false, "column")
	if d.failed() {
		return
	}
	if n == 2 && c.typ == TypeString && kindOf(d.peek()) == kindArray {
		if d.dictionary(c); !d.failed() {
			d.dropTooLong(c)
		}
		return
	}
	if n != c.n {
		d.fail(CodeShape, "column: want one value for each point")
		return
	}
	c.start(c.Name, c.typ)
	if c.typ == TypeString {
		c.form = formText
	}
	for i := 0; i < n && !d.failed(); i++ {
		v, drop := d.cell(c.typ, "column")
		if drop != 0 {
			d.batch.drops.add(drop, 1)
		}
		c.append(v)
	}
}

// dictionary reads the distinct texts and the indices of a column.
func (d *decoder) dictionary(c *Column) {
	n := d.array(false, "dictionary")
	if n > MaxPoints {
		d.fail(CodeLimit, "dictionary")
	}
	c.texts = c.texts[:0]
	for i := 0; i < n && !d.failed(); i++ {
		c.texts = append(c.texts, d.text("dictionary"))
	}
	k := d.next("dictionary indices")
	switch {
	case d.failed():
		return
	case k == kindBin:
		d.indices(c)
	case k == kindArray:
		d.indexCells(c)
	default:
		d.fail(CodeShape, "dictionary: want texts and indices")
	}
}

func (d *decoder) indices(c *Column) {
	data := d.bin("dictionary indices")
	width := widthOf(data, c.n)
	switch {
	case d.failed():
		return
	case c.n == 0 && len(data) == 0:
		width = 1
	case width != 1 && width != 2 && width != 4:
		d.fail(CodeShape, "dictionary: want n indices of 1, 2 or 4 bytes")
		return
	}
	c.form, c.width, c.data = formDict, uint8(width), data
	if c.n > 0 && c.highest() >= len(c.texts) {
		d.fail(CodeIndex, "dictionary: index outside")
	}
}

// dropTooLong makes the rows absent whose text is longer than a field may be.
func (d *decoder) dropTooLong(c *Column) {
	if !slices.ContainsFunc(c.texts, func(t string) bool { return len(t) > MaxText }) {
		return
	}
	c.absent = slices.Repeat([]bool{false}, c.n)
	for row := range c.absent {
		if len(c.text(row)) > MaxText {
			c.absent[row] = true
			d.batch.drops.add(CodeTooLong, 1)
		}
	}
}

// highest returns the highest index of a dictionary column.
func (c *Column) highest() int {
	if c.width == 1 {
		var top byte
		for _, i := range c.data {
			top = max(top, i)
		}
		return int(top)
	}
	top := 0
	for row := range c.n {
		top = max(top, c.index(row))
	}
	return top
}

func (d *decoder) indexCells(c *Column) {
	if n := d.array(false, "dictionary indices"); n != c.n {
		d.fail(CodeShape, "dictionary: want an index for each point")
		return
	}
	c.form, c.width, c.data, c.owned = formDict, 4, c.data[:0], true
	for i := 0; i < c.n && !d.failed(); i++ {
		v, big := d.integer("dictionary indices")
		if big || v < 0 || v >= int64(len(c.texts)) {
			d.fail(CodeIndex, "dictionary: index outside")
			return
		}
		c.data = binary.LittleEndian.AppendUint32(c.data, uint32(v))
	}
}

// checkTag drops the points whose tag is not a clean text of a fitting length.
func (d *decoder) checkTag(g *Group, c *Column) {
	clean := true
	bad := func(t string) bool { return len(t) > MaxTagValue || control(t) }
	if v, same := c.Const(); same {
		clean = !bad(v.text)
	}
	for _, t := range c.texts {
		clean = clean && !bad(t)
	}
	if clean {
		return
	}
	for row := range c.n {
		if bad(c.Text(row)) {
			d.drop(g, row, CodeTagValue)
		}
	}
}
