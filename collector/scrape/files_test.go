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
	write("a.json", `[{"targets":`)
	write("b.yaml", "targets: c:1")
	f(slices.Concat([]string{static}, json, []string{"file=b.yaml,instance=c:1,job=k,port=1"})...)
	write("b.yaml", "[]")
	f(slices.Concat([]string{static}, json)...)
	if err := os.Remove(filepath.Join(dir, "a.json")); err != nil {
		t.Fatal(err)
	}
	f(static)
}

// A config that names nothing makes the plugin idle; a pattern that finds nothing is told once, since files may come later.
func TestNothingToScrape(t *testing.T) {
	env, said := plugintest.Env(t), &bytes.Buffer{}
	env.Log = slog.New(slog.NewTextHandler(said, nil))
	if _, err := New(t.Context(), defaults(), env); !errors.Is(err, plugin.ErrNoData) || !strings.Contains(err.Error(), "name targets") {
		t.Errorf("without targets: %v", err)
	}
	cfg := defaults()
	cfg.TargetFiles = plugin.Strings{t.TempDir() + "/*.yaml"}
	l, err := newList(cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	l.targets()
	l.targets()
	if n := strings.Count(said.String(), "no file of targets is called so yet"); n != 1 {
		t.Errorf("told %d times: %s", n, said)
	}
}
