package telemetry

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// packed writes msgpack by hand: a list of Go is an array, string a str, []byte a bin, map a map, and hexed is bytes as they
// are.
func packed(v any) []byte {
	switch v := v.(type) {
	case []any:
		out := appendArray(nil, len(v))
		for _, x := range v {
			out = append(out, packed(x)...)
		}
		return out
	case map[string]any:
		out := []byte{0x80 | byte(len(v))}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out = append(append(out, packed(key)...), packed(v[key])...)
		}
		return out
	case []byte:
		return append(appendBinHead(nil, len(v)), v...)
	case hexed:
		out, _ := hex.DecodeString(string(v))
		return out
	}
	return appendValue(nil, ValueOf(v))
}

type hexed string

type list = []any

func repeat(v any, n int) list { return slices.Repeat(list{v}, n) }

func names(n int) (l list) {
	for i := range n {
		l = append(l, fmt.Sprint("n", i))
	}
	return l
}

// inBatch is a batch of ns from 0 with groups.
func inBatch(groups ...any) list { return list{1, 1, 0, map[string]any{}, groups} }

// inGroup is a group with one tag k and one field v of type typ.
func inGroup(typ string, rows any) list {
	return list{"s", map[string]any{}, list{"k"}, list{"v"}, typ, rows}
}

func TestDecodeMsgPackRefuses(t *testing.T) {
	f := func(what string, batch any, want Code) {
		t.Helper()
		var b Batch
		if err := b.DecodeMsgPack(packed(batch)); !errors.Is(err, want) || b.Len() != 0 {
			t.Errorf("%s: %v, %d points; want %s", what, err, b.Len(), want)
		}
	}
	none := map[string]any{}
	f("a number for a batch", 7, CodeShape)
	f("text for a version", list{"1", 1, 0, none, list{}}, CodeShape)
	f("unit of ten", list{1, 10, 0, none, list{}}, CodeUnit)
	f("t0 above int64", list{1, 1, uint64(math.MaxUint64), none, list{}}, CodeShape)
	f("tags in a list", list{1, 1, 0, list{"a", "b"}, list{}}, CodeShape)
	f("tags without a key", list{1, 1, 0, map[string]any{"": "x"}, list{}}, CodeName)
	f("tag that is a number", list{1, 1, 0, map[string]any{"a": 1}, list{}}, CodeShape)
	f("tag that is too long", list{1, 1, 0, map[string]any{"a": strings.Repeat("x", MaxTagValue+1)}, list{}}, CodeTagValue)
	f("too many tags", list{1, 1, 0, hexed("de0041" + strings.Repeat("a161a162", 65)), list{}}, CodeLimit)
	f("groups in a map", list{1, 1, 0, none, map[string]any{"a": 1}}, CodeShape)
	f("a group of five", inBatch(list{"s", none, list{}, list{"v"}, "f"}), CodeShape)
	f("too many tag keys", inBatch(list{"s", none, names(MaxTags + 1), list{"v"}, "f", list{}}), CodeLimit)
	f("too many fields", inBatch(list{"s", none, list{}, names(MaxFields + 1), strings.Repeat("f", MaxFields+1), list{}}), CodeLimit)
	f("a tag key twice", inBatch(list{"s", none, list{"a", "a"}, list{"v"}, "f", list{}}), CodeDuplicateKey)
	f("a field twice", inBatch(list{"s", none, list{}, list{"a", "b", "a"}, "fff", list{}}), CodeDuplicateKey)
	f("one of many fields twice", inBatch(list{"s", none, list{}, append(names(40), "n7"), strings.Repeat("f", 41), list{}}), CodeDuplicateKey)
	f("fields that are nil", inBatch(list{"s", none, list{}, nil, "", list{}}), CodeShape)
	f("types in a list", inBatch(inGroup("f", list{})[:4:4]), CodeShape)
	f("types that are a number", inBatch(list{"s", none, list{}, list{"v"}, 7, list{}}), CodeShape)
	f("too few types", inBatch(list{"s", none, list{}, list{"v", "w"}, "f", list{}}), CodeShape)
	f("rows that are a number", inBatch(inGroup("f", 7)), CodeShape)
	f("a row that is text", inBatch(inGroup("f", list{"row"})), CodeShape)
	f("a row that is short", inBatch(inGroup("f", list{list{0, "x"}})), CodeShape)
	f("a row that is long", inBatch(inGroup("f", list{list{0, "x", 1, 2}})), CodeShape)
	f("a row with a float for a time", inBatch(inGroup("f", list{list{0.5, "x", 1}})), CodeShape)
	f("too many rows", inBatch(inGroup("f", repeat(0, MaxPoints+1))), CodeShape) // begins like columns
	f("too many lists", inBatch(inGroup("f", repeat(list{}, MaxPoints+1))), CodeLimit)

	columns := func(what, typ string, want Code, cols list) {
		t.Helper()
		f(what, inBatch(inGroup(typ, cols)), want)
	}
	columns("a negative count", "f", CodeLimit, list{-1, 0, "x", 1})
	columns("a count above the limit", "f", CodeLimit, list{MaxPoints + 1, 0, "x", 1})
	columns("a count above int64", "f", CodeLimit, list{uint64(math.MaxUint64), 0, "x", 1})
	columns("times that are nil", "f", CodeShape, list{1, nil, "x", 1})
	columns("times that are text", "f", CodeShape, list{1, "0", "x", 1})
	columns("times that are floats", "f", CodeShape, list{1, list{0.5}, "x", 1})
	columns("too few times", "f", CodeShape, list{2, list{0}, "x", 1})
	columns("times of three bytes", "f", CodeShape, list{1, []byte{0, 0, 0}, "x", 1})
	columns("times of no bytes", "f", CodeShape, list{1, []byte{}, "x", 1})
	columns("tags in bin", "f", CodeShape, list{1, 0, []byte{0}, 1})
	columns("too few tags", "f", CodeShape, list{3, 0, list{"a", "b"}, 1})
	columns("a dictionary without indices", "f", CodeShape, list{2, 0, list{list{"a"}, 7}, 1})
	columns("a dictionary of numbers", "f", CodeShape, list{2, 0, list{list{1, 2}, []byte{0, 1}}, 1})
	columns("indices of three bytes", "f", CodeShape, list{1, 0, list{list{"a"}, []byte{0, 0, 0}}, 1})
	columns("too few indices", "f", CodeShape, list{2, 0, list{list{"a"}, list{0}}, 1})
	columns("an index of two bytes outside", "f", CodeIndex, list{2, 0, list{list{"a"}, []byte{0, 0, 1, 0}}, 1})
	columns("an index of four bytes outside", "f", CodeIndex, list{1, 0, list{list{"a"}, []byte{0, 0, 0, 0x80}}, 1})
	columns("a negative index", "f", CodeIndex, list{1, 0, list{list{"a"}, list{-1}}, 1})
	columns("an index above int64", "f", CodeIndex, list{1, 0, list{list{"a"}, list{uint64(math.MaxUint64)}}, 1})
	columns("an index in an empty dictionary", "f", CodeIndex, list{1, 0, list{list{}, []byte{0}}, 1})
	columns("a dictionary above the limit", "s", CodeLimit, list{1, 0, "x", list{repeat("", MaxPoints+1), []byte{0}}})
	columns("a dictionary of numbers for a float", "f", CodeShape, list{1, 0, "x", list{list{1.5}, []byte{0}}})
	columns("too few values", "f", CodeShape, list{3, 0, "x", list{1, 2}})
	columns("floats of two bytes", "f", CodeShape, list{1, 0, "x", []byte{0, 0}})
	columns("bools of two bytes", "b", CodeShape, list{1, 0, "x", []byte{0, 0}})
	columns("integers of three bytes", "u", CodeShape, list{1, 0, "x", []byte{0, 0, 0}})
	columns("a reserved letter nested too deep", "h", CodeDepth, list{1, 0, "x", list{list{list{list{list{}}}}}})
	columns("a reserved letter with an extension", "h", CodeExt, list{1, 0, "x", hexed("d40000")})
	columns("a reserved letter with bad text", "h", CodeUTF8, list{1, 0, "x", hexed("a1ff")})

	half := list{"s", none, list{}, list{"v"}, "f", list{40000, 0, 1}}
	f("too many points in two groups", inBatch(half, half), CodeLimit)
	wide := list{"s", none, list{}, names(200), strings.Repeat("f", 200), append(list{1000, 0}, repeat(1, 200)...)}
	f("too many cells in two groups", inBatch(wide, wide), CodeLimit)
}

// TestDecodeMsgPackDrops checks what is left out and counted of columns, by each form they have.
func TestDecodeMsgPackDrops(t *testing.T) {
	f := func(what, typ string, cols list, want map[string]int, left ...any) {
		t.Helper()
		var b Batch
		if err := b.DecodeMsgPack(packed(inBatch(inGroup(typ, cols)))); err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		for _, b := range []*Batch{&b, decoded(t, &b)} {
			var got []any
			for p := range b.Points() {
				got = append(got, p.Tags["k"], p.Fields["v"])
			}
			if fmt.Sprint(got) != fmt.Sprint(list(left)) {
				t.Errorf("%s: %v left, want %v", what, got, left)
			}
		}
		if got := dropped(&b); !maps.Equal(got, want) {
			t.Errorf("%s: drops %v, want %v", what, got, want)
		}
	}
	type drops = map[string]int
	long := strings.Repeat("x", MaxTagValue+1)
	f("nothing", "f", list{2, 0, "x", 1}, drops{}, "x", 1, "x", 1)
	f("no points", "f", list{0, 0, "x", 1}, drops{})
	f("no points, packed", "f", list{0, []byte{}, list{list{}, []byte{}}, []byte{}}, drops{})
	f("no points, cells", "f", list{0, list{}, list{}, list{}}, drops{})
	f("no tag", "f", list{2, 0, nil, 1}, drops{}, "", 1, "", 1)

	f("a tag that is too long", "f", list{2, 0, long, 1}, drops{"tag_value": 2})
	f("a tag longer than a text", "f", list{2, 0, strings.Repeat("x", MaxText+1), 1}, drops{"tag_value": 2})
	f("a tag with a control character", "f", list{2, 0, "a\n", 1}, drops{"tag_value": 2})
	f("a tag that is a number", "f", list{2, 0, 7, 1}, drops{"tag_value": 2})
	f("tags, one too long", "f", list{3, 0, list{"x", long, nil}, 1}, drops{"tag_value": 1}, "x", 1, "", 1)
	f("tags, one a list", "f", list{2, 0, list{"x", list{}}, 1}, drops{"tag_value": 1}, "x", 1)
	f("tags, one a bin", "f", list{2, 0, list{"x", []byte("y")}, 1}, drops{"tag_value": 1}, "x", 1)
	f("a bad tag of a dictionary", "f", list{3, 0, list{list{"x", "a\x7f"}, []byte{0, 1, 0}}, 1}, drops{"tag_value": 1}, "x", 1, "x", 1)
	f("a bad tag that no point has", "f", list{2, 0, list{list{"x", long}, []byte{0, 0}}, 1}, drops{}, "x", 1, "x", 1)

	f("a constant of another type", "f", list{2, 0, "x", "text"}, drops{"type": 2, "no_fields": 2})
	f("a constant out of range", "u", list{2, 0, "x", -1}, drops{"int_range": 2, "no_fields": 2})
	f("a constant above int64", "i", list{2, 0, "x", uint64(math.MaxUint64)}, drops{"int_range": 2, "no_fields": 2})
	f("a constant not a number", "f", list{2, 0, "x", hexed("cb7ff8000000000000")}, drops{"nan": 2, "no_fields": 2})
	f("floats of four bytes, one infinite", "f", list{2, 0, "x", []byte{0, 0, 0x80, 0x7f, 0, 0, 0x80, 0x3f}}, drops{"nan": 1, "no_fields": 1}, "x", 1)
	f("integers as floats", "i", list{4, 0, "x", list{2.0, 2.5, hexed("cb7ff0000000000000"), 1e300}},
		drops{"type": 2, "nan": 1, "no_fields": 3}, "x", 2)
	f("an unsigned as a negative float", "u", list{2, 0, "x", list{-2.0, 3.0}}, drops{"int_range": 1, "no_fields": 1}, "x", 3)
	f("a float32", "f", list{1, 0, "x", hexed("ca3fc00000")}, drops{}, "x", 1.5)
	f("the largest integer as a float", "f", list{1, 0, "x", uint64(math.MaxUint64)}, drops{}, "x", float64(math.MaxUint64))
	f("a bool that is a number", "b", list{2, 0, "x", list{1, true}}, drops{"type": 1, "no_fields": 1}, "x", true)
	f("text in bin cells", "s", list{2, 0, "x", list{[]byte("a"), "b"}}, drops{"type": 1, "no_fields": 1}, "x", "b")
	f("a text that is too long", "s", list{2, 0, "x", strings.Repeat("x", MaxText+1)}, drops{"too_long": 2, "no_fields": 2})
	f("a text of a dictionary that is too long", "s", list{3, 0, "x", list{list{"a", strings.Repeat("x", MaxText+1)}, []byte{1, 0, 1}}},
		drops{"too_long": 2, "no_fields": 2}, "x", "a")
	f("a reserved letter", "h", list{3, 0, "x", list{map[string]any{"a": list{1, 2.5, "s", true, nil, []byte{1}}}, nil, 7}}, drops{"unknown_type": 3, "no_fields": 3})
	f("a reserved letter that says nothing", "h", list{2, 0, "x", nil}, drops{"no_fields": 2})
	f("a reserved letter in bin", "x", list{2, 0, "x", []byte{1, 2, 3}}, drops{"unknown_type": 2, "no_fields": 2})

	f("a time above int64", "f", list{2, uint64(math.MaxUint64), "x", 1}, drops{"time_range": 2})
	f("times, one above int64", "f", list{2, list{uint64(math.MaxUint64), 5}, "x", list{1, 2}}, drops{"time_range": 1}, "x", 2)
	f("times of eight bytes", "f", list{2, packedTimes(math.MaxInt64, math.MinInt64), "x", list{1, 2}}, drops{}, "x", 1, "x", 2)
}

func packedTimes(times ...int64) (data []byte) {
	for _, v := range times {
		data = append(data, plainBits(v, 8)...)
	}
	return data
}

// TestDecodeTimes checks times at the ends of int64, in every form they have.
func TestDecodeTimes(t *testing.T) {
	f := func(unit, t0 int64, times any, rows int, late int, want ...int64) {
		t.Helper()
		group := list{"s", nil, nil, list{"v"}, "i", list{rows, times, 1}}
		var b Batch
		if err := b.DecodeMsgPack(packed(list{1, unit, t0, nil, list{group}})); err != nil {
			t.Errorf("%v: %v", times, err)
			return
		}
		for _, b := range []*Batch{&b, decoded(t, &b)} {
			var got []int64
			for g := range b.Groups() {
				for row := range g.Len() {
					if g.instant(row) != g.Time(row) || g.Point(row).Time != time.Unix(0, g.Time(row)).UTC() {
						t.Errorf("%v: row %d is at %d, %d and %v", times, row, g.instant(row), g.Time(row), g.Point(row).Time)
					}
				}
				got = append(got, g.Times()...)
			}
			if !slices.Equal(got, want) {
				t.Errorf("unit %d, t0 %d, %v: %d, want %d", unit, t0, times, got, want)
			}
		}
		if got := b.Drops().Count(CodeTimeRange); got != late {
			t.Errorf("unit %d, t0 %d, %v: %d late, want %d", unit, t0, times, got, late)
		}
	}
	const most, least = math.MaxInt64, math.MinInt64
	f(1, 0, 5, 2, 0, 5, 5)
	f(1, most, 0, 1, 0, most)
	f(1, most, 1, 2, 2)
	f(1, most, []byte{0, 1, 0xff}, 3, 1, most, most-1)
	f(1, least, []byte{0, 1, 0xff}, 3, 1, least, least+1)
	f(1, most, list{0, 1, least}, 3, 1, most, -1)
	f(1, least, packedTimes(most, least), 2, 1, -1)
	f(1000, most/1000, []byte{0, 1}, 2, 1, most/1000*1000)
	f(1000, most/1000+1, []byte{0xff, 0}, 2, 1, most/1000*1000) // the base is too late, but a point is not
	f(1e6, 1, []byte{0, 0, 0, 0x80}, 2, 0, 1e6, -32767e6)
	f(1e9, 0, packedTimes(9223372036, 9223372037, -9223372036), 3, 1, 9223372036e9, -9223372036e9)
	f(1e9, most, 0, 1, 1)
	f(1e9, most, least, 1, 0, -1e9)
}

// TestFramesSplit sends rows that are of very different size, so that the estimate is wrong again and again.
func TestFramesSplit(t *testing.T) {
	f := func(texts ...int) {
		t.Helper()
		var b Batch
		g := b.Group("log", nil, []Field{{"text", TypeString}})
		h := b.Group("other", nil, []Field{{"text", TypeString}})
		for i, n := range texts {
			g.Row(at(i), nil, String(strings.Repeat("x", n)))
			h.Row(at(i), nil, String(fmt.Sprint(n)))
		}
		want, sent := described(&b), Batch{}
		for frame := range b.Frames(TargetFrame, func() []byte { return nil }) {
			var c Batch
			if err := errors.Join(frame.Err, c.DecodeMsgPack(frame.Body)); err != nil || len(frame.Body) > MaxFrame {
				t.Errorf("%d texts: a message of %d bytes: %v", len(texts), len(frame.Body), err)
			}
			for g := range c.Groups() {
				sent.Take(g)
			}
		}
		if !slices.Equal(described(&sent), want) {
			t.Errorf("%d texts: %d points came, want %d", len(texts), sent.Len(), len(want))
		}
	}
	small, large := slices.Repeat([]int{1}, 3000), slices.Repeat([]int{60000}, 12)
	f(append(slices.Clone(small), large...)...)
	f(append(slices.Clone(large), small...)...)
	f(large...)
	f(60000)
}
