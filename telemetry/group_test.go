package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// levels is a batch with tag a at each of the three levels, in every combination: row number 4*batch + 2*group + row.
const levels = `[1,1000000000,0,%s,[
 ["g",{"a":"group"},["a"],["v"],"i",[[1,"row",1],[0,null,1]]],
 ["n",{},["a"],["v"],"i",[[1,"row",1],[0,"",1]]]]]`

func readLevels(tb testing.TB, head string) *Batch {
	tb.Helper()
	var b Batch
	if err := b.DecodeJSON(fmt.Appendf(nil, levels, head), at(0)); err != nil {
		tb.Fatal(err)
	}
	return decoded(tb, &b)
}

// tagsOf shows the tags of the points of both groups: of each the row that says a itself, then the one that does not.
func tagsOf(b *Batch) string {
	var all []string
	for g := range b.Groups() {
		for row := range g.Len() {
			p := g.Point(row)
			all = append(all, strings.TrimPrefix(fmt.Sprint(map[string]string(p.Tags)), "map"))
		}
	}
	return strings.Join(all, " ")
}

func TestTagLevels(t *testing.T) {
	f := func(head, want string) {
		t.Helper()
		b := readLevels(t, head)
		if got := tagsOf(b); got != want {
			t.Errorf("head %s: %s, want %s", head, got, want)
		}
		for g := range b.Groups() {
			v := g.Tag("a")
			mask := make([]bool, g.Len())
			v.Match(mask, func(s string) bool { return s == "row" })
			for row := range g.Len() {
				if p := g.Point(row); v.At(row) != p.Tags["a"] || mask[row] != (p.Tags["a"] == "row") {
					t.Errorf("head %s: tag a of row %d is %q, match %v; want %v", head, row, v.At(row), mask[row], p.Tags)
				}
			}
			if _, same := v.Const(); same {
				t.Errorf("head %s: tag a of %s is said to be the same for all", head, g.Series)
			}
			if text, same := g.Tag("none").Const(); text != "" || !same || g.Tag("none").At(0) != "" {
				t.Errorf("head %s: a tag nobody has is %q", head, text)
			}
		}
	}
	f(`{"a":"batch"}`, "[a:row] [a:group] [a:row] [a:batch]")
	f(`{"a":""}`, "[a:row] [a:group] [a:row] []")
	f(`null`, "[a:row] [a:group] [a:row] []")
}

func TestTagEdits(t *testing.T) {
	f := func(head, name string, edit func(g *Group), want string) {
		t.Helper()
		b := readLevels(t, head)
		for g := range b.Groups() {
			edit(g)
		}
		if got := tagsOf(b); got != want {
			t.Errorf("head %s, %s: %s, want %s", head, name, got, want)
		}
		if got := tagsOf(decoded(t, b)); got != want {
			t.Errorf("head %s, %s, sent on: %s, want %s", head, name, got, want)
		}
	}
	const a, b, none = `{"a":"batch"}`, `{"b":"batch"}`, `{}`
	drop := func(g *Group) { g.DropTag("a") }
	f(a, "drop a", drop, "[] [] [] []")
	f(b, "drop a", drop, "[b:batch] [b:batch] [b:batch] [b:batch]")
	f(none, "drop a", drop, "[] [] [] []")

	set := func(g *Group) { g.SetTag("a", "new") }
	f(a, "set a", set, "[a:new] [a:new] [a:new] [a:new]")
	f(b, "set a", set, "[a:new b:batch] [a:new b:batch] [a:new b:batch] [a:new b:batch]")
	f(none, "set a", set, "[a:new] [a:new] [a:new] [a:new]")
	f(a, "set a to nothing", func(g *Group) { g.SetTag("a", "") }, "[] [] [] []")
	f(none, "set an unclean tag twice", func(g *Group) { g.SetTag("x\n", "1"); g.SetTag("x\t", "2\n") },
		"[a:row x :2 ] [a:group x :2 ] [a:row x :2 ] [x :2 ]")

	rename := func(g *Group) { g.RenameTag("a", "b") }
	f(a, "rename a to b", rename, "[b:row] [b:group] [b:row] [b:batch]")
	f(b, "rename a to b", rename, "[b:row] [b:group] [b:row] [b:batch]")
	f(none, "rename a to b", rename, "[b:row] [b:group] [b:row] []")
	f(a, "rename a to a", func(g *Group) { g.RenameTag("a", "a") }, "[a:row] [a:group] [a:row] [a:batch]")
	f(a, "rename a to an unclean name", func(g *Group) { g.RenameTag("a", "b\n") }, "[b :row] [b :group] [b :row] [b :batch]")
	f(a, "rename what is not there", func(g *Group) { g.RenameTag("c", "a") }, "[a:row] [a:group] [a:row] [a:batch]")
	f(b, "rename b to a", func(g *Group) { g.RenameTag("b", "a") }, "[a:batch] [a:batch] [a:batch] [a:batch]")
	f(`{"b":""}`, "rename an empty b to a", func(g *Group) { g.RenameTag("b", "a") }, "[a:row] [a:group] [a:row] []")
	f(a, "one group only", func(g *Group) {
		if g.Series == "g" {
			g.DropTag("a")
		}
	}, "[] [] [a:row] [a:batch]")
}

// TestRenameTagFromNothing renames a column in which no row says anything: the other tag stays.
func TestRenameTagFromNothing(t *testing.T) {
	var b Batch
	text := `[1,1,0,{},[["s",{"b":"kept"},["a"],["v"],"f",[2,0,null,1]]]]`
	if err := b.DecodeJSON([]byte(text), at(0)); err != nil {
		t.Fatal(err)
	}
	for g := range b.Groups() {
		g.RenameTag("a", "b")
	}
	if got := tagsOf(&b); got != "[b:kept] [b:kept]" {
		t.Errorf("tags %s", got)
	}
}

func TestFieldEdits(t *testing.T) {
	text := `[1,1000000000,0,{},[["s",{},[],["a","b","c"],"fis",[[0,1,2,"x"],[1,null,3,null],[2,4,null,null]]]]]`
	f := func(name string, edit func(g *Group), want ...string) {
		t.Helper()
		var b Batch
		if err := b.DecodeJSON([]byte(text), at(0)); err != nil {
			t.Fatal(err)
		}
		fresh, own := decoded(t, &b), Batch{}
		for p := range b.Points() {
			own.Append(p)
		}
		for _, b := range []*Batch{&b, fresh, &own} {
			for g := range b.Groups() {
				edit(g)
			}
			for _, b := range []*Batch{b, decoded(t, b)} {
				var got []string
				for p := range b.Points() {
					got = append(got, fmt.Sprint(p.Time.Unix(), " ", map[string]any(p.Fields)))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		}
	}
	f("nothing", func(*Group) {}, "0 map[a:1 b:2 c:x]", "1 map[b:3]", "2 map[a:4]")
	f("drop b", func(g *Group) { g.DropField("b") }, "0 map[a:1 c:x]", "2 map[a:4]")
	f("drop c", func(g *Group) { g.DropField("c") }, "0 map[a:1 b:2]", "1 map[b:3]", "2 map[a:4]")
	f("drop d", func(g *Group) { g.DropField("d") }, "0 map[a:1 b:2 c:x]", "1 map[b:3]", "2 map[a:4]")
	f("drop all", func(g *Group) { g.DropField("a"); g.DropField("b"); g.DropField("c") })
	f("rename a", func(g *Group) { g.RenameField("a", "n\n") }, "0 map[b:2 c:x n :1]", "1 map[b:3]", "2 map[n :4]")
	f("rename c to itself", func(g *Group) { g.RenameField("c", "c") }, "0 map[a:1 b:2 c:x]", "1 map[b:3]", "2 map[a:4]")
	f("rename d", func(g *Group) { g.RenameField("d", "a") }, "0 map[a:1 b:2 c:x]", "1 map[b:3]", "2 map[a:4]")
}

// TestRenameFieldOverAnother drops the other field for the whole group, and the points that had nothing else.
func TestRenameFieldOverAnother(t *testing.T) {
	var b Batch
	if err := b.DecodeJSON([]byte(`[1,1,0,{},[["s",{},[],["a","b"],"fi",[[0,1,2],[0,null,3]]]]]`), at(0)); err != nil {
		t.Fatal(err)
	}
	for g := range b.Groups() {
		g.RenameField("a", "b")
	}
	wantPoints(t, &b, "renamed", Point{"s", time.Unix(0, 0), nil, Fields{"b": 1.0}})
}

func TestGroupViews(t *testing.T) {
	var b Batch
	if err := b.DecodeMsgPack(unhex(t, exampleH)); err != nil {
		t.Fatal(err)
	}
	for g := range b.Groups() {
		if len(g.Shared()) != 0 || len(g.TagColumns()) != 1 || len(g.FieldColumns()) != 4 || g.Field("none") != nil {
			t.Errorf("group of %d shared tags, %d tag columns, %d fields", len(g.Shared()), len(g.TagColumns()), len(g.FieldColumns()))
		}
		if text, ok := g.Tag("host").Const(); text != "web-1" || !ok {
			t.Errorf("host %q, %v", text, ok)
		}
		c := g.Field("ctx")
		if c.Type() != TypeInt || c.Len() != 3 || c.Value(1) != Int(-129) || c.Float(2) != 300 || c.Text(0) != "" {
			t.Errorf("ctx is %v of %d rows: %v %v %q", c.Type(), c.Len(), c.Value(1).Any(), c.Float(2), c.Text(0))
		}
		if v, ok := g.Field("up").Const(); v != Bool(true) || !ok {
			t.Errorf("up is %v, %v", v.Any(), ok)
		}
		if !g.Field("state").Has(0) || g.Field("state").Has(1) || g.Field("state").Text(2) != "R" {
			t.Error("state is not S, nothing, R")
		}
		mask := make([]bool, 3)
		g.Tag("host").Match(mask, func(s string) bool { return s == "web-1" })
		if !slices.Equal(mask, []bool{true, true, true}) {
			t.Errorf("host matches %v", mask)
		}
	}
}
