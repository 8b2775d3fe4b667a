package telemetry

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// A columnCase is a column as it comes in a message, and what its rows hold: nil where there is no value.
type columnCase struct {
	name  string
	typ   Type
	wire  string // hex of the column in msgpack
	cells []any
}

// columnCases has every form of a column, three to five rows each.
var columnCases = []columnCase{
	{"constant float", TypeFloat, "cb3ff8000000000000", []any{1.5, 1.5, 1.5}},
	{"constant int in a float column", TypeFloat, "07", []any{7.0, 7.0, 7.0}},
	{"constant text", TypeString, "a161", []any{"a", "a", "a"}},
	{"constant bool", TypeBool, "c3", []any{true, true, true}},
	{"int8", TypeInt, "c403ff7f80", []any{int64(-1), int64(127), int64(-128)}},
	{"int16", TypeInt, "c406feff00800001", []any{int64(-2), int64(-32768), int64(256)}},
	{"int32", TypeInt, "c40cfdffffff0000008000000100", []any{int64(-3), int64(math.MinInt32), int64(65536)}},
	{"int64", TypeInt, "c418fcffffffffffffff0000000000000080ffffffffffffff7f", []any{int64(-4), int64(math.MinInt64), int64(math.MaxInt64)}},
	{"uint8", TypeUint, "c40301ff80", []any{uint64(1), uint64(255), uint64(128)}},
	{"uint16", TypeUint, "c4060200ffff0080", []any{uint64(2), uint64(65535), uint64(32768)}},
	{"uint32", TypeUint, "c40c03000000ffffffff00000080", []any{uint64(3), uint64(math.MaxUint32), uint64(1 << 31)}},
	{"uint64", TypeUint, "c4180400000000000000ffffffffffffffff0000000000000080", []any{uint64(4), uint64(math.MaxUint64), uint64(1 << 63)}},
	{"float32", TypeFloat, "c40c0000c03f000080bf00000000", []any{1.5, -1.0, 0.0}},
	{"float64", TypeFloat, "c418000000000000f83f000000000000f0bf9a9999999999b93f", []any{1.5, -1.0, 0.1}},
	{"bool", TypeBool, "c403010001", []any{true, false, true}},
	{"dictionary, 1 byte", TypeString, "9292a161a162c40401000001", []any{"b", "a", "a", "b"}},
	{"dictionary, 2 bytes", TypeString, "9292a161a162c40801000000000001 00", []any{"b", "a", "a", "b"}},
	{"dictionary, 4 bytes", TypeString, "9292a161a162c41001000000000000000000000001000000", []any{"b", "a", "a", "b"}},
	{"dictionary, list", TypeString, "9292a161a1629401000001", []any{"b", "a", "a", "b"}},
	{"texts", TypeString, "95a161a162a161a163a164", []any{"a", "b", "a", "c", "d"}},
	{"texts with absent", TypeString, "95a161c0a161c0a164", []any{"a", nil, "a", nil, "d"}},
	{"ints with absent", TypeInt, "94c005fec0", []any{nil, int64(5), int64(-2), nil}},
	{"floats with absent", TypeFloat, "93cb3ff8000000000000c001", []any{1.5, nil, 1.0}},
	{"bools with absent", TypeBool, "93c0c3c2", []any{nil, true, false}},
	{"constant nil", TypeFloat, "c0", []any{nil, nil, nil}},
}

// read returns a batch of one group of which the column is the field x. Field n tells the rows, so that none is dropped.
func (c columnCase) read(t *testing.T) (*Batch, *Group) {
	t.Helper()
	msg := unhex(t, "95010100809196a173809092a178a16ea2")
	msg = append(msg, byte(c.typ), 'i', 0x94, byte(len(c.cells)), 0)
	msg = append(msg, unhex(t, c.wire)...)
	msg = appendArray(msg, len(c.cells))
	for row := range c.cells {
		msg = appendInt(msg, int64(row))
	}
	b := new(Batch)
	if err := b.DecodeMsgPack(msg); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return b, b.groups[0]
}

// check compares a column with cells by each of its readers.
func (c columnCase) check(t *testing.T, col *Column, cells []any) {
	t.Helper()
	if col.Len() != len(cells) || col.Type() != c.typ {
		t.Errorf("%s: %d rows of %v, want %d of %v", c.name, col.Len(), col.Type(), len(cells), c.typ)
		return
	}
	floats := col.Floats([]float64{-7})
	if len(floats) != 1+len(cells) || floats[0] != -7 {
		t.Errorf("%s: Floats gives %v", c.name, floats)
		return
	}
	for row, want := range cells {
		v := ValueOf(want)
		text, _ := want.(string)
		if got := col.Value(row); got != v || col.Has(row) != v.Present() || col.Text(row) != text {
			t.Errorf("%s: row %d is %v %q, want %v", c.name, row, got.Any(), col.Text(row), want)
		}
		for _, got := range []float64{col.Float(row), floats[1+row]} {
			if got != v.Float() && !(math.IsNaN(got) && math.IsNaN(v.Float())) {
				t.Errorf("%s: row %d as a float is %v, want %v", c.name, row, got, v.Float())
			}
		}
	}
	c.checkMatches(t, col, cells)
}

func (c columnCase) checkMatches(t *testing.T, col *Column, cells []any) {
	t.Helper()
	mask := slices.Repeat([]bool{true}, len(cells))
	col.MatchFloats(mask, func(v float64) bool { return v > 0 })
	for row, want := range cells {
		v := ValueOf(want)
		number := v.Present() && v.Type() != TypeString
		if mask[row] != (number && v.Float() > 0) {
			t.Errorf("%s: row %d, %v, matches > 0: %v", c.name, row, want, mask[row])
		}
	}
	for _, wanted := range []string{"a", ""} {
		col.MatchText(mask, func(s string) bool { return s == wanted })
		for row, want := range cells {
			if text, _ := want.(string); mask[row] != (text == wanted) {
				t.Errorf("%s: row %d, %v, matches %q: %v", c.name, row, want, wanted, mask[row])
			}
		}
	}
}

func TestColumnForms(t *testing.T) {
	for _, c := range columnCases {
		_, g := c.read(t)
		c.check(t, g.Field("x"), c.cells)
	}
}

// TestColumnSelect cuts every form down by every mask, once and once more, and sends the rest on.
func TestColumnSelect(t *testing.T) {
	for _, c := range columnCases {
		for bits := range 1 << len(c.cells) {
			b, g := c.read(t)
			mask := make([]bool, len(c.cells))
			var left []any
			for row := range mask {
				if mask[row] = bits>>row&1 == 1; mask[row] {
					left = append(left, c.cells[row])
				}
			}
			g.Select(mask)
			c.check(t, g.Field("x"), left)
			if len(left) == 0 {
				continue
			}
			sent := decoded(t, b).groups[0]
			if sent.Field("x") != nil {
				c.check(t, sent.Field("x"), left)
			}
			g.Keep(func(row int) bool { return row > 0 })
			c.check(t, g.Field("x"), left[1:])
		}
	}
}

// TestColumnPart encodes a stretch of rows, as the messages of a large batch do.
func TestColumnPart(t *testing.T) {
	for _, c := range columnCases {
		for from := range c.cells {
			for to := from + 1; to <= len(c.cells); to++ {
				b, g := c.read(t)
				var d Batch
				if err := d.DecodeMsgPack(b.appendParts(nil, []part{{g, from, to}})); err != nil {
					t.Errorf("%s, rows %d to %d: %v", c.name, from, to, err)
					continue
				}
				c.check(t, d.groups[0].Field("x"), c.cells[from:to])
			}
		}
	}
}

// TestMatchTextAsksOnce counts how often the texts of a dictionary are asked for.
func TestMatchTextAsksOnce(t *testing.T) {
	f := func(rows, texts int) {
		t.Helper()
		var c Column
		c.start("c", TypeString)
		for row := range rows {
			c.appendText(fmt.Sprint("t", row%texts))
		}
		asked := map[string]int{}
		mask := make([]bool, rows)
		c.MatchText(mask, func(s string) bool { asked[s]++; return s == "t1" })
		for row := range mask {
			if mask[row] != (row%texts == 1) {
				t.Fatalf("%d texts: row %d matches %v", texts, row, mask[row])
			}
		}
		for s, n := range asked {
			if n != 1 {
				t.Fatalf("%d texts: %q was asked %d times", texts, s, n)
			}
		}
	}
	f(1000, 3)
	f(1000, 256)
	f(1000, 400)
}

// TestDictionaryGrows adds texts until the indices need two bytes, and four, and until texts hardly repeat.
func TestDictionaryGrows(t *testing.T) {
	f := func(rows, texts int, form form, width uint8) {
		t.Helper()
		var c Column
		c.start("c", TypeString)
		want := make([]string, rows)
		for row := range rows {
			want[row] = fmt.Sprint("text", row*7%texts)
			if row%1000 == 999 {
				want[row] = ""
				c.append(Value{})
				continue
			}
			c.append(String(want[row]))
		}
		if c.form != form || form == formDict && c.width != width {
			t.Errorf("%d rows of %d texts: form %d, width %d; want %d, %d", rows, texts, c.form, c.width, form, width)
		}
		for row := range want {
			if got := c.Text(row); got != want[row] || c.Has(row) != (want[row] != "") {
				t.Fatalf("%d rows of %d texts: row %d is %q, want %q", rows, texts, row, got, want[row])
			}
		}
	}
	f(10, 1, formDict, 1)
	f(100, 9, formDict, 1)
	f(600, 250, formDict, 1)
	f(2000, 300, formDict, 2)
	f(2000, 1999, formText, 0)
	f(3000, 500, formDict, 2)
	var c Column // four bytes only where the texts come slowly
	c.start("c", TypeString)
	for i := range 70000 {
		for range 3 {
			c.appendText(fmt.Sprint(i))
		}
	}
	if c.form != formDict || c.width != 4 || c.Text(3*65536) != "65536" || c.Text(0) != "0" {
		t.Errorf("70000 texts: form %d, width %d", c.form, c.width)
	}
}

func TestColumnTruncate(t *testing.T) {
	for _, c := range columnCases {
		for n := range len(c.cells) + 1 {
			var col Column
			col.start("x", c.typ)
			for _, v := range c.cells {
				col.append(ValueOf(v))
			}
			col.truncate(n)
			c.check(t, &col, c.cells[:n])
			for _, v := range c.cells[n:] {
				col.append(ValueOf(v))
			}
			c.check(t, &col, c.cells)
		}
	}
}

// TestColumnWidths writes the narrowest width that holds all values, or one value that is the same everywhere.
func TestColumnWidths(t *testing.T) {
	f := func(want string, values ...Value) {
		t.Helper()
		var c Column
		c.start("c", values[0].typ)
		for _, v := range values {
			c.append(v)
		}
		if got := fmt.Sprintf("%x", c.appendMsgPack(nil, 0, c.n)); got != want {
			t.Errorf("%v: %s, want %s", values, got, want)
		}
	}
	f("05", Int(5), Int(5))
	f("c402057f", Int(5), Int(127))
	f("c40405008000", Int(5), Int(128))
	f("c40480ffff7f", Int(-128), Int(32767))
	f("c4080000008000800000", Int(math.MinInt32), Int(32768))
	f("c410ffffff7fffffffff0000000000000000", Int(math.MinInt32-1), Int(0))
	f("c40205ff", Uint(5), Uint(255))
	f("c40405000001", Uint(5), Uint(256))
	f("c4080500000000000100", Uint(5), Uint(65536))
	f("c41005000000000000000000000001000000", Uint(5), Uint(1<<32))
	f("c4080000c03f000080bf", Float(1.5), Float(-1))
	f("c4109a9999999999b93f000000000000f0bf", Float(0.1), Float(-1))
	f("c4080000000000000080", Float(0), Float(math.Copysign(0, -1)))
	f("c4020100", Bool(true), Bool(false))
	f("c3", Bool(true), Bool(true))
	f("9205c0", Int(5), Value{})
	f("a161", String("a"), String("a"), String("a"))
	f("92a161a162", String("a"), String("b"))
	f("9292a161a162c40400010001", String("a"), String("b"), String("a"), String("b"))
}
