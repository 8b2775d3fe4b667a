package telemetry

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAnyPointsAreReadBack sends points through each form of a batch.
func TestAnyPointsAreReadBack(t *testing.T) {
	forms := map[string]func(b, c *Batch) error{
		"msgpack": func(b, c *Batch) error { return c.DecodeMsgPack(b.AppendMsgPack(nil)) },
		"JSON":    func(b, c *Batch) error { return c.DecodeJSON(b.AppendJSON(nil), time.Time{}) },
		"objects": func(b, c *Batch) error { return c.DecodeJSON(b.AppendPoints([]byte(" ")), time.Time{}) },
		"again": func(b, c *Batch) error {
			var d Batch
			if err := d.DecodeJSON(b.AppendJSON(nil), time.Time{}); err != nil {
				return err
			}
			return c.DecodeMsgPack(d.AppendMsgPack(nil))
		},
		"frames": func(b, c *Batch) error {
			for f := range b.Frames(1000, func() []byte { return nil }) {
				var d Batch // each message has a batch of its own: c takes its groups
				if err := d.DecodeMsgPack(f.Body); err != nil {
					return err
				}
				for g := range d.Groups() {
					c.Take(g)
				}
			}
			return nil
		},
	}
	for name, send := range forms {
		for kind, draw := range map[string]func(*rapid.T) []Point{"mixed": somePoints, "alike": somePointsOfOneKind} {
			t.Run(name+"/"+kind, rapid.MakeCheck(func(t *rapid.T) {
				points := draw(t)
				if len(points) == 0 && name == "objects" {
					t.Skip("no line at all is no JSON")
				}
				b := batchOf(points...)
				var c Batch
				if err := send(b, &c); err != nil {
					t.Fatal(err)
				}
				wantPoints(t, &c, name, points...)
				wantPoints(t, b, "what was sent", points...)
			}))
		}
	}
}

// An edit changes a point in a way that a batch can do to whole groups.
type edit struct {
	name  string
	group func(g *Group)
	point func(p *Point) (kept bool)
}

func setTag(p *Point, key, value string) {
	delete(p.Tags, key)
	if value != "" {
		p.Tags[key] = value
	}
}

func someEdit(t *rapid.T) edit {
	a, b, text := someNames.Draw(t, "a"), someNames.Draw(t, "b"), someTexts.Draw(t, "text")
	switch rapid.IntRange(0, 7).Draw(t, "edit") {
	case 0:
		return edit{fmt.Sprintf("SetTag(%q, %q)", a, text), func(g *Group) { g.SetTag(a, text) },
			func(p *Point) bool { setTag(p, a, text); return true }}
	case 1:
		return edit{fmt.Sprintf("DropTag(%q)", a), func(g *Group) { g.DropTag(a) },
			func(p *Point) bool { delete(p.Tags, a); return true }}
	case 2:
		return edit{fmt.Sprintf("RenameTag(%q, %q)", a, b), func(g *Group) { g.RenameTag(a, b) }, func(p *Point) bool {
			if v := p.Tags[a]; v != "" && a != b {
				delete(p.Tags, a)
				p.Tags[b] = v
			}
			return true
		}}
	case 3:
		return edit{fmt.Sprintf("DropField(%q)", a), func(g *Group) { g.DropField(a) },
			func(p *Point) bool { delete(p.Fields, a); return len(p.Fields) > 0 }}
	case 4:
		even := func(ns int64) bool { return ns/1000%2 == 0 }
		return edit{"Keep", func(g *Group) { g.Keep(func(row int) bool { return even(g.Time(row)) }) },
			func(p *Point) bool { return even(p.Time.UnixNano()) }}
	case 5:
		return edit{fmt.Sprintf("RenameField(%q, %q)", a, b), func(g *Group) { g.RenameField(a, b) }, func(p *Point) bool {
			if v, ok := p.Fields[a]; ok && a != b {
				delete(p.Fields, a)
				p.Fields[b] = v
			}
			return true
		}}
	case 6:
		return edit{fmt.Sprintf("Select %q < %q", a, text), func(g *Group) {
			mask := make([]bool, g.Len())
			g.Tag(a).Match(mask, func(s string) bool { return s < text })
			g.Select(mask)
		}, func(p *Point) bool { return p.Tags[a] < text }}
	}
	return edit{"Series", func(g *Group) { g.Series = a }, func(p *Point) bool { p.Series = a; return true }}
}

// TestEditsAreThoseOfPoints makes the same edits on groups and on points, in every state a group may be in.
func TestEditsAreThoseOfPoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points := somePoints(t)
		b := batchOf(points...)
		if rapid.Bool().Draw(t, "batch tag") {
			b.DefaultTag("a", "batch")
			for i := range points {
				if points[i].Tags["a"] == "" {
					setTag(&points[i], "a", "batch")
				}
			}
		}
		switch rapid.IntRange(0, 2).Draw(t, "from") {
		case 0:
			b = reread(t, b, (*Batch).DecodeMsgPack, b.AppendMsgPack(nil))
		case 1:
			json := func(c *Batch, text []byte) error { return c.DecodeJSON(text, time.Time{}) }
			b = reread(t, b, json, b.AppendJSON(nil))
		}
		var names []string
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			e := someEdit(t)
			names = append(names, e.name)
			for g := range b.Groups() {
				e.group(g)
			}
			points = slices.DeleteFunc(points, func(p Point) bool { return !e.point(&p) })
			for i := range points {
				e.point(&points[i]) // what changes the series too
			}
		}
		what := strings.Join(names, ", ")
		wantPoints(t, b, what, points...)
		wantPoints(t, reread(t, b, (*Batch).DecodeMsgPack, b.AppendMsgPack(nil)), what+", sent on", points...)
	})
}

func reread(t *rapid.T, b *Batch, decode func(*Batch, []byte) error, text []byte) *Batch {
	var c Batch
	if err := decode(&c, text); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return &c
}

// TestReusedBatchIsLikeNew fills one batch again and again, in each of the ways, beside new ones.
func TestReusedBatchIsLikeNew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var used, out Batch
		for range rapid.IntRange(2, 5).Draw(t, "uses") {
			points := rapid.OneOf(rapid.Custom(somePoints), rapid.Custom(somePointsOfOneKind)).Draw(t, "points")
			fresh := batchOf(points...)
			if rapid.Bool().Draw(t, "decode") {
				if err := used.DecodeMsgPack(fresh.AppendMsgPack(nil)); err != nil {
					t.Fatal(err)
				}
			} else {
				used.Reset()
				for _, p := range points {
					used.Append(p)
				}
			}
			wantPoints(t, &used, "used again", points...)
			odd := func(p Point) bool { return p.Time.Nanosecond()/1000%2 == 1 }
			out.Reset()
			for g := range used.Groups() {
				g.Keep(func(row int) bool { return !odd(g.Point(row)) })
				g.SetTag("site", "lab")
				out.Take(g)
			}
			var want []Point
			for _, p := range points {
				if !odd(p) {
					p.Tags = maps.Clone(p.Tags)
					setTag(&p, "site", "lab")
					want = append(want, p)
				}
			}
			wantPoints(t, &out, "taken", want...)
			wantPoints(t, reread(t, &out, (*Batch).DecodeMsgPack, out.AppendMsgPack(nil)), "taken and sent", want...)
		}
	})
}
