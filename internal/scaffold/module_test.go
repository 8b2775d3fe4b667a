package scaffold

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModuleOf(t *testing.T) {
	tree := t.TempDir()
	bin := filepath.Join(tree, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	gomod := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(tree, "go.mod"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(version, binary, work string, want Module) {
		t.Helper()
		if got := ModuleOf(version, binary, work); got != want {
			t.Errorf("%s, %s, %s: %+v, want %+v", version, binary, work, got, want)
		}
	}
	binary, away := filepath.Join(bin, "pacewire"), t.TempDir()
	gomod("module example.com/other\n")
	f("(devel)", binary, away, Module{})
	gomod("module " + ModulePath + "\n\ngo 1.26\n")
	f("(devel)", binary, away, Module{Checkout: tree})
	f("(devel)", "/usr/bin/pacewire", bin, Module{Checkout: tree})
	f("v0.0.0-20261121064000-0123456789ab+dirty", binary, away, Module{Checkout: tree})
	f("v1.2.3", binary, away, Module{Version: "v1.2.3"})
	f("v1.2.3-rc.1", binary, away, Module{Version: "v1.2.3-rc.1"})
	f("v1.2.3+dirty", "/usr/bin/pacewire", away, Module{})
}

func TestGoMod(t *testing.T) {
	f := func(m Module, want ...string) {
		t.Helper()
		text := string(m.file("fan"))
		for _, part := range append(want, "module example.com/fan\n", "\ngo "+goVersion+"\n") {
			if !strings.Contains(text, part) {
				t.Errorf("%+v: %q is not in\n%s", m, part, text)
			}
		}
	}
	f(Module{Version: "v1.2.3"}, "require "+ModulePath+" v1.2.3\n")
	f(Module{Checkout: "/src/pacewire"}, "v0.0.0\n", "replace "+ModulePath+" => /src/pacewire")
	f(Module{Checkout: "/my src/pacewire"}, `=> "/my src/pacewire"`)
	f(Module{}, "v0.0.0\n", "// Say where pacewire is: go mod edit -replace "+ModulePath+"=DIR")
}

// A plugin needs the Go that pacewire needs.
func TestGoVersion(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\ngo "+goVersion+"\n") {
		t.Errorf("go.mod of pacewire wants another Go than %s", goVersion)
	}
}
