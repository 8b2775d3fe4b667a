package config

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write makes files in a folder of their own, given as name, text, name, text ...
func write(t *testing.T, namesAndTexts ...string) (files []string) {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(namesAndTexts); i += 2 {
		file := filepath.Join(dir, namesAndTexts[i])
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(namesAndTexts[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

func TestLoadJoinsFiles(t *testing.T) {
	files := write(t,
		"pacewire.yaml", "every: 10s\nowner: ops\ntags: { site: lab, rack: a }\nenv: [PORT]\ncollect: { cpu: }\n",
		"conf.d/10-a.yaml", "every: 30s\ntags: { rack: b }\ncollect: { mem: }\nenv: [SECRET]\n",
		"conf.d/20-b.yaml", "# nothing yet\n",
		"conf.d/30-c.yaml", "publish: { influx: { from: all, password: \"${SECRET}\", retries: \"${PORT}\" } }\nprocess: { f: { use: filter, from: [cpu, mem] } }\n",
	)
	s, err := Load(options(), files...)
	if err != nil {
		t.Fatal(err)
	}
	if s.Every.String() != "30s" || s.Owner != "ops" || s.Tags["rack"] != "b" || s.Tags["site"] != "lab" {
		t.Errorf("joined: %+v", s)
	}
	var got []string
	for _, p := range s.Plugins {
		got = append(got, p.Name)
	}
	if want := []string{"cpu", "mem", "f", "influx"}; !slices.Equal(got, want) {
		t.Errorf("plugins %v, want %v", got, want)
	}
	if p := s.Plugins[1].Position; p.File != files[1] || p.Line != 3 {
		t.Errorf("mem stands at %v", p)
	}
	if got := s.Inputs(s.Plugins[3]); !slices.Equal(got, []string{"cpu", "mem", "f"}) {
		t.Errorf("inputs of influx: %v", got)
	}
	if got := s.Inputs(s.Plugins[2]); !slices.Equal(got, []string{"cpu", "mem"}) {
		t.Errorf("inputs of f: %v", got)
	}
}

func TestLoadConflicts(t *testing.T) {
	files := write(t,
		"pacewire.yaml", "every: 10s\ncollect: { cpu: }\n",
		"conf.d/a.yaml", "every: 20s\ntags: { site: a }\n",
		"conf.d/b.yaml", "every: 30s\ntags: { site: b }\ncollect: { cpu: }\n",
	)
	_, err := Load(options(), files...)
	want := []string{
		"every is set twice: first in " + files[1] + ":1",
		"tags.site is set twice: first in " + files[1] + ":2",
		"there are two plugins cpu: the first in " + files[0] + ":2",
	}
	if got := messages(err); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.HasPrefix(err.Error(), files[2]+":1:1: ") {
		t.Errorf("the fault is in the later file: %v", err)
	}
}

func TestLoadFaultsOfAllFiles(t *testing.T) {
	files := write(t, "a.yaml", "owner: \"ops\nevery: 1\n", "b.yaml", "collect:\n\tcpu:\n")
	_, err := Load(options(), append(files, filepath.Join(t.TempDir(), "gone.yaml"))...)
	want := []string{"a quote is opened in this line and never closed", "a tab: YAML is indented with blanks only", "there is no such file"}
	if got := messages(err); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLoadUnreadable(t *testing.T) {
	f := func(want string, files ...string) {
		t.Helper()
		_, err := Load(options(), files...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("no config file is given")
	f("pacewire init writes one", filepath.Join(t.TempDir(), "pacewire.yaml"))
	f("no file of this folder sets anything", t.TempDir())

	// Root may read everything, so this one is not left to the file system.
	if got := unreadable("c.yaml", fs.ErrPermission).Error(); !strings.HasPrefix(got, "c.yaml: no permission to read it\n    let the user of the agent") {
		t.Errorf("got %q", got)
	}
}

func TestPlaces(t *testing.T) {
	f := func(root bool, xdg, main, confd string) {
		t.Helper()
		environ := func(name string) (string, bool) {
			v := map[string]string{"XDG_CONFIG_HOME": xdg, "HOME": "/home/u"}[name]
			return v, v != ""
		}
		if m, c := Places(root, environ); m != main || c != confd {
			t.Errorf("Places(%v) with %q = %q, %q", root, xdg, m, c)
		}
	}
	f(true, "/x", "/etc/pacewire/pacewire.yaml", "/etc/pacewire/conf.d")
	f(false, "/x", "/x/pacewire/pacewire.yaml", "/x/pacewire/conf.d")
	f(false, "", "/home/u/.config/pacewire/pacewire.yaml", "/home/u/.config/pacewire/conf.d")
	f(false, "relative", "/home/u/.config/pacewire/pacewire.yaml", "/home/u/.config/pacewire/conf.d")
}

func TestConfD(t *testing.T) {
	files := write(t, "20-b.yaml", "", "10-a.yaml", "", "old.yaml~", "", ".hidden.yaml", "", "sub.yaml/x", "")
	got, err := ConfD(filepath.Dir(files[0]))
	if want := []string{files[1], files[0]}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, err := ConfD(filepath.Join(t.TempDir(), "gone")); err != nil || got != nil {
		t.Errorf("missing folder: %v, %v", got, err)
	}
	if _, err := ConfD(files[0]); err == nil {
		t.Error("a file is no folder")
	}
}

func TestOffline(t *testing.T) {
	f := func(offline bool, text string, faults, warnings []string) {
		t.Helper()
		o := options()
		o.Offline = offline
		s, err := Parse(o, "c.yaml", []byte("bus: nats://b\n"+text))
		if got := messages(err); !slices.Equal(got, faults) {
			t.Errorf("%q: faults %q, want %q", text, got, faults)
		}
		if err != nil {
			return
		}
		var got []string
		for _, w := range s.Warnings {
			got = append(got, w.Message)
		}
		if !slices.Equal(got, warnings) {
			t.Errorf("%q: warnings %q, want %q", text, got, warnings)
		}
	}
	f(false, "collect: { x: { run: nothing here } }", []string{"run: there is no program nothing on PATH"}, nil)
	f(true, "collect: { x: { run: nothing here } }", nil, nil)
	f(false, "collect: { zebra: }", []string{"there is no collector program zebra"}, nil)
	f(true, "collect: { zebra: }", nil, []string{"zebra is no built-in; whether there is a program pacewire-zebra was not looked at (offline)"})
	f(true, "collect: { cpuu: }", []string{"there is no collector program cpuu"}, nil)
	f(false, "publish: { influx: { on: x, password_file: /nowhere } }", nil, []string{"password_file: there is no file /nowhere yet"})
	f(true, "publish: { influx: { on: x, password_file: /nowhere } }", nil, nil)
	f(false, "collect: { cpu: { run_as: nobdy } }", []string{"run_as: this machine has no user nobdy"}, nil)
	f(true, "collect: { cpu: { run_as: nobdy } }", nil, nil)
	f(false, "discover: { keys: /nowhere }\ncollect: { cpu: }", nil, []string{"discover.keys: there is no folder /nowhere yet"})
	f(true, "discover: { keys: /nowhere }\ncollect: { cpu: }", nil, nil)
	f(false, "discover: { keys: config.go }", []string{"discover.keys: want a folder such as /opt/pacewire/plugins, got config.go"}, nil)
}

// What is allowed and hardly meant is told.
func TestBusWarnings(t *testing.T) {
	f := func(bus string, want ...string) {
		t.Helper()
		s, err := Parse(options(), "c.yaml", []byte("bus: { "+bus+" }\ncollect: { cpu: }\npublish: { influx: { from: cpu, on: x } }"))
		if err != nil {
			t.Fatalf("%s: %v", bus, err)
		}
		var got []string
		for _, w := range s.Warnings {
			got = append(got, w.Message+"; "+w.Hint)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: warnings %q, want %q", bus, got, want)
		}
	}
	f("urls: nats://b, replicas: 1")
	f("urls: nats://b, replicas: 2", "bus.replicas: most servers that keep a stream have to be there: of 2 none may be away, as of 1; write 3")
	f("urls: nats://b, replicas: 3")
	f("urls: nats://b, replicas: 4", "bus.replicas: most servers that keep a stream have to be there: of 4 one may be away, as of 3; write 5")
	f("urls: nats://b, replicas: 5")
	f("sync: 1m")
	f("sync: 2h", "bus.sync: a power cut may take what was acknowledged in the last 2h; write 1s, or leave it out for always")
	f("max_store: 8MiB")
}

func TestSecretFiles(t *testing.T) {
	file := write(t, "secret", "x")[0]
	parse := func(o Options) (*Settings, error) {
		return Parse(o, "c.yaml", []byte("publish: { influx: { on: x, password_file: "+file+" } }"))
	}
	if s, err := parse(options()); err != nil || len(s.Warnings) > 0 {
		t.Errorf("0600: %v, %+v", err, s)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := parse(options())
	if got := messages(err); len(got) != 1 || got[0] != "password_file: every user of this machine may read "+file {
		t.Errorf("0644: %q", got)
	}
	o := options()
	o.InsecureFiles = true
	if _, err := parse(o); err != nil {
		t.Errorf("0644 accepted by option: %v", err)
	}
}

// TestDefaults uses the real environment and PATH.
func TestDefaults(t *testing.T) {
	t.Setenv("PACEWIRE_TEST_OWNER", "ops")
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.WriteFile(filepath.Join(dir, "pacewire-kafka"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := Parse(Options{}, "c.yaml", []byte("env: PACEWIRE_TEST_OWNER\nowner: ${PACEWIRE_TEST_OWNER}\npublish: { kafka: { on: x } }\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Plugins[0].Run; s.Owner != "ops" || len(got) != 1 || got[0] != filepath.Join(dir, "pacewire-kafka") {
		t.Errorf("owner %q, run %q", s.Owner, got)
	}
}

// TestUsers asks this machine.
func TestUsers(t *testing.T) {
	f := func(name string, known bool) {
		t.Helper()
		_, err := Parse(Options{}, "c.yaml", []byte("collect: { x: { run: /bin/true, run_as: "+name+" } }"))
		if (err == nil) != known {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("root", true)
	f("54321", true) // a number needs no name
	f("no-such-user-here", false)
}

func TestFaultsAsJSON(t *testing.T) {
	_, err := Parse(options(), "c.yaml", []byte("every: 10\n"))
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("not Faults: %v", err)
	}
	got, err := json.Marshal(faults)
	want := `[{"file":"c.yaml","line":1,"column":8,"text":"every: 10","caret":7,"message":"every: want a duration such as 10s, got 10","hint":"did you mean 10s?"}]`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestFaultsErrorIsBounded(t *testing.T) {
	var text strings.Builder
	for range 60 {
		text.WriteString(strings.Repeat("x", text.Len()%7+1) + string(rune('a'+text.Len()%26)) + ": 1\n")
	}
	_, err := Parse(options(), "c.yaml", []byte(text.String()))
	if n := len(messages(err)); n != 60 {
		t.Errorf("%d faults, want 60", n)
	}
	if !strings.HasSuffix(err.Error(), "\nand 10 more") {
		t.Error("the text does not end with what was left out")
	}
}

// TestSecretsStaySecret has a secret wherever one can stand and looks for it in all that is shown.
func TestSecretsStaySecret(t *testing.T) {
	f := func(text string) {
		t.Helper()
		s, err := Parse(options(), "c.yaml", []byte(text))
		out := ""
		if err != nil {
			out = err.Error()
		} else {
			shown, _ := json.Marshal([]any{s.Warnings, s.Plugins[len(s.Plugins)-1].Shown})
			out = string(shown)
		}
		if strings.Contains(out, "hunter2") {
			t.Errorf("%q tells its secret: %s", text, out)
		}
	}
	f("publish: { influx: { from: x, password: hunter2, y: 1 } }")
	f("publish: { influx: { from: x, password: \"hunter2 \\\" hunter2\", y: 1 } }")
	f("publish: { influx: { from: x, 'password': 'hunter2', y: 1 } }")
	f("publish: { influx: { from: x, password:hunter2 } }")
	f("publish:\n  influx:\n    password: a,b}hunter2\n")
	f("publish: { influx: { on: x, password: hunter2 } }")
	f("publish: { x: { run: python3 x.py, on: x, config: { api_key: hunter2, deep: { auth_token: [hunter2] } } } }")
	f("publish: { x: { run: python3 x.py, on: x, config: { url: http://u:hunter2@h/ } } }")
	f("publish: { x: { run: pythn3, on: x, config: { Password: hunter2 } } }")
	f("bus: nats://u:hunter2@\n")
	f("bus: u:hunter2@b:4222\n")
	f("env: SECRET\npublish: { influx: { on: x, url: \"${SECRET}\" } }")
	f("env: SECRET\npublish: { influx: { on: x, retries: \"${SECRET}\", max_bytes: \"1${SECRET}\" } }")
	f("env: SECRET\npublish: { influx: { from: \"${SECRET}\", start: \"${SECRET}\", every: \"${SECRET}\" } }")
	f("env: SECRET\npublish: { x: { run: \"${SECRET}\", on: x } }")
	f("env: SECRET\npublish: { x: { run: [\"${SECRET}\"], on: x } }")
	f("env: SECRET\npublish: { x: { run: python3 x.py, on: x, config: { a: [\"${SECRET}\"], b: { c: \"a${SECRET}\" } } } }")
	f("env: SECRET\npublish: { x: { use: \"${SECRET}\", on: x } }")
	f("env: SECRET\nbus: \"${SECRET}\"\nlog: \"${SECRET}\"\nweb: { listen: \"${SECRET}\" }\nhost: \"${SECRET} x\"\n")
	f("password: \"hunter2\nevery: 10s\n")
}
