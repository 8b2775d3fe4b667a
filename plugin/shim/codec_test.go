package shim

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

var noon = time.Unix(1_700_000_000, 0)

// lineProtocol is what a codec makes of a text, and what it tells of it.
func lineProtocol(c *codec, text string) (points, drops string, b *telemetry.Batch) {
	b = &telemetry.Batch{}
	c.decode(b, []byte(text), 1, noon)
	var list []string
	b.Drops().Each(func(code telemetry.Code, n int) { list = append(list, fmt.Sprint(code, " ", n)) })
	return string(b.AppendLines(nil)), strings.Join(list, ", "), b
}

// tooLong is what stands in the place of a line that is.
const tooLong = "!a line of more than 1048576 bytes\n"

func TestDecode(t *testing.T) {
	var told bytes.Buffer
	f := func(format Format, text, want, drops string, says ...string) {
		t.Helper()
		told.Reset()
		c := newCodec(format, plugin.Collector, slog.New(slog.NewTextHandler(&told, nil)))
		points, lost, _ := lineProtocol(c, text)
		if points = strings.ReplaceAll(points, " 1700000000000000000", ""); points != want || lost != drops {
			t.Errorf("%q: %q, %q; want %q, %q", text, points, lost, want, drops)
		}
		for _, part := range says {
			if !strings.Contains(told.String(), part) {
				t.Errorf("%q: %q does not say %q", text, told.String(), part)
			}
		}
		if len(says) == 0 && told.Len() > 0 {
			t.Errorf("%q: %s", text, told.String())
		}
	}
	f("", "", "", "")
	f("", "\n \r\n", "", "")
	f("", "a v=1\n# note\nb v=2i 1600000000000000000\n", "a v=1\nb v=2i 1600000000000000000\n", "")
	f("", `{"series":"a","fields":{"v":1}}`, "a v=1\n", "")
	f(JSON, "{\"series\":\"a\",\"fields\":{\"v\":1}}\n\n{\"series\":\"b\",\"tags\":{\"x\":\"y\"},\"fields\":{\"v\":true}}\n", "a v=1\nb,x=y v=true\n", "")
	f("", `[{"series":"a","fields":{"v":1}},{"series":"a","fields":{"v":2}}]`, "a v=1\na v=2\n", "")

	f(Lines, "a v=1\nbad\nb v=2\n", "a v=1\nb v=2\n", "line 1", "line=2", "text=bad", "no space")
	f(JSON, "{\"series\":\"a\",\"fields\":{\"v\":1}}\n{\"series\"\nnonsense\n{\"series\":\"b\",\"fields\":{\"v\":2}}\n", "a v=1\nb v=2\n", "syntax 2", "line=2", "line=3")
	f("", "a v=1\n{\"series\":\"b\",\"fields\":{\"v\":2}}\nc v=3\n", "a v=1\nb v=2\nc v=3\n", "")
	f(Lines, "a v=\"open\nb v=2\nc v=3\n", "b v=2\nc v=3\n", "line 1", "line=1")
	f(Lines, "a v=1,w=NaN\nb v=NaN\n", "a v=1\n", "no_fields 1, nan 2", "line=1", "line=2", "nan")
	f(Lines, tooLong+"a v=1\n", "a v=1\n", "line 1", "line=1", "more than 1048576 bytes")
	f(JSON, tooLong, "", "syntax 1", "line=1")
}

// More than one message can hold is read all the same.
func TestDecodeMuch(t *testing.T) {
	var text []byte
	const n = 10_000
	for i := range n {
		text = fmt.Appendf(text, `{"series":"s%d","time":%d,"fields":{"v":%d}}`+"\n", i%1500, i+1, i)
		if i == n/2 {
			text = append(text, "{\n"...)
		}
	}
	points, drops, _ := lineProtocol(newCodec(JSON, plugin.Processor, slog.New(slog.DiscardHandler)), string(text))
	if got := strings.Count(points, "\n"); got != n || drops != "syntax 1" {
		t.Errorf("%d points, %q; want %d", got, drops, n)
	}
}

// What is told is bounded, and what is not told is counted.
func TestTeller(t *testing.T) {
	var told bytes.Buffer
	c := newCodec(Lines, plugin.Collector, slog.New(slog.NewTextHandler(&told, nil)))
	begin := time.Now()
	_, drops, _ := lineProtocol(c, strings.Repeat("bad\n", 1000))
	seconds := int(time.Since(begin)/time.Second) + 2 // begun ones
	if n := strings.Count(told.String(), "left out"); n == 0 || n > seconds*toldPerSecond || drops != "line 1000" {
		t.Errorf("%d lines told, %s", n, drops)
	}
	c.told.second = begin.Add(-time.Hour)
	c.told.bad(7, []byte("x\n"), Lines, telemetry.CodeNaN)
	if !strings.Contains(told.String(), "more=9") {
		t.Errorf("nothing says how many were not told: %s", told.String())
	}
	if strings.Count(told.String(), `want="load,cpu=0 v=1.5"`) != 1 {
		t.Errorf("it is not told once what a line is to look like: %s", told.String())
	}
}

func TestEncode(t *testing.T) {
	var b telemetry.Batch
	b.At(noon)
	b.Add("log", telemetry.Fields{"text": "two\nlines, \"quoted\\\" and\n\n", "n": 1}, telemetry.Tags{"a": "b c"})
	b.Add("log", telemetry.Fields{"n": 2}, nil)
	lines := string(newCodec(Lines, plugin.Processor, nil).encode([]byte("before\n"), &b))
	want := "before\n" + `log,a=b\ c n=1i,text="two\nlines, \"quoted\\\" and\n\n" 1700000000000000000` + "\nlog n=2i 1700000000000000000\n"
	if lines != want {
		t.Errorf("%s\nwant\n%s", lines, want)
	}
	text := newCodec("", plugin.Processor, nil).encode(nil, &b)
	if bytes.Count(text, newline) != 2 || text[0] != '{' {
		t.Errorf("JSON: %s", text)
	}
	var back telemetry.Batch
	if err := back.DecodeJSON(text, noon); err != nil || !bytes.Equal(back.AppendLines(nil), b.AppendLines(nil)) {
		t.Errorf("%s comes back as %s, %v", b.AppendLines(nil), back.AppendLines(nil), err)
	}
}

// The same answer makes the same messages, whatever was read before it: their ids say that they are the same.
func TestSameAnswerSameMessages(t *testing.T) {
	var text strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&text, "s%d,host=h%d,name=n%d a=%d,b=%d.5,c=\"text %d\" %d\n", i%3, i%400, i%11, i, i, i%17, noon.UnixNano()+int64(i)*1e6)
		if i%1000 == 0 {
			text.WriteString("bad\n")
		}
	}
	messages := func(c *codec) (list [][]byte) {
		_, _, b := lineProtocol(c, text.String())
		for f := range b.Frames(telemetry.TargetFrame, func() []byte { return nil }) {
			list = append(list, f.Body)
		}
		return list
	}
	fresh := newCodec(Lines, plugin.Processor, slog.New(slog.DiscardHandler))
	want := messages(fresh)
	used := newCodec(Lines, plugin.Processor, slog.New(slog.DiscardHandler))
	for i := range 3 {
		lineProtocol(used, strings.Repeat(fmt.Sprintf("s1,name=x%d,host=h%d a=%d,b=2,c=\"u\"\nother v=1\n", i, 400-i, i), 100))
		got := messages(used)
		if len(want) < 2 || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("%d messages, %d before, and they differ", len(got), len(want))
		}
	}
}

func TestParseFormat(t *testing.T) {
	for _, name := range []string{"", "json", "lines"} {
		if f, err := ParseFormat(name); err != nil || string(f) != name {
			t.Errorf("%q: %v, %v", name, f, err)
		}
	}
	if _, err := ParseFormat("xml"); err == nil || !strings.Contains(err.Error(), `format "xml": want json`) {
		t.Error(err)
	}
}

func BenchmarkFilter(b *testing.B) {
	var in telemetry.Batch
	var text []byte
	for i := range 500 {
		text = fmt.Appendf(text, "cpu,cpu=cpu%d,host=web-%02d,keep=yes,rack=r%d idle=%.2f,system=%.2f,user=%.2f,ctx=%di,irq=%di %d\n",
			i%16, i%20, i%4, 90-float64(i)/10, float64(i%300)/10, float64(i%97)/10, 100000+i*31, i%200, noon.UnixNano()+int64(i)*1000)
	}
	if err := in.DecodeLines(text, noon); err != nil {
		b.Fatal(err)
	}
	for _, format := range []Format{Lines, JSON} {
		c := newCodec(format, plugin.Processor, slog.New(slog.DiscardHandler))
		var text []byte
		b.Run("encode/"+string(format), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				text = c.encode(text[:0], &in)
			}
			b.SetBytes(int64(len(text)))
		})
		b.Run("decode/"+string(format), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				c.decode(&telemetry.Batch{}, text, 1, noon)
			}
		})
	}
}

// BenchmarkRubbish reads what has no point in it.
func BenchmarkRubbish(b *testing.B) {
	text := bytes.Repeat([]byte("rubbish\n"), 64<<10/8)
	c := newCodec("", plugin.Collector, slog.New(slog.DiscardHandler))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		c.decode(&telemetry.Batch{}, text, 1, noon)
	}
}
