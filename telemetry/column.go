package telemetry

import (
	"encoding/binary"
	"math"
)

// form is how a column holds its values.
type form uint8

const (
	formConst  form = iota // one value stands for every row
	formPacked             // numbers of width bytes each, little-endian
	formDict               // indices of width bytes each into texts
	formText               // texts, one a row
)

// A Column is one tag or one field of all rows of a group. Columns of a decoded batch look into the message.
type Column struct {
	Name string // the tag's key or the field's name

	typ    Type
	form   form
	width  uint8
	owned  bool   // data is memory of the column, not of the message or the arena
	n      int    // rows
	one    Value  // formConst; no value: absent in every row
	data   []byte // formPacked, formDict
	texts  []string
	absent []bool     // rows without a value; nil: none
	wire   []byte     // the column as it came, while it is unchanged
	dict   dictionary // finds texts while a formDict is being built
}

// Type returns the type of the column's values; a tag is a string.
func (c *Column) Type() Type { return c.typ }

// Len returns the number of rows.
func (c *Column) Len() int { return c.n }

// Const returns the value that every row has. ok is false when rows may differ.
func (c *Column) Const() (v Value, ok bool) { return c.one, c.form == formConst }

// Has reports whether row has a value.
func (c *Column) Has(row int) bool {
	if c.form == formConst {
		return c.one.Present()
	}
	return c.absent == nil || !c.absent[row]
}

// Value returns the value of row; no value when it is absent.
func (c *Column) Value(row int) Value {
	switch {
	case c.form == formConst:
		return c.one
	case !c.Has(row):
		return Value{}
	case c.typ == TypeString:
		return String(c.text(row))
	}
	return Value{typ: c.typ, bits: c.bits(row)}
}

// Float returns the value of row as the nearest float64, NaN when it is absent or text.
func (c *Column) Float(row int) float64 { return c.Value(row).Float() }

// Text returns the text of row, "" when it is absent or a number.
func (c *Column) Text(row int) string {
	switch {
	case c.form == formConst:
		return c.one.text
	case c.typ != TypeString || !c.Has(row):
		return ""
	}
	return c.text(row)
}

// text returns the text of a row of formDict or formText.
func (c *Column) text(row int) string {
	if c.form == formText {
		return c.texts[row]
	}
	return c.texts[c.index(row)]
}

// index returns the dictionary index of row.
func (c *Column) index(row int) int {
	switch c.width {
	case 1:
		return int(c.data[row])
	case 2:
		return int(binary.LittleEndian.Uint16(c.data[2*row:]))
	}
	return int(binary.LittleEndian.Uint32(c.data[4*row:]))
}

// bits returns the number of row as 64 bits of the column's type.
func (c *Column) bits(row int) uint64 {
	switch c.width {
	case 8:
		return binary.LittleEndian.Uint64(c.data[8*row:])
	case 4:
		v := binary.LittleEndian.Uint32(c.data[4*row:])
		switch c.typ {
		case TypeFloat:
			return math.Float64bits(float64(math.Float32frombits(v)))
		case TypeInt:
			return uint64(int32(v))
		}
		return uint64(v)
	case 2:
		v := binary.LittleEndian.Uint16(c.data[2*row:])
		if c.typ == TypeInt {
			return uint64(int16(v))
		}
		return uint64(v)
	}
	v := c.data[row]
	if c.typ == TypeInt {
		return uint64(int8(v))
	}
	return uint64(v)
}

// Floats appends the value of every row as the nearest float64 to buf; NaN where a row has no number.
func (c *Column) Floats(buf []float64) []float64 {
	switch {
	case c.form == formPacked && c.typ == TypeFloat && c.width == 8 && c.absent == nil:
		for d := c.data; len(d) >= 8; d = d[8:] {
			buf = append(buf, math.Float64frombits(binary.LittleEndian.Uint64(d)))
		}
		return buf
	case c.form == formConst:
		v := c.one.Float()
		for range c.n {
			buf = append(buf, v)
		}
		return buf
	}
	for row := range c.n {
		buf = append(buf, c.Float(row))
	}
	return buf
}

// MatchFloats sets mask[row] to ok of the row's value as the nearest float64. A row without a number gets false.
func (c *Column) MatchFloats(mask []bool, ok func(float64) bool) {
	if c.form == formConst {
		fill(mask[:c.n], c.one.typ != TypeString && c.one.Present() && ok(c.one.Float()))
		return
	}
	if c.typ == TypeString {
		fill(mask[:c.n], false)
		return
	}
	for row := range c.n {
		mask[row] = c.Has(row) && ok(Value{typ: c.typ, bits: c.bits(row)}.Float())
	}
}

// MatchText sets mask[row] to ok of the row's text, "" where it is absent. ok is asked once for each distinct text of a
// dictionary, so it may be dear.
func (c *Column) MatchText(mask []bool, ok func(string) bool) {
	switch {
	case c.form == formConst:
		fill(mask[:c.n], ok(c.one.text))
	case c.form == formDict:
		c.matchDict(mask, ok)
	default:
		for row := range c.n {
			mask[row] = ok(c.Text(row))
		}
	}
}

func (c *Column) matchDict(mask []bool, ok func(string) bool) {
	var room [256]bool // the usual dictionary needs no more
	hit := room[:0]
	for _, t := range c.texts {
		hit = append(hit, ok(t))
	}
	if c.width == 1 {
		for row, i := range c.data {
			mask[row] = hit[i]
		}
	} else {
		for row := range c.n {
			mask[row] = hit[c.index(row)]
		}
	}
	if c.absent == nil {
		return
	}
	none := ok("")
	for row, absent := range c.absent {
		if absent {
			mask[row] = none
		}
	}
}

func fill(mask []bool, v bool) {
	for i := range mask {
		mask[i] = v
	}
}

// size estimates the bytes of the encoded column.
func (c *Column) size() int {
	switch c.form {
	case formConst:
		return 9 + len(c.one.text)
	case formPacked:
		return 5 + len(c.data)
	case formDict:
		return 8 + len(c.data) + textSize(c.texts)
	}
	return 5 + textSize(c.texts)
}

func textSize(texts []string) int {
	n := 2 * len(texts)
	for _, t := range texts {
		n += len(t)
	}
	return n
}
