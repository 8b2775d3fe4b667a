package telemetry

import (
	"math"
	"slices"
	"testing"
)

func TestSignFields(t *testing.T) {
	f := func(cut int, values ...uint64) {
		t.Helper()
		var made, read Batch
		for _, v := range values {
			made.Add("s", Fields{"u": v, "i": int64(-1), "f": 0.5}, nil)
		}
		if err := read.DecodeMsgPack(made.AppendMsgPack(nil)); err != nil {
			t.Fatal(err)
		}
		for _, b := range []*Batch{&made, &read} {
			g := slices.Collect(b.Groups())[0]
			if got := g.SignFields(); got != cut {
				t.Errorf("%d: cut %d, want %d", values, got, cut)
			}
			for row, v := range values {
				want := Int(int64(min(v, math.MaxInt64)))
				if got := g.Field("u").Value(row); got != want || g.Field("u").Type() != TypeInt {
					t.Errorf("%d became %v", v, got)
				}
				if g.Field("i").Value(row) != Int(-1) || g.Field("f").Value(row) != Float(0.5) {
					t.Errorf("the other fields of row %d have changed", row)
				}
			}
			if g.SignFields() != 0 {
				t.Error("it finds more the second time")
			}
		}
		if got, want := string(read.AppendMsgPack(nil)), string(made.AppendMsgPack(nil)); got != want {
			t.Errorf("encoded %x, want %x", got, want)
		}
	}
	f(0, 7)
	f(1, math.MaxUint64)
	f(2, math.MaxUint64, math.MaxUint64)
	f(0, 1, 200, 3) // a byte each
	f(0, 1, 40000)
	f(0, 1, 1<<31+1)
	f(1, 1, math.MaxInt64, math.MaxInt64+1)
}

// A point without the field stays without it.
func TestSignFieldsAbsent(t *testing.T) {
	var b Batch
	g := b.Group("s", nil, []Field{{"u", TypeUint}, {"v", TypeInt}})
	g.Row(b.Time(), nil, Uint(200), Int(1))
	g.Row(b.Time(), nil, Value{}, Int(2))
	if cut := g.SignFields(); cut != 0 || g.Field("u").Has(1) || g.Field("u").Value(0) != Int(200) {
		t.Errorf("cut %d, values %v, %v", cut, g.Field("u").Value(0), g.Field("u").Value(1))
	}
}
