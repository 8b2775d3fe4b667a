package telemetry

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAdd(t *testing.T) {
	f := func(fields Fields, tags Tags, want Point, drops map[string]int) {
		t.Helper()
		var b Batch
		b.At(at(0))
		b.Add("s", fields, tags)
		what := fmt.Sprintf("Add(%v, %v)", fields, tags)
		if want.Series, want.Time = "s", at(0); len(want.Fields) > 0 {
			wantPoints(t, &b, what, want)
		} else {
			wantPoints(t, &b, what)
		}
		if got := dropped(&b); !maps.Equal(got, drops) {
			t.Errorf("%s: drops %v, want %v", what, got, drops)
		}
	}
	none := map[string]int{}
	f(Fields{"v": 1.5}, nil, Point{Fields: Fields{"v": 1.5}}, none)
	f(Fields{"v": 1}, Tags{"a": "x", "b": ""}, Point{Fields: Fields{"v": int64(1)}, Tags: Tags{"a": "x"}}, none)
	f(Fields{"f": float32(0.25), "i": int8(-1), "j": int16(-2), "k": int32(-3), "l": int64(-4)}, nil,
		Point{Fields: Fields{"f": 0.25, "i": int64(-1), "j": int64(-2), "k": int64(-3), "l": int64(-4)}}, none)
	f(Fields{"a": uint(1), "b": uint8(2), "c": uint16(3), "d": uint32(4), "e": uint64(5)}, nil,
		Point{Fields: Fields{"a": uint64(1), "b": uint64(2), "c": uint64(3), "d": uint64(4), "e": uint64(5)}}, none)
	f(Fields{"b": true, "s": "text", "v": Int(7), "n": nil}, nil,
		Point{Fields: Fields{"b": true, "s": "text", "v": int64(7)}}, none)
	f(Fields{"a": math.NaN(), "b": math.Inf(-1), "v": 1.0}, nil, Point{Fields: Fields{"v": 1.0}}, map[string]int{"nan": 2})
	f(Fields{"a": math.Inf(1)}, nil, Point{}, map[string]int{"nan": 1, "no_fields": 1})
	f(Fields{"a": []int{1}, "v": 1.0}, nil, Point{Fields: Fields{"v": 1.0}}, map[string]int{"type": 1})
	f(nil, nil, Point{}, map[string]int{"no_fields": 1})
	f(Fields{"n": nil}, nil, Point{}, map[string]int{"no_fields": 1})
	f(Fields{"s": "a\xffb\n"}, Tags{"t": "c\xff\n"}, Point{Fields: Fields{"s": "a\ufffdb\n"}, Tags: Tags{"t": "c\ufffd "}}, none)
	f(Fields{"a\nb": 1.0}, Tags{"c\td": "x"}, Point{Fields: Fields{"a b": 1.0}, Tags: Tags{"c d": "x"}}, none)
	f(Fields{"": 1.0}, Tags{"": "x"}, Point{Fields: Fields{"_": 1.0}, Tags: Tags{"_": "x"}}, none)
	f(Fields{"a\n": 1.0, "a\t": 1.0}, nil, Point{Fields: Fields{"a ": 1.0, "a _2": 1.0}}, none)
}

func TestAddBeyondLimits(t *testing.T) {
	f := func(fields, tags, points int) {
		t.Helper()
		var b Batch
		fs, ts := Fields{}, Tags{}
		for i := range fields {
			fs[fmt.Sprint("f", i)] = 1
		}
		for i := range tags {
			ts[fmt.Sprint("t", i)] = "x"
		}
		b.Add("s", fs, ts)
		if b.Len() != points || b.Drops().Count(CodeLimit) != 1-points {
			t.Errorf("%d fields, %d tags: %d points, drops %v", fields, tags, b.Len(), dropped(&b))
		}
	}
	f(MaxFields, MaxTags, 1)
	f(MaxFields+1, MaxTags, 0)
	f(MaxFields, MaxTags+1, 0)
}

func TestAppendTime(t *testing.T) {
	var b Batch
	b.Append(Point{Series: "s", Time: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), Fields: Fields{"v": 1}})
	if b.Len() != 0 || b.Drops().Count(CodeTimeRange) != 1 {
		t.Errorf("year 9999: %d points, drops %v", b.Len(), dropped(&b))
	}
	before := time.Now().Add(-time.Microsecond)
	b.Append(Point{Series: "s", Fields: Fields{"v": 1}})
	for p := range b.Points() {
		if p.Time.Before(before) || p.Time.After(time.Now()) || p.Time.Nanosecond()%1000 != 0 {
			t.Errorf("no time became %v; want now, in whole microseconds", p.Time)
		}
	}
	b.At(at(3))
	b.Append(Point{Series: "at", Fields: Fields{"v": 1}})
	for p := range b.Points() {
		if p.Series == "at" && !p.Time.Equal(at(3)) {
			t.Errorf("no time after At became %v", p.Time)
		}
	}
}

func TestRow(t *testing.T) {
	var b Batch
	g := b.Group("disk", []string{"dev", "fs"}, []Field{{"used", TypeUint}, {"name", TypeString}, {"load", TypeFloat}})
	g.Row(at(0), []string{"sda", ""}, Uint(1), String("a\xff"), Float(1))
	g.Row(at(1), []string{"sd\nb", "ext4"}, Value{}, String("b"), Float(math.NaN()))
	g.Row(at(2), []string{"", ""}, Uint(3), Int(4), Value{})
	g.Row(at(3), []string{"sdc", ""}, Value{}, Value{}, Value{})
	g.Row(at(4), []string{"sdc", ""}, Int(1), Value{}, Float(math.Inf(1)))
	g.Row(time.Time{}, []string{"sdc", ""}, Uint(1), Value{}, Value{})
	want := []Point{
		{"disk", at(0), Tags{"dev": "sda"}, Fields{"used": uint64(1), "name": "a\ufffd", "load": 1.0}},
		{"disk", at(1), Tags{"dev": "sd b", "fs": "ext4"}, Fields{"name": "b"}},
		{"disk", at(2), nil, Fields{"used": uint64(3)}},
	}
	wantPoints(t, &b, "rows", want...)
	wantPoints(t, decoded(t, &b), "rows, read back", want...)
	if got, want := dropped(&b), (map[string]int{"nan": 2, "type": 2, "no_fields": 2, "time_range": 1}); !maps.Equal(got, want) {
		t.Errorf("drops %v, want %v", got, want)
	}
	if b.Group("disk", []string{"dev", "fs"}, []Field{{"used", TypeUint}, {"name", TypeString}, {"load", TypeFloat}}) != g {
		t.Error("the same group asked for again is another")
	}
	defer func() {
		if recover() == nil {
			t.Error("a row of too few values did not panic")
		}
	}()
	g.Row(at(5), []string{"sda"}, Uint(1))
}

// TestGroupAfterAChange adds to a group that has been changed or taken since: the new points do not become part of it.
func TestGroupAfterAChange(t *testing.T) {
	f := func(name string, change func(b *Batch, g *Group), want ...Point) {
		t.Helper()
		var b Batch
		add := func(n int) {
			b.At(at(n))
			b.Add("s", Fields{"a": n, "b": n}, Tags{"t": "x"})
		}
		add(1)
		for g := range b.Groups() {
			change(&b, g)
		}
		add(2)
		want = append(want, Point{"s", at(2), Tags{"t": "x"}, Fields{"a": int64(2), "b": int64(2)}})
		wantPoints(t, &b, name, want...)
		wantPoints(t, decoded(t, &b), name+", read back", want...)
	}
	one := func(series string, tags Tags, fields Fields) Point { return Point{series, at(1), tags, fields} }
	both, x := Fields{"a": int64(1), "b": int64(1)}, Tags{"t": "x"}
	f("nothing", func(*Batch, *Group) {}, one("s", x, both))
	f("Series", func(_ *Batch, g *Group) { g.Series = "r" }, one("r", x, both))
	f("DropField", func(_ *Batch, g *Group) { g.DropField("a") }, one("s", x, Fields{"b": int64(1)}))
	f("RenameField", func(_ *Batch, g *Group) { g.RenameField("a", "c") }, one("s", x, Fields{"b": int64(1), "c": int64(1)}))
	f("DropTag", func(_ *Batch, g *Group) { g.DropTag("t") }, one("s", nil, both))
	f("SetTag", func(_ *Batch, g *Group) { g.SetTag("u", "y") }, one("s", Tags{"t": "x", "u": "y"}, both))
	f("RenameTag", func(_ *Batch, g *Group) { g.RenameTag("t", "u") }, one("s", Tags{"u": "x"}, both))
	f("Keep none", func(_ *Batch, g *Group) { g.Keep(func(int) bool { return false }) })
	f("DefaultTag", func(b *Batch, _ *Group) { b.DefaultTag("d", "y") }, one("s", Tags{"t": "x", "d": "y"}, both))
	f("Frames", func(b *Batch, g *Group) {
		g.Keep(func(int) bool { return false })
		for range b.Frames(TargetFrame, func() []byte { return nil }) {
			t.Error("a frame of no points")
		}
	})
}

// Groups are told apart whatever bytes are in their names.
func TestGroupsOfOddNames(t *testing.T) {
	var b Batch
	v := []Field{{"v", TypeInt}}
	b.Group("a", []string{"b"}, v).Row(at(0), []string{"x"}, Int(1))
	b.Group("a\x00b", nil, v).Row(at(0), nil, Int(2))
	b.Group("a\x00b\x01iv", nil, nil)
	b.Group("a", []string{"b", "c"}, v).Row(at(0), []string{"x", "y"}, Int(3))
	b.Group("a", []string{"b\x00c"}, v).Row(at(0), []string{"x"}, Int(4))
	if n := len(b.groups); n != 5 || b.Len() != 4 {
		t.Errorf("%d groups of %d points", n, b.Len())
	}
}

// TestAddAfterFramesDroppedAGroup adds points and lines to a batch whose empty group the messages have left out.
func TestAddAfterFramesDroppedAGroup(t *testing.T) {
	f := func(name string, add func(b *Batch)) {
		t.Helper()
		var b Batch
		add(&b)
		for g := range b.Groups() {
			g.Keep(func(int) bool { return false })
		}
		for range b.Frames(TargetFrame, func() []byte { return nil }) {
			t.Errorf("%s: a message of no points", name)
		}
		add(&b)
		wantPoints(t, &b, name, Point{"a", at(0), nil, Fields{"v": 1.0}})
	}
	f("Append", func(b *Batch) { b.Append(Point{"a", at(0), nil, Fields{"v": 1.0}}) })
	var d LineDecoder
	f("lines", func(b *Batch) {
		if err := d.Decode(b, []byte("a v=1"), at(0)); err != nil {
			t.Error(err)
		}
	})
}

// TestAddAfterSignFields adds an unsigned value where the fields that were there have become signed.
func TestAddAfterSignFields(t *testing.T) {
	var b Batch
	b.At(at(0))
	b.Add("s", Fields{"n": uint64(5)}, nil)
	for g := range b.Groups() {
		g.SignFields()
	}
	b.Add("s", Fields{"n": uint64(1 << 63)}, nil)
	wantPoints(t, &b, "both", Point{"s", at(0), nil, Fields{"n": int64(5)}}, Point{"s", at(0), nil, Fields{"n": uint64(1 << 63)}})
}

func TestDefaultTag(t *testing.T) {
	hosted := func(p Point, host string) Point {
		p.Tags = maps.Clone(p.Tags)
		if p.Tags == nil {
			p.Tags = Tags{}
		}
		p.Tags["host"] = host
		return p
	}
	plain := Point{"a", at(0), nil, Fields{"v": int64(1)}}
	proxied := Point{"b", at(1), Tags{"host": "far"}, Fields{"v": int64(2)}}

	b := batchOf(plain, proxied)
	b.DefaultTag("host", "")
	wantPoints(t, b, "no value", plain, proxied)
	b.DefaultTag("host", "h1")
	b.DefaultTag("host", "h2")
	want := []Point{hosted(plain, "h1"), proxied}
	wantPoints(t, b, "twice", want...)
	wantPoints(t, decoded(t, b), "twice, read back", want...)

	b = decoded(t, b)
	b.DefaultTag("host", "h3")
	wantPoints(t, b, "the batch says it", want...)
	for g := range b.Groups() {
		g.DropTag("host")
	}
	bare := proxied
	bare.Tags = nil
	wantPoints(t, b, "dropped by the groups", plain, bare)
	wantPoints(t, decoded(t, b), "dropped by the groups, read back", plain, bare)
	b.DefaultTag("host", "h4")
	b.DefaultTag("si\nte", "x\ny")
	for i, p := range []Point{plain, bare} {
		want[i] = hosted(p, "h4")
		want[i].Tags["si te"] = "x y"
	}
	wantPoints(t, b, "given anew", want...)
	wantPoints(t, decoded(t, b), "given anew, read back", want...)
}

// TestDefaultTagFillsAnEmptyOne takes batches whose head says a key without a value.
func TestDefaultTagFillsAnEmptyOne(t *testing.T) {
	for _, text := range []string{`[1,1,0,{"host":""},[["a",{},[],["v"],"f",[[0,1]]]]]`, `[1,1,0,{"host":null},[["a",{"host":null},[],["v"],"f",[[0,1]]]]]`} {
		var b Batch
		if err := b.DecodeJSON([]byte(text), at(0)); err != nil {
			t.Fatal(err)
		}
		b = *decoded(t, &b)
		b.DefaultTag("host", "h1")
		want := Point{"a", time.Unix(0, 0), Tags{"host": "h1"}, Fields{"v": 1.0}}
		wantPoints(t, &b, text, want)
		wantPoints(t, decoded(t, &b), text+", read back", want)
		for g := range b.Groups() {
			g.SetTag("site", "lab")
		}
		want.Tags["site"] = "lab"
		wantPoints(t, decoded(t, &b), text+", tags of its own", want)
	}
}

// TestTake puts groups of batches with other clocks and tags into one.
func TestTake(t *testing.T) {
	read := func(text string) *Batch {
		t.Helper()
		var b Batch
		if err := b.DecodeMsgPack(unhex(t, text)); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	var out, empty Batch
	var want []Point
	take := func(b *Batch) {
		for p := range b.Points() {
			want = append(want, p)
		}
		for g := range b.Groups() {
			out.Take(g)
		}
		wantPoints(t, &out, "taken", want...)
		wantPoints(t, decoded(t, &out), "taken and sent", want...)
	}
	take(read(exampleB)) // tag host in the head, microseconds
	take(read(exampleH)) // the same head
	take(read(exampleC)) // nanoseconds, no tags
	take(read(exampleI)) // seconds
	own := batchOf(Point{"own", at(0), Tags{"host": "mine"}, Fields{"v": int64(1)}})
	own.DefaultTag("site", "lab")
	take(own)
	take(&empty)
	all := batchOf(Point{"gone", at(0), nil, Fields{"v": int64(1)}})
	for g := range all.Groups() {
		g.Keep(func(int) bool { return false })
	}
	take(all)
	out.Reset()
	want = nil
	take(read(exampleB)) // a tag of the head of what was there before is gone
	if got := out.AppendMsgPack(nil); !slices.Equal(got, read(exampleB).AppendMsgPack(nil)) {
		t.Errorf("an untouched batch is sent on as %x", got)
	}
}

func TestReset(t *testing.T) {
	var b Batch
	b.SetHost("h1")
	b.At(at(0))
	b.Add("s", Fields{"v": 1, "text": "secret"}, Tags{"t": "secret"})
	b.Add("s", nil, nil)
	b.DefaultTag("host", "secret")
	b.Reset()
	if b.Len() != 0 || b.Host() != "" || b.Drops().Total() != 0 || b.Size() != 0 {
		t.Errorf("after Reset: %d points, host %q, drops %v, size %d", b.Len(), b.Host(), dropped(&b), b.Size())
	}
	if got := b.AppendMsgPack(nil); !slices.Equal(got, unhex(t, "9501cd03e8008090")) {
		t.Errorf("after Reset it is sent as %x", got)
	}
	b.At(at(1))
	b.Add("s", Fields{"v": 2, "text": "new"}, Tags{"t": "new"})
	wantPoints(t, &b, "after Reset", Point{"s", at(1), Tags{"t": "new"}, Fields{"v": int64(2), "text": "new"}})
	if msg := string(b.AppendMsgPack(nil)); strings.Contains(msg, "secret") {
		t.Errorf("a message after Reset has what was before: %q", msg)
	}
}

// TestArenaReuse cuts batches down and empties them by turns: memory that was handed out is not handed out twice.
func TestArenaReuse(t *testing.T) {
	var in Batch
	for round := range 5 {
		msg := sample(700 + 100*round).AppendMsgPack(nil)
		if err := in.DecodeMsgPack(msg); err != nil {
			t.Fatal(err)
		}
		var want []Point
		for g := range in.Groups() {
			for step := range 3 { // each cut leaves the one before in the arena
				keep := func(row int) bool { return (row+round)%(step+3) != 0 }
				want = want[:0]
				for row := range g.Len() {
					if keep(row) {
						want = append(want, g.Point(row))
					}
				}
				g.Keep(keep)
				wantPoints(t, &in, fmt.Sprintf("round %d, cut %d", round, step), want...)
			}
		}
		wantPoints(t, decoded(t, &in), fmt.Sprintf("round %d, sent", round), want...)
	}
}

func TestFramesLeaveOutWhatNobodyTakes(t *testing.T) {
	f := func(name string, points int, drops map[string]int, fill func(b *Batch)) {
		t.Helper()
		var b Batch
		fill(&b)
		b.Add("good", Fields{"v": 1}, nil)
		got := 0
		for frame := range b.Frames(TargetFrame, func() []byte { return nil }) {
			var c Batch
			if err := errors.Join(frame.Err, c.DecodeMsgPack(frame.Body)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got += c.Len()
		}
		if got != points || !maps.Equal(dropped(&b), drops) {
			t.Errorf("%s: %d points, drops %v; want %d, %v", name, got, dropped(&b), points, drops)
		}
	}
	tagged := func(n int) func(b *Batch) {
		return func(b *Batch) {
			b.Add("bad", Fields{"v": 1}, nil)
			b.Add("bad", Fields{"v": 2}, nil)
			for g := range b.Groups() {
				for i := range n {
					g.SetTag(fmt.Sprint("t", i), "x")
				}
			}
		}
	}
	f("tags", 3, map[string]int{}, tagged(MaxTags))
	f("too many tags", 1, map[string]int{"limit": 2}, tagged(MaxTags+1))
	f("too many tags of the batch", 1, map[string]int{"limit": 1}, func(b *Batch) {
		b.Add("bad", Fields{"v": 1}, nil)
		for i := range 300 {
			b.DefaultTag(fmt.Sprint("t", i), "x")
		}
	})
	f("too many tag keys", 1, map[string]int{"limit": 1}, func(b *Batch) {
		keys := make([]string, MaxTags+1)
		for i := range keys {
			keys[i] = fmt.Sprint("t", i)
		}
		b.Group("bad", keys, []Field{{"v", TypeInt}}).Row(at(0), make([]string, len(keys)), Int(1))
	})
	f("no fields", 1, map[string]int{}, func(b *Batch) {
		b.Add("bad", Fields{"v": 1}, nil)
		for g := range b.Groups() {
			g.DropField("v")
		}
	})
	f("series that is no name", 2, map[string]int{}, func(b *Batch) {
		b.Add("bad", Fields{"v": 1}, nil)
		for g := range b.Groups() {
			g.Series = "b\xff\n" + strings.Repeat("d", 300)
		}
	})
}

// TestFramesStop ends the loop over the messages early.
func TestFramesStop(t *testing.T) {
	b := sample(20000)
	for range b.Frames(1000, func() []byte { return nil }) {
		break
	}
	if b.Len() != 20000 {
		t.Errorf("%d points after one message was looked at", b.Len())
	}
}

func TestDropsAndCodes(t *testing.T) {
	var d, e Drops
	d.add(CodeNaN, 2)
	d.add(CodeTimeSkew, 5)
	e.add(CodeNaN, 1)
	e.add(CodeLine, 1)
	d.merge(&e)
	if d.Total() != 4 || d.Count(CodeNaN) != 3 || d.Count(CodeTimeSkew) != 5 {
		t.Errorf("total %d, nan %d, time_skew %d", d.Total(), d.Count(CodeNaN), d.Count(CodeTimeSkew))
	}
	for c := CodeEmpty; c < codeCount; c++ {
		if c.String() == "" || c.Error() != c.String() {
			t.Errorf("code %d is called %q", uint8(c), c)
		}
	}
	if got := Code(200).String(); got != "code(200)" {
		t.Errorf("an unknown code is called %q", got)
	}
	f := func(err *DecodeError, want string) {
		t.Helper()
		if err.Error() != want || !errors.Is(err, err.Code) {
			t.Errorf("%q, want %q", err, want)
		}
	}
	f(&DecodeError{Code: CodeUTF8}, "batch: utf8")
	f(&DecodeError{Code: CodeSyntax, Where: "want a comma"}, "batch: syntax: want a comma")
	f(&DecodeError{Code: CodeSyntax, Line: 2, Where: "want a comma"}, "line 2: syntax: want a comma")
	f(&DecodeError{Code: CodeLine, Line: 3, Where: "no fields"}, "line 3: no fields")
	f(&DecodeError{Code: CodeLine, Line: 3}, "line 3: line")
}

func TestValues(t *testing.T) {
	f := func(v any, typ Type, float float64, is any) {
		t.Helper()
		got := ValueOf(v)
		if got.Type() != typ || got.Present() != (typ != 0) || got.Any() != is {
			t.Errorf("ValueOf(%v) is %v %v, want %v %v", v, got.Type(), got.Any(), typ, is)
		}
		if n := got.Float(); n != float && !(math.IsNaN(n) && math.IsNaN(float)) {
			t.Errorf("ValueOf(%v) as a float is %v, want %v", v, n, float)
		}
	}
	f(1.5, TypeFloat, 1.5, 1.5)
	f(-3, TypeInt, -3, int64(-3))
	f(uint64(math.MaxUint64), TypeUint, 1<<64, uint64(math.MaxUint64))
	f(true, TypeBool, 1, true)
	f(false, TypeBool, 0, false)
	f("x", TypeString, math.NaN(), "x")
	f(Bool(true), TypeBool, 1, true)
	f(nil, 0, math.NaN(), nil)
	f(struct{}{}, 0, math.NaN(), nil)
	if v := Int(-3); v.Int() != -3 || Uint(7).Uint() != 7 || !Bool(true).Bool() || String("x").Text() != "x" {
		t.Error("a value does not give back what it was made of")
	}
	var names []string
	for _, typ := range []Type{TypeFloat, TypeInt, TypeUint, TypeBool, TypeString, 'h'} {
		names = append(names, typ.String())
	}
	if got := strings.Join(names, " "); got != "float int uint bool string type 'h'" {
		t.Errorf("types are called %s", got)
	}
}

func TestClean(t *testing.T) {
	long := strings.Repeat("ü", 200)
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(cleanName(""), "_")
	f(cleanName("größe"), "größe")
	f(cleanName("a\x00b\x7fc"), "a b c")
	f(cleanName("a\xffb"), "a\ufffdb")
	f(cleanName(long), long[:254]) // 255 would split a character
	f(cleanTag(strings.Repeat("x", 1024)), strings.Repeat("x", 1024))
	f(cleanTag(strings.Repeat("x", 1025)), strings.Repeat("x", 1024))
	f(cleanText("a\nb\xff"), "a\nb\ufffd")
	f(cleanText(strings.Repeat("x", MaxText+1)), strings.Repeat("x", MaxText))

	names := func(names ...string) (got []string) {
		cols := make([]Column, len(names))
		for i := range cols {
			cols[i].Name = names[i]
		}
		cleanNames(cols)
		for i := range cols {
			got = append(got, cols[i].Name)
		}
		return got
	}
	if got := names("a", "b\n", "b\t", "b\r", "b _2", "a"); !slices.Equal(got, []string{"a", "b ", "b _2", "b _3", "b _2_2", "a_2"}) {
		t.Errorf("names become %q", got)
	}
	if got := names(long, long); got[0] == got[1] || len(got[1]) > MaxName {
		t.Errorf("long names become %q", got)
	}
}

func TestText(t *testing.T) {
	var b Batch
	var d LineDecoder
	f := func(text string) (fields []string) {
		t.Helper()
		b.Reset()
		for _, line := range strings.SplitAfter(text, "\n") {
			piece := b.Text(len(line))
			copy(piece, line)
			if err := d.Decode(&b, piece, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}
		for p := range b.Points() {
			fields = append(fields, p.Fields["v"].(string))
		}
		return fields
	}
	long := strings.Repeat("x", 20<<10)
	if got, want := f("a v=\"one\"\na v=\""+long+"\"\na v=\"three\""), []string{"one", long, "three"}; !slices.Equal(got, want) {
		t.Errorf("%.60q, want %.60q", got, want)
	}
	if n := testing.AllocsPerRun(100, func() {
		b.Reset()
		b.Text(100)
		b.Text(20 << 10)
	}); n != 0 {
		t.Errorf("%v allocations when the memory is used again", n)
	}
}
