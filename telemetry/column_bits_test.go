package telemetry

import (
	"math"
	"testing"
	"time"
)

// TestBits compares the numbers of a column read at once with those read one by one, in every form and width.
func TestBits(t *testing.T) {
	f := func(full bool, values ...Value) {
		t.Helper()
		var made, in Batch
		g := made.Group("s", nil, []Field{{"x", values[0].Type()}, {"here", TypeBool}})
		for _, v := range values {
			g.Row(time.Unix(1, 0), nil, v, Bool(true))
		}
		if err := in.DecodeMsgPack(made.AppendMsgPack(nil)); err != nil {
			t.Fatal(err)
		}
		for g := range in.Groups() {
			c := g.Field("x")
			if c.Full() != full {
				t.Errorf("Full of %v = %v", values, c.Full())
			}
			bits := c.Bits([]uint64{7})
			if len(bits) != 1+len(values) || bits[0] != 7 {
				t.Fatalf("Bits of %v = %v: want them appended", values, bits)
			}
			for row, v := range values {
				if bits[1+row] != v.bits {
					t.Errorf("bits of %v = %#x, want %#x", v.Any(), bits[1+row], v.bits)
				}
			}
		}
	}
	f(true, Float(0.5), Float(-1e300))
	f(true, Float(math.SmallestNonzeroFloat64), Float(0))
	f(true, Int(-1), Int(5))
	f(true, Int(-300), Int(300))
	f(true, Int(-70000), Int(70000))
	f(true, Int(math.MinInt64), Int(math.MaxInt64))
	f(true, Uint(1), Uint(255))
	f(true, Uint(1), Uint(65535))
	f(true, Uint(1), Uint(math.MaxUint32))
	f(true, Uint(1), Uint(math.MaxUint64))
	f(true, Bool(true), Bool(false))
	f(true, Int(-4), Int(-4)) // a constant
	f(false, Int(-4), Value{}, Int(9))
	f(true, String("a"), String("b"))
}

// TestBitsOfFloat32 reads the narrow floats that other writers send.
func TestBitsOfFloat32(t *testing.T) {
	c := Column{typ: TypeFloat, form: formPacked, width: 4, n: 2, data: []byte{0, 0, 0, 0x3f, 0, 0, 0xc0, 0xbf}}
	for row, b := range c.Bits(nil) {
		if got := math.Float64frombits(b); got != c.Float(row) {
			t.Errorf("row %d = %v, want %v", row, got, c.Float(row))
		}
	}
}
