package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

type sample struct {
	Name     string         `json:"name" jsonschema:"a name"`
	Mode     string         `json:"mode" jsonschema:"a mode"`
	Every    Duration       `json:"look_every" jsonschema:"a time"`
	Password Secret         `json:"password" jsonschema:"a secret"`
	List     []string       `json:"list" jsonschema:"a list"`
	Map      map[string]int `json:"map" jsonschema:"a map"`
	Limit    struct {
		Rows int `json:"rows" jsonschema:"a number"`
		Wait Duration
	} `json:"limit" jsonschema:"limits"`
	Hidden string `json:"-"`
}

func (s sample) Validate() error {
	var faults []error
	if s.Name == "" {
		faults = append(faults, errors.New("name is empty"))
	}
	if s.Limit.Rows < 0 {
		faults = append(faults, errors.New("limit.rows is negative"))
	}
	return errors.Join(faults...)
}

func samples() settings[sample] {
	base := sample{Name: "a", Mode: "slow", Every: Duration(time.Minute), List: []string{"x", "y"}, Map: map[string]int{"one": 1}}
	base.Limit.Rows = 5
	return newSettings(base, map[string][]any{"mode": {"slow", "fast"}})
}

func TestReadSettings(t *testing.T) {
	f := func(text string, edit func(*sample)) {
		t.Helper()
		s := samples()
		want := s.base
		edit(&want)
		if got, err := s.read([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	f("", func(*sample) {})
	f("  \n", func(*sample) {})
	f("{}", func(*sample) {})
	f(`{"name": "b", "look_every": "1m30s"}`, func(s *sample) { s.Name, s.Every = "b", Duration(90*time.Second) })
	f(`{"list": ["z"]}`, func(s *sample) { s.List = []string{"z"} })
	f(`{"list": []}`, func(s *sample) { s.List = []string{} })
	f(`{"map": {"two": 2}}`, func(s *sample) { s.Map = map[string]int{"two": 2} }) // replaced, not merged
	f(`{"limit": {}}`, func(s *sample) { s.Limit.Rows = 0 })
	f(`{"password": "p"}`, func(s *sample) { s.Password = "p" })
	f(`{"password_file": ""}`, func(*sample) {})
}

func TestReadSettingsTwice(t *testing.T) {
	s := samples()
	if _, err := s.read([]byte(`{"map": {"two": 2}, "list": ["q"]}`)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.read(nil); err != nil || got.Map["one"] != 1 || len(got.Map) != 1 || got.List[0] != "x" {
		t.Errorf("the defaults were changed: %+v, %v", got, err)
	}
}

// Settings that several programs have are embedded, and read as if each had them itself.
func TestEmbeddedSettings(t *testing.T) {
	type Shared struct {
		Wait  Duration `json:"wait" jsonschema:"a time"`
		Token Secret   `json:"token" jsonschema:"a secret"`
	}
	type own struct {
		Shared
		Name string `json:"name" jsonschema:"a name"`
	}
	s := newSettings(own{Shared{Wait: Duration(time.Second)}, "a"}, map[string][]any{"wait": {"1s", "2s"}})
	if got, err := s.read([]byte(`{"wait": "2s", "token": "t"}`)); err != nil || got != (own{Shared{Duration(2 * time.Second), "t"}, "a"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.read([]byte(`{"Shared": {}}`)); err == nil || !strings.Contains(err.Error(), "no such setting") {
		t.Errorf("%v", err)
	}
	if want := `{"wait":"1s","token":"","name":"a"}`; string(s.defaults()) != want {
		t.Errorf("defaults %s, want %s", s.defaults(), want)
	}
	if err := Fits(s.schema(), []byte(`{"wait": "2s", "token_file": "/t", "name": "b"}`)); err != nil {
		t.Error(err)
	}
	if err := Fits(s.schema(), []byte(`{"wait": "3s"}`)); err == nil {
		t.Errorf("the schema %s takes anything", s.schema())
	}
}

func TestWrongSettings(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := samples().read([]byte(text))
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %q", text, err, w)
			}
		}
	}
	f(`[]`, "want a JSON object")
	f(`{`, "want a JSON object")
	f(`{"nam": "b"}`, "nam: no such setting")
	f(`{"Hidden": "b"}`, "Hidden: no such setting")
	f(`{"Name": "b"}`, "Name: no such setting")
	f(`{"name": 5}`, "name: ")
	f(`{"look_every": "10"}`, `look_every: duration "10": want a number and a unit, such as 10s or 1m30s`)
	f(`{"look_every": 10}`, "look_every: ")
	f(`{"password": 5}`, "password: secret: want a string")
	f(`{"password_file": 5}`, "password_file: want a path")
	f(`{"password_file": "/no/such/file"}`, "password_file: stat /no/such/file")
	f(`{"limit": {"row": 1}}`, `limit: json: unknown field "row"`)
	f(`{"nam": "b", "list": "x"}`, "nam: no such setting", "list: ")
	f(`{"name": "", "limit": {"rows": -1}}`, "name is empty", "limit.rows is negative")
}

func TestSecretFile(t *testing.T) {
	file := func(text string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := func(text, path string, mode os.FileMode, want Secret, fault string) {
		t.Helper()
		got, err := samples().read(fmt.Appendf(nil, `{"password_file": %q%s}`, path, text))
		if fault == "" && (err != nil || got.Password != want) {
			t.Errorf("%q, %v; want %q", got.Password.Reveal(), err, want.Reveal())
		}
		if fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Errorf("%v, want %q", err, fault)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
	f("", file("hunter2\n", 0o600), 0o600, "hunter2", "")
	f("", file("hunter2\r\n", 0o640), 0o640, "hunter2", "")
	f("", file("two\nlines\n", 0o600), 0o600, "two\nlines", "")
	f("", file("hunter2", 0o604), 0o604, "", "can be read by everybody: chmod o-r it")
	f(`, "password": "hunter2"`, file("hunter2", 0o600), 0o600, "", "password and password_file: give one of them")
	f("", t.TempDir(), 0o600, "", "password_file: ")
	f("", file("", 0o600), 0o600, "", " is empty: write the secret into it")
	f("", file("\n", 0o600), 0o600, "", " is empty: write the secret into it")
}

func TestSchema(t *testing.T) {
	s := samples()
	for _, text := range []string{string(s.defaults()), "{}", `{"password_file": "/run/secret"}`, `{"mode": "fast", "look_every": "1.5h"}`, `{"look_every": "0"}`} {
		if err := Fits(s.schema(), json.RawMessage(text)); err != nil {
			t.Errorf("%s does not fit: %v", text, err)
		}
	}
	for _, text := range []string{`{"nam": "x"}`, `{"mode": "medium"}`, `{"look_every": "10"}`, `{"look_every": 10}`, `{"limit": {"row": 1}}`, `{"map": {"a": "b"}}`, `[]`} {
		if Fits(s.schema(), json.RawMessage(text)) == nil {
			t.Errorf("%s fits", text)
		}
	}
	want := map[string]string{"name": `"a"`, "mode": `"slow"`, "look_every": `"1m0s"`, "list": `["x","y"]`, "map": `{"one":1}`, "password": ""}
	for key, p := range properties(s.schema()) {
		if w, ok := want[key]; ok && string(p.Default) != w {
			t.Errorf("default of %s is %s, want %s", key, p.Default, w)
		}
		if p.Description == "" {
			t.Errorf("%s is not described", key)
		}
	}
	if !strings.Contains(string(s.schema()), `"rows":{"type":"integer","description":"a number","default":5}`) {
		t.Errorf("the default of a nested setting is missing: %s", s.schema())
	}
}

func TestNoSchema(t *testing.T) {
	f := func(want string, make func()) {
		t.Helper()
		defer func() {
			t.Helper()
			if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
				t.Errorf("panic %s, want %s", got, want)
			}
		}()
		make()
	}
	f("want a struct", func() { newSettings("text", nil).schema() })
	f("want a struct", func() { newSettings[any](nil, nil).schema() })
	f("enum of x: no such setting", func() { newSettings(struct{}{}, map[string][]any{"x": {1}}).schema() })
	f("", func() { newSettings(struct{ F func() }{}, nil).schema() })
}

// TestSecretIsNotSeen prints a secret in every way that might happen by accident.
func TestSecretIsNotSeen(t *testing.T) {
	c := sample{Password: "hunter2"}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "config", c, "secret", c.Password)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "config", c, "secret", c.Password)
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c.Password, c.Password), string(text), log.String()} {
		if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "***") {
			t.Errorf("shown: %s", shown)
		}
	}
	if c.Password.Reveal() != "hunter2" || Secret("").String() != "" {
		t.Error("the secret itself is lost")
	}
}

func TestDuration(t *testing.T) {
	var d Duration
	if err := json.Unmarshal([]byte(`"250ms"`), &d); err != nil || d.Std() != 250*time.Millisecond || d.String() != "250ms" {
		t.Errorf("%v, %v", d, err)
	}
}

type anything map[string]json.RawMessage

func (a anything) Validate() error {
	if _, ok := a["bad"]; ok {
		return errors.New("bad: no")
	}
	return nil
}

// A config that is a map has whatever an operator writes, and says so in its schema.
func TestAnySettings(t *testing.T) {
	d := Define(Collector, Spec[anything, struct{}]{Program: "any"}, func(context.Context, *Session, struct{}) error { return nil })
	if err := Fits(d.Schema(), json.RawMessage(`{"level":3,"deep":{"list":[1]}}`)); err != nil {
		t.Error(err)
	}
	if err := Fits(d.Schema(), json.RawMessage(`[]`)); err == nil {
		t.Error("a list is taken for settings")
	}
	if got := string(d.Defaults()); got != "{}" {
		t.Errorf("defaults %s", got)
	}
	s := newSettings(anything(nil), nil)
	got, err := s.read([]byte(`{"level":3,"deep":{"list":[1]}}`))
	if err != nil || string(got["level"]) != "3" || string(got["deep"]) != `{"list":[1]}` || len(got) != 2 {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := s.read([]byte(`{"bad":1}`)); err == nil || err.Error() != "bad: no" {
		t.Errorf("error %v: it is not validated", err)
	}
	if got, err := s.read(nil); err != nil || len(got) != 0 {
		t.Errorf("of no text: %s, %v", got, err)
	}
}
