package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pacewire/pacewire/internal/servertest"
)

// A verdict is what conform says of a plugin, as JSON.
type verdict struct {
	Kind                    string
	Passed, Failed, Skipped int
	Seconds                 float64
	Results                 []struct{ Check, Status, Reason, Message string }
	Stderr                  []string
}

// failed returns the checks that failed.
func (v verdict) failed() []string {
	var all []string
	for _, r := range v.Results {
		if r.Status == "FAIL" {
			all = append(all, r.Check)
		}
	}
	return all
}

// String says what there is to say.
func (v verdict) String() string {
	var b strings.Builder
	for _, r := range v.Results {
		if r.Status == "FAIL" {
			b.WriteString("\n" + r.Check + ": " + r.Reason + "\n  " + r.Message)
		}
	}
	return b.String() + "\nit has printed:\n" + strings.Join(v.Stderr, "\n")
}

// conforms runs the kit over a plugin, with flags before its command.
func conforms(t *testing.T, flags []string, command ...string) verdict {
	t.Helper()
	p := newPlace(t)
	args := slices.Concat([]string{"conform", "-o", "json", "--env", "PYTHONPATH", "--env", "PYTHONDONTWRITEBYTECODE"}, flags, []string{"--"}, command)
	r := p.verb(args...)
	var v verdict
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		t.Fatalf("conform ended with %d and said %s%s", r.code, r.out, r.err)
	}
	if (r.code == 0) != (v.Failed == 0) {
		t.Errorf("conform ended with %d, and %d checks failed", r.code, v.Failed)
	}
	return v
}

const atATime = 4 // plugins are checked: they wait more than they work

// eachConforms checks plugins side by side.
func eachConforms[C any](t *testing.T, atATime int, cases map[string]C, check func(t *testing.T, c C)) {
	t.Helper()
	room := make(chan struct{}, atATime)
	var all sync.WaitGroup
	for name, c := range cases {
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			t.Run(name, func(t *testing.T) { check(t, c) })
		})
	}
	all.Wait()
}

// A good plugin passes.
type good struct {
	needs, debian string // a program, and its package
	config        string
	command       []string
	silent        bool // it sends points only when something happens
}

// All built-ins pass the checks that a plugin of somebody else has to pass, and so do the examples in all languages.
func TestConform(t *testing.T) {
	t.Parallel()
	cases := builtIns(t)
	maps.Copy(cases, examples(t))
	eachConforms(t, atATime, cases, func(t *testing.T, c good) {
		if c.needs != "" {
			servertest.Program(t, c.needs, c.debian)
		}
		if c.needs == "node" {
			nodeModules(t)
		}
		flags := []string{"--mutations", "20"}
		if c.config != "" {
			flags = append(flags, "--config", c.config)
		}
		v := conforms(t, flags, c.command...)
		if v.Failed > 0 {
			t.Error(v)
		}
		for _, r := range v.Results {
			if r.Status == "SKIP" && (!c.silent || v.Kind != "collector") && !mayBeSkipped(r.Check) {
				t.Errorf("%s is skipped: %s", r.Check, r.Reason)
			}
		}
		t.Logf("%d passed, %d skipped in %.1f s", v.Passed, v.Skipped, v.Seconds)
	})
}

// mayBeSkipped tells of checks that do not fit each plugin: not all print a manifest, or have a catalog, or allow few settings.
func mayBeSkipped(check string) bool {
	return slices.Contains([]string{"describe", "catalog", "hostile_config", "derived_ids"}, check)
}

func builtIns(t *testing.T) map[string]good {
	t.Helper()
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(sink.Close)
	cases := map[string]good{
		"collector.host":     {},
		"collector.exec":     {config: `{"command":["echo","check_state,check=c state=0i"]}`},
		"collector.lines":    {config: `{"listen":["tcp://127.0.0.1:0"]}`, silent: true},
		"collector.nagios":   {config: `{"checks":{"fine":{"command":["true"],"every":"1s"}}}`},
		"collector.munin":    {config: `{"plugins":["/bin/true"],"conf":""}`},
		"collector.otlp":     {silent: true},
		"collector.scrape":   {config: `{"targets":["127.0.0.1:1"]}`}, // which is down
		"collector.statsd":   {config: `{"listen":["udp://127.0.0.1:0"]}`, silent: true},
		"collector.execd":    {config: `{"command":["cat"]}`, silent: true},
		"processor.execd":    {config: `{"command":["cat"]}`},
		"publisher.execd":    {config: `{"command":["cat"]}`},
		"processor.filter":   {},
		"processor.tag":      {},
		"processor.chain":    {config: `{"steps":[{"use":"tag","add":{"site":"a"}}]}`},
		"publisher.lines":    {config: `{"path":"{dir}/points.lp"}`},
		"publisher.influxdb": {config: `{"url":"` + sink.URL + `","database":"d","create_database":false}`},
	}
	for _, inventory := range []string{"hardware", "network", "os", "pacewire", "packages"} {
		if inventory == "os" || long { // they are alike to who runs them
			cases["collector."+inventory] = good{silent: true}
		}
	}
	if long { // to who runs it, it is like the host collector
		cases["collector.textfile"] = good{config: `{"folders":["{dir}*"]}`, silent: true}
	}
	for name, c := range cases {
		c.command = []string{binary, "plugin", "run", name}
		cases[name] = c
	}
	return cases
}

func examples(t *testing.T) map[string]good {
	t.Helper()
	sdk, err := filepath.Abs("../../sdk")
	if err != nil {
		t.Fatal(err)
	}
	python := func(name string) []string {
		return []string{"env", "PYTHONPATH=" + sdk + "/python", "PYTHONDONTWRITEBYTECODE=1", "python3", sdk + "/python/examples/" + name + ".py"}
	}
	node := func(name string) []string { return []string{"node", sdk + "/node/examples/" + name + ".mjs"} }
	shim := func(kind string, more ...string) []string {
		return append([]string{binary, "plugin", "shim", "--kind", kind}, more...)
	}
	return map[string]good{
		"python/fan":     {needs: "python3", debian: "python3", command: python("fan")},
		"python/clamp":   {needs: "python3", debian: "python3", command: python("clamp")},
		"python/journal": {needs: "python3", debian: "python3", command: python("journal")},
		"python/pager":   {needs: "python3", debian: "python3", command: python("pager")},
		"python/udp":     {needs: "python3", debian: "python3", command: python("udp"), silent: true},
		"node/load":      {needs: "node", debian: "nodejs", command: node("load")},
		"node/scale":     {needs: "node", debian: "nodejs", command: node("scale")},
		"node/append":    {needs: "node", debian: "nodejs", command: node("append")},
		"sh/load":        {command: shim("collector", "--catalog", sdk+"/sh/load.json", "--", sdk+"/sh/load.sh")},
		"sh/prefix":      {command: shim("processor", "--format", "lines", "--", sdk+"/sh/prefix.sh")},
		"sh/append":      {config: `{"path":"{dir}/points.json"}`, command: shim("publisher", "--", sdk+"/sh/append.sh")},
	}
}

// A thousand mutations of each message, and all that are invalid, are refused, and the plugin is what it was. By make conform: in
// the tests of each day there are 20.
func TestConformThousand(t *testing.T) {
	if !long {
		t.Skip("it takes ten minutes: make conform")
	}
	t.Parallel()
	all := builtIns(t)
	maps.Copy(all, examples(t))
	cases := map[string]good{}
	for _, name := range []string{"collector.host", "processor.filter", "publisher.lines", "python/fan", "python/clamp", "python/journal"} {
		cases[name] = all[name]
	}
	eachConforms(t, 2, cases, func(t *testing.T, c good) {
		flags := []string{"--mutations", "1000", "--only", "hostile_messages,bad_batches,mutated_batches"}
		if c.config != "" {
			flags = append(flags, "--config", c.config)
		}
		v := conforms(t, flags, c.command...)
		if v.Failed > 0 {
			t.Error(v)
		}
		for _, r := range v.Results {
			t.Logf("%s: %s", r.Check, r.Reason)
			if c.needs == "" && strings.Contains(r.Reason, "another code") {
				t.Errorf("%s: %s: it is the same reader", r.Check, r.Reason)
			}
		}
	})
}

// nodeModules skips what needs the packages of the library for Node.
func nodeModules(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("../../sdk/node/node_modules"); err == nil {
		return
	}
	end := t.Skip
	if os.Getenv("CI") == "true" {
		end = t.Fatal
	}
	end("no modules of Node: run .ci/install, or npm ci in sdk/node")
}

// A bad plugin has one fault, and fails one check.
type bad struct {
	kind, fault string
	fails       string
	only        string // checks: those of the processes that have the fault
}

// Checks that are made of the same processes.
const (
	ofHello    = "hello,describe"
	ofBeats    = "config,beats,beat,ping,refresh_cached,refresh_collect"
	ofWork     = "config,ping,data,catalog,inputs,derived_ids"
	ofEnd      = "config,ping,drain,goodbye"
	ofSettings = "config_change,hostile_config,sigterm"
	ofHostile  = "hostile_messages,stdin_eof"
	ofFull     = "back_pressure,redelivery"
)

// faultyPlugins are by the faults of the plugin in testdata/faulty.
func faultyPlugins() []bad {
	return []bad{
		{"collector", "silent", "hello", ofHello},
		{"collector", "own_inst", "hello", ofHello},
		{"publisher", "no_manifest", "hello", ofHello},
		{"processor", "wrong_digest", "hello", ofHello},
		{"publisher", "greets_once", "hello", "hello"},
		{"publisher", "describes_other", "describe", ofHello},
		{"publisher", "defiant", "refusal", "refusal"},
		{"collector", "ends_well_refused", "refusal", "refusal"},
		{"collector", "never_begins", "config", ofBeats},
		{"collector", "beats_late", "beats", ofBeats},
		{"publisher", "skips_numbers", "beats", ofBeats},
		{"publisher", "wrong_clock", "beats", ofBeats},
		{"collector", "large_beats", "beats", ofBeats},
		{"collector", "deaf_to_beat", "beat", ofBeats},
		{"collector", "no_pong", "ping", ofBeats},
		{"publisher", "no_list", "refresh_cached", ofBeats},
		{"publisher", "lists_only", "refresh_collect", ofBeats},
		{"collector", "no_ids", "data", ofWork},
		{"collector", "short_ids", "data", ofWork},
		{"collector", "skips_batches", "data", ofWork},
		{"collector", "no_batches", "data", ofWork},
		{"collector", "other_host", "data", ofWork},
		{"collector", "unknown_series", "catalog", ofWork},
		{"collector", "unknown_tag", "catalog", ofWork},
		{"collector", "wrong_type", "catalog", ofWork},
		{"publisher", "never_acks", "inputs", ofWork},
		{"processor", "random_ids", "derived_ids", ofWork},
		{"publisher", "drops_unreadable", "bad_batches", "bad_batches"},
		{"processor", "own_words", "bad_batches", "bad_batches"},
		{"publisher", "refuses_strangers", "mutated_batches", "bad_batches,mutated_batches"},
		{"collector", "keeps_old_tags", "config_change", ofSettings},
		{"collector", "takes_all", "hostile_config", ofSettings},
		{"publisher", "crashes_on_settings", "hostile_config", ofSettings},
		{"collector", "crashes_on_garbage", "hostile_messages", ofHostile},
		{"publisher", "nods", "hostile_messages", ofHostile},
		{"collector", "drops_when_full", "back_pressure", ofFull},
		{"collector", "fails_when_full", "back_pressure", ofFull},
		{"processor", "acks_first", "back_pressure", ofFull},
		{"collector", "same_ids_again", "redelivery", ofFull},
		{"processor", "other_ids_again", "redelivery", ofFull},
		{"collector", "dies_with_bus", "bus_restart", "bus_restart"},
		{"collector", "late_beats", "bus_restart", "bus_restart"},
		{"publisher", "ignores_drain", "drain", ofEnd},
		{"publisher", "leaves_child", "drain", ofEnd},
		{"publisher", "no_goodbye", "goodbye", ofEnd},
		{"publisher", "speaks_after_goodbye", "goodbye", ofEnd},
		{"publisher", "bad_exit", "goodbye", ofEnd},
		{"publisher", "ignores_sigterm", "sigterm", ofSettings},
		{"publisher", "outlives_agent", "stdin_eof", ofHostile},
		{"collector", "oversteps", "permissions", ofWork},
	}
}

// Each fault is found by the check whose promise it breaks, and by no other. In the long form all checks are made each time.
func TestConformFindsFaults(t *testing.T) {
	t.Parallel()
	program := foreign(t, "faulty")
	cases := map[string]bad{}
	for _, kind := range []string{"collector", "processor", "publisher"} {
		cases[kind+"/none"] = bad{kind: kind, fault: "none"}
	}
	for _, b := range faultyPlugins() {
		cases[b.kind+"/"+b.fault] = b
	}
	eachConforms(t, 2*atATime, cases, func(t *testing.T, b bad) {
		flags := []string{"--mutations", "20"}
		if !long && b.only != "" {
			flags = append(flags, "--only", b.only)
		}
		var want []string
		if b.fails != "" {
			want = []string{b.fails}
		}
		if v := conforms(t, flags, program, b.kind, b.fault); !slices.Equal(v.failed(), want) {
			t.Errorf("failed %q, want %q%v", v.failed(), want, v)
		}
	})
}

// What the operator may get wrong is said in a sentence.
func TestConformMistakes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	f := func(code int, says string, args ...string) {
		t.Helper()
		r := p.verb(append([]string{"conform"}, args...)...)
		if r.code != code || !strings.Contains(r.out+r.err, says) {
			t.Errorf("%q ended with %d, want %d, and %q:\n%s%s", args, r.code, code, says, r.out, r.err)
		}
	}
	f(64, "which plugin? put its command behind --")
	f(64, "there is no command", "--", "./no-such-plugin")
	f(64, "it has no line #!", "--", program(t, p.write("plugin", "nothing")))
	if _, err := exec.LookPath("ls"); err == nil {
		f(1, "it ended with exit code 0 before the first heartbeat", "--", "ls", "/")
	}
	f(1, "it is a collector, and not a publisher", "--kind", "publisher", "--", binary, "plugin", "run", "collector.host")
	f(1, "give it others by --config", "--only", "beats", "--", binary, "plugin", "run", "processor.chain")
	f(64, `there is no check "beets"`, "--only", "beets", "--", "true")
	f(64, "want a JSON object", "--config", "[1]", "--", "true")
}

// program makes a file one that may be executed.
func program(t *testing.T, path string) string {
	t.Helper()
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
