package jsontext

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// isOurs reports whether an object is a point as this program writes them.
func isOurs(object map[string]any) bool {
	if _, ok := object["fields"].(map[string]any); !ok {
		return false
	}
	for key := range object {
		if !slices.Contains([]string{"series", "time", "tags", "fields", "types"}, key) {
			return false
		}
	}
	return true
}

// ours makes the point of an object that has series, time, tags, fields and types.
func (in *reading) ours(object map[string]any) (p telemetry.Point, err error) {
	p = telemetry.Point{Series: in.name, Time: in.at, Tags: telemetry.Tags{}, Fields: telemetry.Fields{}}
	if series, ok := object["series"]; ok {
		if p.Series, ok = series.(string); !ok {
			return p, fault{report.Syntax, fmt.Errorf("series: want a text, and there is %s", kindOf(series))}
		}
	}
	if t := object["time"]; t != nil {
		if p.Time, err = ownTime(t); err != nil {
			return p, err
		}
	}
	tags, _ := object["tags"].(map[string]any)
	for key, v := range tags {
		text, ok := v.(string)
		if !ok {
			return p, fault{report.Syntax, fmt.Errorf("tag %s: want a text, and there is %s", key, kindOf(v))}
		}
		p.Tags[key] = text
	}
	types, _ := object["types"].(map[string]any)
	for name, v := range object["fields"].(map[string]any) {
		if err := put(p.Fields, name, v, types[name]); err != nil {
			return p, err
		}
	}
	return p, nil
}

// put adds a field of our own form; letter says its type where JSON does not.
func put(fields telemetry.Fields, name string, v, letter any) (err error) {
	bad := func(want string) error {
		return fault{report.Syntax, fmt.Errorf("field %s: want %s, and there is %.60v", name, want, v)}
	}
	text := fmt.Sprint(v) // integers of 64 bits may be texts
	switch letter {
	case nil:
		switch v := v.(type) {
		case nil:
		case bool, string:
			fields[name] = v
		case json.Number:
			fields[name] = float(v)
		default:
			return bad("a number, a text or a boolean")
		}
		return nil
	case "i":
		if fields[name], err = strconv.ParseInt(text, 10, 64); err != nil {
			return bad("an integer")
		}
	case "u":
		if fields[name], err = strconv.ParseUint(text, 10, 64); err != nil {
			return bad("an integer of 0 or more")
		}
	default:
		return put(fields, name, v, nil) // of the other types JSON says enough
	}
	return nil
}

// float returns a number of JSON; one too large is an infinity.
func float(n json.Number) float64 {
	f, _ := n.Float64()
	return f
}

// theirs makes the point of a foreign object.
func (in *reading) theirs(object map[string]any) (p telemetry.Point, err error) {
	p = telemetry.Point{Series: in.name, Time: in.at, Tags: telemetry.Tags{}, Fields: telemetry.Fields{}}
	taken := map[string]bool{} // by name: what is something else is no field
	if v, ok := in.take(object, in.series, taken); ok {
		p.Series = scalar(v)
	}
	if v, ok := in.take(object, in.time, taken); ok {
		if p.Time, err = in.readTime(v); err != nil {
			return p, err
		}
	}
	for _, key := range in.tags {
		if v, ok := in.take(object, key, taken); ok {
			p.Tags[key.name()] = scalar(v)
		}
	}
	f := flattening{fields: p.Fields, taken: taken, texts: len(in.fields) > 0}
	if len(in.fields) == 0 {
		f.add("", object, 0)
	}
	for _, key := range in.fields {
		if v, ok := key.find(object); ok {
			f.add(key.name(), v, 0)
		}
	}
	if f.over {
		in.report.Refuse(report.Limit, in.line, "values more than %d deep, or with a name of more than %d bytes, are left out", maxDepth, telemetry.MaxName)
	}
	return p, nil
}

// take returns what a path leads to, and notes that it is taken. The whole is never taken.
func (in *reading) take(object map[string]any, key path, taken map[string]bool) (any, bool) {
	if key == nil {
		return nil, false
	}
	taken[key.name()] = true
	return key.find(object)
}

// scalar returns a value as text; a list, an object and null have none.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// maxDepth is how deep values may be nested whose path is a name.
const maxDepth = 32

// A flattening makes fields of all that is in an object.
type flattening struct {
	fields telemetry.Fields
	taken  map[string]bool
	texts  bool // texts are fields too
	over   bool // something was too deep, or its name too long
}

// add adds what is at a name. Of two values with one name the last in the order of the keys stays.
func (f *flattening) add(name string, v any, depth int) {
	if f.taken[name] || len(f.fields) > telemetry.MaxFields { // of which none counts
		return
	}
	if depth > maxDepth || len(name) > telemetry.MaxName {
		f.over = true
		return
	}
	switch v := v.(type) {
	case json.Number:
		f.fields[name] = float(v)
	case bool:
		f.fields[name] = v
	case string:
		if f.texts {
			f.fields[name] = v
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			f.add(below(name, key), v[key], depth+1)
		}
	case []any:
		for i, one := range v {
			f.add(below(name, strconv.Itoa(i)), one, depth+1)
		}
	}
}

func below(name, key string) string {
	if name == "" {
		return key
	}
	return name + "_" + key
}
