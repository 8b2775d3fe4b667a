package protobuf

import (
	"errors"
	"io"
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

func TestNumbers(t *testing.T) {
	f := func(each func(*Fields, func(uint64)) error, field Fields, want ...uint64) {
		t.Helper()
		var got []uint64
		err := each(&field, func(v uint64) { got = append(got, v) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
		if n := len(field.Bytes); n > 0 {
			field.Bytes = field.Bytes[:n-1]
			if each(&field, func(uint64) {}) == nil {
				t.Error("a number that is cut is no fault")
			}
		}
	}
	f((*Fields).EachVarint, Fields{Tag: 1<<TypeBits | Varint, Bits: 3}, 3)
	f((*Fields).EachVarint, Fields{Tag: 1<<TypeBits | Sized})
	f((*Fields).EachVarint, Fields{Tag: 1<<TypeBits | Sized, Bytes: protowire.AppendVarint([]byte{5}, 300)}, 5, 300)
	f((*Fields).EachFixed, Fields{Tag: 1<<TypeBits | Fixed64, Bits: 9}, 9)
	f((*Fields).EachFixed, Fields{Tag: 1<<TypeBits | Sized, Bytes: protowire.AppendFixed64(nil, 9)}, 9)
}

func TestEach(t *testing.T) {
	sum := 0
	add := func(msg []byte) error {
		if sum += int(msg[0]); msg[0] == 0 {
			return io.EOF
		}
		return nil
	}
	var f Fields
	if err := f.Each([]byte{1<<3 | 2, 1, 5, 2<<3 | 2, 1, 9, 1<<3 | 2, 1, 7}, 1<<TypeBits|Sized, add); err != nil || sum != 12 {
		t.Errorf("%d, %v", sum, err)
	}
	if err := f.Each([]byte{1<<3 | 2, 1, 0, 1<<3 | 2, 1, 7}, 1<<TypeBits|Sized, add); !errors.Is(err, io.EOF) || sum != 12 {
		t.Errorf("%d, %v", sum, err)
	}
	if err := f.Each([]byte{1<<3 | 2, 1, 7}, 1<<TypeBits|Sized, add); !errors.Is(err, io.EOF) || sum != 12 {
		t.Errorf("after a fault: %d, %v", sum, err)
	}
}

func TestDelimited(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got := ""
		for msg, err := range Delimited([]byte(text)) {
			if err != nil {
				msg = []byte(err.Error())
			}
			got += string(msg) + ";"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	f("", "")
	f("\x02ab\x00\x01c", "ab;;c;")
	f("\x02ab\x02c", "ab;unexpected EOF;")
	f("\x01a\xff", "a;unexpected EOF;")
	f("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a", "unexpected EOF;")
	for msg, err := range Delimited([]byte("\x01a\x05")) {
		if string(msg) != "a" || err != nil {
			t.Errorf("%q, %v", msg, err)
		}
		break // as a caller may
	}
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
