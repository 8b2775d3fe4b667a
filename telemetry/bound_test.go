package telemetry

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// A batch with a bound takes points of the shapes that it has, and counts those of others.
func TestBound(t *testing.T) {
	var b Batch
	b.Bound(2)
	var lines LineDecoder
	if err := lines.Decode(&b, []byte("a v=1\na v=2\nb v=1\n"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := lines.Decode(&b, []byte("c v=1\nc v=2\na v=3\na,t=u v=1\nb v=2\nc v=3\n"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	b.Add("d", Fields{"v": 1}, nil)
	b.Add("a", Fields{"v": 1.0}, nil)
	if g := b.Group("e", nil, []Field{{"v", TypeFloat}}); g != nil {
		t.Errorf("%+v", g)
	}
	if b.Len() != 6 || b.Drops().Count(CodeLimit) != 5 || b.Drops().Total() != 5 {
		t.Errorf("%d points, %v", b.Len(), b.Drops())
	}
	b.Bound(0)
	if b.Add("d", Fields{"v": 1}, nil); b.Len() != 7 {
		t.Errorf("%d points", b.Len())
	}
	b.Bound(1)
	b.Add("e", Fields{"v": 1}, nil)
	if b.Add("f", Fields{"v": 1}, nil); b.Len() != 8 {
		t.Errorf("%d points: a bound is of more groups", b.Len())
	}
	b.Reset()
	b.Add("a", Fields{"v": 1}, nil)
	if b.Add("b", Fields{"v": 1}, nil); b.Len() != 2 {
		t.Error("a bound is kept over Reset")
	}
}

// Columns whose values are numbered anew in each table do not make a decoder of lines remember ever more.
func TestLineMemory(t *testing.T) {
	var text strings.Builder
	for i := range 20_000 {
		n := strconv.Itoa(i)
		text.WriteString("s,t=" + n + " f" + n + "=1\n")
	}
	var b Batch
	var d LineDecoder
	if err := d.Decode(&b, []byte(text.String()), time.Time{}); err != nil || b.Len() != 20_000 {
		t.Fatal(err, b.Len())
	}
	held := 0
	for _, table := range d.tables {
		held += 4 * cap(table.tags[0].index)
	}
	if held > 2*maxLineMemory {
		t.Errorf("%d MiB", held>>20)
	}
}

// A long text is cut by the cost of what is kept of it.
func TestCleanLong(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	if got := cleanTag(long); got != long[:MaxTagValue] {
		t.Errorf("%d bytes", len(got))
	}
	if got := cleanTag("a\n\xff" + long); len(got) > MaxTagValue || !strings.HasPrefix(got, "a \uFFFDé") {
		t.Errorf("%d bytes: %.10q", len(got), got)
	}
	if n := testing.AllocsPerRun(10, func() { cleanTag(long) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
