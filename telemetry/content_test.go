package telemetry

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

const mark = "\ufeff" // what Windows programs write before a text

func TestDecodeByHeader(t *testing.T) {
	f := func(contentType, body string, want ...Point) {
		t.Helper()
		var b Batch
		if err := b.Decode(contentType, "", []byte(body), at(0)); err != nil {
			t.Errorf("%q, %.60q: %v", contentType, body, err)
			return
		}
		wantPoints(t, &b, fmt.Sprintf("%q, %.60q", contentType, body), want...)
	}
	packed := string(unhex(t, exampleA))
	load := Point{"load", at(0), nil, Fields{"one": 0.5}}
	const object = `{"series":"load","fields":{"one":0.5}}`
	const line = "load one=0.5 1763559525997744000\n"
	f("application/x-pacewire+msgpack", packed, load)
	f("APPLICATION/X-PaceWire+MsgPack", packed, load)
	f("application/json", object, load)
	f("Application/JSON ; ", object, load)
	f("application/json", mark+" "+object, load)
	f("application/json", `[1,1000,1763559525997744,{},[["load",{},[],["one"],"f",[[0,0.5]]]]]`, load)
	f("text/x-influx", line, load)
	f("text/x-influx", mark+line, load)
	f("text/x-influx", "load one=0.5", load)
	f("text/x-influx", "{x one=0.5", Point{"{x", at(0), nil, Fields{"one": 0.5}}) // with a header nobody looks at the bytes
	second := time.Unix(1763559525, 0)
	f("text/x-influx; precision=s", "load one=0.5 1763559525", Point{"load", second, nil, load.Fields})
	f("text/x-influx;precision=ms", "load one=0.5 1763559525000", Point{"load", second, nil, load.Fields})
	f(`TEXT/X-INFLUX; Precision="US"`, "load one=0.5 1763559525000000", Point{"load", second, nil, load.Fields})
	f("text/x-influx; precision=ns", "load one=0.5 1763559525000000000", Point{"load", second, nil, load.Fields})
}

func TestDecodeBySight(t *testing.T) {
	f := func(body string, want Content) {
		t.Helper()
		got, _, err := sniff([]byte(body))
		if want == "" {
			if !errors.Is(err, CodeContentType) {
				t.Errorf("%q is taken for %q, %v", body, got, err)
			}
			return
		}
		if got != want || err != nil {
			t.Errorf("%q is taken for %q, %v; want %q", body, got, err, want)
		}
	}
	for _, first := range []byte{0x90, 0x95, 0x9f, 0xdc, 0xdd} {
		f(string([]byte{first}), ContentMsgPack)
	}
	for _, before := range []string{"", " ", "\t\r\n ", mark, mark + "\n"} {
		f(before+"[", ContentJSON)
		f(before+"{}", ContentJSON)
		f(before+"cpu v=1", ContentLines)
		f(before+"# a remark", ContentLines)
		f(before+"größe v=1", ContentLines)
		f(before+"\u00fcber v=1", ContentLines)
		f(before+"日本 v=1", ContentLines)
		f(before+"\U0001F600 v=1", ContentLines)
		f(before+"!", ContentLines)
		f(before+"~", ContentLines)
		for _, c := range []string{"\x00", "\x0b", "\x1b", "\x7f", "\x80", "\xc0", "\xc1", "\xf5", "\xff"} {
			f(before+c, "")
		}
		if before != "" {
			f(before, "")
			f(before+"\x95", "")
			f(before+"\xdc\x81 v=1", "")
			f(before+"\xdd\x81 v=1", "")
		}
	}
	f(mark+mark+"{}", ContentLines) // one mark only; the second is a character like others
}

func TestDecodeContentRefuses(t *testing.T) {
	f := func(contentType, encoding, body string, want Code) {
		t.Helper()
		var b Batch
		b.Add("before", Fields{"v": 1}, nil)
		err := b.Decode(contentType, encoding, []byte(body), at(0))
		if !errors.Is(err, want) || b.Len() != 0 {
			t.Errorf("%q, %q, %.40q: %v, %d points; want %s", contentType, encoding, body, err, b.Len(), want)
		}
	}
	const line = "load one=0.5\n"
	for _, encoding := range []string{"gzip", "identity", "zstd", " "} {
		f("text/x-influx", encoding, line, CodeEncoding)
		f("", encoding, line, CodeEncoding)
	}
	for _, contentType := range []string{"text/plain", "application/msgpack", "application/json; charset=utf-8", "application/json; precision=s",
		"application/x-pacewire+msgpack; v=1", "text/x-influx; precision=m", "text/x-influx; precision=", "text/x-influx; charset=utf-8",
		"text/x-influx; precision=s; q=1", "text/x-influx; precision=s; precision=ms", "text/x-influx precision=s", ";", "/", " "} {
		f(contentType, "", line, CodeContentType)
	}
	for _, contentType := range []string{"", "text/x-influx", "application/json", "application/x-pacewire+msgpack"} {
		f(contentType, "", "", CodeEmpty)
	}
	large := line + strings.Repeat("#", MaxMessage)
	for _, contentType := range []string{"", "text/x-influx", "application/json", "application/x-pacewire+msgpack"} {
		f(contentType, "", large, CodeTooLarge)
	}
	f("application/json", "", line, CodeSyntax)
	f("application/x-pacewire+msgpack", "", line, CodeShape)
	f("application/x-pacewire+msgpack", "", mark+string(unhex(t, exampleA)), CodeShape)
	f("", "", "\n \n", CodeContentType)
	f("", "", mark, CodeContentType)
}

// TestDecodePrecisionIsForgotten reads lines of one precision and then of none.
func TestDecodePrecisionIsForgotten(t *testing.T) {
	var b Batch
	want := Point{"a", time.Unix(1763559525, 0), nil, Fields{"v": 1.0}}
	for range 2 {
		if err := b.Decode("text/x-influx; precision=s", "", []byte("a v=1 1763559525"), at(0)); err != nil {
			t.Fatal(err)
		}
		wantPoints(t, &b, "seconds", want)
		if err := b.DecodeLines([]byte("a v=1 1763559525000000000"), at(0)); err != nil {
			t.Fatal(err)
		}
		wantPoints(t, &b, "nanoseconds", want)
	}
}

// TestDecodeLinesPartly takes what can be read: a bad line is no reason to refuse the others.
func TestDecodeLinesPartly(t *testing.T) {
	var b Batch
	if err := b.Decode("", "", []byte("a v=1\nnonsense\nb v=2\n"), at(0)); err != nil {
		t.Fatal(err)
	}
	wantPoints(t, &b, "two of three lines", Point{"a", at(0), nil, Fields{"v": 1.0}}, Point{"b", at(0), nil, Fields{"v": 2.0}})
	if b.Drops().Count(CodeLine) != 1 {
		t.Errorf("drops %v", dropped(&b))
	}
}

func TestDecodeCountsSkew(t *testing.T) {
	f := func(form, body string, want int) {
		t.Helper()
		var b Batch
		if err := b.Decode("", "", []byte(body), at(0)); err != nil {
			t.Errorf("%s: %v", form, err)
		} else if b.Drops().Count(CodeTimeSkew) != want || b.Drops().Total() != 0 {
			t.Errorf("%s: drops %v, want %d skewed", form, dropped(&b), want)
		}
	}
	f("lines", "a v=1 0\na v=1\n", 1)
	f("points", `[{"series":"a","time":0,"fields":{"v":1}},{"series":"a","fields":{"v":1}}]`, 1)
	f("rows", `[1,1000000000,1763559525,{},[["a",{},[],["v"],"f",[[0,1],[3601,1],[3600,1]]]]]`, 1)
	f("constant columns", `[1,1000000000,1763559525,{},[["a",{},[],["v"],"f",[2,-1763559525,1]]]]`, 2)
	f("msgpack", string(unhex(t, exampleA)), 0)
}

func TestNoteSkew(t *testing.T) {
	arrival := at(0)
	old := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	ahead := arrival.Add(time.Hour)
	f := func(name string, want int, times ...time.Time) {
		t.Helper()
		var own Batch
		for i, when := range times {
			own.Append(Point{"s", when, nil, Fields{"v": i}})
		}
		for form, b := range map[string]*Batch{"own": &own, "decoded": decoded(t, &own)} {
			msg := string(b.AppendMsgPack(nil))
			b.NoteSkew(arrival)
			if got := b.Drops().Count(CodeTimeSkew); got != want || b.Len() != len(times) {
				t.Errorf("%s, %s: %d of %d skewed, want %d", name, form, got, b.Len(), want)
			}
			if got := string(b.AppendMsgPack(nil)); got != msg {
				t.Errorf("%s, %s: sent on as %x, before as %x", name, form, got, msg)
			}
		}
	}
	f("none", 0)
	f("now", 0, arrival)
	f("bounds", 0, old, ahead)
	f("just beyond", 2, old.Add(-1), ahead.Add(1))
	f("the same for all", 3, ahead.Add(time.Second), ahead.Add(time.Second), ahead.Add(time.Second))
	f("close together", 0, arrival, arrival.Add(time.Microsecond))
	f("close to the bound", 1, ahead, ahead.Add(time.Microsecond))
	f("seconds apart", 1, time.Unix(1763559525, 0), time.Unix(1763559525+3600, 0), time.Unix(1763559525+3602, 0))
	f("years apart", 2, time.Unix(0, 0), arrival, arrival.Add(1000*24*time.Hour))
	f("ends of time", 2, time.Unix(0, -1<<63), time.Unix(0, 1<<63-1), arrival)
}

// TestDecodeSameInEveryForm sends the same points as each content and gets the same, by header and by sight.
func TestDecodeSameInEveryForm(t *testing.T) {
	b := sample(200)
	want := described(b)
	for form, body := range map[Content][]byte{
		ContentMsgPack: b.AppendMsgPack(nil), ContentJSON: b.AppendJSON(nil), ContentLines: b.AppendLines(nil),
	} {
		for _, header := range []string{string(form), strings.ToUpper(string(form)), ""} {
			var c Batch
			if err := c.Decode(header, "", body, at(0)); err != nil {
				t.Errorf("%s as %q: %v", form, header, err)
			} else if got := described(&c); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s as %q differs", form, header)
			}
		}
	}
	if got := dropped(b); !maps.Equal(got, map[string]int{}) {
		t.Errorf("drops %v", got)
	}
}

// FuzzDecode tries every form on every message: none may panic, and a refused one leaves nothing.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{exampleA, exampleB, exampleH} {
		f.Add("", unhex(f, s))
	}
	f.Add("application/json", []byte(`{"series":"a","fields":{"v":1}}`))
	f.Add("text/x-influx; precision=ms", []byte("a,t=x v=1i 1763559525000"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		for _, header := range []string{contentType, "", string(ContentMsgPack), string(ContentJSON), string(ContentLines)} {
			var b, c Batch
			if b.Decode(header, "", body, at(0)) != nil {
				if b.Len() != 0 {
					t.Fatalf("%q: refused, and yet %d points", header, b.Len())
				}
				continue
			}
			if err := c.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
				t.Fatalf("%q: what was taken is refused when sent on: %v", header, err)
			}
			if strings.Join(described(&b), "\n") != strings.Join(described(&c), "\n") {
				t.Fatalf("%q: sent on as %q, was %q", header, described(&c), described(&b))
			}
		}
	})
}
