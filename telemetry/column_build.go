package telemetry

import (
	"encoding/binary"
	"math"
	"slices"
)

// start makes c an empty column that append fills.
func (c *Column) start(name string, typ Type) {
	c.reset()
	c.Name, c.typ, c.owned = name, typ, true
	switch typ {
	case TypeString:
		c.form, c.width = formDict, 1
	case TypeBool:
		c.form, c.width = formPacked, 1
	default:
		c.form, c.width = formPacked, 8
	}
}

// reset empties c and keeps what memory is its own.
func (c *Column) reset() {
	data := c.data[:0]
	if !c.owned {
		data = nil
	}
	clear(c.texts) // lets the messages they look into go
	c.dict.reset()
	*c = Column{data: data, owned: data != nil, texts: c.texts[:0], dict: c.dict}
}

// append adds v, which is of the column's type or no value, as the value of the next row.
func (c *Column) append(v Value) {
	if !v.Present() {
		c.appendAbsent()
		return
	}
	if c.typ == TypeString {
		c.appendText(v.text)
		return
	}
	c.appendBits(v.bits)
}

// appendBits adds a number of the column's type.
func (c *Column) appendBits(bits uint64) {
	if c.width == 8 {
		c.data = binary.LittleEndian.AppendUint64(c.data, bits)
	} else {
		c.data = append(c.data, byte(bits))
	}
	c.present()
}

// present counts a row that has a value.
func (c *Column) present() {
	if c.absent != nil {
		c.absent = append(c.absent, false)
	}
	c.n++
}

// appendAbsent adds a row without a value.
func (c *Column) appendAbsent() {
	if c.absent == nil {
		c.absent = make([]bool, c.n, c.n+16)
	}
	switch {
	case c.form == formText:
		c.texts = append(c.texts, "")
	case c.form == formDict:
		c.appendIndex(c.dict.find(c, "")) // any index does; the empty text is never read
	default:
		c.data = append(c.data, make([]byte, c.width)...)
	}
	c.absent = append(c.absent, true)
	c.n++
}

// appendText adds t, which the caller does not change afterwards.
func (c *Column) appendText(t string) {
	if c.form == formText {
		c.texts = append(c.texts, t)
		c.present()
		return
	}
	c.appendIndex(c.dict.find(c, t))
	c.present()
	if len(c.texts) >= plainFrom && 2*len(c.texts) > c.n {
		c.spread()
	}
}

// plainFrom is the number of distinct texts from which a column whose texts hardly repeat gives its dictionary up.
const plainFrom = 512

// spread turns a dictionary into one text a row.
func (c *Column) spread() {
	texts := make([]string, c.n, 2*c.n)
	for row := range texts {
		texts[row] = c.texts[c.index(row)]
	}
	c.texts, c.form, c.data = texts, formText, c.data[:0]
	c.dict.reset()
}

// appendIndex adds the dictionary index i, widening the indices when the dictionary has outgrown them.
func (c *Column) appendIndex(i int) {
	if c.width == 1 && i > math.MaxUint8 {
		c.widen(2)
	}
	if c.width == 2 && i > math.MaxUint16 {
		c.widen(4)
	}
	switch c.width {
	case 1:
		c.data = append(c.data, byte(i))
	case 2:
		c.data = binary.LittleEndian.AppendUint16(c.data, uint16(i))
	default:
		c.data = binary.LittleEndian.AppendUint32(c.data, uint32(i))
	}
}

// widen rewrites the indices with width bytes each, from the last one on: so each is read before it is written over.
func (c *Column) widen(width uint8) {
	rows, w := len(c.data)/int(c.width), int(width)
	c.data = slices.Grow(c.data, rows*(w-int(c.width)))[:rows*w]
	for row := rows - 1; row >= 0; row-- {
		i := c.index(row)
		if width == 2 {
			binary.LittleEndian.PutUint16(c.data[2*row:], uint16(i))
		} else {
			binary.LittleEndian.PutUint32(c.data[4*row:], uint32(i))
		}
	}
	c.width = width
}

// extend makes the rows up to n, which were written to data, memory of the column, rows of it.
func (c *Column) extend(data []byte, n int) {
	if data != nil {
		c.data = data[:n*int(c.width)]
	}
	if c.absent != nil {
		c.absent = append(c.absent, make([]bool, n-len(c.absent))...)
	}
	c.n = n
}

// leaveOut takes the value of row away.
func (c *Column) leaveOut(row int) {
	if c.absent == nil {
		c.absent = make([]bool, c.n)
	}
	c.absent[row] = true
}

// truncate takes the rows from n on away again: a reader found the row it was adding to be bad.
func (c *Column) truncate(n int) {
	if c.n <= n {
		return
	}
	c.n = n
	if c.absent != nil {
		c.absent = c.absent[:n]
	}
	switch c.form {
	case formText:
		c.texts = c.texts[:n]
	case formPacked, formDict:
		c.data = c.data[:n*int(c.width)]
	}
}

// keep keeps the rows of runs. Memory that is not the column's own comes from alloc.
func (c *Column) keep(runs []run, kept int, alloc func(int) []byte) {
	c.n, c.wire = kept, nil
	if c.form == formConst {
		return
	}
	if c.absent != nil {
		c.absent = moveRuns(c.absent, c.absent, runs, 1)
	}
	if c.form == formText {
		c.texts = moveRuns(c.texts, c.texts, runs, 1)
		return
	}
	to := c.data
	if !c.owned {
		to = alloc(kept * int(c.width))
	}
	c.data = moveRuns(to, c.data, runs, int(c.width))
}

// run is a stretch of rows, to excluded.
type run struct{ from, to int }

// moveRuns copies the runs of from, in order, to the start of to, which may be the same memory.
func moveRuns[T any](to, from []T, runs []run, width int) []T {
	n := 0
	for _, r := range runs {
		n += copy(to[n:cap(to)][:(r.to-r.from)*width], from[r.from*width:r.to*width])
	}
	return to[:n]
}

// A dictionary finds the index of a text among the distinct texts of a column. Telemetry repeats itself: the text that
// followed the last one the time before is asked first, and a map only where the guess fails.
type dictionary struct {
	at   map[string]uint32
	next []uint32 // next[i] is the text that came after text i the last time
	last uint32
}

func (d *dictionary) reset() {
	clear(d.at)
	d.next, d.last = d.next[:0], 0
}

// find returns the index of t in c.texts, where it puts t when it is new.
func (d *dictionary) find(c *Column, t string) int {
	if len(d.next) > 0 {
		if guess := d.next[d.last]; c.texts[guess] == t {
			d.last = guess
			return int(guess)
		}
	}
	return d.search(c, t)
}

// small is the number of texts up to which a plain search beats the map.
const small = 8

func (d *dictionary) search(c *Column, t string) int {
	if len(d.next) < len(c.texts) {
		d.catchUp(c)
	}
	i, ok := d.lookup(c, t)
	if !ok {
		i = uint32(len(c.texts))
		c.texts = append(c.texts, t)
		d.next = append(d.next, 0)
		d.enter(c, i)
	}
	if len(d.next) > 1 {
		d.next[d.last] = i
	}
	d.last = i
	return int(i)
}

func (d *dictionary) lookup(c *Column, t string) (uint32, bool) {
	if len(c.texts) > small {
		i, ok := d.at[t]
		return i, ok
	}
	for i, s := range c.texts {
		if s == t {
			return uint32(i), true
		}
	}
	return 0, false
}

// catchUp takes in the texts that were put into c without it.
func (d *dictionary) catchUp(c *Column) {
	from := len(d.next)
	d.next = append(d.next, make([]uint32, len(c.texts)-from)...)
	if from <= small {
		from = 0
	}
	if d.at == nil {
		d.at = make(map[string]uint32, 64)
	}
	if len(c.texts) > small {
		for i, s := range c.texts[from:] {
			d.at[s] = uint32(from + i)
		}
	}
}

// enter notes text i in the map, once the plain search has become too long.
func (d *dictionary) enter(c *Column, i uint32) {
	if len(c.texts) <= small {
		return
	}
	if d.at == nil {
		d.at = make(map[string]uint32, 64)
	}
	if len(c.texts) == small+1 {
		for j, s := range c.texts {
			d.at[s] = uint32(j)
		}
		return
	}
	d.at[c.texts[i]] = i
}
