package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/servertest"
)

// stepWithin is for a command of a plugin: a build, or its conformance test.
const stepWithin = 5 * time.Minute

// A begun is a plugin as new plugin writes it.
type begun struct {
	place
	lang, name, dir string
	env             []string
}

// begin writes a plugin, and makes a folder of programs where pacewire is pacewire.
func begin(t *testing.T, lang, kind string) begun {
	t.Helper()
	p := newPlace(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	name := "my-" + kind
	p.do("new", "plugin", "--lang", lang, "--kind", kind, "--pacewire", root, name)
	if err := os.Mkdir(p.path("bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, p.path("bin/pacewire")); err != nil {
		t.Fatal(err)
	}
	path := "PATH=" + p.path("bin") + string(filepath.ListSeparator) + os.Getenv("PATH")
	return begun{p, lang, name, p.path(name), append(os.Environ(), path, "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off", "PYTHONDONTWRITEBYTECODE=1")}
}

// run runs a command line in the plugin's folder, which has to succeed, and returns what it prints.
func (b begun) run(line string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), stepWithin)
	defer cancel()
	var out bytes.Buffer
	c := exec.CommandContext(ctx, "sh", "-c", line)
	c.Dir, c.Env, c.Stdout, c.Stderr, c.WaitDelay = b.dir, b.env, &out, &out, time.Second
	if err := c.Run(); err != nil {
		b.t.Fatalf("%s: %v\n%s", line, err, tail(out.String()))
	}
	return out.String()
}

// A tongue is what the test knows of a language.
type tongue struct {
	needs, debian  string // a program, and its package
	check          string // that the files are as files of the language should be
	ready          func(b begun)
	alone, conform string // as the README says
	kind           string // the one that the short form runs the conformance test of; it takes ten seconds
}

func tongues() map[string]tongue {
	return map[string]tongue{
		"go":     {needs: "go", debian: "golang-go", check: `test -z "$(gofmt -l .)"`, ready: func(b begun) { b.run("go mod tidy && go vet . && go build") }, alone: "./NAME", conform: "go test", kind: "processor"},
		"python": {needs: "python3", debian: "python3", check: "python3 -m py_compile *.py pacewire/*.py", alone: "python3 STEM.py", conform: "python3 -m unittest", kind: "collector"},
		"node":   {needs: "node", debian: "nodejs", check: "for f in *.mjs; do node --check $f || exit; done", ready: withModules, alone: "node NAME.mjs", conform: "node --test", kind: "publisher"},
		"sh":     {needs: "sh", debian: "dash", check: "for f in *.sh; do sh -n $f || exit; done", alone: "./NAME.sh", conform: "./test.sh", kind: "collector"},
	}
}

// withModules gives a plugin what npm would install, from the folder of the library.
func withModules(b begun) {
	from, err := filepath.Abs("../../sdk/node/node_modules")
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := os.Stat(from); err != nil {
		end := b.t.Skip
		if os.Getenv("CI") == "true" {
			end = b.t.Fatal
		}
		end("no modules of Node: run .ci/install, or npm ci in sdk/node")
	}
	b.run("mkdir -p node_modules && ln -s '" + from + "'/* ../pacewire node_modules/")
}

// What new plugin writes is formatted and reports on itself; its own test, which is the conformance kit, passes.
func TestNewPlugins(t *testing.T) {
	t.Parallel()
	for lang, g := range tongues() {
		for _, kind := range []string{"collector", "processor", "publisher"} {
			t.Run(lang+"/"+kind, func(t *testing.T) {
				t.Parallel()
				b := begin(t, lang, kind)
				b.has(g)
				b.run(b.named(g.check))
				if out := b.run(b.named(g.alone)); !strings.Contains(out, kind) {
					t.Errorf("alone:\n%s", out)
				}
				if long || kind == g.kind {
					t.Logf("%s", tail(b.run(g.conform)))
				}
			})
		}
	}
}

// has skips a test for which the language is missing, and makes the plugin ready.
func (b begun) has(g tongue) {
	b.t.Helper()
	servertest.Program(b.t, g.needs, g.debian)
	if g.ready != nil {
		g.ready(b)
	}
}

// named puts the plugin's name into a command line.
func (b begun) named(line string) string {
	return strings.NewReplacer("NAME", b.name, "STEM", strings.ReplaceAll(b.name, "-", "_")).Replace(line)
}

// Its config runs it at once, from wherever pacewire is started, and shows points.
func TestNewPluginsRun(t *testing.T) {
	t.Parallel()
	f := func(lang, kind, shows string) {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			b := begin(t, lang, kind)
			b.has(tongues()[lang])
			c := b.command(context.Background(), "up", "--plain", "-c", filepath.Join(b.name, "pacewire.yaml"))
			c.Env = append(c.Env, b.env[len(b.env)-5:]...)
			s := b.launch(c, "up")
			s.awaitRunning()
			sink := filepath.Join(b.dir, b.name+".jsonl")
			s.await(readyWithin, "a point that has "+shows, func() bool {
				text, _ := os.ReadFile(sink) // of a publisher
				return strings.Contains(string(text)+s.text(), shows)
			})
			s.drain()
		})
	}
	f("go", "processor", "site=lab")
	f("python", "collector", "my-collector,host=")
	f("node", "publisher", `"series":"load"`)
	f("sh", "collector", "my-collector,host=")
}
