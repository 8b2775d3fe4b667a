package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func TestOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	config := p.write("pacewire.yaml", `collect:
  host: { only: [mem, load] }
  other: { run: [sh, -c, 'echo "{\"series\":\"other\",\"fields\":{\"v\":1}}"'] }
  bad: { run: [sh, -c, "echo no licence >&2; exit 3"] }
`)
	found := map[string]bool{}
	for line := range strings.Lines(p.do("once", "-c", config, "host", "other")) {
		var point struct {
			Series string
			Fields map[string]any
		}
		if err := json.Unmarshal([]byte(line), &point); err != nil || len(point.Fields) == 0 {
			t.Errorf("%q: %v", line, err)
		}
		found[point.Series] = true
	}
	if !found["mem"] || !found["load"] || !found["other"] || found["cpu"] {
		t.Errorf("series %v", found)
	}
	r := p.verb("once", "-c", config, "bad")
	if r.code != 1 {
		t.Errorf("exit code %d", r.code)
	}
	contains(t, "once of a plugin that fails", r.err, "bad: ", "exit status 3", "no licence")
	r = p.verb("once", "-c", config, "hots")
	if r.code != 64 {
		t.Errorf("exit code %d", r.code)
	}
	contains(t, "once of what is not there", r.err, `no collector "hots"`, "did you mean host?")
	if _, err := os.Stat(p.path("state")); err == nil {
		t.Error("once has made a state folder")
	}
}

func TestSendAndTap(t *testing.T) {
	t.Parallel()
	s := up(t, `publish: { file: { use: lines, from: send, path: points.lp } }`)
	_, host := s.connect()

	tap := s.tap("send", "-n", "4", "-d", operates)
	f := func(text, said string) {
		t.Helper()
		r := s.verbWith(text, "send")
		if r.code != 0 || !strings.Contains(r.err, said) {
			t.Errorf("send %q: exit code %d, %s", text, r.code, r.err)
		}
	}
	f("a,host=elsewhere v=1.5 1700000000000000001\nb,k=x n=2i,u=3u,ok=true,s=\"two words\" 1700000000000000002\n", "2 points stored")
	f(`{"series":"c","time":"2023-11-14T22:13:20.000000003Z","tags":{"k":"y"},"fields":{"v":4,"ok":false}}`, "1 point stored")
	f(`[{"series":"d","time":"2023-11-14T22:13:20.000000004Z","fields":{"v":1}},{"series":"d","time":"2023-11-14T22:13:20.000000005Z","fields":{"v":2}}]`, "2 points stored")

	want := []string{
		"a,host=elsewhere v=1.5 1700000000000000001",
		"b,host=" + host + `,k=x n=2i,ok=true,s="two words",u=3u 1700000000000000002`,
		"c,host=" + host + ",k=y ok=false,v=4 1700000000000000003",
		"d,host=" + host + " v=1 1700000000000000004",
		"d,host=" + host + " v=2 1700000000000000005",
	}
	s.await(readyWithin, "all points are in the file", func() bool { return len(lines(t, s.path("points.lp"))) == len(want) })
	if got := lines(t, s.path("points.lp")); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the file has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if code, got := tap.exit(readyWithin), lines(t, tap.out); code != 0 || !slices.Equal(got, want[:4]) {
		t.Errorf("tap -n 4: exit code %d\n%s", code, strings.Join(got, "\n"))
	}
	for _, text := range []string{"cpu v=\n", `{"series":"c"`, strings.Repeat("x", 2<<20)} {
		if r := s.verbWith(text, "send"); r.code != 1 || r.err == "" {
			t.Errorf("send %.20q: exit code %d, %s", text, r.code, r.err)
		}
	}
	r := s.verb("tap", "flie")
	if r.code != 64 {
		t.Errorf("tap of what is not there: exit code %d", r.code)
	}
	contains(t, "tap of what is not there", r.err, `no plugin "flie"`, "did you mean file?")
	s.drain()
}

func TestInit(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	contains(t, "init", p.do("init", "sub/my.yaml"), "sub/my.yaml", "pacewire up -c sub/my.yaml")
	contains(t, "validate", p.do("validate", "sub/my.yaml"), "good, 3 plugins")
	mine := p.write("own.yaml", "# mine\n")
	r := p.verb("init", mine)
	if text, _ := os.ReadFile(mine); r.code == 0 || string(text) != "# mine\n" {
		t.Errorf("exit code %d, and the file has %q", r.code, text)
	}
	contains(t, "init over a file", r.err, mine, "is there already", "--force")
	p.do("init", "--force", mine)
	p.do("validate", mine)
}

func TestSchema(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	compile := func(args ...string) *jsonschema.Schema {
		t.Helper()
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(p.do(args...)))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("mem:schema", doc); err != nil {
			t.Fatal(err)
		}
		schema, err := c.Compile("mem:schema")
		if err != nil {
			t.Fatalf("pacewire %s: %v", strings.Join(args, " "), err)
		}
		return schema
	}
	f := func(s *jsonschema.Schema, text string, good bool) {
		t.Helper()
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
	config := compile("schema", "config")
	f(config, `{"every":"10s","collect":{"host":{}},"publish":{"out":{"use":"lines","from":"host","path":"x"}}}`, true)
	f(config, `{"every":"10s","colect":{"host":{}}}`, false)
	f(config, `{"publish":{"out":{"use":"lines","from":"host","path":5}}}`, false)
	f(config, `{"collect":{"host":{"only":"cpu"}}}`, false)

	var programs []struct{ Kind, Name string }
	if err := json.Unmarshal([]byte(p.do("plugin", "list", "--programs", "-o", "json")), &programs); err != nil || len(programs) < 5 {
		t.Fatalf("%d programs, %v", len(programs), err)
	}
	for _, one := range programs {
		compile("schema", "plugin", one.Kind+"."+one.Name)
	}
	filter := compile("schema", "plugin", "filter")
	f(filter, `{"keep":"fields.v > 1"}`, true)
	f(filter, `{"keeep":"fields.v > 1"}`, false)
}

func TestVersionAndCompletion(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var v struct {
		Version, Go, OS, Arch string
		Protocol              int
	}
	if err := json.Unmarshal([]byte(p.do("version", "-o", "json")), &v); err != nil || v.Version == "" || v.Go == "" || v.OS != "linux" || v.Protocol == 0 {
		t.Errorf("%+v, %v", v, err)
	}
	contains(t, "completion of pl", p.do("__complete", "pl"), "plugin\t")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script := p.do("completion", shell)
		contains(t, "completion", script, "pacewire")
		path, err := exec.LookPath(shell)
		if err != nil {
			continue // only what is here can read its script
		}
		if out, err := exec.Command(path, "-n", p.write("completion", script)).CombinedOutput(); err != nil {
			t.Errorf("%s does not read its script: %v\n%s", shell, err, out)
		}
	}
}

// A wrong use of the program ends with 64 and says what was meant; one that needs a bus ends with 69 without.
func TestMisuse(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	f := func(code int, args string, parts ...string) {
		t.Helper()
		r := p.verb(strings.Fields(args)...)
		if r.code != code {
			t.Errorf("pacewire %s: exit code %d, want %d", args, r.code, code)
		}
		contains(t, "pacewire "+args, r.err, parts...)
	}
	f(64, "upp", `no verb "upp"`, "did you mean pacewire up?")
	f(64, "plugin lsit", `no verb "lsit"`, "did you mean pacewire plugin list?")
	f(64, "completion klingon", `no verb "klingon"`, "pacewire completion --help")
	f(64, "up --plian", "--plian", "pacewire up --help")
	f(64, "tap -n many", `"many"`, "pacewire tap --help")
	f(64, "tap -f xml", `"xml"`, "line or json")
	f(64, "tap -o xml", `"xml"`, "-o table or -o json")
	f(64, "schema", "pacewire schema --help")
	f(64, "schema plugin flter", `"flter"`, "did you mean filter?")
	f(64, "plugin run hsot", `"hsot"`, "did you mean host?")
	f(69, "send", "no agent runs here", "pacewire up", "--bus")
	f(69, "tap", "no agent runs here", "pacewire up", "--bus")
	f(69, "tap --bus nats://127.0.0.1:1", "nats://127.0.0.1:1", "connection refused")
	f(69, "plugin list --bus nats://127.0.0.1:1", "nats://127.0.0.1:1", "connection refused")
	f(1, "send nosuchfile.lp", "nosuchfile.lp", "no such file")
}
