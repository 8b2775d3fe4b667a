package filter

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/file"
)

// hint says what somebody who made the fault most likely meant, "" when that is not known.
func hint(text string, fault *file.Error) string {
	if name, ok := strings.CutPrefix(fault.Message, "unknown name "); ok {
		return hintName(text, fault.From, name)
	}
	if strings.Contains(fault.Message, "mismatched types string and int") || strings.Contains(fault.Message, "mismatched types string and float") {
		return `a tag is text, compare it with text as "80", or as int(tags.port) > 80`
	}
	for _, h := range []struct{ part, meant string }{
		{`Operator("=")`, "equal is =="},
		{"token EOF", "the condition ends too early"},
		{`Identifier("AND")`, "write and"},
		{`Identifier("OR")`, "write or"},
		{`Identifier("NOT")`, "write not"},
		{`Identifier("IN")`, "write in"},
		{`Identifier("like")`, `write glob(tags.host, "web-*")`},
		{"unrecognized character: U+0026", "write and"},
	} {
		if strings.Contains(fault.Message, h.part) {
			return h.meant
		}
	}
	return ""
}

// hintName says what a name that is unknown was most likely meant to be.
func hintName(text string, at int, name string) string {
	runes := []rune(text)
	if at > 0 && at <= len(runes) && runes[at-1] == '-' {
		return `a name with a dash stands in brackets, as tags["my-key"]`
	}
	if other := elsewhere(name); other != "" {
		return "did you mean " + other + "?"
	}
	known := []string{"series", "tags", "fields", "time", "now", "glob"}
	for _, f := range builtin.Builtins {
		known = append(known, f.Name)
	}
	if near := nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	return fmt.Sprintf("did you mean fields.%s or tags.%s?", name, name)
}

// elsewhere is ours for what other programs of the field say, "" when it is no such word.
func elsewhere(word string) string {
	switch strings.ToLower(word) {
	case "label", "labels", "attributes":
		return "tags"
	case "value", "values":
		return "fields"
	case "name", "measurement", "metric":
		return "series"
	case "timestamp", "ts":
		return "time"
	case "startswith":
		return `tags.host startsWith "web"`
	case "endswith":
		return `tags.host endsWith "-1"`
	case "regex", "match":
		return `tags.host matches "^web"`
	case "like":
		return `glob(tags.host, "web-*")`
	}
	return ""
}

// nearest returns the name in known that is one typing error from name, or differs in case only; "" if none is.
func nearest(name string, known []string) string {
	for _, k := range known {
		if strings.EqualFold(name, k) || len(name) > 2 && oneEdit(strings.ToLower(name), strings.ToLower(k)) {
			return k
		}
	}
	return ""
}

// oneEdit reports whether b is a with one letter put in, left out, replaced, or swapped with the next.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	a, b = a[i:], b[i:]
	switch len(b) - len(a) {
	case 0:
		swapped := len(a) > 1 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]
		return swapped || a == "" || a[1:] == b[1:]
	case 1:
		return a == b[1:]
	}
	return false
}
