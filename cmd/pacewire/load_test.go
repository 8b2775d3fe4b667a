package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

// loaded is what an agent is asked to load.
type loaded struct {
	Config  string `json:"config"`
	File    string `json:"file"`
	Replace bool   `json:"replace"`
}

// loads returns an agent that takes what it is told to load, a function that runs a verb, and one that returns the request.
func loads(t *testing.T) (run func(args ...string) said, got func() loaded) {
	t.Helper()
	agent, run := agentOf(t, map[string]answer{"load": did(telemetry.Change{Plugin: "x", Action: "start", PID: 1})})
	return run, func() (l loaded) {
		t.Helper()
		asked := agent.got()
		if len(asked) != 1 {
			t.Fatalf("%q", asked)
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(asked[0], "load ")), &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
}

func TestLoadFile(t *testing.T) {
	run, got := loads(t)
	text := "# mine\ncollect: { x: { use: host } }\n"
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, run("plugin", "load", path), 0, "x       start")
	if l := got(); l != (loaded{text, "x.yaml", false}) {
		t.Errorf("%+v", l)
	}
	expect(t, run("plugin", "load", path, "--replace"), 0)
	if l := got(); !l.Replace {
		t.Errorf("%+v", l)
	}
}

func TestLoadStdin(t *testing.T) {
	_, got := loads(t)
	for _, args := range []string{"plugin load", "plugin load -"} {
		var out, errs strings.Builder
		a := &app{in: strings.NewReader("collect: {}"), out: &out, err: &errs}
		if code := a.run(t.Context(), func() {}, strings.Fields(args)); code != 0 {
			t.Fatalf("%d: %s", code, errs.String())
		}
		if l := got(); l != (loaded{"collect: {}", "stdin", false}) {
			t.Errorf("%+v", l)
		}
	}
}

// A piece that was made of the command line says in a config what was said there.
func TestLoadCommandLine(t *testing.T) {
	run, got := loads(t)
	f := func(want string, args ...string) {
		t.Helper()
		expect(t, run(append([]string{"plugin", "load"}, args...)...), 0)
		l := got()
		var shown any
		if err := json.Unmarshal([]byte(l.Config), &shown); err != nil || l.File != "command line" {
			t.Fatalf("%+v: %v", l, err)
		}
		if text, _ := json.Marshal(shown); string(text) != want {
			t.Errorf("%s, want %s", text, want)
		}
		if _, err := config.Parse(config.Options{Offline: true, Programs: forConfig()}, l.File, []byte(l.Config)); err != nil && !strings.Contains(err.Error(), "from") {
			t.Errorf("%s: %v", l.Config, err)
		}
	}
	f(`{"collect":{"host":{}}}`, "--name", "host")
	f(`{"collect":{"n":{"config":{"deep":{"a":[1]},"flag":true,"n":3,"text":"a=b","url":"http://x/?a\u0026b","word":"3"},"every":"5s","run":["python3","-u","/x.py"]}}}`,
		"--name", "n", "--every", "5s", "--set", "url=http://x/?a&b", "--set", "n=3", "--set", "flag=true", "--set", `deep={"a":[1]}`, "--set", "text=a=b", "--set", `word="3"`,
		"--", "python3", "-u", "/x.py")
	f(`{"process":{"tidy":{"config":{"keep":"fields.usage \u003e 90"},"from":["host","disk"],"use":"filter"}}}`,
		"--name", "tidy", "--kind", "processor", "--use", "filter", "--from", "host,disk", "--set", "keep=fields.usage > 90")
	f(`{"publish":{"out":{"from":["all"],"run":["/bin/x"]}}}`, "--name", "out", "--kind", "publisher", "--from", "all", "--", "/bin/x")
}

// The agent runs commands from a folder of its own.
func TestLoadFindsCommand(t *testing.T) {
	run, got := loads(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("plug.py", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(l loaded) []string {
		var c struct {
			Collect map[string]struct{ Run []string }
		}
		if err := json.Unmarshal([]byte(l.Config), &c); err != nil {
			t.Fatal(err)
		}
		return c.Collect["n"].Run
	}
	expect(t, run("plugin", "load", "--name", "n", "--", "./plug.py", "a"), 0, "!warning")
	if c := command(got()); c[0] != filepath.Join(here, "plug.py") || c[1] != "a" {
		t.Errorf("%q", c)
	}
	expect(t, run("plugin", "load", "--name", "n", "--", "python3", "plug.py"), 0, "warning: the plugin does not run in this folder: give the whole path of plug.py")
	if c := command(got()); c[0] != "python3" || c[1] != "plug.py" {
		t.Errorf("%q", c)
	}
	expect(t, run("plugin", "load", "--name", "n", "--host", "h1", "--", "./plug.py"), 0, "!warning") // it is the other host's file
	if c := command(got()); c[0] != "./plug.py" {
		t.Errorf("%q", c)
	}
}

func TestLoadMistakes(t *testing.T) {
	_, run := agentOf(t, map[string]answer{"load": fails(telemetry.FaultInvalid, "x.yaml:1:3: unknown program \"hsot\"\n    x: { use: hsot }\n             ^ did you mean host?")})
	for name, text := range map[string]string{"empty.yaml": " \n", "long.yaml": strings.Repeat("#", maxPiece+1), "x.yaml": "collect: { x: { use: hsot } }"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(args string, code int, words ...string) {
		t.Helper()
		expect(t, run(append([]string{"plugin", "load"}, strings.Fields(args)...)...), code, words...)
	}
	f("x.yaml", exitConfig, "pacewire: x.yaml:1:3: unknown program", "\n             ^ did you mean host?\n")
	f("", exitConfig, "stdin is empty")
	f("empty.yaml", exitConfig, "empty.yaml is empty")
	f("long.yaml", exitUsage, "longer than the 60 KiB of a piece", "pacewire reload")
	f("missing.yaml", exitUsage, "missing.yaml", "no such file")
	f("a b", exitUsage, "2 files", "behind --")
	f("x.yaml --name x", exitUsage, "not both")
	f("-- /bin/x", exitUsage, "no name", "--name")
	f("--name x --use filter -- /bin/x", exitUsage, "one of the two")
	f("--name x --from host -- /bin/x", exitUsage, "--kind")
	f("--name x --kind sink -- /bin/x", exitUsage, `"sink": want collector, processor or publisher`)
	f("--name x --set novalue", exitUsage, "want key=value")
	f("--name x --set a=1 --set a=2", exitUsage, "set twice")
	f("--namex x", exitUsage, "unknown flag", "--help")
}

func TestSwap(t *testing.T) {
	agent, run := agentOf(t, map[string]answer{"swap": did(telemetry.Change{Plugin: "tidy", Action: "swap", OldPID: 1, PID: 2})})
	if err := os.WriteFile("tidy.yaml", []byte("process: {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := strings.Repeat("0aF", 21) + "b"
	f := func(args, want string) {
		t.Helper()
		expect(t, run(append([]string{"plugin", "swap", "tidy"}, strings.Fields(args)...)...), 0, "tidy    swap    1 → 2")
		agent.expect(t, "swap "+want)
	}
	f("--file tidy.yaml", `{"config":"process: {}","file":"tidy.yaml","plugin":"tidy"}`)
	f("--use filter", `{"plugin":"tidy","use":"filter"}`)
	f("-- /bin/x -v --use y", `{"plugin":"tidy","run":["/bin/x","-v","--use","y"]}`)
	f("--sha256 "+sum+" -- /bin/x", `{"plugin":"tidy","run":["/bin/x"],"sha256":"`+strings.ToLower(sum)+`"}`)
	bad := func(args string, code int, words ...string) {
		t.Helper()
		expect(t, run(append([]string{"plugin", "swap"}, strings.Fields(args)...)...), code, words...)
		agent.expect(t)
	}
	bad("tidy", exitUsage, "--file, --use, and a command behind --")
	bad("tidy --use a -- /bin/x", exitUsage, "Give one of")
	bad("tidy --file missing.yaml", exitUsage, "missing.yaml")
	bad("tidy other --use a", exitUsage, "2 names")
	bad("--use a", exitUsage, "0 names")
	bad("tidy --sha256 abc -- /bin/x", exitUsage, "64 hex digits")
}
