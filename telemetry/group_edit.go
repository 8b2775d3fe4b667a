package telemetry

import "slices"

// Keep drops the points for which ok is false.
func (g *Group) Keep(ok func(row int) bool) {
	mask := g.home.mask(g.n)
	for row := range mask {
		mask[row] = ok(row)
	}
	g.Select(mask)
}

// Select keeps the points whose mask is true.
func (g *Group) Select(mask []bool) {
	runs, kept := g.home.runs(mask[:g.n])
	if kept == g.n {
		return
	}
	if g.timed {
		g.stamps = moveRuns(g.stamps, g.stamps, runs, 1)
	} else {
		g.dt.keep(runs, kept, g.home.alloc)
	}
	for i := range g.tags {
		g.tags[i].keep(runs, kept, g.home.alloc)
	}
	for i := range g.fields {
		g.fields[i].keep(runs, kept, g.home.alloc)
	}
	g.n = kept
}

// Slice keeps the points from to to, excluded, counted over all groups in their order.
func (b *Batch) Slice(from, to int) {
	for _, g := range b.groups {
		first, last := min(max(from, 0), g.n), min(max(to, 0), g.n)
		from, to = from-g.n, to-g.n
		g.Keep(func(row int) bool { return first <= row && row < last })
	}
}

// SetTag gives every point the tag key=value; "" takes the tag away.
func (g *Group) SetTag(key, value string) {
	key = cleanName(key)
	g.DropTag(key)
	if value != "" {
		g.shared = append(g.shared, Tag{key, cleanTag(value)})
	}
}

// DropTag takes the tag called key away from every point.
func (g *Group) DropTag(key string) {
	g.ownTags()
	same := func(t Tag) bool { return t.Key == key }
	g.shared = slices.DeleteFunc(g.shared, same)
	g.tags = dropColumn(g.tags, key)
}

// RenameTag calls the tag from by the name to. A tag that was called so is replaced where the point has a from.
func (g *Group) RenameTag(from, to string) {
	to = cleanName(to)
	if text, same := g.Tag(from).Const(); from == to || same && text == "" {
		return
	}
	g.ownTags()
	g.mergeTag(from, to)
}

// hasTag reports whether any level says key.
func (g *Group) hasTag(key string) bool {
	return column(g.tags, key) != nil || value(g.shared, key) != "" || value(g.batch, key) != ""
}

// mergeTag renames from to to; where both exist, to is kept for the points that have no from.
func (g *Group) mergeTag(from, to string) {
	old, now := g.Tag(to), g.Tag(from)
	if _, same := now.Const(); same || !g.hasTag(to) {
		g.DropTag(to)
		for i := range g.shared {
			if g.shared[i].Key == from {
				g.shared[i].Key = to
			}
		}
		if c := column(g.tags, from); c != nil {
			c.Name = to
		}
		return
	}
	var merged Column
	merged.start(to, TypeString)
	for row := range g.n {
		text := now.At(row)
		if text == "" {
			text = old.At(row)
		}
		merged.appendText(text)
	}
	g.DropTag(to)
	g.DropTag(from)
	g.tags = append(g.tags, merged)
}

// ownTags moves the tags of the batch into the group, so that they can be changed for this group alone.
func (g *Group) ownTags() {
	for _, t := range g.batch {
		if t.Value != "" {
			g.shared = withDefault(g.shared, t)
		}
	}
	g.batch, g.begun = nil, ""
}

// RenameField calls the field from by the name to. A field that was called so is replaced where the point has a from; one of
// another type is dropped, and so are points that had no other.
func (g *Group) RenameField(from, to string) {
	to = cleanName(to)
	now, old := g.Field(from), g.Field(to)
	if from == to || now == nil {
		return
	}
	g.begun = ""
	if old != nil && old.typ == now.typ && !now.Full() {
		g.mergeField(now, old)
		return
	}
	g.fields = dropColumn(g.fields, to)
	g.Field(from).Name = to
	g.dropEmpty()
}

// mergeField puts one column in the place of two: the value of now, and where there is none that of old.
func (g *Group) mergeField(now, old *Column) {
	from, to := now.Name, old.Name
	var merged Column
	merged.start(to, now.typ)
	for row := range g.n {
		v := now.Value(row)
		if !v.Present() {
			v = old.Value(row)
		}
		merged.append(v)
	}
	g.fields = append(dropColumn(dropColumn(g.fields, to), from), merged)
}

// DropField takes the field called name away. Points that have no field left are dropped.
func (g *Group) DropField(name string) {
	n := len(g.fields)
	if g.fields = dropColumn(g.fields, name); len(g.fields) < n {
		g.begun = ""
		g.dropEmpty()
	}
}

// dropEmpty drops the points that have no field and returns how many they were.
func (g *Group) dropEmpty() int {
	for i := range g.fields {
		if c := &g.fields[i]; c.absent == nil && (c.form != formConst || c.one.Present()) {
			return 0
		}
	}
	n := g.n
	g.Keep(func(row int) bool {
		for i := range g.fields {
			if g.fields[i].Has(row) {
				return true
			}
		}
		return false
	})
	return n - g.n
}

// dropColumn takes the column called name out of cols. Its memory stays behind the end for the next use.
func dropColumn(cols []Column, name string) []Column {
	i := slices.IndexFunc(cols, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return cols
	}
	gone := cols[i]
	copy(cols[i:], cols[i+1:])
	cols[len(cols)-1] = gone
	return cols[:len(cols)-1]
}
