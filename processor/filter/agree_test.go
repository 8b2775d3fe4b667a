package filter

import (
	"fmt"
	"math"
	"math/big"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/parser"

	"github.com/pacewire/pacewire/telemetry"
)

// TestAgree makes conditions together with a plain function that says the same of one point, and batches in every form of
// column. The masks, the program of expr run for each point, and the plain function keep the same points.
func TestAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wire := drawBatch(t)
		for range 20 {
			text, plain := drawCondition(t, 3)
			agree(t, wire, text, plain)
		}
	})
}

func agree(t *rapid.T, wire []byte, text string, plain plain) {
	var want []telemetry.Point
	for p := range decode(t, wire).Points() {
		if plain(p) {
			want = append(want, p)
		}
	}
	s := &scan{now: now}
	masks, err := compile(text, s)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if got := kept(t, s, masks, wire); !reflect.DeepEqual(got, want) {
		t.Errorf("%s by masks keeps\n%v\nwant\n%v\nof\n%v", text, got, want, points(decode(t, wire)))
	}
	if got := kept(t, s, byRows(t, text, s), wire); !reflect.DeepEqual(got, want) {
		t.Errorf("%s by rows keeps\n%v\nwant\n%v\nof\n%v", text, got, want, points(decode(t, wire)))
	}
	if s.failed > 0 {
		t.Errorf("%s: %v", text, s.failure)
	}
}

// now is what now() is in these tests.
var now = time.Unix(1000, 0).UTC()

// byRows compiles text as a whole into one program of expr.
func byRows(t rapid.TB, text string, s *scan) condition {
	config := language(s)
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		t.Fatal(err)
	}
	ast.Walk(&tree.Node, &sweetener{})
	if _, err := checker.Check(tree, config); err != nil {
		t.Fatal(err)
	}
	c, err := (&planner{scan: s, config: config, source: tree.Source}).rows(tree.Node)
	if err != nil {
		t.Fatalf("%s as rows: %v", text, err)
	}
	return c
}

func decode(t rapid.TB, wire []byte) *telemetry.Batch {
	var b telemetry.Batch
	if err := b.DecodeMsgPack(wire); err != nil {
		t.Fatal(err)
	}
	return &b
}

func points(b *telemetry.Batch) []telemetry.Point { return slices.Collect(b.Points()) }

func kept(t rapid.TB, s *scan, c condition, wire []byte) []telemetry.Point {
	var out telemetry.Batch
	in := decode(t, wire)
	for g := range in.Groups() {
		if s.keep(c, g) {
			out.Take(g)
		}
	}
	if s.lent != 0 {
		t.Fatalf("%d masks were not given back", s.lent)
	}
	return points(decode(t, out.AppendMsgPack(nil)))
}

// What points and conditions are made of: few, so that they meet.
var (
	seriesNames = []string{"cpu", "disk", "disk_io"}
	tagKeys     = []string{"a", "b", "odd key"}
	tagTexts    = []string{"", "x", "y", "web-1", "web-2"}
	fieldNames  = []string{"f", "g", "odd.name"}
	numbers     = []any{0.5, 2.0, -2.0, math.Copysign(0, -1), 1e300, int64(2), int64(-2), int64(300), int64(math.MaxInt64),
		int64(math.MinInt64), int64(1<<53 + 1), float64(1 << 53), uint64(2), uint64(1 << 63), uint64(math.MaxUint64), float64(1 << 63)}
	others    = []any{true, false, "", "x", "web-1", "2"}
	fieldType = []telemetry.Type{telemetry.TypeFloat, telemetry.TypeInt, telemetry.TypeUint, telemetry.TypeBool, telemetry.TypeString}
)

func drawBatch(t *rapid.T) []byte {
	var b telemetry.Batch
	for range rapid.IntRange(1, 3).Draw(t, "groups") {
		keys := tagKeys[:rapid.IntRange(0, len(tagKeys)).Draw(t, "tag keys")]
		fields := make([]telemetry.Field, rapid.IntRange(1, len(fieldNames)).Draw(t, "fields"))
		for i := range fields {
			fields[i] = telemetry.Field{Name: fieldNames[i], Type: rapid.SampledFrom(fieldType).Draw(t, "type")}
		}
		g := b.Group(rapid.SampledFrom(seriesNames).Draw(t, "series"), keys, fields)
		drawRows(t, g, keys, fields)
	}
	if rapid.Bool().Draw(t, "tag of all") {
		b.DefaultTag("a", "x")
	}
	return b.AppendMsgPack(nil)
}

func drawRows(t *rapid.T, g *telemetry.Group, keys []string, fields []telemetry.Field) {
	same := rapid.Bool().Draw(t, "constant columns")
	var tags []string
	var values []telemetry.Value
	for row := range rapid.IntRange(1, 12).Draw(t, "rows") {
		if row == 0 || !same {
			tags, values = tags[:0], values[:0]
			for range keys {
				tags = append(tags, rapid.SampledFrom(tagTexts).Draw(t, "tag"))
			}
			for _, f := range fields {
				values = append(values, drawValue(t, f.Type))
			}
		}
		at := time.Unix(rapid.Int64Range(998, 1002).Draw(t, "time"), 0)
		g.Row(at, tags, values...)
	}
}

// drawValue draws a value of a type, now and then none.
func drawValue(t *rapid.T, typ telemetry.Type) telemetry.Value {
	var of []telemetry.Value
	for _, v := range slices.Concat(numbers, others) {
		if value := telemetry.ValueOf(v); value.Type() == typ {
			of = append(of, value)
		}
	}
	return rapid.SampledFrom(append(of, telemetry.Value{})).Draw(t, "value")
}

type plain = func(p telemetry.Point) bool

// drawCondition draws a condition, and what it means for a point.
func drawCondition(t *rapid.T, depth int) (string, plain) {
	if depth > 0 && rapid.Bool().Draw(t, "compound") {
		a, isA := drawCondition(t, depth-1)
		b, isB := drawCondition(t, depth-1)
		switch rapid.IntRange(0, 2).Draw(t, "word") {
		case 0:
			return "(" + a + " and " + b + ")", func(p telemetry.Point) bool { return isA(p) && isB(p) }
		case 1:
			return "(" + a + " or " + b + ")", func(p telemetry.Point) bool { return isA(p) || isB(p) }
		}
		return "not (" + a + ")", func(p telemetry.Point) bool { return !isA(p) }
	}
	draw := rapid.SampledFrom([]func(*rapid.T) (string, plain){
		drawNumber, drawField, drawTag, drawText, drawMembership, drawPresence, drawTime, drawPair,
	}).Draw(t, "form")
	return draw(t)
}

func member(of, name string) string {
	if strings.ContainsAny(name, " .") {
		return fmt.Sprintf("%s[%q]", of, name)
	}
	return of + "." + name
}

// literal writes a number so that expr reads the same.
func literal(v any) (string, bool) {
	switch v := v.(type) {
	case float64:
		s := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s, true
	case int64:
		return strconv.FormatInt(v, 10), v != math.MinInt64
	}
	return "", false
}

func drawOp(t *rapid.T) string {
	return rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "op")
}

func drawNumber(t *rapid.T) (string, plain) {
	name, op := rapid.SampledFrom(fieldNames).Draw(t, "field"), drawOp(t)
	v := rapid.SampledFrom(numbers).Filter(func(v any) bool { _, ok := literal(v); return ok }).Draw(t, "number")
	text, _ := literal(v)
	if rapid.Bool().Draw(t, "swapped") {
		return text + " " + op + " " + member("fields", name), func(p telemetry.Point) bool { return plainTest(op, v, p.Fields[name]) }
	}
	return member("fields", name) + " " + op + " " + text, func(p telemetry.Point) bool { return plainTest(op, p.Fields[name], v) }
}

func drawField(t *rapid.T) (string, plain) {
	name, op := rapid.SampledFrom(fieldNames).Draw(t, "field"), rapid.SampledFrom([]string{"==", "!="}).Draw(t, "op")
	switch v := rapid.SampledFrom(others).Draw(t, "other").(type) {
	case bool:
		if v && op == "==" {
			return member("fields", name), func(p telemetry.Point) bool { return p.Fields[name] == true }
		}
		return fmt.Sprintf("%s %s %v", member("fields", name), op, v), func(p telemetry.Point) bool { return plainTest(op, p.Fields[name], v) }
	default:
		return fmt.Sprintf("%s %s %q", member("fields", name), op, v), func(p telemetry.Point) bool { return plainTest(op, p.Fields[name], v) }
	}
}

func drawTag(t *rapid.T) (string, plain) {
	op, want := drawOp(t), rapid.SampledFrom(tagTexts).Draw(t, "text")
	text, of := drawTextOperand(t, false)
	return fmt.Sprintf("%s %s %q", text, op, want), func(p telemetry.Point) bool { return plainTest(op, of(p), want) }
}

// drawTextOperand draws something that is, or may be, text.
func drawTextOperand(t *rapid.T, fields bool) (string, func(telemetry.Point) any) {
	switch n := rapid.IntRange(0, 3).Draw(t, "operand"); {
	case n == 0:
		return "series", func(p telemetry.Point) any { return p.Series }
	case n == 1 && fields:
		name := rapid.SampledFrom(fieldNames).Draw(t, "field")
		return member("fields", name), func(p telemetry.Point) any { return p.Fields[name] }
	}
	key := rapid.SampledFrom(tagKeys).Draw(t, "tag")
	return member("tags", key), func(p telemetry.Point) any { return p.Tags[key] }
}

func drawText(t *rapid.T) (string, plain) {
	text, of := drawTextOperand(t, true)
	is := func(f func(text string) bool) plain {
		return func(p telemetry.Point) bool {
			text, ok := of(p).(string)
			return ok && f(text)
		}
	}
	want := rapid.SampledFrom([]string{"", "x", "web", "-1", "disk"}).Draw(t, "want")
	switch rapid.IntRange(0, 4).Draw(t, "test") {
	case 0:
		return fmt.Sprintf("%s contains %q", text, want), is(func(s string) bool { return strings.Contains(s, want) })
	case 1:
		return fmt.Sprintf("%s startsWith %q", text, want), is(func(s string) bool { return strings.HasPrefix(s, want) })
	case 2:
		return fmt.Sprintf("%s endsWith %q", text, want), is(func(s string) bool { return strings.HasSuffix(s, want) })
	case 3:
		re := regexp.MustCompile("^" + want + ".?$")
		return fmt.Sprintf("%s matches %q", text, re), is(re.MatchString)
	}
	return fmt.Sprintf("glob(%s, %q)", text, want+"*"), is(func(s string) bool { ok, _ := path.Match(want+"*", s); return ok })
}

func drawMembership(t *rapid.T) (string, plain) {
	if rapid.Bool().Draw(t, "of texts") {
		text, of := drawTextOperand(t, true)
		list := rapid.SliceOfN(rapid.SampledFrom(tagTexts), 1, 3).Draw(t, "list")
		return fmt.Sprintf("%s in [%s]", text, quoted(list)), func(p telemetry.Point) bool {
			s, ok := of(p).(string)
			return ok && slices.Contains(list, s)
		}
	}
	name := rapid.SampledFrom(fieldNames).Draw(t, "field")
	return member("fields", name) + ` in [2, "x", true, 0.5]`, func(p telemetry.Point) bool {
		return slices.ContainsFunc([]any{int64(2), "x", true, 0.5}, func(v any) bool { return plainTest("==", p.Fields[name], v) })
	}
}

func quoted(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = strconv.Quote(s)
	}
	return strings.Join(q, ", ")
}

func drawPresence(t *rapid.T) (string, plain) {
	key, name := rapid.SampledFrom(tagKeys).Draw(t, "tag"), rapid.SampledFrom(fieldNames).Draw(t, "field")
	here := func(p telemetry.Point) bool { _, ok := p.Fields[name]; return ok }
	switch rapid.IntRange(0, 3).Draw(t, "presence") {
	case 0:
		return fmt.Sprintf("%q in tags", key), func(p telemetry.Point) bool { return p.Tags[key] != "" }
	case 1:
		return fmt.Sprintf("%q in fields", name), here
	case 2:
		return member("fields", name) + " != nil", here
	}
	return member("fields", name) + " == nil", func(p telemetry.Point) bool { return !here(p) }
}

func drawTime(t *rapid.T) (string, plain) {
	op, seconds := drawOp(t), rapid.Int64Range(-3, 3).Draw(t, "seconds")
	at := now.Add(time.Duration(seconds) * time.Second)
	is := func(p telemetry.Point) bool { return holds(op, p.Time.Compare(at)) }
	switch rapid.IntRange(0, 2).Draw(t, "time") {
	case 0:
		return fmt.Sprintf("time %s %q", op, at.Format(time.RFC3339)), is
	case 1:
		return fmt.Sprintf(`time %s now() + "%ds"`, op, seconds), is
	}
	return fmt.Sprintf(`now() - "%ds" %s time`, -seconds, mirrored(op)), is
}

func drawPair(t *rapid.T) (string, plain) {
	op := drawOp(t)
	f, g := rapid.SampledFrom(fieldNames).Draw(t, "left"), rapid.SampledFrom(fieldNames).Draw(t, "right")
	if rapid.Bool().Draw(t, "with a tag") {
		return member("fields", f) + " " + op + " tags.a", func(p telemetry.Point) bool { return plainTest(op, p.Fields[f], p.Tags["a"]) }
	}
	return member("fields", f) + " " + op + " " + member("fields", g), func(p telemetry.Point) bool {
		return plainTest(op, p.Fields[f], p.Fields[g])
	}
}

// plainTest says what a comparison is to mean, the slow way.
func plainTest(op string, a, b any) bool {
	x, y := exact(a), exact(b)
	if x != nil && y != nil {
		return holds(op, x.Cmp(y))
	}
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return ok && holds(op, strings.Compare(a, b))
	case bool:
		b, ok := b.(bool)
		return ok && (op == "==" && a == b || op == "!=" && a != b)
	}
	return false
}

func exact(v any) *big.Rat {
	switch v := v.(type) {
	case float64:
		return new(big.Rat).SetFloat64(v)
	case int64:
		return new(big.Rat).SetInt64(v)
	case uint64:
		return new(big.Rat).SetInt(new(big.Int).SetUint64(v))
	}
	return nil
}
