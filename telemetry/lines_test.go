package telemetry

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// arrival is when the lines of the tests arrive: 1763559525997744000 in whole microseconds.
var arrival = time.Unix(0, 1763559525997744692)

// decodeLines returns the points of text as show does, sorted, with the batch and the error. It reads the text as it is, and
// again with every line expected and with all that the first reading learned, which must not make a difference.
func decodeLines(t *testing.T, text string) ([]string, *Batch, error) {
	t.Helper()
	var d LineDecoder
	var b Batch
	err := d.Decode(&b, []byte(text), arrival)
	first, drops := sorted(show(&b)), *b.Drops()
	for range 3 { // a long tail, so that the lines are not too near the end for the fast way
		b.Reset()
		again := d.Decode(&b, []byte(text+"\n#"+strings.Repeat(" ", 100)), arrival)
		if got := sorted(show(&b)); !slices.Equal(got, first) || *b.Drops() != drops || fmt.Sprint(again) != fmt.Sprint(err) {
			t.Errorf("decode %q again:\n got %q, %v\nwant %q, %v", text, got, again, first, err)
		}
	}
	return first, &b, err
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

func TestDecodeLines(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		got, b, err := decodeLines(t, text)
		if err != nil || b.Drops().Total() != 0 || !slices.Equal(got, sorted(want)) {
			t.Errorf("decode %q:\n got %q, %v, drops %v\nwant %q", text, got, err, b.Drops(), want)
		}
	}
	const now = "1763559525997744000"
	f("")
	f("\n\r\n  \n# a comment, v=1 \n#\n   # another")
	f("cpu v=1", "cpu map[] map[v:1] "+now)
	f("cpu v=1 5", "cpu map[] map[v:1] 5")
	f("cpu v=1 5\n", "cpu map[] map[v:1] 5")
	f("cpu v=1 5\r\ncpu v=2\r\n", "cpu map[] map[v:1] 5", "cpu map[] map[v:2] "+now)
	f("cpu v=1 5\r", "cpu map[] map[v:1] 5")
	f("\uFEFFcpu v=1 -5", "cpu map[] map[v:1] -5")
	f("cpu v=1 9223372036854775807\ncpu v=2 -9223372036854775808", "cpu map[] map[v:1] 9223372036854775807", "cpu map[] map[v:2] -9223372036854775808")
	f("  cpu   v=1   5  \n", "cpu map[] map[v:1] 5")
	f("cpu,b=2,a=1 y=2i,x=1u 7\ncpu,a=1,b=2 x=3u,y=4i 8", "cpu map[a:1 b:2] map[x:1 y:2] 7", "cpu map[a:1 b:2] map[x:3 y:4] 8")
	f(`a\,b\ c\=d,k\,1\ 2\=3=v\,1\ 2\=3 f\,1\ 2\=3=1 1`, `a,b c\=d map[k,1 2=3:v,1 2=3] map[f,1 2=3:1] 1`)
	f(`a\b=c"d,k\x=\\v f\x=1 1`+"\n", `a\b=c"d map[k\x:\\v] map[f\x:1] 1`)
	f(`s a="",b="x",c="a\"b\\c\d",d="a\nb\tc\rd",e="x,y z=1" 1`, "s map[] map[a: b:x c:a\"b\\c\\d d:a\nb\tc\rd e:x,y z=1] 1")
	f("s a=\"two\nlines\",b=1 1\ns a=\"ü\",b=2 2", "s map[] map[a:two\nlines b:1] 1", "s map[] map[a:ü b:2] 2")
	f("b a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE 1",
		"b map[] map[a:true b:true c:true d:true e:true f:false g:false h:false i:false j:false] 1")
	f("f a=1e3,b=-1.5,c=.5,d=5.,e=1E-3,f=-0,g=123456789012345678901234567890,h=0.1 1",
		"f map[] map[a:1000 b:-1.5 c:0.5 d:5 e:0.001 f:-0 g:1.2345678901234568e+29 h:0.1] 1")
	f("i a=0i,b=-0i,c=9223372036854775807i,d=-9223372036854775808i,e=007i,f=18446744073709551615u 1",
		"i map[] map[a:0 b:0 c:9223372036854775807 d:-9223372036854775808 e:7 f:18446744073709551615] 1")
	f("ü,ö=ä ß=1 1", "ü map[ö:ä] map[ß:1] 1")
	f(strings.Repeat("x", 255)+","+strings.Repeat("k", 255)+"="+strings.Repeat("v", 1024)+" v=1 1",
		strings.Repeat("x", 255)+" map["+strings.Repeat("k", 255)+":"+strings.Repeat("v", 1024)+"] map[v:1] 1")
	f("cpu v=1 1\ncpu v=1i 2\ncpu v=\"1\" 3\ncpu v=t 4\ncpu v=1u 5",
		"cpu map[] map[v:1] 1", "cpu map[] map[v:1] 2", "cpu map[] map[v:1] 3", "cpu map[] map[v:true] 4", "cpu map[] map[v:1] 5")
}

func TestDecodeLinesRefuses(t *testing.T) {
	f := func(line, why string) {
		t.Helper()
		got, b, err := decodeLines(t, "good v=1 1\n"+line+"\ngood v=2 2\n")
		if !slices.Equal(got, []string{"good map[] map[v:1] 1", "good map[] map[v:2] 2"}) {
			t.Errorf("decode %q among good lines: %q", line, got)
		}
		var e *DecodeError
		if !errors.As(err, &e) || e.Line != 2 || e.Code != CodeLine || !strings.Contains(e.Where, why) || b.Drops().Count(CodeLine) != 1 {
			t.Errorf("decode %q: error %v, drops %v; want line 2 refused: %s", line, err, b.Drops(), why)
		}
	}
	f("cpu", "no space and fields")
	f("cpu ", "field name is missing")
	f("cpu,", "tag key is missing")
	f("cpu,a=1", "no space and fields")
	f(",a=1 v=1", "series is missing")
	f("cpu,a v=1", `no = after tag key "a"`)
	f("cpu,a= v=1", "value of tag a is missing")
	f("cpu,=1 v=1", "tag key is missing")
	f("cpu,a=1=2 v=1", "no space and fields")
	f("cpu,a=1,a=2 v=1", `tag "a" twice`)
	f("cpu v=1,v=2", `field "v" twice`)
	f("cpu v", `no = after field "v"`)
	f("cpu v=", `value of field "v" is neither`)
	f("cpu v=1,", "field name is missing")
	f("cpu v=1, w=1", "field name is missing")
	f("cpu v=x", `value of field "v" is neither`)
	f("cpu v=+5", "neither")
	f("cpu v=0x10", "neither")
	f("cpu v=1_0", "neither")
	f("cpu v=1.2.3", "neither")
	f("cpu v=-", "neither")
	f("cpu v=.", "neither")
	f("cpu v=1.5i", "neither")
	f("cpu v=i", "neither")
	f("cpu v=tr", "neither")
	f("cpu v=tRUE", "neither")
	f(`cpu v="open`, "no closing quote")
	f(`cpu v="a"b`, "text after the value")
	f("cpu v=1 1 1", "text after the time")
	f("cpu v=1 1.5", "the time is not an integer")
	f("cpu v=1 -", "the time is not an integer")
	f("cpu v=1 +1", "the time is not an integer")
	f("cpu v=1\tw=2", "text after the value")
	f("cpu v=1\rw=2", "text after the value")
	f("\tcpu v=1", "series begins with a control character")
	f("c\x00pu v=1", "")
	f("cpu,a=\x7f v=1", "")
	f("cpu,a=\xff v=1", "not UTF-8")
	f("c\xffpu v=1", "not UTF-8")
	f("cpu \xff=1", "not UTF-8")
	f("cpu v=\"\xff\"", "not UTF-8")
	f(strings.Repeat("x", 256)+" v=1", "series is longer than 255")
	f("cpu,"+strings.Repeat("x", 256)+"=1 v=1", "tag key is longer than 255")
	f("cpu,a="+strings.Repeat("x", 1025)+" v=1", "longer than 1024")
	f("cpu "+strings.Repeat("x", 256)+"=1", "field name is longer than 255")
	f("cpu"+tagList(65)+" v=1", "more than 64 tags")
	f("cpu "+strings.TrimPrefix(tagList(257), ","), "more than 256 fields")
	got, _, err := decodeLines(t, "cpu"+tagList(64)+" "+strings.TrimPrefix(tagList(256), ",")+" 1\n")
	if len(got) != 1 || err != nil {
		t.Errorf("64 tags and 256 fields: %v", err)
	}
}

// tagList returns n tags, or fields with a comma too many.
func tagList(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, ",k%d=%d", i, i)
	}
	return s.String()
}

func TestDecodeLinesDrops(t *testing.T) {
	f := func(text string, code Code, n int, want ...string) {
		t.Helper()
		got, b, err := decodeLines(t, text)
		if !slices.Equal(got, sorted(want)) || b.Drops().Count(code) != n {
			t.Errorf("decode %.80q:\n got %.80q, %v, drops %v\nwant %.80q, %s %d times", text, got, err, b.Drops(), want, code, n)
		}
	}
	f("f a=NaN,b=1 1\nf a=2,b=2 2\nf a=-inf,b=3 3", CodeNaN, 2, "f map[] map[b:1] 1", "f map[] map[a:2 b:2] 2", "f map[] map[b:3] 3")
	f("f a=+Inf,b=Infinity,c=1e999 1", CodeNaN, 3)
	f("f a=+Inf,b=Infinity,c=1e999 1", CodeNoFields, 1)
	f("f a=9223372036854775808i,b=-1u,c=18446744073709551616u,d=1 1", CodeIntRange, 3, "f map[] map[d:1] 1")
	f("f a=\""+strings.Repeat("x", MaxText+1)+"\",b=1 1\nf a=\"y\",b=2 2", CodeTooLong, 1, "f map[] map[b:1] 1", "f map[] map[a:y b:2] 2")
	f("f b=1 9223372036854775808\nf b=2 -9223372036854775809\nf b=3 3", CodeTimeRange, 2, "f map[] map[b:3] 3")
	f("f t=t,a=1 1\nf t=t,a=nan 2\nf t=f,a=nan 3\nf t=t,a=4 4\nf t=t,a=5 5", CodeNaN, 2,
		"f map[] map[a:1 t:true] 1", "f map[] map[t:true] 2", "f map[] map[t:false] 3", "f map[] map[a:4 t:true] 4", "f map[] map[a:5 t:true] 5")
}

func TestDecodeLinesPrecision(t *testing.T) {
	f := func(precision time.Duration, text string, want int64, code Code) {
		t.Helper()
		d := LineDecoder{Precision: precision}
		var b Batch
		for range 3 {
			b.Reset()
			err := d.Decode(&b, []byte("x v=1 "+text+"\n"+"x v=1 "+text+"\n#       \n"), arrival)
			if code != 0 {
				if !errors.Is(err, code) || b.Drops().Count(code) != 2 {
					t.Errorf("time %s of %v: %v, drops %v; want %v", text, precision, err, b.Drops(), code)
				}
				continue
			}
			for p := range b.Points() {
				if err != nil || p.Time.UnixNano() != want {
					t.Errorf("time %s of %v is %d, %v; want %d", text, precision, p.Time.UnixNano(), err, want)
				}
			}
		}
	}
	f(0, "1763559525997744692", 1763559525997744692, 0)
	f(time.Nanosecond, "-1", -1, 0)
	f(time.Microsecond, "1763559525997744", 1763559525997744000, 0)
	f(time.Millisecond, "1763559525997", 1763559525997000000, 0)
	f(time.Second, "1763559525", 1763559525000000000, 0)
	f(time.Second, "-1763559525", -1763559525000000000, 0)
	f(time.Second, "9223372036", 9223372036000000000, 0)
	f(time.Second, "9223372037", 0, CodeTimeRange)
	f(time.Second, "18446744073709551616", 0, CodeTimeRange)
	f(time.Second, "9999999999999999999", 0, CodeTimeRange)
	f(time.Millisecond, "9223372036854775807", 0, CodeTimeRange)
	f(time.Second, "", 1763559525997744000, 0)
}

func TestDecodeLinesErrorsAreFew(t *testing.T) {
	var b Batch
	err := b.DecodeLines([]byte(strings.Repeat("bad\n", 100)+"x v=1 1\n"), arrival)
	if b.Len() != 1 || b.Drops().Count(CodeLine) != 100 {
		t.Errorf("%d points, drops %v; want 1 and 100", b.Len(), b.Drops())
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != maxLineErrors || !strings.Contains(lines[4], `line 5: no space and fields after the series and its tags in "bad"`) {
		t.Errorf("errors %q", lines)
	}
	if err := b.DecodeLines([]byte("x v=2 2"), arrival); err != nil || b.Len() != 1 {
		t.Errorf("after an error: %v", err)
	}
}

// TestDecodeLinesBatches checks that a decoder finds its way when batches are emptied, changed and used by others between.
func TestDecodeLinesBatches(t *testing.T) {
	var d LineDecoder
	var a, b Batch
	text := sample(300).AppendLines(nil)
	want := sorted(show(sample(300)))
	twice := sorted(append(slices.Clone(want), want...))
	decode := func(b *Batch) {
		t.Helper()
		if err := d.Decode(b, text, arrival); err != nil {
			t.Fatal(err)
		}
	}
	same := func(b *Batch, want []string) {
		t.Helper()
		if got := sorted(show(b)); !slices.Equal(got, want) {
			t.Fatalf("%d points, not as they were: %.300q", len(got), got)
		}
		var c Batch
		if err := c.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil || !slices.Equal(sorted(show(&c)), want) {
			t.Fatalf("after encoding: %v", err)
		}
	}
	decode(&a)
	same(&a, want)
	decode(&a) // once more into the same
	same(&a, twice)
	if n := len(a.groups); n != 1 {
		t.Errorf("%d groups, want 1", n)
	}
	decode(&b) // another one
	same(&b, want)
	b.Reset()
	for p := range sample(300).Points() { // points that did not come as lines, before and after
		b.Append(p)
	}
	decode(&b)
	same(&b, twice)
	b.Reset()
	decode(&b)
	for p := range sample(300).Points() {
		b.Append(p)
	}
	same(&b, twice)
	for g := range b.Groups() { // a group that is no longer what lines are added to
		g.DropField("idle")
		g.SetTag("site", "lab")
		g.Series = "other"
	}
	before := show(&b)
	decode(&b)
	same(&b, sorted(append(before, want...)))
}

// TestDecodeLinesManyTags goes through all widths of the indices of a dictionary, in one batch and the next.
func TestDecodeLinesManyTags(t *testing.T) {
	var d LineDecoder
	var b Batch
	for _, distinct := range []int{1, 255, 256, 257, 1000, 70000, 3} {
		var text []byte
		var want []string
		for i := range 2*distinct + 10 {
			text = fmt.Appendf(text, "s,host=h%d,pad=%s v=%d,ok=t %d\n", i%distinct, strings.Repeat("x", i%20+1), i, i)
			want = append(want, fmt.Sprintf("s map[host:h%d pad:%s] map[ok:true v:%d] %d", i%distinct, strings.Repeat("x", i%20+1), i, i))
		}
		b.Reset()
		if err := d.Decode(&b, text, arrival); err != nil {
			t.Fatal(err)
		}
		for i, got := range showPlain(&b) {
			if got != want[i] {
				t.Fatalf("%d distinct tags: point %d is %q, want %q", distinct, i, got, want[i])
			}
		}
		if b.Len() != len(want) || d.size > 2*maxLineMemory {
			t.Errorf("%d distinct tags: %d points, want %d; %d bytes remembered", distinct, b.Len(), len(want), d.size)
		}
	}
}

// showPlain is show with floats in full.
func showPlain(b *Batch) []string {
	var lines []string
	for p := range b.Points() {
		lines = append(lines, fmt.Sprintf("%s %v map[ok:%v v:%.0f] %d", p.Series, p.Tags, p.Fields["ok"], p.Fields["v"], p.Time.UnixNano()))
	}
	return lines
}

func TestAppendLines(t *testing.T) {
	f := func(want string, build func(b *Batch)) {
		t.Helper()
		var b Batch
		build(&b)
		if got := string(b.AppendLines([]byte("before\n"))); got != "before\n"+want {
			t.Errorf("written as\n%s\nwant\n%s", got, want)
		}
	}
	add := func(series string, fields Fields, tags Tags) func(*Batch) {
		return func(b *Batch) {
			b.At(time.Unix(1, 5))
			b.Add(series, fields, tags)
		}
	}
	f("", func(*Batch) {})
	f("cpu v=1 1000000005\n", add("cpu", Fields{"v": 1.0}, nil))
	f("cpu,a=2,b=1 f=0.5,i=-3i,n=false,s=\"x\",u=4u,y=true 1000000005\n", add("cpu", Fields{"f": 0.5, "i": -3, "u": uint64(4), "y": true, "n": false, "s": "x"}, Tags{"b": "1", "a": "2"}))
	f(`a\,b\ c=d,k\,\ \==v\,\ \= f\,\ \==1 1000000005`+"\n", add("a,b c=d", Fields{"f, =": 1.0}, Tags{"k, =": "v, ="}))
	f("s v=\"a\\\"b\\\\c\nd\" 1000000005\n", add("s", Fields{"v": "a\"b\\c\nd"}, nil))
	f(`_c,a=b\c,k=v f=1 1000000005`+"\n", add(`#c\`, Fields{`f\\`: 1.0}, Tags{`k\`: `v\`, "a": `b\c`, "z": `\`}))
	f("big f=123456789012345680000,g=1e+21,h=-0,i=0,j=1e-10,k=0.00001 1000000005\n",
		add("big", Fields{"f": 1.2345678901234568e20, "g": 1e21, "h": math.Copysign(0, -1), "i": 0.0, "j": 1e-10, "k": 1e-5}, nil))
	f("t v=1i -5\nt v=2i 0\nt v=3i 123456789\nt v=4i 9223372036854775807\nt v=5i -9223372036854775808\n", func(b *Batch) {
		for i, ns := range []int64{-5, 0, 123456789, math.MaxInt64, math.MinInt64} {
			b.add("t", ns, Fields{"v": i + 1}, nil)
		}
	})
	f("cpu,cpu=0,dc=eu,host=web-1,z=z v=1 5\ncpu,cpu=1,dc=us,host=web-1,z=z v=2 6\ncpu,dc=eu,host=h2,z=q v=3 7\n", func(b *Batch) {
		b.SetHost("web-1")
		g := b.Group("cpu", []string{"host", "cpu", "dc", "z"}, []Field{{"v", TypeFloat}})
		g.Row(time.Unix(0, 5), []string{"", "0", "", ""}, Float(1))
		g.Row(time.Unix(0, 6), []string{"", "1", "us", ""}, Float(2))
		g.Row(time.Unix(0, 7), []string{"h2", "", "eu", "q"}, Float(3))
		g.shared = append(g.shared, Tag{"dc", "eu"})
		b.DefaultTag("z", "z")
		b.DefaultTag("dc", "never")
	})
	f("s a=1,c=\"x\" 5\ns b=2 6\ns a=3,b=4,c=\"y\" 7\n", func(b *Batch) {
		g := b.Group("s", nil, []Field{{"a", TypeFloat}, {"b", TypeFloat}, {"c", TypeString}})
		g.Row(time.Unix(0, 5), nil, Float(1), Value{}, String("x"))
		g.Row(time.Unix(0, 6), nil, Value{}, Float(2), Value{})
		g.Row(time.Unix(0, 7), nil, Float(3), Float(4), String("y"))
	})
}

// TestAppendLinesForms writes columns of every form and width as they come from the wire.
func TestAppendLinesForms(t *testing.T) {
	f := func(b *Batch) {
		t.Helper()
		var c, d Batch
		if err := c.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
			t.Fatal(err)
		}
		lines := c.AppendLines(nil)
		if err := d.DecodeLines(lines, arrival); err != nil {
			t.Fatal(err)
		}
		if got, want := sorted(show(&d)), sorted(show(b)); !slices.Equal(got, want) {
			t.Errorf("written and read:\n got %.500q\nwant %.500q", got, want)
		}
	}
	f(sample(1))
	f(sample(500))
	f(hosts(700, 300))
	f(hosts(3000, 1500))
	for _, scale := range []int64{1, 1 << 7, 1 << 15, 1 << 31, 1 << 56} {
		var b Batch
		g := b.Group("w", []string{"id"}, []Field{{"f", TypeFloat}, {"i", TypeInt}, {"s", TypeString}, {"u", TypeUint}})
		for i := range int64(100) {
			g.Row(time.Unix(i, 0), []string{fmt.Sprint("id", i)}, Float(float64(i*scale)/2), Int((i-50)*scale), String(fmt.Sprint("text ", i)), Uint(uint64(i*scale)))
		}
		f(&b)
	}
}

func TestLinesNoAllocations(t *testing.T) {
	for _, batch := range []*Batch{sample(1000), hosts(1000, 20), hosts(3000, 1000)} {
		var d LineDecoder
		var b Batch
		text := batch.AppendLines(nil)
		out := make([]byte, 0, 2*len(text))
		f := func(name string, work func()) {
			t.Helper()
			if n := testing.AllocsPerRun(20, work); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
		f("read", func() {
			b.Reset()
			if err := d.Decode(&b, text, arrival); err != nil {
				t.Fatal(err)
			}
		})
		f("write", func() { out = b.AppendLines(out[:0]) })
	}
}

// TestDecodeLinesForgets checks that a source of ever new tags and fields does not fill the memory or slow down.
func TestDecodeLinesForgets(t *testing.T) {
	var d LineDecoder
	var b Batch
	n := 0
	f := func(format string) {
		t.Helper()
		for range 40 {
			var text []byte
			for range 1000 {
				text = fmt.Appendf(text, format, n, n)
				n++
			}
			b.Reset()
			if err := d.Decode(&b, text, arrival); err != nil || b.Len() != 1000 {
				t.Fatalf("%q: %d points of 1000, %v", format, b.Len(), err)
			}
			if d.size > maxLineMemory+1<<20 {
				t.Fatalf("%q: %d bytes are remembered", format, d.size)
			}
		}
	}
	f("s,id=%d,long=" + strings.Repeat("x", 500) + " v=%d\n")
	f("s%d v=%d\n")
	f("s f%d=%d\n")
	f("s,k%d=1 v=%d\n")
	for _, s := range d.shapes {
		others := 0
		for ; s != nil; s = s.other {
			others++
		}
		if others > maxOthers+1 {
			t.Fatalf("%d shapes with one head", others)
		}
	}
}

// TestAppendLinesChanged writes groups that were changed since they came.
func TestAppendLinesChanged(t *testing.T) {
	f := func(want string, change func(g *Group)) {
		t.Helper()
		b, c := hosts(2000, 900), new(Batch)
		if err := c.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
			t.Fatal(err)
		}
		for _, b := range []*Batch{b, c} {
			for g := range b.Groups() {
				g.Keep(func(row int) bool { return row == 3 || row == 1999 })
				change(g)
			}
			if got := string(b.AppendLines(nil)); got != want {
				t.Errorf("written as\n%s\nwant\n%s", got, want)
			}
		}
	}
	f("net,dc=eu,host=web-3,if=eth0,role=front drop=3u,load=0.03,rx=23757i,state=\"ok\",up=true 1763559525997747000\n"+
		"net,dc=eu,host=web-199,if=eth1,role=front drop=9u,load=19.99,rx=15830081i,state=\"degraded\",up=false 1763559525999743000\n", func(*Group) {})
	f("a\\ b,host=web-3,if=eth0,role=x\\ y l=0.03,up=true 1763559525997747000\na\\ b,host=web-199,if=eth1,role=x\\ y l=19.99,up=false 1763559525999743000\n",
		func(g *Group) {
			g.Series = "a\nb"
			g.SetTag("role", "x\ty")
			g.DropTag("dc")
			g.DropField("drop")
			g.DropField("rx")
			g.DropField("state")
			g.RenameField("load", "l")
		})
}
