package protobuf

import (
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// message returns one with a field of each wire type.
func message() (b []byte) {
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), protowire.EncodeZigZag(-3))
	b = protowire.AppendFixed32(protowire.AppendTag(b, 2, protowire.Fixed32Type), 7)
	b = protowire.AppendFixed64(protowire.AppendTag(b, 3, protowire.Fixed64Type), math.Float64bits(1.5))
	return protowire.AppendString(protowire.AppendTag(b, 4, protowire.BytesType), "text")
}

func TestFields(t *testing.T) {
	seen := 0
	f := Fields{Rest: message()}
	for f.Next() {
		switch f.Tag {
		case 1<<TypeBits | Varint:
			if got := f.Signed(); got != -3 {
				t.Errorf("signed %d", got)
			}
		case 3<<TypeBits | Fixed64:
			if got := f.Float(); got != 1.5 {
				t.Errorf("float %v", got)
			}
		case 4<<TypeBits | Sized:
			if got := f.Text(); got != "text" {
				t.Errorf("text %q", got)
			}
		default:
			continue
		}
		seen++
	}
	if seen != 3 || f.Err != nil {
		t.Errorf("%d fields, %v", seen, f.Err)
	}
}

// A message that is cut anywhere but between two fields is at fault.
func TestCut(t *testing.T) {
	whole := message()
	ends := []int{0, 2, 7, 16, len(whole)}
	for n := range len(whole) + 1 {
		f := Fields{Rest: whole[:n]}
		for f.Next() {
		}
		if ok := slices.Contains(ends, n); ok != (f.Err == nil) {
			t.Errorf("%d bytes: %v", n, f.Err)
		}
	}
}

func TestPacked(t *testing.T) {
	f := func(each func([]byte, func(uint64)) error, packed []byte, want ...uint64) {
		t.Helper()
		var got []uint64
		err := each(packed, func(v uint64) { got = append(got, v) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
		if len(packed) > 0 && each(packed[:len(packed)-1], func(uint64) {}) == nil {
			t.Error("a number that is cut is no fault")
		}
	}
	f(EachVarint, nil)
	f(EachVarint, protowire.AppendVarint([]byte{5}, 300), 5, 300)
	f(EachFixed, protowire.AppendFixed64(nil, 9), 9)
}

func TestMerged(t *testing.T) {
	var m Merged
	first := []byte("ab..")
	for _, part := range [][]byte{first[:2], []byte("cd"), []byte("ef")} {
		m.Add(part)
	}
	if string(m.Bytes) != "abcdef" || string(first) != "ab.." {
		t.Errorf("%q, and its first part is %q", m.Bytes, first)
	}
}
