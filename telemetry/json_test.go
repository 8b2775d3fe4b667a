package telemetry

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDecodePoints reads point objects in each of their forms.
func TestDecodePoints(t *testing.T) {
	f := func(text string, want ...Point) {
		t.Helper()
		var b Batch
		if err := b.DecodeJSON([]byte(text), at(0)); err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		wantPoints(t, &b, text, want...)
		wantPoints(t, decoded(t, &b), text+", sent on", want...)
		if b.Drops().Total() > 0 {
			t.Errorf("%s: drops %v", text, dropped(&b))
		}
	}
	p := func(series string, when time.Time, tags Tags, fields Fields) Point {
		return Point{series, when, tags, fields}
	}
	one, ns := Fields{"one": 0.5}, time.Unix(0, 1763559525997744692)
	const rest = `"fields":{"one":0.5}`

	f(`{"series":"load","time":"2025-11-19T13:38:45.997744Z","tags":{"dc":"eu"},"fields":{"one":0.5,"n":3},"types":{"n":"i"}}`,
		p("load", at(0), Tags{"dc": "eu"}, Fields{"one": 0.5, "n": int64(3)}))
	f(`{"types":{"n":"i"},"fields":{"n":3},"tags":{},"time":null,"series":"load"}`, p("load", at(0), nil, Fields{"n": int64(3)}))
	f(`{"series":"load","fields":{"one":0.5},"tags":null,"types":[]}`, p("load", at(0), nil, one))
	f(`[]`)
	f(` [ ] `)
	f(`[{"series":"a",`+rest+`},{"series":"b",`+rest+`}]`, p("a", at(0), nil, one), p("b", at(0), nil, one))
	f("{\"series\":\"a\","+rest+"}\n\n \t{\"series\":\"b\","+rest+"}\r\n", p("a", at(0), nil, one), p("b", at(0), nil, one))
	f("{\n \"series\" : \"a\" ,\n "+rest+"\n}\n{\"series\":\"b\","+rest+"}", p("a", at(0), nil, one), p("b", at(0), nil, one))

	// times
	f(`{"series":"a","time":1763559525997744692,`+rest+`}`, p("a", ns, nil, one))
	f(`{"series":"a","time":"1763559525997744692",`+rest+`}`, p("a", ns, nil, one))
	f(`{"series":"a","time":"2025-11-19T13:38:45.997744692Z",`+rest+`}`, p("a", ns, nil, one))
	f(`{"series":"a","time":"2025-11-19T15:08:45.997744692+01:30",`+rest+`}`, p("a", ns, nil, one))
	f(`{"series":"a","time":-1,`+rest+`}`, p("a", time.Unix(0, -1), nil, one))
	f(`{"series":"a","time":0,`+rest+`}`, p("a", time.Unix(0, 0), nil, one))
	f(`{"series":"a","time":"-9223372036854775808",`+rest+`}`, p("a", time.Unix(0, math.MinInt64), nil, one))
	f(`{"series":"a","time":"1969-12-31T23:59:59Z",`+rest+`}`, p("a", time.Unix(-1, 0), nil, one))

	// tags may be anything that has no parts, as it is written
	f(`{"series":"a","tags":{"port":8080,"v":1.50,"e":1E3,"big":123456789012345678901234567890,"on":true,"off":false,"none":null,"empty":""},`+rest+`}`,
		p("a", at(0), Tags{"port": "8080", "v": "1.50", "e": "1E3", "big": "123456789012345678901234567890", "on": "true", "off": "false"}, one))

	// fields
	f(`{"series":"a","fields":{"i":1,"f":1.0,"b":true,"s":"x","n":null}}`, p("a", at(0), nil, Fields{"i": 1.0, "f": 1.0, "b": true, "s": "x"}))
	f(`{"series":"a","fields":{"i":"9223372036854775807","j":-9223372036854775808,"u":18446744073709551615,"v":"18446744073709551615","w":2.0,"f":7},
		"types":{"i":"i","j":"i","u":"u","v":"u","w":"i","f":"f","none":"s"}}`,
		p("a", at(0), nil, Fields{"i": int64(math.MaxInt64), "j": int64(math.MinInt64), "u": uint64(math.MaxUint64), "v": uint64(math.MaxUint64), "w": int64(2), "f": 7.0}))
	f(`{"series":"a","fields":{"z":-0,"y":0,"big":18446744073709551616,"e":-1.5e-3,"max":1.7976931348623157e308}}`,
		p("a", at(0), nil, Fields{"z": math.Copysign(0, -1), "y": 0.0, "big": 18446744073709551616.0, "e": -1.5e-3, "max": math.MaxFloat64}))

	// strings
	f(`{"series":"\u0061\/b","fields":{"s":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\u0000é😀"}}`,
		p("a/b", at(0), nil, Fields{"s": "\"\\/\b\f\n\r\té😀\x00é😀"}))
	f(`{"s\u0065ries":"a",`+rest+`}`, p("a", at(0), nil, one))
}

// TestDecodePointsDrops reads point objects of which something is left out.
func TestDecodePointsDrops(t *testing.T) {
	f := func(text string, points int, want map[string]int) {
		t.Helper()
		var b Batch
		if err := b.DecodeJSON([]byte(text), at(0)); err != nil {
			t.Errorf("%.100s: %v", text, err)
		} else if got := dropped(&b); b.Len() != points || !maps.Equal(got, want) {
			t.Errorf("%.100s: %d points, drops %v; want %d, %v", text, b.Len(), got, points, want)
		}
	}
	field := func(v, types string) string {
		return `{"series":"a","fields":{"good":1,"x":` + v + `},"types":{` + types + `}}`
	}
	f(field(`1e400`, ``), 1, map[string]int{"nan": 1})
	f(field(`-1e400`, `"x":"i"`), 1, map[string]int{"nan": 1})
	f(field(`[1]`, ``), 1, map[string]int{"type": 1})
	f(field(`{"deep":[[[]]]}`, ``), 1, map[string]int{"type": 1})
	f(field(`1.5`, `"x":"i"`), 1, map[string]int{"type": 1})
	f(field(`9007199254740994.0`, `"x":"i"`), 1, map[string]int{"type": 1})
	f(field(`"text"`, `"x":"i"`), 1, map[string]int{"type": 1})
	f(field(`"1.0"`, `"x":"i"`), 1, map[string]int{"type": 1})
	f(field(`"+1"`, `"x":"i"`), 1, map[string]int{"type": 1})
	f(field(`""`, `"x":"u"`), 1, map[string]int{"type": 1})
	f(field(`"1"`, `"x":"f"`), 1, map[string]int{"type": 1})
	f(field(`1`, `"x":"b"`), 1, map[string]int{"type": 1})
	f(field(`1`, `"x":"s"`), 1, map[string]int{"type": 1})
	f(field(`true`, `"x":"f"`), 1, map[string]int{"type": 1})
	f(field(`9223372036854775808`, `"x":"i"`), 1, map[string]int{"int_range": 1})
	f(field(`"9223372036854775808"`, `"x":"i"`), 1, map[string]int{"int_range": 1})
	f(field(`-1`, `"x":"u"`), 1, map[string]int{"int_range": 1})
	f(field(`"-1"`, `"x":"u"`), 1, map[string]int{"int_range": 1})
	f(field(`"18446744073709551616"`, `"x":"u"`), 1, map[string]int{"int_range": 1})
	f(field(`[1,{"a":2}]`, `"x":"h"`), 1, map[string]int{"unknown_type": 1})
	f(field(`7`, `"x":"h"`), 1, map[string]int{"unknown_type": 1})
	f(field(`"`+strings.Repeat("x", MaxText+1)+`"`, ``), 1, map[string]int{"too_long": 1})
	f(`{"series":"a","fields":{"x":1e999}}`, 0, map[string]int{"nan": 1, "no_fields": 1})
	f(`{"series":"a","fields":{}}`, 0, map[string]int{"no_fields": 1})
	f(`{"series":"a","fields":null}`, 0, map[string]int{"no_fields": 1})
	f(`{"series":"a"}`, 0, map[string]int{"no_fields": 1})

	point := func(key, v string) string {
		return `[{"series":"good","fields":{"x":1}},{"series":"a","fields":{"x":1},"` + key + `":` + v + `}]`
	}
	f(point("time", `"9223372036854775808"`), 1, map[string]int{"time_range": 1})
	f(point("time", `9223372036854775808`), 1, map[string]int{"time_range": 1})
	f(point("time", `"9999-01-01T00:00:00Z"`), 1, map[string]int{"time_range": 1})
	f(point("tags", `{"t":"a\nb"}`), 1, map[string]int{"tag_value": 1})
	f(point("tags", `{"t":[1],"u":{}}`), 1, map[string]int{"tag_value": 1})
	f(point("tags", `{"t":"`+strings.Repeat("x", MaxTagValue+1)+`"}`), 1, map[string]int{"tag_value": 1})
	f(`{"series":"a","time":"9999-01-01T00:00:00Z","tags":{"t":"\n"}}`, 0, map[string]int{"time_range": 1}) // for the first reason
}

// TestDecodeJSONRefuses has what the golden batches are too small for.
func TestDecodeJSONRefuses(t *testing.T) {
	f := func(text string, want Code) {
		t.Helper()
		var b Batch
		b.Add("before", Fields{"v": 1}, nil)
		err := b.DecodeJSON([]byte(text), at(0))
		if !errors.Is(err, want) || b.Len() != 0 || b.Drops().Total() != 0 {
			t.Errorf("%.100s: %v, %d points; want %s", text, err, b.Len(), want)
		}
	}
	many := func(n int, form string) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(form, i))
		}
		return strings.Join(parts, ",")
	}
	f("", CodeEmpty)
	f(strings.Repeat(" ", MaxMessage+1), CodeTooLarge)
	f("\xff", CodeUTF8)
	for _, text := range []string{"nope", "[", "{", `{"series"`, `{"series":`, `{"series":"a`, `{"series":"a\`, `{"series":"a\u00`, `{"series":"a\x"}`,
		`{"series" "a"}`, `{1:2}`, `{,}`, `[,]`, `[{"series":1`, `[1,]`, `[1,2`, `[1 2]`, `[-]`, `[1.]`, `[1e]`, `[1e+]`, `[.5]`, `[+1]`, `[01]`, `[-01]`, `[0x1]`, `[1,nul]`, `[1,True]`,
		"\x00", "'a'", `{"series":tru}`, "[1,\v1]"} {
		f(text, CodeSyntax)
	}
	f(`[{}`, CodeShape) // the first fault met
	f(`{"series":"a"}`+"\n}", CodeSyntax)
	f(`{"series":"a"}}`, CodeTrailing)
	f(`[1,1,0,{},[]`+"\n"+`]]`, CodeTrailing)
	f(`7`, CodeShape)
	f(`null`, CodeShape)
	f(`true x`, CodeTrailing)
	f(`{"series":"a","fields":{"x":"\udc00"}}`, CodeUTF8)
	f(`{"series":"a","fields":{"x":"\ud83dx"}}`, CodeUTF8)
	f(`{"series":"a","fields":{"x":"\ud83d\u0041"}}`, CodeUTF8)
	f(`{"series":"a","fields":{"x":"\ud83d\n"}}`, CodeSyntax)
	f(`{"series":"a","fields":{"x":[[[[[]]]]]}}`, CodeDepth)
	f(strings.Repeat("[", MaxMessage), CodeDepth)
	f(strings.Repeat(`{"series":`, 10000), CodeDepth)

	const rest = `"fields":{"x":1}`
	f(`[{"series":"a",`+rest+`},1]`, CodeShape)
	f(`[{"series":"a",`+rest+`},nope]`, CodeSyntax)
	f(`{"series":1,`+rest+`}`, CodeShape)
	f(`{"series":null,`+rest+`}`, CodeShape)
	f(`{"series":"",`+rest+`}`, CodeName)
	f(`{"series":"a\u0000",`+rest+`}`, CodeName)
	f(`{"series":"`+strings.Repeat("x", MaxName+1)+`",`+rest+`}`, CodeName)
	f(`{"series":"a","tags":{"":"x"},`+rest+`}`, CodeName)
	f(`{"series":"a","tags":{"a":"x","a":null},`+rest+`}`, CodeDuplicateKey)
	f(`{"series":"a","tags":"x",`+rest+`}`, CodeShape)
	f(`{"series":"a","tags":[1],`+rest+`}`, CodeShape)
	f(`{"series":"a","fields":7}`, CodeShape)
	f(`{"series":"a","fields":{"":7}}`, CodeName)
	f(`{"series":"a","fields":{"x":null,"x":1}}`, CodeDuplicateKey)
	f(`{"series":"a","types":{"x":"int"},`+rest+`}`, CodeShape)
	f(`{"series":"a","types":{"x":1},`+rest+`}`, CodeShape)
	f(`{"series":"a","types":{"x":"i","x":"i"},`+rest+`}`, CodeDuplicateKey)
	for _, bad := range []string{`1.5`, `1e9`, `true`, `[]`, `""`, `"now"`, `"2025-11-19"`, `"2025-11-19T13:38:45"`, `"2025-11-19T13:38:45,5Z"`, `"2025-02-30T00:00:00Z"`,
		`"2025-11-19T3:38:45Z"`, `"2025-11-19T3:38:45.9977440Z"`, `"2025-11-19T13:38:45+24:00"`, `"2025-11-19T13:38:45+01:60"`, `"2025-11-19T13:38:60Z"`} {
		f(`{"series":"a","time":`+bad+`,`+rest+`}`, CodeShape)
	}
	f(`{"series":"a","tags":{`+many(MaxTags+1, `"t%d":1`)+`},`+rest+`}`, CodeLimit)
	f(`{"series":"a","fields":{`+many(MaxFields+1, `"f%d":1`)+`}}`, CodeLimit)
	f(`{"series":"a","types":{`+many(MaxFields+1, `"f%d":"i"`)+`}}`, CodeLimit)
	f(`{"series":"a","fields":{"x":1,`+many(40, `"f%d":1`)+`,"x":2}}`, CodeDuplicateKey)
	f(`[`+many(MaxGroups+1, `{"series":"s%d",`+rest+`}`)+`]`, CodeLimit)

	f(`[1,1,"x",{},[]]`, CodeShape)
	f(`[1,1,"",{},[]]`, CodeShape)
	f(`[1,1,"9223372036854775808",{},[]]`, CodeShape)
	f(`["1",1,0,{},[]]`, CodeShape)
	f(`[1,"1",0,{},[]]`, CodeShape)
	f(`[1,1,0,{},[["s",{},[],["v"],"i",[["x",1]]]]]`, CodeShape)
	f(`[1,1,0,{},[["s",{},[],["v"],"i",[1,"x",1]]]]`, CodeShape)
	f(`[1,1,0,{},[["s",{},[],["v"],"i",[1,["x"],1]]]]`, CodeShape)
	f(`[1,1,0,{},[["s",{},[],["v"],"i",["1",0,1]]]]`, CodeShape)
	f(`[1,1,0,{},[["s",{},["k"],["v"],"i",[1,0,[["a"],["0"]],1]]]]`, CodeShape)
}

// TestDecodeJSONLine says in which line the fault is.
func TestDecodeJSONLine(t *testing.T) {
	f := func(text string, line int) {
		t.Helper()
		var b Batch
		var e *DecodeError
		if err := b.DecodeJSON([]byte(text), at(0)); !errors.As(err, &e) || e.Line != line {
			t.Errorf("%q: %v, want it in line %d", text, err, line)
		}
	}
	const good = `{"series":"a","fields":{"x":1}}` + "\n"
	f(good+good+`{"series":"a","fields":{"x":}}`, 3)
	f(good+"\n"+`{"series":"a","fields":7}`, 3)
	f(good+good+good+good[:31]+good, 4)
	f("["+good+","+good+",null]", 3)
	f(`[1,1,0,{},7]`, 0)
}

// TestDecodeJSONColumns reads what only the JSON form of a batch may have, and sends it on as msgpack.
func TestDecodeJSONColumns(t *testing.T) {
	f := func(group string, want ...Point) {
		t.Helper()
		text := `[1,1,"1763559525997744000",{},[` + group + `]]`
		var b Batch
		if err := b.DecodeJSON([]byte(text), at(9)); err != nil {
			t.Errorf("%s: %v", group, err)
			return
		}
		wantPoints(t, &b, group, want...)
		wantPoints(t, decoded(t, &b), group+", sent on", want...)
	}
	p := func(n int, v any) Point { return Point{"s", at(n), nil, Fields{"v": v}} }
	f(`["s",{},[],["v"],"i",[2,["0",1000],["9223372036854775807",-2]]]`, p(0, int64(math.MaxInt64)), p(1, int64(-2)))
	f(`["s",{},[],["v"],"i",[2,"1000","-9223372036854775808"]]`, p(1, int64(math.MinInt64)), p(1, int64(math.MinInt64)))
	f(`["s",{},[],["v"],"u",[["1000","18446744073709551615"],[2000,7]]]`, p(1, uint64(math.MaxUint64)), p(2, uint64(7)))
	f(`["s",{},[],["v"],"u",[1,0,null]]`)
	f(`["s",{},[],["v"],"u",[1,"9223372036854775807",7]]`) // beyond the end of time
	f(`["s",{},[],["v"],"u",[1,"9223372036854775808",7]]`)
	f(`["s",{},[],["v"],"s",[3,0,[["a","b"],[1,0,1]]]]`, p(0, "b"), p(0, "a"), p(0, "b"))
	f(`["s",{},[],["v"],"s",[2,0,["1","2"]]]`, p(0, "1"), p(0, "2"))
	f(`["s",{},[],["v"],"f",[2,0,[1e-400,1.50]]]`, p(0, 0.0), p(0, 1.5))
}

// TestBatchAsJSON compares what is written byte for byte, and checks with another reader that it is JSON.
func TestBatchAsJSON(t *testing.T) {
	f := func(b *Batch, wantBatch, wantPoints string) {
		t.Helper()
		gotBatch, gotPoints := b.AppendJSON([]byte("x")), b.AppendPoints([]byte("x"))
		if string(gotBatch) != "x"+wantBatch {
			t.Errorf("batch\n got %s\nwant %s", gotBatch, wantBatch)
		}
		if string(gotPoints) != "x"+wantPoints {
			t.Errorf("points\n got %s\nwant %s", gotPoints, wantPoints)
		}
		if !json.Valid(gotBatch[1:]) {
			t.Errorf("no JSON: %s", gotBatch)
		}
		for line := range strings.Lines(string(gotPoints[1:])) {
			if !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %s", line)
			}
		}
	}
	f(&Batch{}, `[1,1000,0,{},[]]`, "")

	one := batchOf(Point{"a\"\\", at(0), Tags{"k\t": "v\""}, Fields{"f": 0.5, "i": int64(1), "u": uint64(1 << 53), "b": true, "s": "x\n\x01é\x7f"}})
	one.DefaultTag("host", "h1")
	f(one, `[1,1000,1763559525997744,{"host":"h1"},[["a\"\\",{},["k "],["b","f","i","s","u"],"bfisu",`+
		`[1,0,"v\"",true,0.5,1,"x\n\u0001é`+"\x7f"+`","9007199254740992"]]]]`,
		`{"series":"a\"\\","time":"2025-11-19T13:38:45.997744Z","tags":{"k ":"v\"","host":"h1"},`+
			`"fields":{"b":true,"f":0.5,"i":1,"s":"x\n\u0001é`+"\x7f"+`","u":"9007199254740992"},"types":{"i":"i","u":"u"}}`+"\n")

	var many Batch
	for i := range 4 {
		many.Append(Point{"m", at(0).Add(time.Duration(i)), Tags{"t": fmt.Sprint("t", i%2)}, Fields{"f": float64(i), "same": int64(-7), "s": fmt.Sprint(i)}})
	}
	lines := ""
	for i := range 4 {
		lines += fmt.Sprintf(`{"series":"m","time":"2025-11-19T13:38:45.997744%sZ","tags":{"t":"t%d"},"fields":{"f":%d,"s":"%d","same":-7},"types":{"same":"i"}}`+"\n",
			[]string{"", "001", "002", "003"}[i], i%2, i, i)
	}
	f(&many, `[1,1,"1763559525997744000",{},[["m",{},["t"],["f","s","same"],"fsi",[4,[0,1,2,3],[["t0","t1"],[0,1,0,1]],[0,1,2,3],["0","1","2","3"],-7]]]]`, lines)

	var absent Batch
	if err := absent.DecodeMsgPack(unhex(t, exampleH)); err != nil {
		t.Fatal(err)
	}
	for g := range absent.Groups() {
		g.Keep(func(row int) bool { return row < 2 })
	}
	f(&absent, `[1,1000,1763559525997744,{"host":"web-1"},[["cpu",{},["cpu"],["user","ctx","up","state"],"fibs",[2,0,["cpu0","cpu1"],[12.5,0.25],[7,-129],true,["S",null]]]]]`,
		`{"series":"cpu","time":"2025-11-19T13:38:45.997744Z","tags":{"cpu":"cpu0","host":"web-1"},"fields":{"user":12.5,"ctx":7,"up":true,"state":"S"},"types":{"ctx":"i"}}`+"\n"+
			`{"series":"cpu","time":"2025-11-19T13:38:45.997744Z","tags":{"cpu":"cpu1","host":"web-1"},"fields":{"user":0.25,"ctx":-129,"up":true},"types":{"ctx":"i"}}`+"\n")
}

func TestAppendJSONFloat(t *testing.T) {
	f := func(v float64, want string) {
		t.Helper()
		if got := string(appendJSONFloat(nil, v)); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
	f(0, "0")
	f(math.Copysign(0, -1), "-0")
	f(21, "21")
	f(0.1, "0.1")
	f(1e20, "100000000000000000000")
	f(1e21, "1e+21")
	f(1e-6, "0.000001")
	f(-1e-7, "-1e-07")
	f(math.MaxFloat64, "1.7976931348623157e+308")
}

// TestDecodeJSONMemory sends the text that grows most: a reader may need a few times its size, not more.
func TestDecodeJSONMemory(t *testing.T) {
	f := func(name, text string) {
		t.Helper()
		var before, after runtime.MemStats
		var b Batch
		runtime.ReadMemStats(&before)
		_ = b.DecodeJSON([]byte(text), at(0))
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Errorf("%s: %d bytes of JSON took %d MiB", name, len(text), used>>20)
		}
	}
	fill := func(head, part string) string { return head + strings.Repeat(part, (MaxMessage-len(head))/len(part)) }
	f("floats", fill("[1,", "0.5,"))
	f("integers that are none", fill("[1,", "99999999999999999999,"))
	f("empty lists", fill("[1,", "[],"))
	f("empty objects", fill("[", "{},"))
	f("empty strings", fill(`[1,"`, `","`))
	f("escapes", fill(`["`, `\u0000`))
	f("digits", fill("[1,", "9"))
	f("points", fill("", `{"series":"a","fields":{"b":1}}`+"\n"))
	f("bad times", fill("", `{"series":"a","time":"9999-01-01T00:00:00Z","fields":{"b":1}}`+"\n"))
	f("open lists", fill("", "["))
	f("open objects", fill("", `{"":`))
}

// TestDecodeJSONKeepsNothing decodes a second text with the batch that held the first: taken groups stay as they were.
func TestDecodeJSONKeepsNothing(t *testing.T) {
	var in, out Batch
	if err := in.DecodeJSON([]byte(`{"series":"first","tags":{"t":"one"},"fields":{"s":"text"}}`), at(0)); err != nil {
		t.Fatal(err)
	}
	var points []Point
	for p := range in.Points() {
		points = append(points, p)
	}
	if err := in.DecodeJSON([]byte(`{"series":"other","tags":{"t":"two"},"fields":{"s":"else"}}`), at(1)); err != nil {
		t.Fatal(err)
	}
	for _, p := range points {
		out.Append(p)
	}
	wantPoints(t, &out, "of the first text", Point{"first", at(0), Tags{"t": "one"}, Fields{"s": "text"}})
	wantPoints(t, &in, "of the second", Point{"other", at(1), Tags{"t": "two"}, Fields{"s": "else"}})
}

// FuzzDecodeJSON compares with encoding/json what JSON is, and sends on what was taken.
func FuzzDecodeJSON(f *testing.F) {
	cases := readBatchCases(f)
	for _, c := range cases.Valid {
		f.Add(goldenBatch(f, "valid/"+c.Name+".points.json"))
		if slices.Contains(c.Forms, "json") {
			f.Add(goldenBatch(f, "valid/"+c.Name+".json"))
		}
	}
	for _, c := range cases.Invalid {
		if strings.HasSuffix(c.File, ".json") {
			f.Add(goldenBatch(f, "invalid/"+c.File))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var b Batch
		err := b.DecodeJSON(text, at(0))
		if errors.Is(err, CodeSyntax) && json.Valid(text) {
			t.Fatalf("%v, but it is JSON: %q", err, text)
		}
		if err != nil {
			return
		}
		if !severalValues(text) {
			t.Fatalf("taken, but no JSON: %q", text)
		}
		want := described(&b)
		for name, send := range map[string]func(c *Batch) error{
			"msgpack": func(c *Batch) error { return c.DecodeMsgPack(b.AppendMsgPack(nil)) },
			"JSON":    func(c *Batch) error { return c.DecodeJSON(b.AppendJSON(nil), at(1)) },
			"objects": func(c *Batch) error {
				return c.DecodeJSON(append([]byte("["), strings.ReplaceAll(strings.TrimSuffix(string(b.AppendPoints(nil)), "\n"), "\n", ",")+"]"...), at(1))
			},
		} {
			var c Batch
			if err := send(&c); err != nil {
				t.Fatalf("sent on as %s it is refused: %v", name, err)
			}
			if got := described(&c); !slices.Equal(got, want) {
				t.Fatalf("sent on as %s\n got %q\nwant %q", name, got, want)
			}
		}
	})
}

// severalValues reports whether text is JSON values one after the other.
func severalValues(text []byte) bool {
	d := json.NewDecoder(strings.NewReader(string(text)))
	for d.More() {
		var v json.RawMessage
		if d.Decode(&v) != nil {
			return false
		}
	}
	return true
}

func BenchmarkDecodeJSON(b *testing.B) {
	for name, text := range map[string][]byte{"batch": sample(1000).AppendJSON(nil), "points": sample(1000).AppendPoints(nil)} {
		b.Run(name, func(b *testing.B) {
			var batch Batch
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := batch.DecodeJSON(text, time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
			perPoint(b, 1000)
		})
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	batch := decoded(b, sample(1000))
	for name, form := range map[string]func([]byte) []byte{"batch": batch.AppendJSON, "points": batch.AppendPoints} {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = form(buf[:0])
			}
			b.SetBytes(int64(len(buf)))
			perPoint(b, 1000)
		})
	}
}
