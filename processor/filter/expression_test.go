package filter

import (
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// TestFaults reads wrong conditions: each error names the fault, its place and the way out.
func TestFaults(t *testing.T) {
	f := func(text string, lines ...string) {
		t.Helper()
		_, err := compile(text, &scan{})
		if err == nil {
			t.Fatalf("%s is taken", text)
		}
		if want := strings.Join(lines, "\n    "); err.Error() != want {
			t.Errorf("%s:\n%v\nwant\n%s", text, err, want)
		}
	}
	f(`field.usage > 90`, "unknown name field: did you mean fields?", `field.usage > 90`, `^`)
	f(`fields.a > 1 or feilds.b > 2`, "unknown name feilds: did you mean fields?", `fields.a > 1 or feilds.b > 2`, `                ^`)
	f(`Series == "cpu"`, "unknown name Series: did you mean series?", `Series == "cpu"`, `^`)
	f(`labels.host == "a"`, "unknown name labels: did you mean tags?", `labels.host == "a"`, `^`)
	f(`usage > 90`, "unknown name usage: did you mean fields.usage or tags.usage?", `usage > 90`, `^`)
	f(`tags.my-key == "a"`, `unknown name key: a name with a dash stands in brackets, as tags["my-key"]`, `tags.my-key == "a"`, `        ^`)
	f(`tags.é == "é" and xx > 1`, "unknown name xx: did you mean fields.xx or tags.xx?", `tags.é == "é" and xx > 1`, `                  ^`)
	f(`tags.host = "a"`, `unexpected token Operator("="): equal is ==`, `tags.host = "a"`, `          ^`)
	f(`fields.a > 1 AND true`, `unexpected token Identifier("AND"): write and`, `fields.a > 1 AND true`, `             ^`)
	f(`startswith(tags.a, "b")`, `unknown name startswith: did you mean tags.host startsWith "web"?`, `startswith(tags.a, "b")`, `^`)
	f(`lowr(tags.a) == "b"`, "unknown name lowr: did you mean lower?", `lowr(tags.a) == "b"`, `^`)
	f(`tags.port > 80`, `invalid operation: > (mismatched types string and int): a tag is text, compare it with text as "80", or as int(tags.port) > 80`,
		`tags.port > 80`, `          ^`)
	f(`tags.host == nil`, `a missing tag is the text "", compare it with that`, `tags.host == nil`, `             ^`)
	f(`fields.a.b > 1`, `fields.a is one value and has no parts, a name with a dot stands in brackets, as fields["a.b"]`, `fields.a.b > 1`, `         ^`)
	f(`tags.a.startsWith("b")`, `tags.a has no functions, write tags.a startsWith "a", or lower(tags.a)`, `tags.a.startsWith("b")`, `       ^`)
	f(`fields.a + 1`, `a number is no condition, compare it, as > 90`, `fields.a + 1`, `         ^`)
	f(`fields.a >`, `unexpected token EOF: the condition ends too early`, `fields.a >`, `         ^`)
	f(`5`, `expected bool, but got int: want a condition, as fields.usage > 90`)
	f(`time > "yesterday"`, `"yesterday" is no time, write "2026-01-31T08:00:00Z" or now() - "1h"`, `time > "yesterday"`, `       ^`)
	f(`time > now() - "1 day"`, `"1 day" is no duration, write "90s", "15m" or "24h"`, `time > now() - "1 day"`, `               ^`)
	f(`glob(series, "[a")`, `pattern "[a" cannot be read, a [ that is meant so is written [[]`, `glob(series, "[a")`, `             ^`)
	f(`series matches "(a"`, "error parsing regexp: missing closing ): `(a`", `series matches "(a"`, `       ^`)
	f(`$env.tags.a == "b"`, "$env is not for conditions, write fields, tags, series or time", `$env.tags.a == "b"`, `^`)
	f("series == \"cpu\"\n  and\tusage > 90", "unknown name usage: did you mean fields.usage or tags.usage?", `  and usage > 90`, `      ^`)
}

// TestMark draws where a fault is in a long line.
func TestMark(t *testing.T) {
	f := func(text string, line, column int, want string) {
		t.Helper()
		if got := mark(text, line, column); got != want {
			t.Errorf("mark(%q, %d, %d) = %q, want %q", text, line, column, got, want)
		}
	}
	f("ab\ncd", 2, 1, "\n    cd\n     ^")
	f("ab\r\ncd", 1, 9, "\n    ab\n      ^")
	f("ab", 3, 0, "")
	f(strings.Repeat("é", 100)+"x"+strings.Repeat("o", 100), 1, 100,
		"\n    "+strings.Repeat("é", 60)+"x"+strings.Repeat("o", 39)+"\n    "+strings.Repeat(" ", 60)+"^")
}

// TestForms looks at which forms need no program run for each point.
func TestForms(t *testing.T) {
	f := func(text string, most int) {
		t.Helper()
		c, err := compile(text, &scan{})
		if err != nil {
			t.Fatal(err)
		}
		if got := cost(c); got != most {
			t.Errorf("%s costs %d, want %d: %#v", text, got, most, c)
		}
	}
	f(`true`, 0)
	f(`series == "cpu"`, 0)
	f(`not (series in ["cpu", "mem"] or glob(series, "disk*"))`, 0)
	f(`series == "cpu" and tags.host == "a"`, 1)
	f(`tags.host matches "a"`, 1)
	f(`fields.a in [1, 2.5, "x", true]`, 1)
	f(`-1 <= fields.a < +2.5`, 1)
	f(`fields.a < fields.b`, 1)
	f(`series == tags.name`, 1)
	f(`"a" in fields`, 1)
	f(`fields["a"] == nil`, 1)
	f(`time >= now() - "1h" - "5m"`, 1)
	f(`now() + "1m" < time`, 1)
	f(`"2026-01-01T00:00:00+02:00" < time`, 1)
	f(`fields.a in []`, 0)
	f(`fields.a + 0 > 1`, 2)
	f(`lower(tags.a) == "x" or series == "cpu"`, 2)
	f(`time - "1h" < now()`, 2)
	f(`1 < 2`, 2)
}

// TestCheapFirst looks at the order in which operands are looked at.
func TestCheapFirst(t *testing.T) {
	c, err := compile(`len(tags) > 1 and fields.a > 1 and (fields.b > 1 or series == "a") and series == "cpu"`, &scan{})
	if err != nil {
		t.Fatal(err)
	}
	var costs []int
	for _, part := range c.(allOf) {
		costs = append(costs, cost(part))
	}
	if len(costs) != 4 || costs[0] != 0 || costs[1] != 1 || costs[2] != 1 || costs[3] != 2 {
		t.Errorf("costs in order are %v", costs)
	}
}

func TestMoment(t *testing.T) {
	now := time.Unix(100, 0)
	f := func(m moment, want int64) {
		t.Helper()
		if got := m.at(now); got != want {
			t.Errorf("%+v = %d, want %d", m, got, want)
		}
	}
	f(moment{}, 100e9)
	f(moment{offset: -time.Second}, 99e9)
	f(moment{fixed: time.Unix(1, 5)}, 1e9+5)
	f(moment{fixed: time.Date(1, 2, 3, 0, 0, 0, 0, time.UTC)}, -1<<63)
	f(moment{fixed: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, 1<<63-1)
}

// FuzzCompile reads any text as a condition, and works with what is taken.
func FuzzCompile(f *testing.F) {
	for _, form := range forms {
		f.Add(form.text)
	}
	f.Add(`let x = fields.a; any(values(tags), # == x ?? "b") ? now() - "1h" > time : tags?.a in 1..5`)
	f.Fuzz(func(t *testing.T, text string) {
		s := &scan{now: now}
		c, err := compile(text, s)
		if err != nil {
			return
		}
		var b telemetry.Batch
		for _, p := range fleet() {
			b.Append(p)
		}
		kept(t, s, c, b.AppendMsgPack(nil))
	})
}
