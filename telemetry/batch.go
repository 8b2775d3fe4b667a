package telemetry

import (
	"encoding/binary"
	"iter"
	"slices"
	"strings"
	"time"
)

// A Batch holds points of one host, grouped and as columns. The zero value is ready; it is for one goroutine.
//
// Strings of a decoded batch look into the message it was decoded from: clone what outlives the call it was given to.
type Batch struct {
	host   string
	shared []Tag // tags of all points of a decoded batch
	groups []*Group
	spare  []*Group // groups to use again
	drops  Drops
	at     int64 // ns, the time of what Add adds; 0: the clock
	most   int   // groups that Group adds to; 0: any number

	index   map[string]*Group // by signature, where points are added
	sig     []byte
	names   []string
	pairs   []Tag
	columns []Field
	values  []Value
	arena   []byte // memory for columns that were cut down
	marks   []bool
	spans   []run
	parts   []part
	squeeze float64 // see ratio; kept over Reset
	read    reader
	gen     uint64 // counts the Resets
	lines   LineDecoder
	writer  lineWriter
}

// Host returns the host the points are about, as the bus names it.
func (b *Batch) Host() string { return b.host }

// SetHost says which host the points are about.
func (b *Batch) SetHost(host string) { b.host = host }

// Len returns the number of points.
func (b *Batch) Len() int {
	n := 0
	for _, g := range b.groups {
		n += g.n
	}
	return n
}

// Size estimates the bytes of the encoded batch. The estimate learns from the messages this Batch has made before: how
// narrow the numbers come out is known only then.
func (b *Batch) Size() int {
	n := 0
	for _, g := range b.groups {
		n += g.size()
	}
	return int(float64(n) * b.ratio())
}

// ratio returns how many bytes a message took for each that size estimated.
func (b *Batch) ratio() float64 {
	if b.squeeze == 0 {
		return 1
	}
	return b.squeeze
}

// Drops returns the counts of what was left out, by code.
func (b *Batch) Drops() *Drops { return &b.drops }

// Reset empties b and keeps its memory for the next points.
func (b *Batch) Reset() {
	for _, g := range b.groups {
		if g.home == b {
			g.reset()
			b.spare = append(b.spare, g)
		}
	}
	clear(b.groups)
	clear(b.index)
	b.groups, b.shared = b.groups[:0], b.shared[:0]
	b.host, b.at, b.most, b.drops = "", 0, 0, Drops{}
	b.arena = b.arena[:0]
	b.gen++
}

// At sets the time of the points that Add adds from here on. Until it is called they get the clock's, in whole microseconds.
func (b *Batch) At(t time.Time) { b.at = t.UnixNano() }

// now returns the time of a point that is added without one.
func (b *Batch) now() int64 {
	if b.at != 0 {
		return b.at
	}
	return time.Now().Truncate(time.Microsecond).UnixNano()
}

// Bound makes b take n more groups at most; 0 is no bound. It is for points from outside, of which each may be of a shape of its own: a
// point for which another group would be needed is left out, and counted under CodeLimit.
func (b *Batch) Bound(n int) {
	if b.most = 0; n > 0 {
		b.most = len(b.groups) + n
	}
}

func (b *Batch) full() bool { return b.most > 0 && len(b.groups) >= b.most }

// Add adds one point. Field values are the integers, floats, bools and strings of Go, or [Value]; NaN and infinities are
// dropped and counted, a point without fields too. A tag whose value is "" is no tag.
func (b *Batch) Add(series string, fields Fields, tags Tags) { b.add(series, b.now(), fields, tags) }

// Append adds p. A zero time is the time Add would use.
func (b *Batch) Append(p Point) {
	t, ok := nanos(p.Time)
	switch {
	case p.Time.IsZero():
		t = b.now()
	case !ok:
		b.drops.add(CodeTimeRange, 1)
		return
	}
	b.add(p.Series, t, p.Fields, p.Tags)
}

// nanos returns t in nanoseconds since 1970; ok is false when that is outside int64.
func nanos(t time.Time) (ns int64, ok bool) {
	ns = t.UnixNano()
	return ns, time.Unix(0, ns).Equal(t)
}

func (b *Batch) add(series string, t int64, fields Fields, tags Tags) {
	b.pairs, b.columns, b.values = b.pairs[:0], b.columns[:0], b.values[:0]
	for key, text := range tags {
		if text != "" {
			b.pairs = append(b.pairs, Tag{key, cleanTag(text)})
		}
	}
	for name, v := range fields {
		value := ValueOf(v)
		switch {
		case !value.Present():
			if v != nil {
				b.drops.add(CodeType, 1)
			}
		case !value.finite():
			b.drops.add(CodeNaN, 1)
		default:
			value.text = cleanText(value.text)
			b.insert(Field{name, value.typ}, value)
		}
	}
	switch {
	case len(b.columns) == 0:
		b.drops.add(CodeNoFields, 1)
		return
	case len(b.columns) > MaxFields || len(b.pairs) > MaxTags:
		b.drops.add(CodeLimit, 1)
	default:
		b.put(series, t)
	}
}

// put adds the point that has the clean tags of pairs, and the fields of columns with their clean values.
func (b *Batch) put(series string, t int64) {
	slices.SortFunc(b.pairs, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	b.names = b.names[:0]
	for _, tag := range b.pairs {
		b.names = append(b.names, tag.Key)
	}
	g := b.Group(series, b.names, b.columns)
	if g == nil {
		b.drops.add(CodeLimit, 1)
		return
	}
	for i, tag := range b.pairs {
		g.tags[i].appendText(tag.Value)
	}
	for i, v := range b.values {
		g.fields[i].append(v)
	}
	g.stamp(t)
}

// insert puts a field and its value where they belong among those sorted by name.
func (b *Batch) insert(f Field, v Value) {
	i := len(b.columns)
	for i > 0 && b.columns[i-1].Name > f.Name {
		i--
	}
	b.columns = slices.Insert(b.columns, i, f)
	b.values = slices.Insert(b.values, i, v)
}

// Group returns the group of series with these tag keys and fields, in this order, to which [Group.Row] adds points. It returns nil
// where that would be one more than Bound allows.
func (b *Batch) Group(series string, tagKeys []string, fields []Field) *Group {
	sig := b.signature(series, tagKeys, fields)
	if g := b.index[string(sig)]; g != nil && g.begun == g.Series { // else it has been changed or taken away
		return g
	}
	if b.full() {
		return nil
	}
	return b.addGroup(string(sig), series, tagKeys, fields)
}

// addGroup adds the group that Group will return for sig.
func (b *Batch) addGroup(sig, series string, tagKeys []string, fields []Field) *Group {
	if b.index == nil {
		b.index = make(map[string]*Group)
	}
	if len(b.shared) > 0 {
		b.pushTags() // they are tags of the groups that came with them, not of this one
	}
	g := b.newGroup()
	g.begin(cleanName(series), tagKeys, fields)
	cleanNames(g.tags)
	cleanNames(g.fields)
	b.index[sig] = g
	return g
}

// signature tells groups apart. Names may have any bytes in them, hence their lengths.
func (b *Batch) signature(series string, tagKeys []string, fields []Field) []byte {
	sig := appendSized(b.sig[:0], series)
	sig = binary.AppendUvarint(sig, uint64(len(tagKeys)))
	for _, key := range tagKeys {
		sig = appendSized(sig, key)
	}
	for _, f := range fields {
		sig = appendSized(append(sig, byte(f.Type)), f.Name)
	}
	b.sig = sig
	return sig
}

func appendSized(sig []byte, name string) []byte {
	return append(binary.AppendUvarint(sig, uint64(len(name))), name...)
}

// newGroup adds an empty group.
func (b *Batch) newGroup() *Group {
	var g *Group
	if n := len(b.spare); n > 0 {
		g, b.spare = b.spare[n-1], b.spare[:n-1]
	} else {
		g = &Group{home: b}
	}
	b.groups = append(b.groups, g)
	return g
}

// dropLast takes away the group that newGroup added last.
func (b *Batch) dropLast() {
	last := len(b.groups) - 1
	b.spare = append(b.spare, b.groups[last])
	b.groups = b.groups[:last]
}

// Groups returns the groups. Each may be changed, or taken into another batch.
func (b *Batch) Groups() iter.Seq[*Group] {
	return func(yield func(*Group) bool) {
		for _, g := range b.groups {
			if !yield(g) {
				return
			}
		}
	}
}

// Take adds g, which belongs to another batch, is not changed there afterwards, and is gone when that batch is used again.
// A group without points is left out.
func (b *Batch) Take(g *Group) {
	if g.n == 0 {
		return
	}
	if len(b.groups) == 0 && len(b.shared) == 0 {
		b.shared = append(b.shared, g.batch...)
	}
	if !slices.Equal(b.shared, g.batch) {
		g.ownTags()
		b.pushTags()
	}
	g.batch, g.begun = b.shared, ""
	b.groups = append(b.groups, g)
}

// settle moves the batch's tags into its groups when one of the groups has others by now.
func (b *Batch) settle() {
	for _, g := range b.groups {
		if len(g.batch) != len(b.shared) {
			b.pushTags()
			return
		}
	}
}

// pushTags moves the batch's tags into its groups: a group with other tags joins them.
func (b *Batch) pushTags() {
	for _, g := range b.groups {
		g.ownTags()
	}
	b.shared = b.shared[:0]
}

// DefaultTag gives key=value to every point that is there and does not say key itself.
func (b *Batch) DefaultTag(key, value string) {
	if value == "" {
		return
	}
	b.settle()
	b.shared = withDefault(b.shared, Tag{cleanName(key), cleanTag(value)})
	for _, g := range b.groups {
		g.batch, g.begun = b.shared, ""
	}
}

// withDefault returns tags with t among them, unless they say its key already.
func withDefault(tags []Tag, t Tag) []Tag {
	i := slices.IndexFunc(tags, func(have Tag) bool { return have.Key == t.Key })
	if i < 0 {
		return append(tags, t)
	}
	if tags[i].Value == "" {
		tags[i].Value = t.Value
	}
	return tags
}

// Points returns every point, each with maps of its own. It is the slow and easy way to read.
func (b *Batch) Points() iter.Seq[Point] {
	return func(yield func(Point) bool) {
		for _, g := range b.groups {
			for row := range g.n {
				if !yield(g.Point(row)) {
					return
				}
			}
		}
	}
}

// mask returns n bools to fill; the next call uses them again.
func (b *Batch) mask(n int) []bool {
	b.marks = slices.Grow(b.marks[:0], n)[:n]
	return b.marks
}

// runs returns the stretches of rows whose mask is true, and how many rows they are.
func (b *Batch) runs(mask []bool) (spans []run, kept int) {
	b.spans = b.spans[:0]
	for row := 0; row < len(mask); {
		if !mask[row] {
			row++
			continue
		}
		from := row
		for row < len(mask) && mask[row] {
			row++
		}
		b.spans = append(b.spans, run{from, row})
		kept += row - from
	}
	return b.spans, kept
}

// Text returns n bytes of b's memory, for a text that is to be decoded into b. They live until Reset, as b does, which may
// so be handed over together with the text its strings look into.
func (b *Batch) Text(n int) []byte { return b.alloc(n) }

// alloc returns n bytes that live until Reset.
func (b *Batch) alloc(n int) []byte {
	if cap(b.arena)-len(b.arena) < n {
		b.arena = make([]byte, 0, max(n, 2*cap(b.arena), 16<<10)) // what looks into the old piece keeps it
	}
	at := len(b.arena)
	b.arena = b.arena[:at+n]
	return b.arena[at : at+n : at+n]
}
