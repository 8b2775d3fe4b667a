package config

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/golden"
)

// programs are a few built-ins with the kinds of settings that there are.
func programs() []Program {
	schema := func(properties string) json.RawMessage {
		return json.RawMessage(`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false,"properties":{` + properties + `}}`)
	}
	const duration = `"type":"string","pattern":"^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$"`
	return []Program{
		{Kind: Collector, Name: "cpu", Schema: schema(`"per_core":{"type":"boolean","default":false,"description":"one point for each core"}`)},
		{Kind: Collector, Name: "mem", Schema: schema(``)},
		{Kind: Collector, Name: "os", Inventory: true, Schema: schema(``)},
		{Kind: Collector, Name: "host", Schema: schema(`
			"only":{"type":["null","array"],"items":{"type":"string"},"default":[]},
			"skip":{"type":["null","array"],"items":{"type":"string"},"default":[],"maxItems":3}`)},
		{Kind: Processor, Name: "filter", Schema: schema(`
			"keep":{"type":"string","default":"","description":"an expression; points for which it holds are kept"},
			"drop":{"type":"string","default":""}`)},
		{Kind: Processor, Name: "stats", Schema: schema(`
			"window":{` + duration + `,"default":"1m","description":"how long points are gathered"},
			"of":{"type":"string","enum":["mean","min","max","sum"],"default":"mean"},
			"quantile":{"type":"number","minimum":0,"maximum":1,"default":0.5},
			"bounds":{"type":"object","additionalProperties":false,"properties":{
				"points":{"type":"integer","minimum":1,"default":1000},"series":{"type":"integer","default":100}}},
			"rename":{"type":"object","additionalProperties":{"type":"string"}},
			"value":{"type":["number","boolean","string"]}`)},
		{Kind: Publisher, Name: "influx", Schema: schema(`
			"url":{"type":"string","pattern":"^https?://","default":"http://127.0.0.1:8086","description":"where InfluxDB listens"},
			"database":{"type":"string","minLength":1,"default":"metrics"},
			"password":{"type":"string","writeOnly":true},
			"password_file":{"type":"string","default":""},
			"max_bytes":{"type":"integer","minimum":1024,"default":1048576},
			"retries":{"type":"integer","exclusiveMinimum":0,"default":3}`)},
		{Kind: Publisher, Name: "prometheus", Alone: listens, Schema: schema(`"listen":{"type":"string","default":"127.0.0.1:9273"}`)},
	}
}

// listens says of a publisher that listens why there is one of it.
func listens([]byte) error { return errors.New("one process alone can listen there") }

// options is a machine of its own: a small environment and a PATH of two programs.
func options() Options {
	environ := map[string]string{"PORT": "9273", "SECRET": "hunter2", "LIST": "[a, b]", "DIR": "/opt/a b"}
	return Options{
		Programs: programs(),
		Environ:  func(name string) (string, bool) { v, ok := environ[name]; return v, ok },
		LookPath: func(name string) (string, error) {
			switch name {
			case "python3", "pacewire-kafka":
				return "/usr/bin/" + name, nil
			case "/opt/plain.txt":
				return "", fs.ErrPermission
			case "/opt":
				return "", &exec.Error{Name: name, Err: syscall.EISDIR}
			}
			return "", fs.ErrNotExist
		},
		Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
		LookUser: func(name string) error {
			if name != "nobody" {
				return user.UnknownUserError(name)
			}
			return nil
		},
	}
}

// TestBad holds what users read most. Each file of testdata/bad is a mistake somebody will make.
func TestBad(t *testing.T) {
	for _, file := range glob(t, "testdata/bad/*.yaml") {
		_, err := Parse(options(), filepath.Base(file), read(t, file))
		if err == nil {
			t.Errorf("%s: no fault found", file)
			continue
		}
		golden.Equal(t, strings.TrimSuffix(file, ".yaml")+".txt", []byte(err.Error()+"\n"))
	}
}

func TestGood(t *testing.T) {
	for _, file := range glob(t, "testdata/good/*.yaml") {
		s, err := Parse(options(), filepath.Base(file), read(t, file))
		if err != nil {
			t.Errorf("%s:\n%v", file, err)
			continue
		}
		got, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, strings.TrimSuffix(file, ".yaml")+".json", append(got, '\n'))
	}
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return files
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// messages gives the first line of each fault.
func messages(err error) []string {
	var faults Faults
	errors.As(err, &faults)
	list := make([]string, len(faults))
	for i, f := range faults {
		list[i] = f.Message
	}
	return list
}
