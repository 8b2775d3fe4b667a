package telemetry

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
	"pgregory.net/rapid"
)

// The library of the format's authors is the oracle. We differ from it in this, and only in this:
//
//   - It takes a tag or a field twice, floats in hexadecimal and with underscores, names and tag values of any length, and
//     any number of tags and fields; we refuse the line.
//   - It refuses a line with NaN, an infinity or an integer out of range; we leave the field out and keep the others.
//   - It refuses a comment with control characters; we skip it.
//   - Where a closing quote is missing it gives up the rest of the text; we go on with the next line.
//   - It does not write names that end in a backslash; we leave the backslash out. It writes the line end of a text as \n,
//     which some servers take as two characters; we write it as it is. Both read both.

// libraryLines returns the points of text as the library reads them, in the form of show; ok is false when it refuses any.
func libraryLines(text string) (lines []string, ok bool) {
	d := lineprotocol.NewDecoderWithBytes([]byte(text))
	for d.Next() {
		line, err := libraryLine(d)
		if err != nil {
			return nil, false
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines, d.Err() == nil
}

func libraryLine(d *lineprotocol.Decoder) (string, error) {
	name, err := d.Measurement()
	if err != nil {
		return "", err
	}
	series, tags, fields := string(name), Tags{}, Fields{}
	for {
		key, value, err := d.NextTag()
		if err != nil {
			return "", err
		}
		if key == nil {
			break
		}
		tags[string(key)] = string(value)
	}
	for {
		key, value, err := d.NextField()
		if err != nil {
			return "", err
		}
		if key == nil {
			break
		}
		fields[string(key)] = value.Interface()
	}
	t, err := d.Time(lineprotocol.Nanosecond, arrival.Truncate(time.Microsecond))
	return fmt.Sprintf("%s %v %v %d", series, tags, fields, t.UnixNano()), err
}

func FuzzDecodeLines(f *testing.F) {
	for _, s := range lineSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, b, err := decodeLines(t, text)
		if err != nil || b.Drops().Total() > 0 {
			return
		}
		if want, ok := libraryLines(strings.TrimPrefix(text, "\uFEFF")); ok && !slices.Equal(got, want) {
			t.Fatalf("decode %q:\n got %q\nwant %q", text, got, want)
		}
		again, _, err := decodeLines(t, string(b.AppendLines(nil)))
		if err != nil || !slices.Equal(again, got) {
			t.Fatalf("%q written as %q:\n got %q, %v\nwant %q", text, b.AppendLines(nil), again, err, got)
		}
	})
}

var lineSeeds = []string{
	"cpu,host=a,cpu=cpu0 idle=12.5,user=1i,up=t,n=\"x\",u=3u 1763559525997744692\ncpu,host=a,cpu=cpu1 idle=13.5,user=2i,up=f,n=\"y\",u=4u 1763559525997744693\n",
	"cpu,b=2,a=1 y=2i,x=1u 7\r\ncpu,a=1,b=2 x=3u,y=4i 8\r\n# c\n\n  cpu   v=1   5  \n",
	`a\,b\ c\=d,k\,1\ 2\=3=v\,1\ 2\=3 f\,1\ 2\=3=1 1`,
	`s a="",b="x",c="a\"b\\c\d",d="a\nb\tc\rd",e="x,y z=1" 1` + "\ns a=\"two\nlines\"",
	"f a=1e3,b=-1.5,c=.5,d=5.,e=1E-3,f=-0,g=123456789012345678901234567890,h=139.42857142857142,i=0.14285714285714285 -1",
	"f a=NaN,b=-inf,c=9223372036854775808i,d=1e999,e=1\nbad\nf v=\"open\nf a=1 99999999999999999999",
	"b a=true,b=false,c=T,d=F,e=True,f=False,g=TRUE,h=FALSE\nb a=t,b=t,c=T,d=F,e=True,f=False,g=TRUE,h=FALSE",
	"\uFEFFü,ö=ä ß=\"é\"\nx,a=\xff v=1",
}

// TestLinesAgreeWithLibrary compares on lines that are put together from good and bad pieces.
func TestLinesAgreeWithLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	one := func(pieces ...string) string { return pieces[r.IntN(len(pieces))] }
	name := func() string {
		return one("a", "bb", "c d", `e\,f`, `g\ h`, `i\=j`, `k\l`, "ü", `"q"`, "usage_guest_nice_total", "x=y", "")
	}
	value := func() string {
		return one("1", "-1.5", "1e3", ".5", "5.", "1i", "-3i", "7u", "t", "FALSE", "true", `"x"`, `"a b,c=d"`, `"a\"b\\c\n"`, "nope", "", "1.2.3", "0x1p3",
			"139.42857142857142", "18446744073709551615u", "9007199254740993", `"two`+"\n"+`lines"`, "0.1", "-", "12345678", "123456789", "1234567.8", "12345678.9")
	}
	agreed := 0
	var veteran LineDecoder // has seen all lines before, and expects too much
	var vb Batch
	for range 20000 {
		var text strings.Builder
		for range 1 + r.IntN(4) {
			text.WriteString(name())
			for range r.IntN(3) {
				text.WriteString("," + name() + one("=", "=", "=", "=", "", " ") + name())
			}
			text.WriteString(one(" ", " ", " ", "  ", ""))
			for i := range 1 + r.IntN(3) {
				text.WriteString(strings.Repeat(",", min(i, 1)) + fmt.Sprintf("f%d", i) + "=" + value())
			}
			text.WriteString(one("", " 5", " -7", " 1763559525997744692", " x", "  8 ") + one("\n", "\n", "\n", "\r\n", "\n\n", "\n# comment\n"))
		}
		got, b, err := decodeLines(t, text.String())
		vb.Reset()
		_ = veteran.Decode(&vb, []byte(text.String()+"\n#                "), arrival)
		if seen := sorted(show(&vb)); !slices.Equal(seen, got) || *vb.Drops() != *b.Drops() {
			t.Fatalf("decode %q after many others:\n got %q\nwant %q", text.String(), seen, got)
		}
		want, ok := libraryLines(text.String())
		if !ok || err != nil || b.Drops().Total() > 0 {
			continue
		}
		agreed++
		if !slices.Equal(got, want) {
			t.Fatalf("decode %q:\n got %q\nwant %q", text.String(), got, want)
		}
	}
	if agreed < 1000 {
		t.Errorf("both took only %d of 20000", agreed)
	}
}

// TestLinesRoundTrip writes random points, and reads them with the library and again.
func TestLinesRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		points := rapid.SliceOfN(rapid.Custom(drawPoint), 1, 30).Draw(rt, "points")
		var b Batch
		for _, p := range points {
			b.Append(p)
		}
		want := sorted(show(&b))
		text := string(b.AppendLines(nil))
		if got, ok := libraryLines(text); !ok || !slices.Equal(got, want) {
			rt.Fatalf("written as %q, the library reads\n%q\nwant\n%q", text, got, want)
		}
		if got, _, err := decodeLines(t, text); err != nil || !slices.Equal(got, want) {
			rt.Fatalf("written as %q, read as\n%q, %v\nwant\n%q", text, got, err, want)
		}
		if got, _, err := decodeLines(t, libraryText(rt, points)); err != nil || !slices.Equal(got, want) {
			rt.Fatalf("written by the library, read as\n%q, %v\nwant\n%q", got, err, want)
		}
	})
}

var (
	drawName  = rapid.StringMatching(`[a-z_, ="\\üñ]{0,11}[a-z,= ü]`)
	drawValue = rapid.OneOf(
		rapid.Map(rapid.Float64(), func(v float64) any { return noNaN(v) }),
		rapid.Map(rapid.Float64Range(-1000, 1000), func(v float64) any { return math.Round(v*100) / 100 }),
		rapid.Map(rapid.Int64(), func(v int64) any { return v }),
		rapid.Map(rapid.Int64Range(-100, 100), func(v int64) any { return v }),
		rapid.Map(rapid.Uint64(), func(v uint64) any { return v }),
		rapid.Map(rapid.Bool(), func(v bool) any { return v }),
		rapid.Map(rapid.String(), func(v string) any { return strings.ToValidUTF8(v, "?") }),
	)
)

func noNaN(v float64) float64 {
	if v != v || v > math.MaxFloat64 || v < -math.MaxFloat64 {
		return 0.5
	}
	return v
}

func drawPoint(t *rapid.T) Point {
	return Point{
		Series: drawName.Draw(t, "series"),
		Time:   time.Unix(0, rapid.Int64().Draw(t, "time")),
		Tags:   rapid.MapOfN(drawName, drawName, 0, 4).Draw(t, "tags"),
		Fields: rapid.MapOfN(drawName, drawValue, 1, 6).Draw(t, "fields"),
	}
}

// libraryText returns points as the library writes them.
func libraryText(t *rapid.T, points []Point) string {
	var e lineprotocol.Encoder
	for _, p := range points {
		e.StartLine(p.Series)
		for _, key := range sortedKeys(p.Tags) {
			e.AddTag(key, p.Tags[key])
		}
		for name, v := range p.Fields {
			e.AddField(name, lineprotocol.MustNewValue(v))
		}
		e.EndLine(p.Time)
	}
	if e.Err() != nil {
		t.Fatalf("the library does not write: %v", e.Err())
	}
	return string(e.Bytes())
}

func sortedKeys(tags Tags) []string {
	var keys []string
	for key := range tags {
		keys = append(keys, key)
	}
	return sorted(keys)
}
