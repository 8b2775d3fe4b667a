package telemetry

import "strings"

// A pointReader reads point objects, one after the other.
type pointReader struct {
	*reader // of the msgpack that in makes
	batch   *Batch
	in      *jsonText
	arrival int64 // ns, the time of a point that does not say its own

	points, values int // so far
}

// list reads an array of point objects.
func (p *pointReader) list() error {
	p.in.at++
	for n := 0; p.in.more(']', n); n++ {
		if err := p.read(); err != nil {
			return err
		}
	}
	p.in.end()
	return p.in.fault
}

// lines reads point objects, each of which begins on a line of its own.
func (p *pointReader) lines() error {
	for {
		if err := p.read(); err != nil {
			return err
		}
		from := p.in.at
		p.in.peek()
		switch {
		case p.in.at == len(p.in.text):
			return nil
		case !strings.Contains(p.in.text[from:p.in.at], "\n"):
			p.in.fail(CodeTrailing, "want one point a line")
			return inLine(p.in.fault, p.in.text, from)
		}
	}
}

// read reads one point object and adds its point.
func (p *pointReader) read() error {
	p.in.peek()
	from := p.in.at
	at := p.in.point()
	err := p.in.fault
	if err == nil {
		p.startDecimal(p.in.out)
		p.point(at)
		err = p.fault
	}
	if err != nil {
		return inLine(err, p.in.text, from)
	}
	return nil
}

// point adds the point whose parts stand at at, unless it is to be left out.
func (p *pointReader) point(at pointAt) {
	b := p.batch
	p.at = at[keySeries]
	series := p.name("series")
	p.at = at[keyTime]
	t, bad := p.time()
	p.at = at[keyTags]
	if !p.tags() && bad == 0 {
		bad = CodeTagValue
	}
	p.at = at[keyTypes]
	types := p.types()
	p.at = at[keyFields]
	p.fields(types)
	if len(b.columns) == 0 && bad == 0 {
		bad = CodeNoFields
	}
	p.points++
	p.values += len(b.pairs) + len(b.columns)
	switch {
	case p.failed():
	case p.points > MaxPoints || p.values > MaxCells:
		p.fail(CodeLimit, "points or cells of the batch")
	case bad != 0:
		b.drops.add(bad, 1)
	default:
		if b.put(series, t); len(b.groups) > MaxGroups {
			p.fail(CodeLimit, "groups")
		}
	}
}

// time takes the time of a point; bad is why the point is to be left out.
func (p *pointReader) time() (ns int64, bad Code) {
	switch k := p.next("time"); {
	case p.failed():
		return 0, 0
	case k == kindNil:
		return p.arrival, 0
	case k == kindInt:
		v, big := p.integer("time")
		if big {
			return 0, CodeTimeRange
		}
		return v, 0
	case k == kindStr:
		ns, bad = parseTime(p.text("time"))
	default:
		bad = CodeShape
	}
	if bad == CodeShape {
		p.fail(CodeShape, "time: want RFC 3339 with up to 9 decimals, or nanoseconds")
	}
	return ns, bad
}

// tags takes the tags of a point into the batch's pairs; ok is false when the point is to be left out.
func (p *pointReader) tags() (ok bool) {
	n := p.object(MaxTags, "tags")
	ok = true
	pairs := p.batch.pairs[:0]
	for i := 0; i < n && !p.failed(); i++ {
		key := p.name("tag key")
		text, good := p.tagText()
		ok = ok && good
		pairs = append(pairs, Tag{key, text})
	}
	p.unique(len(pairs), func(i int) string { return pairs[i].Key }, "tags")
	p.batch.pairs = pairs[:0]
	for _, t := range pairs {
		if t.Value != "" {
			p.batch.pairs = append(p.batch.pairs, t)
		}
	}
	return ok
}

// object takes the head of a map of at most limit entries.
func (p *pointReader) object(limit int, where string) int {
	n := p.mapping(where)
	if n > limit {
		p.fail(CodeLimit, where)
	}
	return n
}

// types takes the letters that say which type a field has.
func (p *pointReader) types() []Field {
	n := p.object(MaxFields, "types")
	var types []Field
	for i := 0; i < n && !p.failed(); i++ {
		name := p.name("types")
		letter := p.text("types")
		if len(letter) != 1 {
			p.fail(CodeShape, "types: want one letter for a field")
			return nil
		}
		types = append(types, Field{name, Type(letter[0])})
	}
	p.unique(len(types), func(i int) string { return types[i].Name }, "types")
	return types
}

// fields takes the fields of a point into the batch's columns and values.
func (p *pointReader) fields(types []Field) {
	b := p.batch
	b.columns, b.values, b.names = b.columns[:0], b.values[:0], b.names[:0]
	n := p.object(MaxFields, "fields")
	for i := 0; i < n && !p.failed(); i++ {
		name := p.name("fields")
		b.names = append(b.names, name)
		typ := natural(kindOf(p.peek()))
		for _, f := range types {
			if f.Name == name {
				typ = f.Type
			}
		}
		v, drop := p.cell(typ, "field value")
		if drop != 0 {
			b.drops.add(drop, 1)
		}
		if v.Present() {
			b.insert(Field{name, typ}, v)
		}
	}
	p.unique(len(b.names), func(i int) string { return b.names[i] }, "fields")
}

// natural returns the type of a field that is not told: numbers are floats, because 1 and 1.0 are the same in JSON.
func natural(k kind) Type {
	switch k {
	case kindBool:
		return TypeBool
	case kindStr:
		return TypeString
	}
	return TypeFloat
}
