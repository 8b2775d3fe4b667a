package telemetry

import (
	"slices"
	"time"
)

// A Group holds the points of one series that have the same tag keys and field keys, as columns. It belongs to its batch.
type Group struct {
	Series string // may be changed: renaming costs nothing per point

	home   *Batch   // whose memory it uses
	batch  []Tag    // tags of the whole batch it came in
	shared []Tag    // tags of every point of the group
	n      int      // points
	tags   []Column // tags that differ by point
	fields []Column
	begun  string // its series while Batch.Group may return it again; "" once it has been changed or taken

	stamps []int64 // times in ns, once somebody asked or where the group is being built
	timed  bool    // stamps is filled
	dt     Column  // else: times as they came, in ticks from t0
	unit   int64   // ns a tick
	t0     int64   // ticks
}

// Len returns the number of points.
func (g *Group) Len() int { return g.n }

// Time returns the time of a point in nanoseconds since 1970.
func (g *Group) Time(row int) int64 { return g.Times()[row] }

// Times returns the times of all points in nanoseconds since 1970. They are not to be changed.
func (g *Group) Times() []int64 {
	if g.timed {
		return g.stamps
	}
	g.stamps = slices.Grow(g.stamps[:0], g.n)
	if v, ok := g.dt.Const(); ok {
		t := (g.t0 + v.Int()) * g.unit
		for range g.n {
			g.stamps = append(g.stamps, t)
		}
	} else {
		for row := range g.n {
			g.stamps = append(g.stamps, (g.t0+int64(g.dt.bits(row)))*g.unit)
		}
	}
	g.timed = true
	return g.stamps
}

// Shared returns the tags that every point of the group has. They are not to be changed.
func (g *Group) Shared() []Tag { return g.shared }

// TagColumns returns the tags that differ by point. The slice is not to be changed.
func (g *Group) TagColumns() []Column { return g.tags }

// FieldColumns returns the fields. The slice is not to be changed.
func (g *Group) FieldColumns() []Column { return g.fields }

// Field returns the field called name, nil when the group has none.
func (g *Group) Field(name string) *Column { return column(g.fields, name) }

func column(cols []Column, name string) *Column {
	for i := range cols {
		if cols[i].Name == name {
			return &cols[i]
		}
	}
	return nil
}

// value returns the value of key in tags, "" when there is none.
func value(tags []Tag, key string) string {
	for _, t := range tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}

// A TagView is one tag over all points of a group, whatever level says it: nearer wins, and "" says nothing.
type TagView struct {
	col   *Column // nil when no point has one of its own
	outer string
	n     int
}

// Tag returns the tag called key, of the points, the group or the batch.
func (g *Group) Tag(key string) TagView {
	outer := value(g.shared, key)
	if outer == "" {
		outer = value(g.batch, key)
	}
	return TagView{col: column(g.tags, key), outer: outer, n: g.n}
}

// Const returns the value that every point has. ok is false when points may differ.
func (v TagView) Const() (text string, ok bool) {
	if v.col == nil {
		return v.outer, true
	}
	if one, ok := v.col.Const(); ok {
		return v.or(one.text), true
	}
	return "", false
}

// At returns the tag of a point, "" when it has none.
func (v TagView) At(row int) string {
	if v.col == nil {
		return v.outer
	}
	return v.or(v.col.Text(row))
}

func (v TagView) or(text string) string {
	if text == "" {
		return v.outer
	}
	return text
}

// Match sets mask[row] to ok of the point's tag. ok is asked once for each distinct value of a dictionary.
func (v TagView) Match(mask []bool, ok func(string) bool) {
	if text, same := v.Const(); same {
		fill(mask[:v.n], ok(text))
		return
	}
	v.col.MatchText(mask, func(t string) bool { return ok(v.or(t)) })
}

// Point returns a point with maps of its own.
func (g *Group) Point(row int) Point {
	p := Point{Series: g.Series, Time: time.Unix(0, g.Time(row)).UTC(), Fields: make(Fields, len(g.fields))}
	if n := len(g.batch) + len(g.shared) + len(g.tags); n > 0 {
		p.Tags = make(Tags, n)
	}
	for _, level := range [][]Tag{g.batch, g.shared} {
		for _, t := range level {
			if t.Value != "" {
				p.Tags[t.Key] = t.Value
			}
		}
	}
	for i := range g.tags {
		if t := g.tags[i].Text(row); t != "" {
			p.Tags[g.tags[i].Name] = t
		}
	}
	for i := range g.fields {
		if v := g.fields[i].Value(row); v.Present() {
			p.Fields[g.fields[i].Name] = v.Any()
		}
	}
	return p
}

// Row adds a point: a value for each tag key and each field, in the order the group was asked for. "" is no tag, the zero
// Value no field. A field of another type is dropped and counted, and so is a point that has none left.
func (g *Group) Row(t time.Time, tags []string, values ...Value) {
	if len(tags) != len(g.tags) || len(values) != len(g.fields) {
		panic("telemetry: Row of group " + g.Series + " needs a value for each tag key and each field")
	}
	ns, ok := nanos(t)
	if !ok {
		g.home.drops.add(CodeTimeRange, 1)
		return
	}
	if !g.fits(values) {
		return
	}
	for i, tag := range tags {
		g.tags[i].appendText(cleanTag(tag))
	}
	for i, v := range values {
		if v.typ == TypeString {
			v.text = cleanText(v.text)
		}
		g.fields[i].append(v)
	}
	g.stamp(ns)
}

// fits reports whether values make a point; it clears those that are not finite.
func (g *Group) fits(values []Value) bool {
	some := false
	for i, v := range values {
		switch {
		case !v.Present():
			continue
		case v.typ != g.fields[i].typ:
			g.home.drops.add(CodeType, 1)
			values[i] = Value{}
		case !v.finite():
			g.home.drops.add(CodeNaN, 1)
			values[i] = Value{}
		default:
			some = true
		}
	}
	if !some {
		g.home.drops.add(CodeNoFields, 1)
	}
	return some
}

// stamp ends a point that was being added, with its time in ns.
func (g *Group) stamp(t int64) {
	g.stamps = append(g.stamps, t)
	g.n++
}

// begin makes g an empty group that rows are added to.
func (g *Group) begin(series string, tagKeys []string, fields []Field) {
	g.reset()
	g.Series, g.begun, g.timed = series, series, true
	g.tags = grow(g.tags, len(tagKeys))
	for i, key := range tagKeys {
		g.tags[i].start(key, TypeString)
	}
	g.fields = grow(g.fields, len(fields))
	for i, f := range fields {
		g.fields[i].start(f.Name, f.Type)
	}
}

// reset empties g and keeps its memory.
func (g *Group) reset() {
	g.Series, g.begun, g.n, g.timed = "", "", 0, false
	g.batch = nil
	g.shared = g.shared[:0]
	g.stamps = g.stamps[:0]
	g.dt.reset()
}

// grow returns cols with length n, what it had in memory still in it.
func grow(cols []Column, n int) []Column {
	if n <= cap(cols) {
		return cols[:n]
	}
	return append(cols[:cap(cols)], make([]Column, n-cap(cols))...)
}

// size estimates the bytes of the encoded group.
func (g *Group) size() int {
	n := 16 + len(g.Series) + 4*g.n
	for _, t := range g.shared {
		n += 4 + len(t.Key) + len(t.Value)
	}
	for i := range g.tags {
		n += len(g.tags[i].Name) + g.tags[i].size()
	}
	for i := range g.fields {
		n += len(g.fields[i].Name) + g.fields[i].size()
	}
	return n
}
