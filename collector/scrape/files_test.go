package scrape

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
)

// Files of targets are read again when they have changed; one that cannot be read keeps what it had.
func TestTargetFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := defaults()
	cfg.Job = "j"
	cfg.Targets = plugin.Strings{"a:1", "a:1"}
	cfg.TargetFiles = plugin.Strings{dir + "/*.json", dir + "/*.yaml"}
	cfg.Relabel = []Rule{{SourceLabels: []string{"__meta_filepath"}, Regex: new(".*/([^/]*)"), TargetLabel: "file"}}
	l, err := newList(cfg, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	f := func(want ...string) {
		t.Helper()
		var got []string
		for _, one := range l.targets() {
			got = append(got, labelString(one))
		}
		if !slices.Equal(got, want) {
			t.Errorf("targets\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
	static := "instance=a:1,job=j"
	f(static)
	write("a.json", `[{"targets":["b:1","b:2"],"labels":{"rack":"1"}},{"targets":["a:1"]}]`)
	json := []string{"file=a.json,instance=b:1,job=j,rack=1", "file=a.json,instance=b:2,job=j,rack=1", "file=a.json,instance=a:1,job=j"}
	f(append([]string{static}, json...)...)
	write("b.yaml", "- targets: [c:1]\n  labels: {job: k, port: 1}\n- targets: ['']\n")
	f(slices.Concat([]string{static}, json, []string{"file=b.yaml,instance=c:1,job=k,port=1"})...)
	for _, broken := range [][2]string{
		{`[{"targets":`, "targets: c:1"}, {"", "\n"}, {`[{"target":["d:1"]}]`, "- target: [d:1]"}, {`[]]`, "- targets: [d:1]\n  label: {a: b}"}, {`[] []`, "- ["},
	} {
		write("a.json", broken[0])
		write("b.yaml", broken[1])
		f(slices.Concat([]string{static}, json, []string{"file=b.yaml,instance=c:1,job=k,port=1"})...)
	}
	write("b.yaml", "[]")
	f(slices.Concat([]string{static}, json)...)
	if err := os.Remove(filepath.Join(dir, "a.json")); err != nil {
		t.Fatal(err)
	}
	f(static)
}

// A config that names nothing makes the plugin idle.
func TestNothingToScrape(t *testing.T) {
	if _, err := New(t.Context(), defaults(), plugintest.Env(t)); !errors.Is(err, plugin.ErrNoData) || !strings.Contains(err.Error(), "name targets") {
		t.Errorf("without targets: %v", err)
	}
}

// What is wrong with targets and their files is told once, and again when it comes again.
func TestFaultsAreToldOnce(t *testing.T) {
	env, said := plugintest.Env(t), &bytes.Buffer{}
	env.Log = slog.New(slog.NewTextHandler(said, nil))
	path := filepath.Join(t.TempDir(), "targets.yaml")
	cfg := defaults()
	cfg.TargetFiles = plugin.Strings{path}
	l, err := newList(cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	f := func(says ...string) {
		t.Helper()
		said.Reset()
		l.targets()
		text := strings.ReplaceAll(said.String(), `\"`, `"`)
		if n := strings.Count(text, "level=WARN"); n != len(says) {
			t.Errorf("%d warnings, want %d:\n%s", n, len(says), text)
		}
		for _, s := range says {
			if !strings.Contains(text, s) {
				t.Errorf("%s\ndoes not say %s", text, s)
			}
		}
	}
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f(`no file of targets is called so yet" target_files=` + path)
	f()
	write("- targets: ['', a/b, 'ok:1']")
	f(`target "": want host:port`, `target "a/b": want host:port`)
	f()
	write("- targets: ['']")
	f()
	write("- target: ['']")
	f("field target not found") // the targets it had stay, and their fault is known
	f()
	write("")
	f("it is empty: write []")
	write("- targets: ['']\n- targets: ['']")
	f()
	write("[]")
	f()
	write("- targets: ['']")
	f(`target "": want host:port`)
}
