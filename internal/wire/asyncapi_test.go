package wire

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
)

// document is the part of AsyncAPI that is looked at.
type document struct {
	AsyncAPI   string
	Channels   map[string]asyncChannel
	Operations map[string]struct {
		Action   string
		Channel  asyncRef
		Messages []asyncRef
		Tags     []struct{ Name string }
		Reply    struct {
			Channel  asyncRef
			Messages []asyncRef
		}
	}
	Components struct {
		Parameters map[string]struct{ Examples []string }
	}
}

type asyncRef struct {
	Ref string `json:"$ref"`
}

type asyncChannel struct {
	Address    string
	Parameters map[string]asyncRef
	Messages   map[string]asyncRef
}

func readDocument(t testing.TB) (d document) {
	t.Helper()
	if err := json.Unmarshal(read(t, schemas+"/asyncapi.json"), &d); err != nil {
		t.Fatal(err)
	}
	if d.AsyncAPI != "3.0.0" || len(d.Channels) < 10 || len(d.Operations) < 10 {
		t.Fatalf("version %s, %d channels, %d operations", d.AsyncAPI, len(d.Channels), len(d.Operations))
	}
	return d
}

// Every reference leads somewhere, within the file or to a schema.
func TestAsyncReferences(t *testing.T) {
	n := 0
	var look func(v any)
	look = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				n++
				file, pointer, _ := strings.Cut(ref, "#")
				if file != "" {
					compile(t, ref)
				} else {
					at(t, "asyncapi.json", pointer) // complains
				}
			}
			for _, sub := range v {
				look(sub)
			}
		case []any:
			for _, sub := range v {
				look(sub)
			}
		}
	}
	look(load(t, "asyncapi.json"))
	if n < 50 {
		t.Errorf("only %d references", n)
	}
}

var braces = regexp.MustCompile(`\{(\w+)\}`)

// subjects returns what an address comes to with the examples of its parameters.
func (d document) subjects(address string) (all []string) {
	name := braces.FindStringSubmatch(address)
	if name == nil {
		return []string{address}
	}
	for _, example := range d.Components.Parameters[name[1]].Examples {
		all = append(all, d.subjects(strings.ReplaceAll(address, name[0], example))...)
	}
	return all
}

// The channels are subjects of the bus, and have the parameters that their addresses name.
func TestAsyncChannels(t *testing.T) {
	d := readDocument(t)
	for name, c := range d.Channels {
		var named []string
		for _, found := range braces.FindAllStringSubmatch(c.Address, -1) {
			named = append(named, found[1])
			if want := "#/components/parameters/" + found[1]; c.Parameters[found[1]].Ref != want {
				t.Errorf("%s: parameter %s is %q", name, found[1], c.Parameters[found[1]].Ref)
			}
		}
		if slices.Sort(named); !slices.Equal(slices.Sorted(maps.Keys(c.Parameters)), named) {
			t.Errorf("%s has other parameters than %s names", name, c.Address)
		}
		for _, subject := range d.subjects(c.Address) {
			if _, err := bus.ParseSubject(subject); strings.HasPrefix(subject, "pw.") && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// covers reports whether subject fits a pattern of rights.
func covers(pattern, subject string) bool {
	want, is := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range want {
		if token == ">" {
			return len(is) > i
		}
		if i >= len(is) || token != "*" && token != is[i] {
			return false
		}
	}
	return len(want) == len(is)
}

// rights are those of the plugin of the examples.
func rights(kind string) bus.Rights {
	var inputs []bus.Input
	for _, stream := range []string{bus.StreamMetrics, bus.StreamEvents, bus.StreamDead, bus.StreamLeases} {
		inputs = append(inputs, bus.Input{Stream: stream, Durable: "fan"})
	}
	return bus.RightsOf(bus.Role(kind), "web-1", "fan", inputs)
}

// A plugin may send what the operations say that its kind sends, and hear what they say that it hears; what the streams give to it comes
// to its inbox.
func TestAsyncOperationsAreAllowed(t *testing.T) {
	d := readDocument(t)
	for name, o := range d.Operations {
		of := func(c asyncRef, messages []asyncRef) {
			for _, m := range messages {
				if !strings.HasPrefix(m.Ref, c.Ref+"/messages/") {
					t.Errorf("%s: %s is no message of %s", name, m.Ref, c.Ref)
				}
			}
		}
		of(o.Channel, o.Messages)
		of(o.Reply.Channel, o.Reply.Messages)
		c := d.Channels[strings.TrimPrefix(o.Channel.Ref, "#/channels/")]
		if c.Address == "" || len(o.Tags) == 0 || o.Action == "receive" && strings.HasPrefix(name, "read") {
			continue
		}
		for _, kind := range o.Tags {
			r := rights(kind.Name)
			may := map[string][]string{"send": r.Publish, "receive": r.Subscribe}[o.Action]
			for _, subject := range d.subjects(c.Address) {
				if !slices.ContainsFunc(may, func(pattern string) bool { return covers(pattern, subject) }) {
					t.Errorf("%s: a %s must not %s %s", name, kind.Name, o.Action, subject)
				}
			}
		}
	}
}

// All that plugins have rights for is a channel, but the bookkeeping of streams, and HTTP, which is for a later version.
func TestAsyncChannelsAreAll(t *testing.T) {
	d := readDocument(t)
	var subjects []string
	for _, c := range d.Channels {
		subjects = append(subjects, d.subjects(c.Address)...)
	}
	for _, kind := range []string{"collector", "processor", "publisher"} {
		r := rights(kind)
		for _, pattern := range slices.Concat(r.Publish, r.Subscribe) {
			left := strings.HasPrefix(pattern, "$JS.ACK.") || strings.HasPrefix(pattern, "$JS.API.CONSUMER.INFO.") || strings.HasPrefix(pattern, "pw.http.") || strings.Contains(pattern, "=7E") // of errands: as inputs
			if !left && !slices.ContainsFunc(subjects, func(subject string) bool { return covers(pattern, subject) }) {
				t.Errorf("no channel has what a %s may do: %s", kind, pattern)
			}
		}
	}
}

// The examples of what passes to and from the streams fit.
func TestStreamExamples(t *testing.T) {
	n := 0
	for name, def := range load(t, "stream.json")["$defs"].(tree) {
		examples, _ := def.(tree)["examples"].([]any)
		for _, example := range examples {
			n++
			if err := compile(t, "stream.json#/$defs/"+name).Validate(parse(t, []byte(show(example)))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d examples", n)
	}
}
