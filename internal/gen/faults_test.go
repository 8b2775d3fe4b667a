package main

import (
	"strings"
	"testing"
)

func TestFaults(t *testing.T) {
	f := func(path, old, text string, want ...string) {
		t.Helper()
		m := tree(t)
		m.plugin(t, "collector/one", `Summary: "One."`)
		m.plugin(t, "collector/two", `Summary: "Two."`)
		m.edit(t, path, old, text)
		before := m.files(t)
		err := gen(m.root, false)
		if err == nil {
			t.Errorf("%s, %q for %q: no error; want %q", path, text, old, want)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s, %q for %q: %v; want %q in it", path, text, old, err, w)
			}
		}
		if now := m.files(t); len(now) != len(before) {
			t.Errorf("%s, %q for %q: files were written", path, text, old)
		}
	}
	f("collector/one/README.md", "<!-- settings -->", "", "collector/one/README.md: no line <!-- settings -->: put it")
	f("collector/one/README.md", "<!-- /settings -->", "", "no line <!-- /settings --> after <!-- settings -->")
	f("collector/one/README.md", "<!-- series -->", "<!-- serie -->", "no line <!-- series -->")
	f("collector/two/two.go", `Program: "two"`, `Program: "one"`, "collector/one and collector/two are both called one")
	f("collector/two/two.go", `Program: "two"`, `Program: ""`, "collector/two: its Define has no Program")
	f("collector/two/two.go", "// Define describes it.", "", "collector/two: Define has no comment")
	f("collector/two/two.go", "Define()", "Define(n int)", "collector/two: Define has another form")
	f("collector/two/two.go", "plugin.Definition {", "*plugin.Definition {", "collector/two: Define has another form")
	f("collector/two/two.go", "package two", "package three", "collector/two: two.go has package three")
	f("collector/two/two.go", "func Define", "fun Define", "collector/two: ", "two.go:7:1: expected declaration")
	f("collector/two/two.go", `Summary: "Two."`, `Summary: 2`, "go run", "two.go:8:", "cannot use 2")
	f("collector/two/two.go", "return", `panic("no such unit"); return`, "go run", "no such unit")
	f("go.mod", "module example.com/small", "", "go list")
}

func TestNoReadme(t *testing.T) {
	m := tree(t)
	m.plugin(t, "processor/one", `Summary: "One."`)
	m.write(t, "processor/two/two.go", strings.ReplaceAll(m.read(t, "processor/one/one.go"), "one", "two"))
	err := gen(m.root, false)
	if err == nil || !strings.Contains(err.Error(), "processor/two/README.md: missing: write one") {
		t.Errorf("got %v", err)
	}
}

func TestSameBinary(t *testing.T) {
	m := tree(t)
	for _, path := range []string{"collector/big", "publisher/big"} {
		m.plugin(t, path, "")
		m.edit(t, path+"/big.go", "package big", "//\n//pacewire:binary\npackage big")
	}
	err := gen(m.root, false)
	if err == nil || !strings.Contains(err.Error(), "collector/big and publisher/big are both called big") {
		t.Errorf("got %v", err)
	}
}

func TestMoveLinks(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := moveLinks(text, "collector/load", "docs/plugins"); got != want {
			t.Errorf("moveLinks(%q) = %q, want %q", text, got, want)
		}
	}
	f("no link", "no link")
	f("[a](b.md) and [c](../host/README.md#limits)", "[a](../../collector/load/b.md) and [c](../../collector/host/README.md#limits)")
	f("[a](https://b/c), [d](#e), [f](/g), [h](mailto:i@j)", "[a](https://b/c), [d](#e), [f](/g), [h](mailto:i@j)")
}

func TestMembers(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		list, err := members([]byte(text))
		var got []string
		for _, m := range list {
			got = append(got, m.name+"="+string(m.value))
		}
		if strings.Join(got, " ") != strings.Join(want, " ") || (err != nil) != (want == nil && text != "" && text != "{}") {
			t.Errorf("members(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
	f("")
	f("{}")
	f(`{"z":1,"a":{"c":[2]},"b":null}`, "z=1", `a={"c":[2]}`, "b=null")
	f("[1]")
	f("{")
	f(`{"a"`)
}
