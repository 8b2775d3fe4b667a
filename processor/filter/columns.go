package filter

import (
	"math"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// kind is where an operand comes from.
type kind uint8

const (
	kindSeries kind = iota
	kindTag
	kindField
	kindTime
	kindValue // a constant of the expression
)

// An operand is a side of a comparison that is read, not computed.
type operand struct {
	kind  kind
	name  string          // of a tag or a field
	value telemetry.Value // of a constant
}

// textTest asks about the text of the series, a tag or a field. Where texts repeat it is asked once for each.
type textTest struct {
	of operand
	ok func(text string) bool
}

func (t textTest) narrow(s *scan, mask []bool) verdict {
	switch t.of.kind {
	case kindSeries:
		return always(t.ok(s.group.Series))
	case kindTag:
		return t.narrowTag(s, s.group.Tag(t.of.name), mask)
	}
	c := s.group.Field(t.of.name)
	if c == nil || c.Type() != telemetry.TypeString {
		return none
	}
	if v, same := c.Const(); same {
		return always(v.Present() && t.ok(v.Text()))
	}
	found := s.lend(len(mask))
	defer s.giveBack()
	c.MatchText(found, t.ok)
	intersect(mask, found)
	onlyPresent(c, mask)
	return some
}

func (t textTest) narrowTag(s *scan, tag telemetry.TagView, mask []bool) verdict {
	if text, same := tag.Const(); same {
		return always(t.ok(text))
	}
	found := s.lend(len(mask))
	defer s.giveBack()
	tag.Match(found, t.ok)
	intersect(mask, found)
	return some
}

// onlyPresent takes the rows out of mask that have no value.
func onlyPresent(c *telemetry.Column, mask []bool) {
	if c.Full() {
		return
	}
	for row := range mask {
		mask[row] = mask[row] && c.Has(row)
	}
}

// numberTest compares a field with a constant number.
type numberTest struct {
	field               string
	ints, uints, floats span // what the comparison means for a column of the type
}

func newNumberTest(field, op string, c telemetry.Value) *numberTest {
	return &numberTest{
		field:  field,
		ints:   spanOf(telemetry.TypeInt, op, c),
		uints:  spanOf(telemetry.TypeUint, op, c),
		floats: spanOf(telemetry.TypeFloat, op, c),
	}
}

// span returns what the comparison means for numbers of typ. ok is false when typ has none.
func (t *numberTest) span(typ telemetry.Type) (s span, ok bool) {
	switch typ {
	case telemetry.TypeInt:
		return t.ints, true
	case telemetry.TypeUint:
		return t.uints, true
	case telemetry.TypeFloat:
		return t.floats, true
	}
	return span{}, false
}

func (t *numberTest) narrow(s *scan, mask []bool) verdict {
	c := s.group.Field(t.field)
	if c == nil {
		return none
	}
	numbers, ok := t.span(c.Type())
	if !ok || numbers.empty && !numbers.outside {
		return none
	}
	if v, same := c.Const(); same && !v.Present() {
		return none
	}
	if !numbers.empty {
		s.bits = c.Bits(s.bits[:0])
		if _, same := c.Const(); same && len(s.bits) > 0 {
			return always(numbers.holds(keyOf(c.Type(), s.bits[0])))
		}
		numbers.narrow(c.Type(), s.bits, mask)
	}
	onlyPresent(c, mask)
	return some
}

// boolTest asks whether a field is the bool it wants.
type boolTest struct {
	field string
	want  bool
}

func (t boolTest) narrow(s *scan, mask []bool) verdict {
	c := s.group.Field(t.field)
	if c == nil || c.Type() != telemetry.TypeBool {
		return none
	}
	if v, same := c.Const(); same {
		return always(v.Present() && v.Bool() == t.want)
	}
	s.bits = c.Bits(s.bits[:0])
	for row, b := range s.bits[:len(mask)] {
		hit := (b != 0) == t.want
		mask[row] = mask[row] && hit
	}
	onlyPresent(c, mask)
	return some
}

// presentTest asks whether a field is there.
type presentTest struct{ field string }

func (t presentTest) narrow(s *scan, mask []bool) verdict {
	c := s.group.Field(t.field)
	if c == nil {
		return none
	}
	if v, same := c.Const(); same {
		return always(v.Present())
	}
	if c.Full() {
		return all
	}
	onlyPresent(c, mask)
	return some
}

// timeTest compares the time of a point with a moment.
type timeTest struct {
	op string
	to moment
}

// A moment is a fixed time, or one that lies as far from now.
type moment struct {
	fixed  time.Time
	offset time.Duration // from now, where fixed is zero
}

// at returns the moment in nanoseconds since 1970.
func (m moment) at(now time.Time) int64 {
	t := m.fixed
	if t.IsZero() {
		t = now.Add(m.offset)
	}
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64 // no point is older
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

func (t timeTest) narrow(s *scan, mask []bool) verdict {
	at := t.to.at(s.now)
	for row, ns := range s.group.Times()[:len(mask)] {
		sign := 0
		if ns < at {
			sign = -1
		} else if ns > at {
			sign = 1
		}
		mask[row] = mask[row] && holds(t.op, sign)
	}
	return some
}

// pairTest compares two columns, row by row.
type pairTest struct {
	op          string
	left, right operand
}

func (t pairTest) narrow(s *scan, mask []bool) verdict {
	left, right := t.left.bind(s.group), t.right.bind(s.group)
	for row := range mask {
		mask[row] = mask[row] && test(t.op, left.value(row), right.value(row))
	}
	return some
}

// bound is an operand with its column of one group.
type bound struct {
	operand
	tag   telemetry.TagView
	field *telemetry.Column
}

func (o operand) bind(g *telemetry.Group) bound {
	b := bound{operand: o}
	switch o.kind {
	case kindSeries:
		b.operand.value = telemetry.String(g.Series)
	case kindTag:
		b.tag = g.Tag(o.name)
	case kindField:
		b.field = g.Field(o.name)
	}
	return b
}

// value returns the operand of a row. A missing tag is the text "", a missing field no value.
func (b *bound) value(row int) telemetry.Value {
	switch {
	case b.kind == kindTag:
		return telemetry.String(b.tag.At(row))
	case b.kind == kindField && b.field != nil:
		return b.field.Value(row)
	}
	return b.operand.value
}
