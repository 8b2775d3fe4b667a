package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const mainText = "every: 5s\ncollect: { cpu: , mem: }\nprocess: { hot: { use: filter, from: cpu, keep: x } }\npublish: { influx: { from: [hot, mem] } }\n"

func joined(texts ...Source) (*Settings, error) {
	return Join(options(), append([]Source{{Name: "pacewire.yaml", Text: []byte(mainText)}}, texts...)...)
}

// TestJoinLoaded has what can be said to a running agent.
func TestJoinLoaded(t *testing.T) {
	f := func(text string, replaces bool, want string) {
		t.Helper()
		_, err := joined(Source{Name: "plugin load", Text: []byte(text), Loaded: true, Replaces: replaces})
		if got := ""; err != nil {
			if got = err.Error(); got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", text, got, want)
			}
		} else if want != "" {
			t.Errorf("%s: no fault, want\n%s", text, want)
		}
	}
	f("collect: { os: }", false, "")
	f("collect: { cpu2: { use: cpu } }\npublish: { p2: { use: prometheus, from: [cpu2, hot] } }", false, "")
	f(`{"collect": {"os": {"every": "10s"}}}`, false, "") // as the command line writes it
	f("collect: { cpu: { every: 1m } }", true, "")
	f("collect: { cpu: { every: 1m } }", false,
		"plugin load:1:12: there are two plugins cpu: the first in pacewire.yaml:2\n    collect: { cpu: { every: 1m } }\n               ^ choose another name, or load it with --replace")
	f("collect: { hot: { use: os } }", false, // it comes before the other one, and is to blame nevertheless
		"plugin load:1:12: there are two plugins hot: the first in pacewire.yaml:3\n    collect: { hot: { use: os } }\n               ^ choose another name, or load it with --replace")
	f("collect: { x: { use: cpu, per_cor: true } }", false,
		"plugin load:1:27: cpu has no setting per_cor\n    collect: { x: { use: cpu, per_cor: true } }\n                              ^ did you mean per_core?")
	f("process: { a: { use: filter, from: ht } }", false,
		"plugin load:1:36: from: there is no plugin ht\n    process: { a: { use: filter, from: ht } }\n                                       ^ did you mean hot?")
	f("every: 1s", true,
		"plugin load:1:1: every: what is loaded holds plugins only, below collect, process and publish\n    every: 1s\n    ^ set it in the config that the agent was started with")
	f("env: [SECRET]\ncollect: { os: }", false,
		"plugin load:1:1: env: what is loaded holds plugins only, below collect, process and publish\n    env: [SECRET]\n    ^ set it in the config that the agent was started with")
	f("z: { use: host }", false,
		"plugin load:1:1: unknown key z\n    z: { use: host }\n    ^ put it below collect:, process: or publish:")
	f("z: { only: [cpu] }", false,
		"plugin load:1:1: unknown key z\n    z: { only: [cpu] }\n    ^ put it below collect:, process: or publish:")
	f("outputs: { z: { use: prometheus, from: all } }", false,
		"plugin load:1:1: unknown key outputs\n    outputs: { z: { use: prometheus, from: all } }\n    ^ did you mean publish?")
	// A loop through a plugin of the main file.
	f("process: { cold: { use: filter, from: hot }, hot: { use: filter, from: cold } }", true,
		"plugin load:1:39: from: points would go round for ever: cold reads hot reads cold\n    process: { cold: { use: filter, from: hot }, hot: { use: filter, from: cold } }\n                                          ^ remove one of these from:")
	f("publish: { hot: { use: prometheus, from: cpu } }", true, // influx reads hot
		"pacewire.yaml:4:29: from: hot is a publisher: it carries points out and gives none on\n    publish: { influx: { from: [hot, mem] } }\n                                ^ read what it reads: cpu")
}

func TestReplaced(t *testing.T) {
	s, err := joined(
		Source{Name: "loaded/hot.yaml", Text: []byte("process: { hot: { use: stats, from: cpu } }"), Loaded: true, Replaces: true},
		Source{Name: "loaded/hot2.yaml", Text: []byte("process: { hot: { use: stats, from: cpu, window: 5s } }"), Loaded: true, Replaces: true},
	)
	if err != nil {
		t.Fatal(err)
	}
	if p := s.Plugins[2]; p.Name != "hot" || string(p.Config) != `{"window":"5s"}` || p.Position.File != "loaded/hot2.yaml" || len(s.Plugins) != 4 {
		t.Errorf("got %+v", s.Plugins)
	}
	want := "pacewire.yaml:3:12: hot is not this one: another was loaded in its place (loaded/hot2.yaml)\n" +
		"    process: { hot: { use: filter, from: cpu, keep: x } }\n               ^ pacewire plugin unload hot brings this one back"
	if len(s.Warnings) != 1 || s.Warnings[0].Error() != want {
		t.Errorf("warnings %v", s.Warnings)
	}

	// Only what was loaded may do so.
	_, err = joined(Source{Name: "conf.d/a.yaml", Text: []byte("collect: { cpu: }"), Replaces: true})
	if got := messages(err); len(got) != 1 || !strings.HasPrefix(got[0], "there are two plugins cpu") {
		t.Errorf("got %q", got)
	}
}

// TestSplitKeepsMeaning cuts every good config into pieces, writes and reads them, and wants the same plugins.
func TestSplitKeepsMeaning(t *testing.T) {
	for _, name := range glob(t, "testdata/good/*.yaml") {
		text := read(t, name)
		want, err := Parse(options(), name, text)
		if err != nil {
			t.Fatal(err)
		}
		pieces, err := Split(Source{Name: name, Text: text})
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "loaded")
		for _, p := range pieces {
			if err := p.Write(dir); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := Pieces(dir)
		if err != nil || len(kept) != len(pieces) || len(kept) != len(want.Plugins) {
			t.Fatalf("%s: %d pieces, %d kept, %v", name, len(pieces), len(kept), err)
		}
		sources := []Source{{Name: "main", Text: []byte("env: [PORT, SECRET, LIST, DIR]\nbus: nats://b")}}
		for _, p := range kept {
			sources = append(sources, p.Source(dir))
		}
		got, err := Join(options(), sources...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, p := range want.Plugins {
			i := slices.IndexFunc(got.Plugins, func(q Plugin) bool { return q.Name == p.Name })
			if i < 0 || string(got.Plugins[i].Config) != string(p.Config) || string(got.Plugins[i].Shown) != string(p.Shown) {
				t.Errorf("%s: %s was %s, is %+v", name, p.Name, p.Config, got.Plugins[max(0, i)])
			}
		}
	}
}

func TestPieceFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "loaded")
	if got, err := Pieces(dir); got != nil || err != nil {
		t.Errorf("nothing yet: %v, %v", got, err)
	}
	p := Piece{Plugin: "hot", Text: []byte("collect: { hot: { use: cpu } }\n")}
	for _, replaces := range []bool{false, true} {
		p.Replaces = replaces
		if err := p.Write(dir); err != nil {
			t.Fatal(err)
		}
		got, err := Pieces(dir)
		if err != nil || len(got) != 1 || got[0].Plugin != "hot" || got[0].Replaces != replaces || string(got[0].Text) != string(p.Text) {
			t.Errorf("got %+v, %v", got, err)
		}
		// What messages say of it is where it stands in its file.
		if text := read(t, filepath.Join(dir, "hot.yaml")); string(p.Source(dir).Text) != string(text) {
			t.Errorf("the file holds %q", text)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "hot.yaml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}
	for range 2 {
		if err := RemovePiece(dir, "hot"); err != nil {
			t.Error(err)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("left over: %v, %v", list, err)
	}
	if (Piece{Plugin: "../hot"}).Write(dir) == nil || RemovePiece(dir, "../hot") == nil {
		t.Error("a name leads out of the folder")
	}
}

func TestSplitFaults(t *testing.T) {
	_, err := Split(Source{Name: "load", Text: []byte("collect:\n\tx:")})
	var faults Faults
	if !errors.As(err, &faults) || faults[0].Line != 2 {
		t.Errorf("got %v", err)
	}
}

// TestRetarget swaps what a plugin runs, and wants a config that is still good.
func TestRetarget(t *testing.T) {
	f := func(text, use string, run []string, pin, want string) {
		t.Helper()
		pieces, err := Split(Source{Text: []byte(text), Replaces: true})
		if err != nil || len(pieces) != 1 {
			t.Fatal(pieces, err)
		}
		p, err := pieces[0].Retarget(use, run, pin)
		if err != nil || string(p.Text) != want || p.Plugin != pieces[0].Plugin || !p.Replaces {
			t.Errorf("got %+v, %v:\n%s", p, err, p.Text)
		}
		if _, err := joined(p.Source("loaded")); err != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
	pin := strings.Repeat("0123", 16) // a number of YAML, if it is not quoted
	f("process: { hot: { use: filter, from: cpu, keep: x, config: { drop: y } } }", "", []string{"python3", "hot.py", "*"}, pin,
		"process:\n  hot:\n    from: cpu\n    config:\n      keep: x\n      drop: y\n    run: [python3, hot.py, '*']\n    sha256: \""+pin+"\"\n")
	f("process:\n  hot:\n    use: filter # as ever\n    from: cpu\n    start: new\n", "stats", nil, "", "process:\n  hot:\n    from: cpu\n    start: new\n    use: stats\n")
	f("collect: { app: { run: python3 app.py, sha256: "+pin+" } }", "", []string{"python3"}, "", "collect:\n  app:\n    run: [python3]\n")
	f("collect: { app: { run: python3 app.py, config: { only: [a] } } }", "host", nil, "", "collect:\n  app:\n    config: {only: [a]}\n    use: host\n")
	f("collect: { mem: }", "cpu", nil, "", "collect:\n  mem:\n    use: cpu\n")
	f("collect: { mem: }", "", nil, "", "collect:\n  mem: {}\n")

	for _, text := range []string{"collect: { mem: [] }", "collect: [mem]", "", "collect:\n\tmem:"} {
		if _, err := (Piece{Plugin: "mem", Text: []byte(text)}).Retarget("cpu", nil, ""); err == nil {
			t.Errorf("%q is no entry", text)
		}
	}
}

func TestFiles(t *testing.T) {
	names := write(t, "pacewire.yaml", "collect: { cpu: }", "conf.d/b.yaml", "every: 5s", "conf.d/a.yaml", "collect: { mem: }", "conf.d/x.txt", "")
	confd := filepath.Dir(names[1])
	s, err := Load(options(), names[0], confd)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{names[0], confd, names[2], names[1]}; !slices.Equal(s.Files, want) || len(s.Plugins) != 2 || s.Every.String() != "5s" {
		t.Errorf("files %q, want %q: %+v", s.Files, want, s)
	}
	if s, err := Parse(options(), "text", []byte("collect: { cpu: }")); err != nil || s.Files != nil {
		t.Errorf("a text is no file: %v, %v", s, err)
	}
	_, err = Load(options(), names[0], filepath.Join(confd, "gone.yaml"))
	if got := messages(err); !slices.Equal(got, []string{"there is no such file"}) {
		t.Errorf("got %q", got)
	}
}
