package scaffold

import (
	"bytes"
	"errors"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// each calls f with a plugin of each language and kind, whose name needs what can be needed.
func each(t *testing.T, f func(t *testing.T, p *Plugin)) {
	t.Helper()
	for _, l := range Languages() {
		for _, k := range Kinds() {
			t.Run(l.Name+"/"+k.Name, func(t *testing.T) {
				p := &Plugin{Name: "fan-2_x", Kind: k, Language: l, Dir: filepath.Join(t.TempDir(), "a b"), Module: Module{Checkout: "/src/pacewire"}, Pacewire: "/opt/bin/pacewire"}
				if l.Name == "python" || l.Name == "node" {
					p.Library = fstest.MapFS{"one": {Data: []byte("my-plugin KIND")}, "lib/two": {Data: []byte("2")}}
				}
				f(t, p)
			})
		}
	}
}

// texts returns the files of a plugin by their paths.
func texts(t *testing.T, p *Plugin) map[string]string {
	t.Helper()
	files, err := p.files()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		if all[f.path] != "" {
			t.Errorf("%s is there twice", f.path)
		}
		all[f.path] = string(f.text)
	}
	return all
}

// Nothing of the templates' own words is left, and every file that the README names is there.
func TestFiles(t *testing.T) {
	placeholder := regexp.MustCompile(`my[-_]?plugin|\b(KIND|LANGUAGE|DOES|STEPS|FILES|SOURCE|EXAMPLE|COMMAND|SINK|LIBRARY)\b`)
	named := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	each(t, func(t *testing.T, p *Plugin) {
		all := texts(t, p)
		for path, text := range all {
			if left := placeholder.FindString(path + "\n" + text); left != "" && !strings.HasPrefix(path, "pacewire/") {
				t.Errorf("%s has %q", path, left)
			}
			if !strings.HasSuffix(text, "\n") && !strings.HasPrefix(path, "pacewire/") || strings.Contains(text, " \n") {
				t.Errorf("%s: blanks at the end of a line, or no end of the last", path)
			}
		}
		for _, m := range named.FindAllStringSubmatch(all["README.md"], -1) {
			if name, folder := strings.CutSuffix(m[1], "/"); !folder && all[name] == "" || folder && all[name+"/one"] == "" {
				t.Errorf("README.md names %s, which is not there", m[1])
			}
		}
		main := all[p.named(p.Language.main)]
		if n := strings.Count(main, "\n"); n < 10 || n > 50 {
			t.Errorf("the plugin has %d lines", n)
		}
		for _, want := range []string{"Go on here", "fan-2_x"} {
			if !strings.Contains(main, want) {
				t.Errorf("the plugin does not say %q:\n%s", want, main)
			}
		}
		for _, step := range p.Language.steps {
			if !strings.Contains(all["README.md"], p.named(step)) {
				t.Errorf("README.md lacks %s", p.named(step))
			}
		}
	})
}

// What stands in a library is left as it is.
func TestLibrary(t *testing.T) {
	each(t, func(t *testing.T, p *Plugin) {
		all := texts(t, p)
		if has := all["pacewire/one"] == "my-plugin KIND" && all["pacewire/lib/two"] == "2"; has != (p.Library != nil) {
			t.Errorf("library: %v", has)
		}
		p.Library = nil
		all = texts(t, p)
		if strings.Contains(all["README.md"], "`pacewire/`") || all["pacewire/one"] != "" || strings.Contains(all["package.json"], `"pacewire"`) {
			t.Errorf("without a library:\n%s%s", all["README.md"], all["package.json"])
		}
	})
}

func TestGoIsFormatted(t *testing.T) {
	each(t, func(t *testing.T, p *Plugin) {
		for path, text := range texts(t, p) {
			if filepath.Ext(path) != ".go" {
				continue
			}
			if want, err := format.Source([]byte(text)); err != nil || !bytes.Equal(want, []byte(text)) {
				t.Errorf("%s: %v, want\n%s", path, err, want)
			}
		}
	})
}

// The config has whole paths, so that it can be run from anywhere.
func TestConfig(t *testing.T) {
	each(t, func(t *testing.T, p *Plugin) {
		text := texts(t, p)["pacewire.yaml"]
		run := "run: [\"" + strings.Join(p.command(p.Dir), `","`) + `"]`
		if !strings.Contains(text, run) {
			t.Errorf("want %s:\n%s", run, text)
		}
		if sink := `path: "` + p.Dir + `/fan-2_x.jsonl"`; strings.Contains(text, sink) != (p.Kind.Name == "publisher") {
			t.Errorf("%s:\n%s", sink, text)
		}
	})
}

func TestAsYAML(t *testing.T) {
	f := func(v any, want string) {
		t.Helper()
		if got := asYAML(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	f("/a b", `"/a b"`)
	f(`/"${HOME}`, `"/\"$${HOME}"`)
	f([]string{"node", "x"}, `["node","x"]`)
}

func TestWrite(t *testing.T) {
	each(t, func(t *testing.T, p *Plugin) {
		if err := p.Write(); err != nil {
			t.Fatal(err)
		}
		for path, text := range texts(t, p) {
			file := filepath.Join(p.Dir, path)
			got, err := os.ReadFile(file)
			if err != nil || string(got) != text {
				t.Errorf("%s: %v\n%s", path, err, got)
			}
			info, err := os.Stat(file)
			if err != nil || info.Mode()&0o100 != 0 != strings.HasPrefix(text, "#!") {
				t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
			}
		}
	})
}

// A folder that has something in it is left alone; with Force what a new plugin has is written anew, and nothing else.
func TestWriteAgain(t *testing.T) {
	p := &Plugin{Name: "fan", Kind: Kinds()[0], Language: Languages()[0], Dir: t.TempDir()}
	own, elsewhere := filepath.Join(p.Dir, "own.txt"), filepath.Join(t.TempDir(), "elsewhere")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(own, []byte("mine"), 0o600))
	must(os.WriteFile(elsewhere, []byte("theirs"), 0o600))
	must(os.Symlink(elsewhere, filepath.Join(p.Dir, "main.go")))
	if err := p.Write(); !errors.Is(err, ErrExists) {
		t.Errorf("got %v", err)
	}
	p.Force = true
	must(p.Write())
	is := func(file, want string) {
		t.Helper()
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v\n%s", file, err, text)
		}
	}
	is(own, "mine")
	is(elsewhere, "theirs")
	is(filepath.Join(p.Dir, "main.go"), "package main")

	p.Dir = filepath.Join(own, "below-a-file")
	if err := p.Write(); err == nil || errors.Is(err, ErrExists) {
		t.Errorf("below a file: %v", err)
	}
}

func TestMissing(t *testing.T) {
	nothing := func(string) (string, error) { return "", fs.ErrNotExist }
	all := func(name string) (string, error) { return "/usr/bin/" + name, nil }
	each(t, func(t *testing.T, p *Plugin) {
		if todo := p.Missing(all); len(todo) > 0 {
			t.Errorf("with all: %q", todo)
		}
		todo := strings.Join(p.Missing(nothing), "\n")
		for _, want := range []string{p.Language.tool + " is not installed", "Debian package is " + p.Language.debian, `PATH="$PATH:/opt/bin"`} {
			if !strings.Contains(todo, want) {
				t.Errorf("%q is not in %s", want, todo)
			}
		}
		p.Module = Module{}
		if todo := p.Missing(all); (len(todo) > 0) != (p.Language.Name == "go") {
			t.Errorf("without a module: %q", todo)
		}
		p.Module, p.Library = Module{Checkout: "/src"}, nil
		if todo := p.Missing(all); (len(todo) > 0) != (p.Language.getLib != "") {
			t.Errorf("without the library: %q", todo)
		}
	})
}

func TestMeant(t *testing.T) {
	f := func(word, want string) {
		t.Helper()
		if got := Meant(word); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
	f("py", "python")
	f("golang", "go")
	f("bash", "sh")
	f("typescript", "node")
	f("sink", "publisher")
	f("input", "collector")
	f("transform", "processor")
	f("cobol", "")
}
