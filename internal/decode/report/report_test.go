package report

import (
	"errors"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func TestReport(t *testing.T) {
	var r Report
	why := errors.New("why")
	r.Count(Syntax, 0)
	if r.Bad != nil {
		t.Errorf("%v", r)
	}
	r.Refuse(Syntax, 3, "word %q: %w", "x", why)
	r.Refuse(Syntax, 4, "another")
	r.Refuse("own", 0, "third")
	r.Count(NotFinite, 5)
	if r.Total() != 8 || !maps.Equal(r.Bad, map[string]int{Syntax: 2, "own": 1, NotFinite: 5}) {
		t.Errorf("%+v", r)
	}
	if r.First == nil || r.First.Error() != `line 3: word "x": why` || !errors.Is(r.First, why) {
		t.Errorf("%v", r.First)
	}
	var d telemetry.Drops
	if r.Into(&d); d.Count(telemetry.CodeLine) != 3 || d.Count(telemetry.CodeNaN) != 5 {
		t.Errorf("%v", d)
	}
}

func TestAppend(t *testing.T) {
	many := func(n int) (fields telemetry.Fields) {
		fields = telemetry.Fields{}
		for i := range n {
			fields[strings.Repeat("f", i+1)] = 1.0
		}
		return fields
	}
	tags := telemetry.Tags{}
	for i := range telemetry.MaxTags + 1 {
		tags[strings.Repeat("t", i+1)] = "x"
	}
	noon := time.Unix(1700000000, 0)
	f := func(p telemetry.Point, points int, bad map[string]int) {
		t.Helper()
		var b telemetry.Batch
		var r Report
		p.Series = "s"
		r.Append(&b, 7, p)
		if b.Len() != points || r.Points != points || !maps.Equal(r.Bad, bad) || b.Drops().Total() > 0 {
			t.Errorf("%d points, %+v; want %d, %v", b.Len(), r, points, bad)
		}
		if r.First != nil && !strings.HasPrefix(r.First.Error(), "line 7: s: ") {
			t.Errorf("%v", r.First)
		}
	}
	one := telemetry.Fields{"v": 1}
	f(telemetry.Point{Time: noon, Fields: one}, 1, nil)
	f(telemetry.Point{Fields: one}, 1, nil) // now
	f(telemetry.Point{Time: noon, Fields: telemetry.Fields{"a": math.NaN(), "b": math.Inf(1), "c": "x"}}, 1, map[string]int{NotFinite: 2})
	f(telemetry.Point{Time: noon, Fields: telemetry.Fields{"a": math.Inf(-1)}}, 0, map[string]int{NotFinite: 1, NoFields: 1})
	f(telemetry.Point{Time: noon}, 0, map[string]int{NoFields: 1})
	f(telemetry.Point{Time: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), Fields: one}, 0, map[string]int{TimeRange: 1})
	f(telemetry.Point{Time: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), Fields: one}, 0, map[string]int{TimeRange: 1})
	f(telemetry.Point{Time: time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC), Fields: one}, 1, nil)
	f(telemetry.Point{Time: noon, Fields: many(telemetry.MaxFields)}, 1, nil)
	f(telemetry.Point{Time: noon, Fields: many(telemetry.MaxFields + 1)}, 0, map[string]int{Limit: 1})
	f(telemetry.Point{Time: noon, Fields: one, Tags: tags}, 0, map[string]int{Limit: 1})
}

// Each text may add so many shapes to a batch; what has the shape of a point that is there takes no room.
func TestBounded(t *testing.T) {
	var b telemetry.Batch
	b.Drops()[telemetry.CodeLimit] = 7 // of somebody else
	read := func(names ...string) Report {
		return Bounded(&b, 2, func() (r Report) {
			for _, name := range names {
				r.AppendOne(&b, 1, telemetry.Point{Series: name}, "v", 1)
			}
			return r
		})
	}
	if r := read("a", "b", "c", "a", "d"); r.Points != 3 || r.Bad[Limit] != 2 || !errors.Is(r.First, ErrShapes) {
		t.Errorf("%+v", r)
	}
	if r := read("a", "c", "d", "e"); r.Points != 3 || r.Bad[Limit] != 1 {
		t.Errorf("%+v", r)
	}
	if b.Len() != 6 || b.Drops().Total() != 7 {
		t.Errorf("%d points, %v", b.Len(), b.Drops())
	}
}
