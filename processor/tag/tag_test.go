package tag

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/processor/processortest"
	"github.com/pacewire/pacewire/telemetry"
)

func newTag(t rapid.TB, cfg Config) processor.Processor {
	t.Helper()
	p, err := New(context.Background(), cfg, plugin.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pass brings a message through p and returns what came out, in the memory of to.
func pass(t rapid.TB, p processor.Processor, wire []byte, in, out *telemetry.Batch, to []byte) []byte {
	if err := in.DecodeMsgPack(wire); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := p.Process(context.Background(), in, out); err != nil {
		t.Fatal(err)
	}
	return out.AppendMsgPack(to[:0])
}

// describe writes a point on a line.
func describe(p telemetry.Point) string {
	var b strings.Builder
	b.WriteString(p.Series)
	for _, k := range slices.Sorted(maps.Keys(p.Tags)) {
		fmt.Fprintf(&b, ",%s=%s", k, p.Tags[k])
	}
	b.WriteByte(' ')
	for i, k := range slices.Sorted(maps.Keys(p.Fields)) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%v", k, p.Fields[k])
	}
	return b.String()
}

func TestProcess(t *testing.T) {
	f := func(cfg Config, want ...string) {
		t.Helper()
		points := []telemetry.Point{
			{Series: "cpu", Tags: telemetry.Tags{"host": "h1", "pid": "7"}, Fields: telemetry.Fields{"usage": 1.5, "idle": int64(9)}},
			{Series: "cpu", Tags: telemetry.Tags{"pid": "8"}, Fields: telemetry.Fields{"usage": 2.5}},
			{Series: "mem", Fields: telemetry.Fields{"free": true}},
		}
		var got []string
		for _, p := range processortest.Process(t, newTag(t, cfg), points...) {
			got = append(got, describe(p))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v makes\n%s\nwant\n%s", cfg, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	set := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	f(Config{}, "cpu,host=h1,pid=7 idle=9,usage=1.5", "cpu,pid=8 usage=2.5", "mem free=true")
	f(Config{Add: set("host", "x")}, "cpu,host=x,pid=7 idle=9,usage=1.5", "cpu,host=x,pid=8 usage=2.5", "mem,host=x free=true")
	f(Config{Default: set("host", "x")}, "cpu,host=h1,pid=7 idle=9,usage=1.5", "cpu,host=x,pid=8 usage=2.5", "mem,host=x free=true")
	f(Config{Drop: []string{"p*"}}, "cpu,host=h1 idle=9,usage=1.5", "cpu usage=2.5", "mem free=true")
	f(Config{Keep: []string{"p*"}}, "cpu,pid=7 idle=9,usage=1.5", "cpu,pid=8 usage=2.5", "mem free=true")
	f(Config{Rename: set("pid", "host")}, "cpu,host=7 idle=9,usage=1.5", "cpu,host=8 usage=2.5", "mem free=true")
	f(Config{Rename: set("pid", "host", "host", "pid")}, "cpu,host=7,pid=h1 idle=9,usage=1.5", "cpu,host=8 usage=2.5", "mem free=true")
	f(Config{Rename: set("pid", "host", "host", "name")}, "cpu,host=7,name=h1 idle=9,usage=1.5", "cpu,host=8 usage=2.5", "mem free=true")

	// Names on the left are those that came: drop goes first, and add is last.
	f(Config{Drop: []string{"host"}, Rename: set("host", "name", "pid", "host"), Add: set("pid", "0"), Default: set("name", "n")},
		"cpu,host=7,name=n,pid=0 idle=9,usage=1.5", "cpu,host=8,name=n,pid=0 usage=2.5", "mem,name=n,pid=0 free=true")

	f(Config{FieldsDrop: []string{"usage"}}, "cpu,host=h1,pid=7 idle=9", "mem free=true")
	f(Config{FieldsKeep: []string{"usage", "f*"}}, "cpu,host=h1,pid=7 usage=1.5", "cpu,pid=8 usage=2.5", "mem free=true")
	f(Config{FieldsKeep: []string{"*"}, FieldsDrop: []string{"*"}})
	f(Config{FieldsRename: set("usage", "idle")}, "cpu,host=h1,pid=7 idle=1.5", "cpu,pid=8 idle=2.5", "mem free=true")
	f(Config{FieldsRename: set("usage", "idle", "idle", "usage")}, "cpu,host=h1,pid=7 idle=1.5,usage=9", "cpu,pid=8 idle=2.5", "mem free=true")

	f(Config{SeriesRename: set("cpu", "processor")}, "processor,host=h1,pid=7 idle=9,usage=1.5", "processor,pid=8 usage=2.5", "mem free=true")
	f(Config{SeriesPrefix: "lab_", SeriesRename: set("mem", "ram")}, "lab_cpu,host=h1,pid=7 idle=9,usage=1.5", "lab_cpu,pid=8 usage=2.5", "lab_ram free=true")
	f(Config{Series: []string{"m*"}, SeriesPrefix: "lab_", Add: set("a", "b"), FieldsDrop: []string{"usage"}},
		"cpu,host=h1,pid=7 idle=9,usage=1.5", "cpu,pid=8 usage=2.5", "lab_mem,a=b free=true")
}

// TestLongSeries gives a name more bytes than a name may have.
func TestLongSeries(t *testing.T) {
	p := newTag(t, Config{SeriesPrefix: "äöü_"})
	got := processortest.Process(t, p, telemetry.Point{Series: strings.Repeat("ä", 127), Fields: telemetry.Fields{"x": 1}})
	if len(got) != 1 || got[0].Series != "äöü_"+strings.Repeat("ä", 124) {
		t.Errorf("got %v", got)
	}
}

// TestManySeries brings more series than are remembered.
func TestManySeries(t *testing.T) {
	p := newTag(t, Config{SeriesPrefix: "x_"})
	for i := range maxNames + 10 {
		name := fmt.Sprint("s", i)
		if got := p.(*tag).name(name); got != "x_"+name {
			t.Fatalf("%s became %s", name, got)
		}
	}
	if n := len(p.(*tag).names); n > maxNames {
		t.Errorf("%d names are remembered", n)
	}
}

func TestValidate(t *testing.T) {
	f := func(cfg Config, want ...string) {
		t.Helper()
		err := cfg.Validate()
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %v\nlacks %q", cfg, err, w)
			}
		}
		if _, err := New(t.Context(), cfg, plugin.Env{}); !plugin.IsPermanent(err) {
			t.Errorf("New with %+v = %v, want a permanent error", cfg, err)
		}
	}
	f(Config{Series: []string{""}, Keep: []string{"["}, Drop: []string{"[a"}, FieldsKeep: []string{"]["}, FieldsDrop: []string{"\\"}},
		`series: pattern ""`, `keep: pattern "["`, `drop: pattern "[a"`, `fields_keep: pattern "]["`, `fields_drop: pattern "\\"`)
	f(Config{Rename: map[string]string{"a": "c", "b": "c"}}, "rename: a and b would both be called c: use two")
	f(Config{FieldsRename: map[string]string{"a": ""}}, `fields_rename: a: name ""`)
	f(Config{SeriesRename: map[string]string{"": "a"}}, `series_rename: name ""`)
	f(Config{Rename: map[string]string{"a": strings.Repeat("x", 256)}}, "rename: a: name", "want 1 to 255 bytes")
	f(Config{Add: map[string]string{"a": ""}}, "add: a has no value: to take a tag away write drop: [a]")
	f(Config{Add: map[string]string{"a\n": "b", "c": "d\x00", "e": "\xff", "f": strings.Repeat("x", 1025)}},
		`add: name "a\n"`, "add: c: want at most 1024 bytes", "add: e: want", "add: f: want")
	f(Config{Add: map[string]string{"a": "1"}, Default: map[string]string{"a": "2"}}, "default: a is set on every point by add already")
	f(Config{SeriesPrefix: strings.Repeat("x", 65)}, "series_prefix")
}

// TestDefaults looks at the settings as the agent and the conformance tests see them.
func TestDefaults(t *testing.T) {
	d := Define()
	if err := d.Check(nil); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	if err := d.Check([]byte(`{"add":{"site":"lab"},"fields_rename":{"usage":"busy"}}`)); err != nil {
		t.Error(err)
	}
	if err := d.Check([]byte(`{"add":{"site":5}}`)); err == nil {
		t.Error("a tag that is a number is taken")
	}
}

// TestAgree draws settings and batches, and compares with what a plain function makes of each point.
func TestAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wire := drawBatch(t)
		for range 10 {
			cfg := drawConfig(t)
			var in, out telemetry.Batch
			got := lines(t, pass(t, newTag(t, cfg), wire, &in, &out, nil), same)
			want := lines(t, wire, func(p telemetry.Point) telemetry.Point { return plain(cfg, p) })
			if !slices.Equal(got, want) {
				t.Fatalf("%+v makes\n%s\nwant\n%s\nof\n%s", cfg, strings.Join(got, "\n"), strings.Join(want, "\n"),
					strings.Join(lines(t, wire, same), "\n"))
			}
		}
	})
}

// lines describes the points of a message, as change makes them.
func lines(t rapid.TB, wire []byte, change func(telemetry.Point) telemetry.Point) []string {
	var b telemetry.Batch
	if err := b.DecodeMsgPack(wire); err != nil {
		t.Fatal(err)
	}
	var list []string
	for p := range b.Points() {
		if p = change(p); len(p.Fields) > 0 {
			list = append(list, describe(p))
		}
	}
	return list
}

// same changes nothing.
func same(p telemetry.Point) telemetry.Point { return p }

// plain changes a point the slow way. A point that has no field left is none.
func plain(cfg Config, p telemetry.Point) telemetry.Point {
	if !plainMatch(cfg.Series, p.Series) {
		return p
	}
	q := telemetry.Point{Series: p.Series, Time: p.Time, Tags: telemetry.Tags{}, Fields: telemetry.Fields{}}
	for k, v := range p.Tags {
		if _, moved := cfg.Rename[k]; !moved && plainStays(cfg.Keep, cfg.Drop, k) {
			q.Tags[k] = v
		}
	}
	for from, to := range cfg.Rename {
		if v, ok := p.Tags[from]; ok && plainStays(cfg.Keep, cfg.Drop, from) {
			q.Tags[to] = v
		}
	}
	for k, v := range cfg.Default {
		if _, ok := q.Tags[k]; !ok {
			q.Tags[k] = v
		}
	}
	maps.Copy(q.Tags, cfg.Add)
	for k, v := range p.Fields {
		if _, moved := cfg.FieldsRename[k]; !moved && plainStays(cfg.FieldsKeep, cfg.FieldsDrop, k) {
			q.Fields[k] = v
		}
	}
	for from, to := range cfg.FieldsRename {
		if v, ok := p.Fields[from]; ok && plainStays(cfg.FieldsKeep, cfg.FieldsDrop, from) {
			q.Fields[to] = v
		}
	}
	if to, ok := cfg.SeriesRename[q.Series]; ok {
		q.Series = to
	}
	q.Series = cfg.SeriesPrefix + q.Series
	return q
}

func plainStays(keep, drop []string, name string) bool {
	return (len(keep) == 0 || plainMatch(keep, name)) && !plainMatch(drop, name)
}

// plainMatch knows only the globs that drawConfig makes.
func plainMatch(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		head, open := strings.CutSuffix(g, "*")
		return name == g || open && strings.HasPrefix(name, head)
	})
}

var (
	names  = []string{"a", "aa", "b", "bb", "c"}
	series = []string{"cpu", "cpu_x", "mem"}
)

func drawConfig(t *rapid.T) Config {
	globs := func(label string) []string {
		return rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a*", "b", "bb*", "c"}), 0, 2).Draw(t, label)
	}
	renames := func(label string, of []string) map[string]string {
		m := map[string]string{}
		to := rapid.Permutation(slices.Concat(of, []string{"new"})).Draw(t, label)
		for i, from := range rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, 3, rapid.ID).Draw(t, label) {
			m[from] = to[i]
		}
		return m
	}
	cfg := Config{
		Series: rapid.SampledFrom([][]string{{"*"}, {"cpu*"}, {"mem", "cpu"}}).Draw(t, "series"),
		Keep:   globs("keep"), Drop: globs("drop"), Rename: renames("rename", names),
		FieldsKeep: globs("fields_keep"), FieldsDrop: globs("fields_drop"), FieldsRename: renames("fields_rename", names),
		SeriesRename: renames("series_rename", series), SeriesPrefix: rapid.SampledFrom([]string{"", "p_"}).Draw(t, "prefix"),
		Add: map[string]string{}, Default: map[string]string{},
	}
	for i, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 3, rapid.ID).Draw(t, "add") {
		if i == 0 {
			cfg.Add[key] = "added"
		} else {
			cfg.Default[key] = "default"
		}
	}
	return cfg
}

// drawBatch draws points with tags of all levels, and fields that some points of a group lack.
func drawBatch(t *rapid.T) []byte {
	var b telemetry.Batch
	for range rapid.IntRange(1, 3).Draw(t, "groups") {
		keys := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 4, rapid.ID).Draw(t, "keys")
		var fields []telemetry.Field
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 4, rapid.ID).Draw(t, "fields") {
			fields = append(fields, telemetry.Field{Name: name, Type: telemetry.TypeInt})
		}
		g := b.Group(rapid.SampledFrom(series).Draw(t, "series"), keys, fields)
		for row := range rapid.IntRange(1, 6).Draw(t, "rows") {
			tags := rapid.SliceOfN(rapid.SampledFrom([]string{"", "x", "y"}), len(keys), len(keys)).Draw(t, "tags")
			values := make([]telemetry.Value, len(fields))
			for i := range values {
				if rapid.Bool().Draw(t, "present") {
					values[i] = telemetry.Int(int64(10*row + i))
				}
			}
			g.Row(time.Unix(int64(row), 0), tags, values...)
		}
	}
	if rapid.Bool().Draw(t, "tag of all") {
		b.DefaultTag(rapid.SampledFrom(names).Draw(t, "key"), "all")
	}
	return b.AppendMsgPack(nil)
}

// TestSteps looks at the order of renames.
func TestSteps(t *testing.T) {
	f := func(names map[string]string, want ...step) {
		t.Helper()
		if got := steps(names); !reflect.DeepEqual(got, want) {
			t.Errorf("steps(%v) = %q, want %q", names, got, want)
		}
	}
	f(nil)
	f(map[string]string{"b": "y", "a": "x"}, step{"a", "x"}, step{"b", "y"})
	f(map[string]string{"a": "b", "b": "c"}, step{"a", "\uE0000"}, step{"b", "c"}, step{"\uE0000", "b"})
	f(map[string]string{"a": "b", "b": "a"}, step{"a", "\uE0000"}, step{"b", "\uE0001"}, step{"\uE0000", "b"}, step{"\uE0001", "a"})
}
