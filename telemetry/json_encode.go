package telemetry

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// AppendJSON appends b to dst as one batch in its JSON form, columns, and returns it. Like [Batch.AppendMsgPack] it does not
// look at the limits of a message.
func (b *Batch) AppendJSON(dst []byte) []byte {
	c := clockOf(b.whole())
	dst = append(dst, '[')
	dst = strconv.AppendInt(dst, version, 10)
	dst = strconv.AppendInt(append(dst, ','), c.unit, 10)
	dst = appendJSONInt(append(dst, ','), c.t0)
	dst = appendJSONTags(append(dst, ','), b.shared)
	dst = append(dst, ',')
	dst = appendList(dst, len(b.parts), func(dst []byte, i int) []byte { return b.parts[i].g.appendJSON(dst, c) })
	return append(dst, ']')
}

// appendList appends an array of n elements, each of which element appends.
func appendList(dst []byte, n int, element func(dst []byte, i int) []byte) []byte {
	dst = append(dst, '[')
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = element(dst, i)
	}
	return append(dst, ']')
}

func (g *Group) appendJSON(dst []byte, c clock) []byte {
	dst = appendJSONText(append(dst, '['), cleanName(g.Series))
	dst = appendJSONTags(append(dst, ','), g.shared)
	dst = appendJSONNames(append(dst, ','), g.tags)
	dst = appendJSONNames(append(dst, ','), g.fields)
	dst = append(dst, ',', '"')
	for i := range g.fields {
		dst = append(dst, byte(g.fields[i].typ))
	}
	dst = append(dst, '"', ',', '[')
	dst = strconv.AppendInt(dst, int64(g.n), 10)
	dst = g.appendJSONTimes(append(dst, ','), c)
	for _, cols := range [][]Column{g.tags, g.fields} {
		for i := range cols {
			dst = cols[i].appendJSON(append(dst, ','))
		}
	}
	return append(dst, ']', ']')
}

func (g *Group) appendJSONTimes(dst []byte, c clock) []byte {
	ticks := func(dst []byte, row int) []byte {
		return appendJSONInt(dst, inTicks(g.instant(row)-c.t0*c.unit, c.unit))
	}
	for row := range g.n {
		if g.instant(row) != g.instant(0) {
			return appendList(dst, g.n, ticks)
		}
	}
	return ticks(dst, 0)
}

// appendJSON appends the column in the shortest of its forms.
func (c *Column) appendJSON(dst []byte) []byte {
	cell := func(dst []byte, row int) []byte { return appendJSONValue(dst, c.Value(row)) }
	switch {
	case c.constant():
		return cell(dst, 0)
	case c.absent != nil || c.form != formDict || 2*len(c.texts) > c.n:
		return appendList(dst, c.n, cell)
	}
	dst = appendList(append(dst, '['), len(c.texts), func(dst []byte, i int) []byte { return appendJSONText(dst, c.texts[i]) })
	dst = appendList(append(dst, ','), c.n, func(dst []byte, row int) []byte {
		return strconv.AppendInt(dst, int64(c.index(row)), 10)
	})
	return append(dst, ']')
}

// constant reports whether every row is known to have the value of the first.
func (c *Column) constant() bool {
	switch {
	case c.form == formConst:
		return true
	case c.absent != nil:
		return false
	case c.form == formPacked:
		return same(c.data, int(c.width))
	}
	return c.form == formDict && len(c.texts) == 1
}

func appendJSONTags(dst []byte, tags []Tag) []byte {
	dst = append(dst, '{')
	first := true
	for _, t := range tags {
		if t.Value == "" {
			continue // says nothing
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendJSONText(dst, t.Key)
		dst = appendJSONText(append(dst, ':'), t.Value)
	}
	return append(dst, '}')
}

func appendJSONNames(dst []byte, cols []Column) []byte {
	return appendList(dst, len(cols), func(dst []byte, i int) []byte { return appendJSONText(dst, cols[i].Name) })
}

func appendJSONValue(dst []byte, v Value) []byte {
	switch v.typ {
	case TypeFloat:
		return appendJSONFloat(dst, v.Float())
	case TypeInt:
		return appendJSONInt(dst, v.Int())
	case TypeUint:
		return appendJSONUint(dst, v.Uint())
	case TypeBool:
		return strconv.AppendBool(dst, v.Bool())
	case TypeString:
		return appendJSONText(dst, v.text)
	}
	return append(dst, "null"...)
}

// exactInt is the largest integer up to which every program reads JSON numbers exactly; beyond it they are decimal strings.
const exactInt = 1<<53 - 1

func appendJSONInt(dst []byte, v int64) []byte {
	if v < -exactInt || v > exactInt {
		return append(strconv.AppendInt(append(dst, '"'), v, 10), '"')
	}
	return strconv.AppendInt(dst, v, 10)
}

func appendJSONUint(dst []byte, v uint64) []byte {
	if v > exactInt {
		return append(strconv.AppendUint(append(dst, '"'), v, 10), '"')
	}
	return strconv.AppendUint(dst, v, 10)
}

// appendJSONFloat appends v in the fewest digits that give it back.
func appendJSONFloat(dst []byte, v float64) []byte {
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, v, format, -1, 64)
}

// appendJSONText appends s, which is UTF-8, in quotes.
func appendJSONText(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// AppendPoints appends every point of b to dst as an object on a line of its own, and returns it.
func (b *Batch) AppendPoints(dst []byte) []byte {
	for _, g := range b.groups {
		for row := range g.n {
			dst = g.appendPoint(dst, row)
		}
	}
	return dst
}

func (g *Group) appendPoint(dst []byte, row int) []byte {
	dst = appendJSONText(append(dst, `{"series":`...), cleanName(g.Series))
	dst = append(dst, `,"time":"`...)
	dst = time.Unix(0, g.instant(row)).UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, '"')
	dst = g.appendPointTags(dst, row)
	dst = g.appendPointFields(dst, `,"fields":{`, row, appendJSONValue, func(Value) bool { return true })
	dst = g.appendPointFields(dst, `,"types":{`, row, appendLetter, needsLetter)
	return append(dst, '}', '\n')
}

// needsLetter reports whether the JSON of v does not tell its type.
func needsLetter(v Value) bool { return v.typ == TypeInt || v.typ == TypeUint }

func appendLetter(dst []byte, v Value) []byte { return append(dst, '"', byte(v.typ), '"') }

func (g *Group) appendPointTags(dst []byte, row int) []byte {
	tags := slices.Concat(g.batch, g.shared)
	for i := range g.tags {
		tags = append(tags, Tag{g.tags[i].Name, g.tags[i].Text(row)})
	}
	var near []Tag // each key once, the nearest first
	for _, tag := range slices.Backward(tags) {
		if tag.Value != "" && value(near, tag.Key) == "" {
			near = append(near, tag)
		}
	}
	if len(near) == 0 {
		return dst
	}
	return appendJSONTags(append(dst, `,"tags":`...), near)
}

// appendPointFields appends an object, which opens with open, of the fields that want takes; nothing when there are none.
func (g *Group) appendPointFields(dst []byte, open string, row int, form func([]byte, Value) []byte, want func(Value) bool) []byte {
	some := false
	for i := range g.fields {
		v := g.fields[i].Value(row)
		if !v.Present() || !want(v) {
			continue
		}
		if some {
			dst = append(dst, ',')
		} else {
			dst = append(dst, open...)
		}
		some = true
		dst = appendJSONText(dst, g.fields[i].Name)
		dst = form(append(dst, ':'), v)
	}
	if some {
		dst = append(dst, '}')
	}
	return dst
}
