package wire

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

const schemas = "../../schemas"

// A tree is a schema as it is written.
type tree = map[string]any

// load reads a file of schemas.
func load(t testing.TB, file string) tree {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(schemas, file))
	if err != nil {
		t.Fatal(err)
	}
	var s tree
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return s
}

// A part is a schema within a file, against which its references are read.
type part struct {
	t    *testing.T
	file string
	path string // for people
	tree tree
}

// at returns the part of file that a pointer such as /$defs/fault names, with what it refers to put in.
func at(t *testing.T, file, pointer string) part {
	t.Helper()
	s := load(t, file)
	for key := range strings.SplitSeq(strings.Trim(pointer, "/"), "/") {
		if key == "" {
			continue
		}
		next, ok := s[key].(tree)
		if !ok {
			t.Fatalf("%s has no %s", file, pointer)
		}
		s = next
	}
	return part{t, file, file + pointer, s}.resolved()
}

// resolved puts in what $ref names; what stands beside it counts.
func (p part) resolved() part {
	p.t.Helper()
	ref, ok := p.tree["$ref"].(string)
	if !ok {
		return p
	}
	file, pointer, _ := strings.Cut(ref, "#")
	if file == "" {
		file = p.file
	}
	to := at(p.t, file, pointer)
	merged := maps.Clone(to.tree)
	maps.Copy(merged, p.tree)
	return part{p.t, to.file, p.path, merged}
}

// sub returns the schema under a keyword.
func (p part) sub(keyword, what string) part {
	p.t.Helper()
	s, ok := p.tree[keyword].(tree)
	if !ok {
		p.t.Errorf("%s has no %s", p.path, keyword)
	}
	return part{p.t, p.file, p.path + what, s}.resolved()
}

// words returns a list of texts.
func (p part) words(keyword string) (list []string) {
	all, _ := p.tree[keyword].([]any)
	for _, one := range all {
		list = append(list, one.(string))
	}
	slices.Sort(list)
	return list
}

func (p part) expect(keyword string, want any) {
	p.t.Helper()
	if got := p.tree[keyword]; !reflect.DeepEqual(got, want) {
		p.t.Errorf("%s: %s is %v, expected %v", p.path, keyword, got, want)
	}
}

// describes complains where a schema says another thing than the type.
func (p part) describes(typ reflect.Type) {
	p.t.Helper()
	switch typ {
	case reflect.TypeFor[telemetry.Digest]():
		p.expect("pattern", "^([0-9a-fA-F]{32})?$")
		return
	case reflect.TypeFor[telemetry.InventoryItem](), reflect.TypeFor[telemetry.RefreshItem]():
		p.tuple(map[bool]int{true: 8, false: 5}[typ == reflect.TypeFor[telemetry.RefreshItem]()])
		return
	case reflect.TypeFor[json.RawMessage]():
		p.expect("type", "object")
		return
	case reflect.TypeFor[telemetry.Chunk]():
		p.expect("type", "string")
		return
	case reflect.TypeFor[telemetry.Raw]():
		p.expect("type", nil) // anything
		return
	case reflect.TypeFor[telemetry.Fault]():
		if p.tree["anyOf"] != nil { // as it is sent: an object, or a sentence alone
			p = at(p.t, "types.json", "/$defs/faultObject")
		}
	}
	p.kind(typ)
}

func (p part) kind(typ reflect.Type) {
	p.t.Helper()
	switch typ.Kind() {
	case reflect.Pointer:
		p.describes(typ.Elem())
	case reflect.Struct:
		p.object(typ)
	case reflect.Slice:
		p.expect("type", "array")
		p.sub("items", "[]").describes(typ.Elem())
	case reflect.Map:
		p.expect("type", "object")
		if typ.Elem().Kind() != reflect.Interface {
			p.sub("additionalProperties", ".*").describes(typ.Elem())
		}
	case reflect.Int64:
		p.expect("type", "integer")
	case reflect.Uint64:
		if least, ok := p.tree["minimum"].(float64); p.tree["const"] != 1.0 && (!ok || least < 0 || p.tree["type"] != "integer") {
			p.t.Errorf("%s is unsigned, the schema has %v", p.path, p.tree)
		}
	case reflect.String:
		if p.tree["enum"] == nil {
			p.expect("type", "string")
		}
	default:
		want, ok := map[reflect.Kind]string{reflect.Bool: "boolean", reflect.Float64: "number"}[typ.Kind()]
		if !ok {
			p.t.Fatalf("%s: no idea what a schema says of %v", p.path, typ)
		}
		p.expect("type", want)
	}
}

func (p part) tuple(n int) {
	p.t.Helper()
	p.expect("type", "array")
	p.expect("minItems", float64(n))
	if items, _ := p.tree["prefixItems"].([]any); len(items) != n {
		p.t.Errorf("%s describes %d items of %d", p.path, len(items), n)
	}
}

// object compares the keys of a struct with those of a schema, both ways.
func (p part) object(typ reflect.Type) {
	p.t.Helper()
	fields := fieldsOf(typ, false)
	p.expect("type", "object")
	properties := p.sub("properties", "")
	if got, want := slices.Sorted(maps.Keys(properties.tree)), slices.Sorted(maps.Keys(fields)); !slices.Equal(got, want) {
		p.t.Errorf("%s has the keys\n%q, and %v\n%q", p.path, got, typ, want)
		return
	}
	var required []string
	for key, f := range fields {
		sub := properties.sub(key, "."+key)
		sub.describes(f.typ)
		if f.required && f.typ.Kind() == reflect.String {
			sub.filled()
		}
		if f.required {
			required = append(required, key)
		}
		if f.embedded {
			p.expect("dependentRequired", p.dependents(fields))
		}
	}
	slices.Sort(required)
	if got := p.words("required"); !slices.Equal(got, required) {
		p.t.Errorf("%s requires %q, and %v %q", p.path, got, typ, required)
	}
}

// filled complains where a required text may be empty.
func (p part) filled() {
	p.t.Helper()
	least, _ := p.tree["minLength"].(float64)
	if words := p.words("enum"); least < 1 && (words == nil || slices.Contains(words, "")) {
		p.t.Errorf("%s may be empty, and is refused then", p.path)
	}
}

// dependents are the keys of an embedded struct, which come with its required one or not at all.
func (p part) dependents(fields map[string]field) any {
	all := tree{}
	for key, f := range fields {
		if f.embedded && key != "config" {
			all[key] = []any{"config"}
		}
	}
	return all
}

// A field is one key of a message.
type field struct {
	typ      reflect.Type
	required bool
	embedded bool // in a struct that may be absent as a whole
}

func fieldsOf(typ reflect.Type, embedded bool) map[string]field {
	fields := map[string]field{}
	for f := range typ.Fields() {
		if f.Anonymous && f.Type.Kind() == reflect.Pointer {
			maps.Copy(fields, fieldsOf(f.Type.Elem(), true))
			continue
		}
		key, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[key] = field{f.Type, option != "omitzero" && !embedded, embedded}
	}
	return fields
}

// Every key of the types is in the schemas with a fitting type, and the schemas have no other.
func TestSchemasDescribeTheTypes(t *testing.T) {
	f := func(file, pointer string, typ reflect.Type) {
		t.Helper()
		at(t, file, pointer).describes(typ)
	}
	f("htb.json", "", reflect.TypeFor[telemetry.Heartbeat]())
	f("htb.json", "/$defs/stats", reflect.TypeFor[telemetry.Stats]())
	f("ack.json", "", reflect.TypeFor[telemetry.Ack]())
	f("plg.json", "", reflect.TypeFor[telemetry.PluginData]())
	f("ctl.json", "/$defs/request", reflect.TypeFor[telemetry.CtlRequest]())
	f("ctl.json", "/$defs/reply", reflect.TypeFor[telemetry.CtlReply]())
	f("refresh.json", "/$defs/manifest", reflect.TypeFor[telemetry.RefreshManifest]())
	f("manifest.json", "", reflect.TypeFor[telemetry.Manifest]())
	f("event.json", "", reflect.TypeFor[telemetry.Event]())
	f("log.json", "", reflect.TypeFor[telemetry.LogRecord]())
}

// Later versions add keys: every object lets unknown ones pass, and each schema says so.
func TestUnknownKeysPass(t *testing.T) {
	for _, file := range []string{"htb.json", "ack.json", "plg.json", "ctl.json", "refresh.json", "event.json", "manifest.json", "log.json", "letter.json", "types.json"} {
		s := load(t, file)
		if text, _ := s["description"].(string); !strings.Contains(strings.ToLower(text), "ignored") {
			t.Errorf("%s does not say that unknown keys are ignored", file)
		}
		if text, err := json.Marshal(s); err != nil || strings.Contains(string(text), `"additionalProperties":false`) || strings.Contains(string(text), `"unevaluated`) {
			t.Errorf("%s refuses unknown keys, %v", file, err)
		}
	}
}
