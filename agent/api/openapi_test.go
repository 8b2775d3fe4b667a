package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/agent/recent"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/schema"
	"github.com/pacewire/pacewire/schemas"
	"github.com/pacewire/pacewire/telemetry"
)

// document is what the tests need of the description.
type document struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	OperationID string      `json:"operationId"`
	Parameters  []parameter `json:"parameters"`
	RequestBody *struct {
		Required bool             `json:"required"`
		Content  map[string]media `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]media `json:"content"`
	} `json:"responses"`
	Security []map[string][]string `json:"security"`
}

type parameter struct {
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required"`
	Example  any    `json:"example"`
}

type media struct {
	Schema  json.RawMessage `json:"schema"`
	Example any             `json:"example"`
}

func readDocument(t *testing.T) (d document) {
	t.Helper()
	if err := json.Unmarshal(schemas.OpenAPI(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDocumentHasEveryRoute walks all routes and all of the document, both ways.
func TestDocumentHasEveryRoute(t *testing.T) {
	d := readDocument(t)
	var have, told []string
	ids := map[string]bool{}
	for _, r := range New(Options{Hub: newFakeHub()}).routes {
		have = append(have, r.pattern())
		op, ok := d.Paths[r.path][strings.ToLower(r.method)]
		if !ok {
			continue
		}
		var query []string
		for _, p := range op.Parameters {
			if p.In == "query" {
				query = append(query, p.Name)
			}
			if p.In == "path" && !strings.Contains(r.path, "{"+p.Name+"}") {
				t.Errorf("%s has no {%s}", r.pattern(), p.Name)
			}
		}
		slices.Sort(query)
		if want := slices.Sorted(slices.Values(r.query)); !slices.Equal(query, want) {
			t.Errorf("%s: parameters %v are described, it takes %v", r.pattern(), query, want)
		}
		var types []string
		if op.RequestBody != nil {
			types = slices.Sorted(maps.Keys(op.RequestBody.Content))
		}
		for _, name := range types {
			if !slices.Contains(r.body, name) {
				t.Errorf("%s: a body of %s is described, it takes %v", r.pattern(), name, r.body)
			}
		}
		if len(types) == 0 != (len(r.body) == 0) {
			t.Errorf("%s: bodies %v are described, it takes %v", r.pattern(), types, r.body)
		}
		if r.changes() != (len(op.Security) > 0) {
			t.Errorf("%s: security %v", r.pattern(), op.Security)
		}
	}
	for path, ops := range d.Paths {
		for method, op := range ops {
			told = append(told, strings.ToUpper(method)+" "+path)
			if ids[op.OperationID] || op.OperationID == "" {
				t.Errorf("%s %s: operationId %q is not its own", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	slices.Sort(have)
	slices.Sort(told)
	for _, r := range have {
		if !slices.Contains(told, r) {
			t.Errorf("%s is not described", r)
		}
	}
	for _, r := range told {
		if !slices.Contains(have, r) {
			t.Errorf("%s is described, but there is no such route", r)
		}
	}
}

// TestDocumentHasEveryField compares the objects of the document with the types that are sent.
func TestDocumentHasEveryField(t *testing.T) {
	d := readDocument(t)
	f := func(name string, v any) {
		t.Helper()
		var s struct {
			Properties map[string]any `json:"properties"`
		}
		if err := json.Unmarshal(d.Components.Schemas[name], &s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		have := slices.Sorted(maps.Keys(s.Properties))
		if want := slices.Sorted(slices.Values(keys(reflect.TypeOf(v)))); !slices.Equal(have, want) {
			t.Errorf("%s has %v, want %v", name, have, want)
		}
	}
	f("HostStatus", telemetry.HostStatus{})
	f("PluginCounts", telemetry.PluginCounts{})
	f("PluginStatus", telemetry.PluginStatus{})
	f("Stats", telemetry.Stats{})
	f("Fault", telemetry.Fault{})
	f("Manifest", telemetry.Manifest{})
	f("Desc", telemetry.Desc{})
	f("Route", telemetry.Route{})
	f("Input", telemetry.Input{})
	f("Change", telemetry.Change{})
	f("ChangeList", telemetry.ChangeList{})
	f("LogLine", telemetry.LogLine{})
	f("LogPage", telemetry.LogPage{})
	f("RefreshJob", telemetry.RefreshJob{})
	f("HubStatus", telemetry.HubStatus{})
	f("PluginData", telemetry.PluginData{})
	f("HostPage", hostPage{})
	f("InventoryEntry", item{})
	f("Job", Job{})
	f("Problem", Problem{})
	f("PluginPage", pluginPage{})
	f("EventPage", eventPage{})
	f("Event", event{})
	f("DeadPage", deadPage{})
	f("DeadLetter", deadLetter{})
	f("Retried", retried{})
	f("Node", Node{})
	f("Edge", Edge{})
	f("Graph", Graph{})
	f("Value", recent.Value{})
	f("Series", recent.Series{})
	f("History", line{})
}

// keys returns the names that a struct has in JSON. The outer of two fields of one name is the one that counts.
func keys(t reflect.Type) (names []string) {
	add := func(name string) {
		if name != "" && name != "-" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			for _, inner := range keys(f.Type) {
				add(inner)
			}
		case f.IsExported():
			add(name)
		}
	}
	return names
}

// TestExamples sends every example of the document to a server that runs, and looks whether the answer is as it is described.
func TestExamples(t *testing.T) {
	r := start(t, bustest.New(t), nil)
	d := readDocument(t)
	calls := 0
	for path, ops := range d.Paths {
		for method, op := range ops {
			if strings.HasSuffix(path, "/stream") {
				continue // TestFollowEvents and TestTapStream read them
			}
			for _, full := range []bool{false, true} {
				where := op.address(path, full)
				for name, body := range op.bodies() {
					a := r.ask(strings.ToUpper(method), where, body, "Content-Type: "+name)
					d.check(t, op, method+" "+where, a)
					calls++
				}
			}
		}
	}
	if calls < 70 {
		t.Errorf("%d examples were sent, want more", calls)
	}
}

// address returns where an example goes: with all parameters that have an example, or with those that have to be.
func (op operation) address(path string, full bool) string {
	query := url.Values{}
	for _, p := range op.Parameters {
		text := fmt.Sprint(p.Example)
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(text))
		case p.In == "query" && p.Example != nil && (full || p.Required):
			query.Set(p.Name, text)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// bodies returns the examples of the body by type; one that is empty where none has to be.
func (op operation) bodies() map[string]string {
	if op.RequestBody == nil {
		return map[string]string{"": ""}
	}
	all := map[string]string{}
	if !op.RequestBody.Required {
		all[""] = ""
	}
	for name, m := range op.RequestBody.Content {
		switch v := m.Example.(type) {
		case nil:
		case string:
			all[name] = v
		default:
			text, _ := json.Marshal(v) // it was read from JSON
			all[name] = string(text)
		}
	}
	return all
}

func (d document) check(t *testing.T, op operation, what string, a answer) {
	t.Helper()
	want, ok := op.Responses[fmt.Sprint(a.StatusCode)]
	if !ok {
		t.Errorf("%s: %s is not described: %s", what, a.Status, a.text)
		return
	}
	name, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if len(want.Content) == 0 {
		if a.text != "" {
			t.Errorf("%s: %s, want nothing", what, a.text)
		}
		return
	}
	m, ok := want.Content[name]
	if !ok {
		t.Errorf("%s: Content-Type %s is not described", what, name)
		return
	}
	if name != "application/json" {
		return
	}
	components, _ := json.Marshal(d.Components.Schemas)
	text := fmt.Sprintf(`{"allOf": [%s], "components": {"schemas": %s}}`, m.Schema, components)
	s, err := schema.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	var v any
	numbers := json.NewDecoder(strings.NewReader(a.text))
	numbers.UseNumber()
	if err := numbers.Decode(&v); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	for _, fault := range s.Check(v) {
		t.Errorf("%s: %v in %s", what, fault, a.text)
	}
}

func TestOpenAPIIsServed(t *testing.T) {
	r := start(t, nil, nil)
	if a := r.ask("GET", "/openapi.json", ""); a.StatusCode != http.StatusOK || a.text != string(schemas.OpenAPI()) {
		t.Errorf("%s, %d bytes", a.Status, len(a.text))
	}
}
