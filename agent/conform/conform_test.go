package conform

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

func TestValidate(t *testing.T) {
	f := func(o Options, says string) {
		t.Helper()
		err := o.Validate()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	command := []string{"true"}
	f(Options{}, "which plugin?")
	f(Options{Command: command}, "")
	f(Options{Command: command, Kind: "publisher", Config: []byte(`{"a":1}`), Only: []string{"drain"}}, "")
	f(Options{Command: command, Kind: "hub"}, `kind "hub"`)
	f(Options{Command: command, Config: []byte(`[1]`)}, "want a JSON object")
	f(Options{Command: command, Config: []byte(`null`)}, "want a JSON object")
	f(Options{Command: command, Only: []string{"beets"}}, `no check "beets": there are hello, `)
	f(Options{Command: command, Mutations: -1}, "mutations -1")
}

// What cannot be started is an error, and not a plugin that fails.
func TestRunWithoutProgram(t *testing.T) {
	_, err := Run(t.Context(), Options{Command: []string{"./no-such-plugin"}})
	if !errors.Is(err, ErrCommand) || !strings.Contains(err.Error(), `"./no-such-plugin"`) {
		t.Error(err)
	}
}

// What is no plugin fails the first check, and the others are skipped.
func TestRunWithoutPlugin(t *testing.T) {
	var told []Result
	r, err := Run(t.Context(), Options{Command: []string{"sh", "-c", "echo lost >&2; exit 3"}, OnResult: func(r Result) { told = append(told, r) }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 1 || r.Passed != 0 || len(r.Results) != len(checks) || r.Results[0].Check != "hello" {
		t.Errorf("%+v", r)
	}
	if reason := r.Results[0].Reason; !strings.Contains(reason, "exit code 3") || !strings.Contains(reason, "lost") {
		t.Error(reason)
	}
	if len(told) != 1 || told[0].Check != "hello" {
		t.Errorf("told: %+v", told)
	}
	if len(r.Stderr) != 1 || r.Stderr[0] != "lost" {
		t.Errorf("stderr: %q", r.Stderr)
	}
}

// The first word on a check counts. A failure counts though nobody has asked for the check, nothing else does.
func TestSettle(t *testing.T) {
	k := &kit{o: Options{Only: []string{"beats", "drain"}}, results: map[string]Result{}}
	k.meet(telemetry.Manifest{Kind: "collector"})
	k.settle("drain", nil, nil)
	k.settle("drain", errors.New("later"), nil)
	k.settle("ping", nil, nil)
	k.settle("hello", errors.New("no manifest"), func() []string { return []string{"traceback"} })
	k.settle("beats", skipped("not %s", "now"), nil)
	r := k.report()
	var got []string
	for _, one := range r.Results {
		got = append(got, one.Check+" "+string(one.Status)+" "+one.Reason)
	}
	if want := "hello FAIL no manifest, beats SKIP not now, drain PASS "; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if r.Passed != 1 || r.Failed != 1 || r.Skipped != 1 || len(r.Stderr) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestWanted(t *testing.T) {
	f := func(kind string, only []string, check string, want bool) {
		t.Helper()
		k := &kit{o: Options{Only: only}}
		k.meet(telemetry.Manifest{Kind: kind})
		if k.wants(check) != want {
			t.Errorf("%s of a %s, only %q: want %v", check, kind, only, want)
		}
	}
	f("", nil, "data", true) // it may be one
	f("collector", nil, "data", true)
	f("publisher", nil, "data", false)
	f("publisher", nil, "ping", true)
	f("publisher", []string{"drain"}, "ping", false)
	f("processor", []string{"derived_ids"}, "derived_ids", true)
}

// Each check is one of a scene, and of the page that says how to mend what it finds.
func TestChecks(t *testing.T) {
	page, err := os.ReadFile("../../docs/conform.md")
	if err != nil {
		t.Fatal(err)
	}
	played := map[string]bool{"hello": true, "describe": true, "permissions": true} // by those who play them all
	for _, sc := range scenes() {
		for _, name := range sc.checks {
			if _, known := checkOf(name); !known || played[name] {
				t.Errorf("scene %s: %s is unknown, or in two scenes", sc.name, name)
			}
			played[name] = true
		}
	}
	for _, c := range Checks() {
		if !played[c.Name] {
			t.Errorf("no scene plays %s", c.Name)
		}
		if !strings.Contains(string(page), "`"+c.Name+"`") {
			t.Errorf("docs/conform.md does not say what %s is", c.Name)
		}
	}
}
