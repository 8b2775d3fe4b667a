package telemetry

import (
	"encoding/binary"
	"math"
	"slices"
)

// ticks are the units of a time on the wire, in ns, coarsest first: the coarser the tick, the shorter the times.
var ticks = [...]int64{1e9, 1e6, 1e3, 1}

// AppendMsgPack appends b to dst as one batch of the wire, and returns it. It does not look at the limits of a message:
// [Batch.Frames] does.
func (b *Batch) AppendMsgPack(dst []byte) []byte {
	return b.appendParts(dst, b.whole())
}

// whole returns all of b as the parts of one message.
func (b *Batch) whole() []part {
	b.settle()
	b.parts = b.parts[:0]
	for _, g := range b.groups {
		if g.n > 0 {
			b.parts = append(b.parts, part{g, 0, g.n})
		}
	}
	return b.parts
}

// A part is the rows from to to, excluded, of a group.
type part struct {
	g        *Group
	from, to int
}

// appendParts appends one batch of the wire that holds parts.
func (b *Batch) appendParts(dst []byte, parts []part) []byte {
	c := clockOf(parts)
	dst = append(dst, 0x95, version)
	dst = appendInt(dst, c.unit)
	dst = appendInt(dst, c.t0)
	dst = appendTags(dst, b.shared)
	dst = appendArray(dst, len(parts))
	for _, p := range parts {
		dst = p.g.appendMsgPack(dst, c, p.from, p.to)
	}
	return dst
}

// A clock is the unit and the base of the times of one message.
type clock struct {
	unit int64 // ns a tick
	t0   int64 // ticks
	kept bool  // every group came with just this unit and base
}

// clockOf returns the clock that parts came with, if they came with one; else the coarsest unit that loses nothing.
func clockOf(parts []part) clock {
	if len(parts) == 0 {
		return clock{unit: 1000}
	}
	if c := parts[0].g.clock(); c.kept {
		for _, p := range parts {
			c.kept = c.kept && p.g.clock() == c
		}
		if c.kept {
			return c
		}
	}
	unit, low, high := ticks[0], int64(math.MaxInt64), int64(math.MinInt64)
	for _, p := range parts {
		times := p.g.Times()[p.from:p.to]
		unit = dividing(times, unit)
		for _, t := range times {
			low, high = min(low, t), max(high, t)
		}
	}
	if low > high || high-low < 0 { // no times, or so far apart that a difference would not fit
		low = 0
	}
	return clock{unit: unit, t0: low / unit}
}

// clock returns the clock g came with, if its times are still as they came.
func (g *Group) clock() clock { return clock{unit: g.unit, t0: g.t0, kept: !g.timed} }

// dividing returns the coarsest unit, not above unit, that divides all times. The divisors are constants because a
// division by a variable costs more than all the rest of a time.
func dividing(times []int64, unit int64) int64 {
	for _, t := range times {
		if unit == 1e9 && t%1e9 != 0 {
			unit = 1e6
		}
		if unit == 1e6 && t%1e6 != 0 {
			unit = 1e3
		}
		if unit == 1e3 && t%1e3 != 0 {
			return 1
		}
	}
	return unit
}

// inTicks returns ns, which unit divides, in units.
func inTicks(ns, unit int64) int64 {
	switch unit {
	case 1e3:
		return ns / 1e3
	case 1e6:
		return ns / 1e6
	case 1e9:
		return ns / 1e9
	}
	return ns
}

// appendMsgPack appends the rows from to to of g as one group of columns.
func (g *Group) appendMsgPack(dst []byte, c clock, from, to int) []byte {
	dst = append(dst, 0x96)
	dst = appendString(dst, cleanName(g.Series))
	dst = appendTags(dst, g.shared)
	dst = appendNames(dst, g.tags)
	dst = appendNames(dst, g.fields)
	dst = appendStringHead(dst, len(g.fields))
	for i := range g.fields {
		dst = append(dst, byte(g.fields[i].typ))
	}
	dst = appendArray(dst, 2+len(g.tags)+len(g.fields))
	dst = appendInt(dst, int64(to-from))
	dst = g.appendTimes(dst, c, from, to)
	for i := range g.tags {
		dst = g.tags[i].appendMsgPack(dst, from, to)
	}
	for i := range g.fields {
		dst = g.fields[i].appendMsgPack(dst, from, to)
	}
	return dst
}

func (g *Group) appendTimes(dst []byte, c clock, from, to int) []byte {
	if c.kept && !g.timed {
		return g.dt.appendMsgPack(dst, from, to)
	}
	times := g.Times()[from:to]
	if len(times) == 0 {
		return append(dst, 0)
	}
	base := c.t0 * c.unit
	low, high := times[0], times[0]
	for _, t := range times {
		low, high = min(low, t), max(high, t)
	}
	low, high = inTicks(low-base, c.unit), inTicks(high-base, c.unit)
	if low == high {
		return appendInt(dst, low)
	}
	width := intWidth(low, high)
	dst = appendBinHead(dst, len(times)*width)
	if width == 4 {
		return appendTicks32(dst, times, base, c.unit)
	}
	for _, t := range times {
		dst = appendLow(dst, uint64(inTicks(t-base, c.unit)), width)
	}
	return dst
}

// appendTicks32 appends times as 4 bytes each, which is what those of one message usually take.
func appendTicks32(dst []byte, times []int64, base, unit int64) []byte {
	from := len(dst)
	dst = slices.Grow(dst, 4*len(times))[:from+4*len(times)]
	out := dst[from:]
	if unit == 1 {
		for i, t := range times {
			binary.LittleEndian.PutUint32(out[4*i:], uint32(t-base))
		}
		return dst
	}
	for i, t := range times {
		binary.LittleEndian.PutUint32(out[4*i:], uint32(inTicks(t-base, unit)))
	}
	return dst
}

// appendMsgPack appends rows from to to in the shortest of the forms of a column.
func (c *Column) appendMsgPack(dst []byte, from, to int) []byte {
	switch {
	case c.wire != nil && from == 0 && to == c.n:
		return append(dst, c.wire...)
	case c.form == formConst:
		return appendValue(dst, c.one)
	case c.absent != nil:
		return c.appendCells(dst, from, to)
	case from == to:
		return append(dst, 0xc0)
	case c.form == formText:
		return c.appendCells(dst, from, to)
	case c.form == formDict:
		return c.appendDict(dst, from, to)
	}
	return c.appendPacked(dst, from, to)
}

// appendCells appends one value a row, nil where there is none.
func (c *Column) appendCells(dst []byte, from, to int) []byte {
	dst = appendArray(dst, to-from)
	for row := from; row < to; row++ {
		dst = appendValue(dst, c.Value(row))
	}
	return dst
}

// appendDict appends the distinct texts and the indices; one text alone as a constant, many as they are.
func (c *Column) appendDict(dst []byte, from, to int) []byte {
	w := int(c.width)
	switch {
	case len(c.texts) == 1:
		return appendString(dst, c.texts[0])
	case 2*len(c.texts) > to-from:
		return c.appendCells(dst, from, to)
	}
	dst = append(dst, 0x92)
	dst = appendArray(dst, len(c.texts))
	for _, t := range c.texts {
		dst = appendString(dst, t)
	}
	dst = appendBinHead(dst, (to-from)*w)
	return append(dst, c.data[from*w:to*w]...)
}

// appendPacked appends numbers with the narrowest width that holds them all, one alone as a constant.
func (c *Column) appendPacked(dst []byte, from, to int) []byte {
	w := int(c.width)
	data := c.data[from*w : to*w]
	if same(data, w) {
		return appendValue(dst, Value{typ: c.typ, bits: c.bits(from)})
	}
	if w < 8 {
		return append(appendBinHead(dst, len(data)), data...)
	}
	width := 8
	switch c.typ {
	case TypeInt:
		width = signedWidth(data)
	case TypeUint:
		width = unsignedWidth(data)
	case TypeFloat:
		if singles(data) {
			return appendSingles(dst, data)
		}
	}
	dst = appendBinHead(dst, (to-from)*width)
	if width == 8 {
		return append(dst, data...)
	}
	return appendNarrow(dst, data, width)
}

// appendNarrow appends the low width bytes, fewer than 8, of each of the 8-byte numbers in data.
func appendNarrow(dst, data []byte, width int) []byte {
	n, from := len(data)/8, len(dst)
	dst = slices.Grow(dst, n*width)[:from+n*width]
	out := dst[from:]
	switch width {
	case 1:
		for i := range out {
			out[i] = data[8*i]
		}
	case 2:
		for i := range n {
			binary.LittleEndian.PutUint16(out[2*i:], binary.LittleEndian.Uint16(data[8*i:]))
		}
	default:
		for i := range n {
			binary.LittleEndian.PutUint32(out[4*i:], binary.LittleEndian.Uint32(data[8*i:]))
		}
	}
	return dst
}

// same reports whether all numbers of width w in data are the first.
func same(data []byte, w int) bool {
	if w == 8 {
		first := binary.LittleEndian.Uint64(data)
		for d := data[8:]; len(d) >= 8; d = d[8:] {
			if binary.LittleEndian.Uint64(d) != first {
				return false
			}
		}
		return true
	}
	for i := w; i < len(data); i++ {
		if data[i] != data[i-w] {
			return false
		}
	}
	return true
}

func signedWidth(data []byte) int {
	low, high := int64(math.MaxInt64), int64(math.MinInt64)
	for ; len(data) >= 8; data = data[8:] {
		v := int64(binary.LittleEndian.Uint64(data))
		low, high = min(low, v), max(high, v)
	}
	return intWidth(low, high)
}

func intWidth(low, high int64) int {
	switch {
	case low >= math.MinInt8 && high <= math.MaxInt8:
		return 1
	case low >= math.MinInt16 && high <= math.MaxInt16:
		return 2
	case low >= math.MinInt32 && high <= math.MaxInt32:
		return 4
	}
	return 8
}

func unsignedWidth(data []byte) int {
	var all uint64
	for ; len(data) >= 8; data = data[8:] {
		all |= binary.LittleEndian.Uint64(data)
	}
	switch {
	case all <= math.MaxUint8:
		return 1
	case all <= math.MaxUint16:
		return 2
	case all <= math.MaxUint32:
		return 4
	}
	return 8
}

// singles reports whether every float64 of data is a float32 exactly.
func singles(data []byte) bool {
	for ; len(data) >= 8; data = data[8:] {
		v := math.Float64frombits(binary.LittleEndian.Uint64(data))
		if float64(float32(v)) != v {
			return false
		}
	}
	return true
}

func appendSingles(dst, data []byte) []byte {
	dst = appendBinHead(dst, len(data)/2)
	for ; len(data) >= 8; data = data[8:] {
		v := math.Float64frombits(binary.LittleEndian.Uint64(data))
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v)))
	}
	return dst
}

// appendLow appends the low width bytes of v.
func appendLow(dst []byte, v uint64, width int) []byte {
	switch width {
	case 1:
		return append(dst, byte(v))
	case 2:
		return binary.LittleEndian.AppendUint16(dst, uint16(v))
	case 4:
		return binary.LittleEndian.AppendUint32(dst, uint32(v))
	}
	return binary.LittleEndian.AppendUint64(dst, v)
}

func appendTags(dst []byte, tags []Tag) []byte {
	if len(tags) < 16 {
		dst = append(dst, 0x80|byte(len(tags)))
	} else {
		dst = binary.BigEndian.AppendUint16(append(dst, 0xde), uint16(len(tags)))
	}
	for _, t := range tags {
		dst = appendString(dst, t.Key)
		dst = appendString(dst, t.Value)
	}
	return dst
}

func appendNames(dst []byte, cols []Column) []byte {
	dst = appendArray(dst, len(cols))
	for i := range cols {
		dst = appendString(dst, cols[i].Name)
	}
	return dst
}

func appendValue(dst []byte, v Value) []byte {
	switch v.typ {
	case TypeFloat:
		return binary.BigEndian.AppendUint64(append(dst, 0xcb), v.bits)
	case TypeInt:
		return appendInt(dst, int64(v.bits))
	case TypeUint:
		return appendUint(dst, v.bits)
	case TypeBool:
		return append(dst, 0xc2|byte(v.bits))
	case TypeString:
		return appendString(dst, v.text)
	}
	return append(dst, 0xc0)
}

func appendInt(dst []byte, v int64) []byte {
	switch {
	case v >= 0:
		return appendUint(dst, uint64(v))
	case v >= -32:
		return append(dst, byte(v))
	case v >= math.MinInt8:
		return append(dst, 0xd0, byte(v))
	case v >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(v))
}

func appendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(dst, byte(v))
	case v <= math.MaxUint8:
		return append(dst, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), v)
}

func appendArray(dst []byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, 0x90|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xdc), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xdd), uint32(n))
}

func appendString(dst []byte, s string) []byte { return append(appendStringHead(dst, len(s)), s...) }

func appendStringHead(dst []byte, n int) []byte {
	switch {
	case n < 32:
		return append(dst, 0xa0|byte(n))
	case n <= math.MaxUint8:
		return append(dst, 0xd9, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
}

func appendBinHead(dst []byte, n int) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(dst, 0xc4, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xc5), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xc6), uint32(n))
}
