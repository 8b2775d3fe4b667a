package wire

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pacewire/pacewire/telemetry"
)

const golden = schemas + "/testdata/control/"

// compile returns the schema that a place such as ctl.json#/$defs/reply names.
func compile(t testing.TB, place string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(schemas, place))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A kind of golden messages has a schema and a reader.
type kind struct {
	place  string
	decode func(body []byte) error
}

// taken makes a reader of a decoder.
func taken[T any](decode func([]byte) (T, telemetry.Encoding, error)) func([]byte) error {
	return func(body []byte) error {
		_, _, err := decode(body)
		return err
	}
}

var kinds = map[string]kind{
	"heartbeat":  {"htb.json", taken(telemetry.DecodeHeartbeat)},
	"ack":        {"ack.json", taken(telemetry.DecodeAck)},
	"plugindata": {"plg.json", taken(telemetry.DecodePluginData)},
	"request":    {"ctl.json#/$defs/request", taken(telemetry.DecodeCtlRequest)},
	"reply":      {"ctl.json#/$defs/reply", taken(telemetry.DecodeCtlReply)},
	"log":        {"log.json", taken(telemetry.DecodeLogRecord)},
	"manifest":   {"manifest.json", taken(telemetry.DecodeManifest)},
	"refresh":    {"refresh.json#/$defs/manifest", taken(telemetry.DecodeRefreshManifest)},
	"stats":      {"htb.json#/$defs/stats", taken(telemetry.DecodeStats)},
}

// cases is the list of golden messages.
type cases struct {
	Valid []struct{ Name, Kind string }

	Invalid []struct {
		File, Kind string
		Code       telemetry.ControlCode
	}
}

func readCases(t testing.TB) (list cases) {
	t.Helper()
	if err := json.Unmarshal(read(t, golden+"cases.json"), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// parse reads JSON as the validator wants it.
func parse(t testing.TB, body []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%v: %.200s", err, body)
	}
	return v
}

func TestGoldenMessagesFit(t *testing.T) {
	n := 0
	for _, c := range readCases(t).Valid {
		k, ok := kinds[c.Kind]
		if !ok { // log records have no schema yet
			continue
		}
		n++
		if err := compile(t, k.place).Validate(parse(t, read(t, golden+"valid/"+c.Name+".json"))); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	if n < 20 {
		t.Errorf("only %d golden messages were looked at", n)
	}
}

// What is refused for its values does not fit the schema either; what is refused for its bytes is no matter of a schema.
func TestGoldenRefusalsDoNotFit(t *testing.T) {
	n := 0
	for _, c := range readCases(t).Invalid {
		k, ok := kinds[c.Kind]
		if values := []telemetry.ControlCode{telemetry.ControlRequired, telemetry.ControlType, telemetry.ControlRange}; !ok || !slices.Contains(values, c.Code) {
			continue
		}
		body := read(t, golden+"invalid/"+c.File)
		if strings.HasSuffix(c.File, ".msgpack") {
			var err error
			if body, err = telemetry.Raw(body).MarshalJSON(); err != nil {
				t.Fatalf("%s: %v", c.File, err)
			}
		}
		n++
		err := compile(t, k.place).Validate(parse(t, body))
		if parted := c.File == "plugindata-part.json"; err == nil && !parted { // a schema compares no two values
			t.Errorf("%s fits %s, but is refused with %s", c.File, k.place, c.Code)
		}
	}
	if n < 20 {
		t.Errorf("only %d refusals were looked at", n)
	}
}

// others are values of which most do not fit where they are put. Left out is what readers take in addition: null, an empty
// list for an empty object, and decimal text for an integer.
var others = []any{
	"x", "", true, json.Number("-1"), json.Number("0"), json.Number("1"), json.Number("1.5"), json.Number("3600001"), json.Number("9223372036854775808"),
	json.Number("18446744073709551616"), []any{"x"}, map[string]any{"x": "x"}, map[string]any{"x": []any{}},
}

// variants calls f with v after each single change of it: a value replaced, a key left out, a key added.
func variants(v any, f func(what string)) {
	switch v := v.(type) {
	case map[string]any:
		v["key of a later version"] = []any{json.Number("1")}
		f(": more")
		delete(v, "key of a later version")
		for _, key := range slices.Sorted(maps.Keys(v)) {
			was := v[key]
			delete(v, key)
			f("." + key + ": none")
			for _, other := range others {
				v[key] = other
				f("." + key + ": " + show(other))
			}
			v[key] = was
			variants(was, func(what string) { f("." + key + what) })
		}
	case []any:
		for i, was := range v {
			for _, other := range others {
				v[i] = other
				f("[]: " + show(other))
			}
			v[i] = was
			variants(was, func(what string) { f("[]" + what) })
		}
	}
}

func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// A schema takes a message exactly when the reader does, however it is changed.
func TestSchemasAgreeWithReaders(t *testing.T) {
	n := 0
	agree := func(name, place string, body []byte, decode func([]byte) error) {
		t.Helper()
		s, v := compile(t, place), parse(t, body)
		variants(v, func(what string) {
			n++
			fits, read := s.Validate(v), decode([]byte(show(v)))
			if (fits == nil) != (read == nil) && !undecided(name, what) {
				t.Errorf("%s%s:\nschema: %v\nreader: %v", name, what, fits, read)
			}
		})
	}
	for _, c := range readCases(t).Valid {
		if k, ok := kinds[c.Kind]; ok {
			agree(c.Name, k.place, read(t, golden+"valid/"+c.Name+".json"), k.decode)
		}
	}
	agree("payload of reply-refresh", "refresh.json#/$defs/manifest", value(t, "reply-refresh", "payload"), taken(telemetry.DecodeRefreshManifest))
	agree("payload of reply-ping", "htb.json#/$defs/stats", value(t, "reply-ping", "payload"), taken(telemetry.DecodeStats))
	agree("manifest", "manifest.json", value(t, "heartbeat-hello", "manifest"), taken(telemetry.DecodeManifest))
	t.Logf("%d variants", n)
}

// undecided reports whether a variant is one that a schema cannot judge: it compares no two values.
func undecided(name, what string) bool {
	return strings.HasPrefix(name, "plugindata-part") && (strings.HasPrefix(what, ".part: ") || strings.HasPrefix(what, ".parts: "))
}

// value returns the value of one key of a golden message.
func value(t testing.TB, name, key string) []byte {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(read(t, golden+"valid/"+name+".json"), &m); err != nil || m[key] == nil {
		t.Fatalf("%s has no %s: %v", name, key, err)
	}
	return m[key]
}

// The requests and the reply of a refresh fit its own schema, and an event fits the one of events.
func TestSchemasOfWhatHasNoReader(t *testing.T) {
	f := func(place string, body []byte, want bool) {
		t.Helper()
		if err := compile(t, place).Validate(parse(t, body)); (err == nil) != want {
			t.Errorf("%s of %.80s: %v", place, body, err)
		}
	}
	for _, name := range []string{"request-list", "request-refresh", "reply-refresh"} {
		f("refresh.json", read(t, golden+"valid/"+name+".json"), true)
	}
	f("refresh.json#/$defs/reply", []byte(`{"id":"1","ok":true,"payload":{"inv_list":[["os","info","","",""]]}}`), false)
	event := telemetry.Event{ID: "e1", Time: 1763559525997744692, Host: "web-1", Plugin: telemetry.AgentName, Type: "down", Message: "web-1 is down: silent",
		From: telemetry.HostOverdue, To: telemetry.HostDown, Reason: "silent", LastSeenMS: 40000, Missed: 4, Term: 7}
	f("event.json", []byte(show(event)), true)
	f("event.json", []byte(`{"time":1,"host":"web-1","plugin":"agent","type":"down"}`), false)
}
