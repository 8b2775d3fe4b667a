package telemetry

import (
	"encoding/binary"
	"math"
)

// SignFields makes the unsigned fields of g signed, for sinks that know no others. It returns how many values were too
// large: they are MaxInt64 now.
func (g *Group) SignFields() (cut int) {
	for i := range g.fields {
		if c := &g.fields[i]; c.typ == TypeUint {
			g.begun = ""
			cut += c.sign(g.home.alloc)
		}
	}
	return cut
}

// sign makes c a column of signed integers. Its numbers get the full width, because half of each narrow one would be
// negative; the memory comes from alloc.
func (c *Column) sign(alloc func(int) []byte) (cut int) {
	limit := func(v uint64) uint64 {
		if v > math.MaxInt64 {
			cut++
		}
		return min(v, math.MaxInt64)
	}
	c.wire = nil
	if c.form == formConst {
		if c.one.Present() {
			c.one = Int(int64(limit(c.one.bits)))
		}
		cut *= c.n
	} else {
		wide := c.data[:0]
		if !c.owned || c.width != 8 {
			wide, c.owned = alloc(8 * c.n)[:0], false
		}
		for row := range c.n {
			wide = binary.LittleEndian.AppendUint64(wide, limit(c.bits(row)))
		}
		c.data, c.width = wide, 8
	}
	c.typ = TypeInt
	return cut
}
