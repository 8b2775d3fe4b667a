package telemetry

// TextWithin reports whether the points of b, as line protocol or as JSON, take at most about limit bytes. A message says
// once what many of its points have in common, so a small one may stand for gigabytes of text: whoever writes text asks before.
func (b *Batch) TextWithin(limit int) bool {
	return b.textWithin(int64(limit), roughly) || b.textWithin(int64(limit), closely)
}

// An estimate says how closely texts are looked at. The rough one is never below the other.
type estimate bool

const (
	roughly estimate = false // by their number and lengths
	closely estimate = true  // one by one
)

func (b *Batch) textWithin(limit int64, how estimate) bool {
	for _, g := range b.groups {
		if limit -= g.textSize(how); limit < 0 {
			return false
		}
	}
	return true
}

const (
	rowAround  = 80 // bytes of a line besides its names and values: the time, braces
	cellAround = 10 // bytes around a name and its value, with the letter of its type
	numberText = 28 // bytes of the longest number
)

func (g *Group) textSize(how estimate) int64 {
	row := rowAround + how.name(g.Series)
	for _, tags := range [2][]Tag{g.batch, g.shared} {
		for _, t := range tags {
			row += cellAround + how.name(t.Key) + how.name(t.Value)
		}
	}
	n := int64(0)
	for i := range g.tags {
		c := &g.tags[i]
		row += cellAround + how.name(c.Name)
		n += c.textSize(how)
	}
	for i := range g.fields {
		c := &g.fields[i]
		row += cellAround + how.name(c.Name)
		if c.typ == TypeString {
			n += c.textSize(how)
			continue
		}
		row += numberText
		if c.typ == TypeInt || c.typ == TypeUint {
			row += cellAround + how.name(c.Name) // in JSON again, with its type
		}
	}
	return n + row*int64(g.n)
}

// textSize returns what the texts of all rows take.
func (c *Column) textSize(how estimate) int64 {
	switch {
	case c.form == formConst:
		return how.text(c.one.text) * int64(c.n)
	case c.form == formText:
		n := int64(0)
		for _, t := range c.texts {
			n += how.text(t)
		}
		return n
	case how == roughly:
		longest := int64(0)
		for _, t := range c.texts {
			longest = max(longest, how.text(t))
		}
		return longest * int64(c.n)
	}
	sizes := make([]int64, len(c.texts))
	for i, t := range c.texts {
		sizes[i] = how.text(t)
	}
	n := int64(0)
	for row := range c.n {
		n += sizes[c.index(row)]
	}
	return n
}

// name returns what a name or the value of a tag takes, which have no control characters.
func (e estimate) name(s string) int64 {
	if e == roughly {
		return 2 * int64(len(s))
	}
	return escapedSize(s)
}

// text returns what any text takes.
func (e estimate) text(s string) int64 {
	if e == roughly {
		return controlSize * int64(len(s))
	}
	return escapedSize(s)
}

// controlSize is what a control character takes in JSON.
const controlSize = int64(len(`\u0000`))

// escapedSize returns what s takes at most, with what has to be escaped in one form or the other.
func escapedSize(s string) int64 {
	n := int64(len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ':
			n += controlSize - 1
		case c == '"' || c == '\\' || c == ',' || c == ' ' || c == '=':
			n++
		}
	}
	return n
}
