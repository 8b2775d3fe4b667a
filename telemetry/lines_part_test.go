package telemetry

import (
	"testing"
	"time"
)

func TestDecodePart(t *testing.T) {
	f := func(text string, n, points, refused int) {
		t.Helper()
		var d LineDecoder
		var b Batch
		got, _ := d.DecodePart(&b, []byte(text), time.Unix(1, 0))
		if got != n || b.Len() != points || b.Drops().Total() != refused {
			t.Errorf("%q: %d bytes, %d points, %d refused; want %d, %d, %d", text, got, b.Len(), b.Drops().Total(), n, points, refused)
		}
	}
	f("", 0, 0, 0)
	f("a v=1\n", 6, 1, 0)
	f("a v=1\na v=2", 11, 2, 0)
	f("a v=\"x\ny\"\n", 10, 1, 0)
	f("a v=\"x\n", 0, 0, 0)
	f("a v=1\na v=\"x\n", 6, 1, 0)
	f("a v=1\n\na v=\"x\n", 7, 1, 0)
	f("a v=\"x\\\"\n", 0, 0, 0)
	f("a v=1\na v=\"x\nb v=2\n", 6, 1, 0)
	f("a v=1\na v=\"x\"y\n", 15, 1, 1)
	f("a v=1\na v=x\n", 12, 1, 1)
	f("a\"b v=1\n", 8, 1, 0)
	f("bad\na w=1,v=\"x\n", 4, 0, 1)
}

// What DecodePart leaves, with what comes behind it, is read as if it had come at once.
func TestDecodePartGoesOn(t *testing.T) {
	text := "a v=1 1\na v=\"x\ny\",w=\"\n\" 2\nb v=\"\\\"\n\" 3\nc v=\"z\" 4\n"
	var whole Batch
	if err := whole.DecodeLines([]byte(text), time.Unix(1, 0)); err != nil || whole.Len() != 4 {
		t.Fatalf("%d points, %v", whole.Len(), err)
	}
	want := string(whole.AppendLines(nil))
	for cut := range text {
		if cut > 0 && text[cut-1] != '\n' {
			continue
		}
		var d LineDecoder
		var b Batch
		n, err := d.DecodePart(&b, []byte(text[:cut]), time.Unix(1, 0))
		if err != nil {
			t.Errorf("cut at %d: %v", cut, err)
		}
		if err := d.Decode(&b, []byte(text[n:]), time.Unix(1, 0)); err != nil {
			t.Errorf("behind the cut at %d, from %d: %v", cut, n, err)
		}
		if got := string(b.AppendLines(nil)); got != want {
			t.Errorf("cut at %d: %q, want %q", cut, got, want)
		}
	}
}
