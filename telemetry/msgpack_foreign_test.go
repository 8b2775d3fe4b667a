package telemetry

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// The tests of this file hold our codec against a general one: a plain reader and a plain writer of the layout on top of it.

// plainPoints reads a batch that a general decoder has turned into lists, maps and numbers.
func plainPoints(batch any) []Point {
	top := batch.([]any)
	unit, t0 := plainInt(top[1]), plainInt(top[2])
	var points []Point
	for _, x := range top[4].([]any) {
		g := x.([]any)
		keys, names, types := g[2].([]any), g[3].([]any), g[4].(string)
		cols := g[5].([]any)
		n := int(plainInt(cols[0]))
		for row := range n {
			p := Point{Series: g[0].(string), Tags: Tags{}, Fields: Fields{}}
			p.Time = time.Unix(0, (t0+plainInt(plainCell(cols[1], n, row, 'i')))*unit)
			for _, level := range []any{top[3], g[1]} {
				for key, v := range level.(map[string]any) {
					p.Tags[key] = v.(string)
				}
			}
			for i, key := range keys {
				if v, _ := plainCell(cols[2+i], n, row, 's').(string); v != "" {
					p.Tags[key.(string)] = v
				}
			}
			for i, name := range names {
				if v := plainCell(cols[2+len(keys)+i], n, row, types[i]); v != nil {
					p.Fields[name.(string)] = v
				}
			}
			points = append(points, p)
		}
	}
	return points
}

func plainInt(v any) int64 {
	if r := reflect.ValueOf(v); r.CanInt() {
		return r.Int()
	}
	return int64(reflect.ValueOf(v).Uint())
}

// plainCell returns the value of a row of a column in any of its forms, as the Go type of its letter.
func plainCell(col any, n, row int, letter byte) any {
	switch c := col.(type) {
	case []byte:
		return plainPacked(c, len(c)/n, row, letter)
	case []any:
		if texts, ok := c[0].([]any); ok && len(c) == 2 {
			indices := c[1].([]byte)
			return texts[plainPacked(indices, len(indices)/n, row, 'u').(uint64)]
		}
		return plainValue(c[row], letter)
	}
	return plainValue(col, letter)
}

func plainPacked(data []byte, width, row int, letter byte) any {
	var wide [8]byte
	copy(wide[:], data[row*width:(row+1)*width])
	bits := binary.LittleEndian.Uint64(wide[:])
	switch letter {
	case 'f':
		if width == 4 {
			return float64(math.Float32frombits(uint32(bits)))
		}
		return math.Float64frombits(bits)
	case 'i':
		shift := 64 - 8*width
		return int64(bits<<shift) >> shift
	case 'b':
		return bits == 1
	}
	return bits
}

func plainValue(v any, letter byte) any {
	switch {
	case v == nil:
		return nil
	case letter == 'i':
		return plainInt(v)
	case letter == 'u':
		return uint64(plainInt(v))
	}
	return v
}

// TestAGeneralDecoderReadsUs shows that what we write is nothing but msgpack.
func TestAGeneralDecoderReadsUs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points := rapid.OneOf(rapid.Custom(somePoints), rapid.Custom(somePointsOfOneKind)).Draw(t, "points")
		b := batchOf(points...)
		if rapid.Bool().Draw(t, "batch tag") {
			b.DefaultTag("batch", "yes")
			for i := range points {
				setTag(&points[i], "batch", "yes")
			}
		}
		var tree any
		if err := msgpack.Unmarshal(b.AppendMsgPack(nil), &tree); err != nil {
			t.Fatal(err)
		}
		got, want := []string{}, []string{}
		for _, p := range plainPoints(tree) {
			got = append(got, describe(p))
		}
		for _, p := range points {
			want = append(want, describe(p))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("a general decoder got\n%q\nwant\n%q", got, want)
		}
	})
}

// A plainGroup is points of one series that agree about the types of their fields.
type plainGroup struct {
	series string
	keys   []string
	fields []string
	types  map[string]Type
	points []Point
}

// plainGroups puts points that can stand together into groups; what a point has not got, its row leaves out.
func plainGroups(points []Point) []*plainGroup {
	var groups []*plainGroup
	for _, p := range points {
		i := slices.IndexFunc(groups, func(g *plainGroup) bool { return g.series == p.Series && g.agrees(p) })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &plainGroup{series: p.Series, types: map[string]Type{}})
		}
		groups[i].add(p)
	}
	return groups
}

func (g *plainGroup) agrees(p Point) bool {
	for name, v := range p.Fields {
		if typ, ok := g.types[name]; ok && typ != ValueOf(v).Type() {
			return false
		}
	}
	return true
}

func (g *plainGroup) add(p Point) {
	g.points = append(g.points, p)
	for name, v := range p.Fields {
		if _, ok := g.types[name]; !ok {
			g.fields = append(g.fields, name)
		}
		g.types[name] = ValueOf(v).Type()
	}
	for key := range p.Tags {
		if !slices.Contains(g.keys, key) {
			g.keys = append(g.keys, key)
		}
	}
}

// A plainWriter writes batches in every way a writer of another language may.
type plainWriter struct {
	*msgpack.Encoder
	t *rapid.T
}

func (w plainWriter) must(err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

// one draws one of n ways.
func (w plainWriter) one(n int, label string) int { return rapid.IntRange(0, n-1).Draw(w.t, label) }

// integer writes v in any width that holds it.
func (w plainWriter) integer(v int64) {
	ways := []func() error{func() error { return w.EncodeInt64(v) }, func() error { return w.EncodeInt(v) }}
	if v == int64(int32(v)) {
		ways = append(ways, func() error { return w.EncodeInt32(int32(v)) })
	}
	if v == int64(int16(v)) {
		ways = append(ways, func() error { return w.EncodeInt16(int16(v)) })
	}
	if v == int64(int8(v)) {
		ways = append(ways, func() error { return w.EncodeInt8(int8(v)) })
	}
	if v >= 0 {
		ways = append(ways, func() error { return w.EncodeUint64(uint64(v)) })
	}
	w.must(ways[w.one(len(ways), "integer")]())
}

// value writes a field value: floats as integers or float32, and integers as floats, where that loses nothing.
func (w plainWriter) value(v any) {
	switch v := v.(type) {
	case nil:
		w.must(w.EncodeNil())
	case float64:
		whole := v == math.Trunc(v) && math.Abs(v) < 1<<53 && (v != 0 || !math.Signbit(v))
		switch way := w.one(3, "float"); {
		case way == 0 && whole:
			w.integer(int64(v))
		case way == 1 && float64(float32(v)) == v:
			w.must(w.EncodeFloat32(float32(v)))
		default:
			w.must(w.EncodeFloat64(v))
		}
	case int64:
		if w.one(4, "int") == 0 && v >= -1<<53 && v <= 1<<53 {
			w.must(w.EncodeFloat64(float64(v)))
			return
		}
		w.integer(v)
	case uint64:
		if v <= math.MaxInt64 {
			w.value(int64(v))
			return
		}
		w.must(w.EncodeUint64(v))
	default:
		w.must(w.Encode(v))
	}
}

// tags writes a map, or what scripts without one send for an empty one.
func (w plainWriter) tags(tags Tags) {
	way := w.one(3, "tags")
	switch {
	case len(tags) == 0 && way == 0:
		w.must(w.EncodeNil())
	case len(tags) == 0 && way == 1:
		w.must(w.EncodeArrayLen(0))
	default:
		w.must(w.EncodeMapLen(len(tags)))
		for key, text := range tags {
			w.must(w.EncodeString(key))
			if text == "" && w.one(2, "no tag") == 0 {
				w.must(w.EncodeNil())
			} else {
				w.must(w.EncodeString(text))
			}
		}
	}
}

// list writes the head of an array, or what scripts send for an empty one.
func (w plainWriter) list(n int) {
	way := w.one(3, "list")
	switch {
	case n == 0 && way == 0:
		w.must(w.EncodeNil())
	case n == 0 && way == 1:
		w.must(w.EncodeMapLen(0))
	default:
		w.must(w.EncodeArrayLen(n))
	}
}

func (w plainWriter) batch(points []Point) {
	unit := int64(1e9)
	for _, p := range points {
		for p.Time.UnixNano()%unit != 0 {
			unit /= 1000
		}
	}
	t0 := rapid.SampledFrom([]int64{0, 1763559525e9 / unit}).Draw(w.t, "t0")
	shared := Tags{}
	for _, key := range rapid.SliceOfDistinct(someNames, rapid.ID[string]).Draw(w.t, "shared") {
		text := ""
		for _, p := range points { // a tag of the batch is seen where nobody nearer says it, so all must say it
			if text = p.Tags[key]; text == "" {
				break
			}
		}
		shared[key] = text
	}
	w.must(w.EncodeArrayLen(5))
	w.integer(1)
	w.integer(unit)
	w.integer(t0)
	w.tags(shared)
	groups := plainGroups(points)
	w.list(len(groups))
	for _, g := range groups {
		w.group(g, unit, t0, shared)
	}
}

func (w plainWriter) group(g *plainGroup, unit, t0 int64, outer Tags) {
	w.must(w.EncodeArrayLen(6))
	w.must(w.EncodeString(g.series))
	shared := Tags{}
	for key, text := range g.points[0].Tags {
		if all(g.points, func(p Point) bool { return p.Tags[key] != "" }) && w.one(2, "group tag") == 0 {
			shared[key] = text // rows of which another is true say so themselves
		}
	}
	w.tags(shared)
	w.list(len(g.keys))
	types := ""
	for _, key := range g.keys {
		w.must(w.EncodeString(key))
	}
	w.must(w.EncodeArrayLen(len(g.fields)))
	for _, name := range g.fields {
		w.must(w.EncodeString(name))
		types += string(g.types[name])
	}
	w.must(w.EncodeString(types))
	outer = maps.Clone(outer)
	maps.Copy(outer, shared)
	for i, p := range g.points {
		g.points[i].Tags = w.nearer(p.Tags, outer)
	}
	if w.one(2, "columns") == 0 {
		w.columns(g, unit, t0)
	} else {
		w.rows(g, unit, t0)
	}
}

// nearer returns tags without some of those that outer says as well.
func (w plainWriter) nearer(tags, outer Tags) Tags {
	tags = maps.Clone(tags)
	for key, text := range tags {
		if text == outer[key] && w.one(2, "left to outer") == 0 {
			tags[key] = ""
		}
	}
	return tags
}

func all(points []Point, ok func(Point) bool) bool {
	return !slices.ContainsFunc(points, func(p Point) bool { return !ok(p) })
}

func (w plainWriter) rows(g *plainGroup, unit, t0 int64) {
	w.list(len(g.points))
	for _, p := range g.points {
		w.must(w.EncodeArrayLen(1 + len(g.keys) + len(g.fields)))
		w.integer(p.Time.UnixNano()/unit - t0)
		for _, key := range g.keys {
			if text, ok := p.Tags[key]; ok || w.one(2, "no tag") == 0 {
				w.must(w.EncodeString(text))
			} else {
				w.must(w.EncodeNil())
			}
		}
		for _, name := range g.fields {
			w.value(p.Fields[name])
		}
	}
}

func (w plainWriter) columns(g *plainGroup, unit, t0 int64) {
	w.must(w.EncodeArrayLen(2 + len(g.keys) + len(g.fields)))
	w.integer(int64(len(g.points)))
	column := func(typ Type, of func(p Point) any) {
		cells := make([]any, len(g.points))
		for i, p := range g.points {
			cells[i] = of(p)
		}
		w.column(typ, cells)
	}
	column(TypeInt, func(p Point) any { return p.Time.UnixNano()/unit - t0 })
	for _, key := range g.keys {
		column(TypeString, func(p Point) any { return p.Tags[key] })
	}
	for _, name := range g.fields {
		column(g.types[name], func(p Point) any { return p.Fields[name] })
	}
}

// column writes cells in any form that can hold them. A reader of times takes integers only.
func (w plainWriter) column(typ Type, cells []any) {
	same := !slices.ContainsFunc(cells, func(v any) bool {
		return v != cells[0] || describe(Point{Fields: Fields{"": v}}) != describe(Point{Fields: Fields{"": cells[0]}})
	})
	full := !slices.Contains(cells, nil)
	switch way := w.one(4, "column"); {
	case way == 0 && same:
		w.cell(cells[0])
	case way == 1 && full && typ != TypeString:
		w.must(w.EncodeBytes(w.packed(cells)))
	case way == 2 && full && typ == TypeString:
		w.dictionary(cells)
	default:
		w.must(w.EncodeArrayLen(len(cells)))
		for _, v := range cells {
			w.cell(v)
		}
	}
}

func (w plainWriter) cell(v any) {
	if v, ok := v.(int64); ok {
		w.integer(v)
		return
	}
	w.value(v)
}

// packed returns cells as numbers of one width that holds them all.
func (w plainWriter) packed(cells []any) []byte {
	widths := map[string][]int{"float64": {4, 8}, "int64": {1, 2, 4, 8}, "uint64": {1, 2, 4, 8}, "bool": {1}}[fmt.Sprintf("%T", cells[0])]
	for from := w.one(len(widths), "width"); ; from++ {
		var data []byte
		exact := true
		for row, v := range cells {
			data = append(data, plainBits(v, widths[from])...)
			got := plainPacked(data, widths[from], row, byte(ValueOf(v).Type()))
			exact = exact && describe(Point{Fields: Fields{"": got}}) == describe(Point{Fields: Fields{"": v}})
		}
		if exact {
			return data
		}
	}
}

func plainBits(v any, width int) []byte {
	bits := ValueOf(v).bits
	if f, ok := v.(float64); ok && width == 4 {
		bits = uint64(math.Float32bits(float32(f)))
	}
	var wide [8]byte
	binary.LittleEndian.PutUint64(wide[:], bits)
	return wide[:width]
}

func (w plainWriter) dictionary(cells []any) {
	at := map[any]int{}
	for _, v := range cells {
		if _, ok := at[v]; !ok {
			at[v] = len(at)
		}
	}
	texts := slices.SortedFunc(maps.Keys(at), func(a, b any) int { return at[a] - at[b] })
	w.must(w.EncodeArrayLen(2))
	w.must(w.Encode(texts))
	width := []int{0, 1, 2, 4}[w.one(4, "indices")]
	if width == 0 || width == 1 && len(texts) > 256 {
		w.must(w.EncodeArrayLen(len(cells)))
		for _, v := range cells {
			w.integer(int64(at[v]))
		}
		return
	}
	var data []byte
	for _, v := range cells {
		data = append(data, plainBits(uint64(at[v]), width)...)
	}
	w.must(w.EncodeBytes(data))
}

// TestWeReadAGeneralEncoder reads what other writers may send, in every form the wire allows.
func TestWeReadAGeneralEncoder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points := rapid.OneOf(rapid.Custom(somePoints), rapid.Custom(somePointsOfOneKind)).Draw(t, "points")
		points = slices.DeleteFunc(points, func(p Point) bool { // a difference of times must fit
			return p.Time.UnixNano() < math.MinInt64+1763559525e9 || p.Time.UnixNano() > math.MaxInt64-1763559525e9
		})
		var buf bytes.Buffer
		w := plainWriter{msgpack.NewEncoder(&buf), t}
		w.batch(points)
		var b Batch
		if err := b.DecodeMsgPack(buf.Bytes()); err != nil {
			t.Fatalf("%v: %x", err, buf.Bytes())
		}
		if b.Drops().Total() > 0 {
			t.Fatalf("dropped %v: %x", dropped(&b), buf.Bytes())
		}
		wantPoints(t, &b, "read", points...)
		wantPoints(t, reread(t, &b, (*Batch).DecodeMsgPack, b.AppendMsgPack(nil)), "sent on", points...)
		json := func(c *Batch, text []byte) error { return c.DecodeJSON(text, time.Time{}) }
		wantPoints(t, reread(t, &b, json, b.AppendJSON(nil)), "sent on as JSON", points...)
		wantPoints(t, &b, "read, after all", points...)
	})
}
