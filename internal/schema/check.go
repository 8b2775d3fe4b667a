package schema

import (
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Fault is one thing about a value that does not fit.
type Fault struct {
	Path    []string // the keys and indexes that lead to the place from the value as a whole
	Keyword string   // what is not met, such as "minimum"; "false" where nothing may stand
	Schema  *Schema  // has the keyword

	// Name is the property that is missing (required), unknown (additionalProperties), or cannot be a key (propertyNames).
	Name string
}

// Check returns all faults of a value, which consists of what a json.Decoder with UseNumber makes: nil, bool, string,
// json.Number, []any, map[string]any. A value that fits none of some alternatives (anyOf, oneOf) has one fault, not
// those of each; one of a wrong type has that fault only.
func (s *Schema) Check(v any) []Fault {
	var c checker
	c.check(s, v, nil)
	return c.faults
}

type checker struct{ faults []Fault }

func (c *checker) fault(s *Schema, path []string, keyword, name string) {
	c.faults = append(c.faults, Fault{path, keyword, s, name})
}

func (c *checker) check(s *Schema, v any, path []string) {
	if keyword := s.refuses(v); keyword != "" {
		c.fault(s, path, keyword, "")
		return
	}
	if s.ref != nil {
		c.check(s.ref, v, path)
	}
	for _, keyword := range s.exceeded(v) {
		c.fault(s, path, keyword, "")
	}
	switch v := v.(type) {
	case map[string]any:
		c.object(s, v, path)
	case []any:
		c.list(s, v, path)
	case string:
		if s.Pattern != nil && !s.Pattern.MatchString(v) {
			c.fault(s, path, "pattern", "")
		}
	}
	c.combined(s, v, path)
}

// refuses returns the keyword after which nothing else about the value matters, "" if there is none.
func (s *Schema) refuses(v any) string {
	switch {
	case s.never:
		return "false"
	case len(s.Types) > 0 && !slices.ContainsFunc(s.Types, func(t string) bool { return is(v, t) }):
		return "type"
	case s.Const != nil && canonical(v) != canonical(*s.Const):
		return "const"
	case s.Enum != nil && !slices.ContainsFunc(s.Enum, func(one any) bool { return canonical(v) == canonical(one) }):
		return "enum"
	}
	return ""
}

// is reports whether a value has a type. Whole numbers are of two types.
func is(v any, name string) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case json.Number:
		return name == "number" || name == "integer" && exact(v).IsInt()
	case []any:
		return name == "array"
	case map[string]any:
		return name == "object"
	}
	return false
}

// exceeded lists the limits that a value is beyond: a number itself, a text with its characters, others with what they hold.
func (s *Schema) exceeded(v any) (keywords []string) {
	test := func(size *big.Rat, keyword string, wrong func(size, limit *big.Rat) bool) {
		if limit, ok := s.Limits[keyword]; ok && wrong(size, exact(limit)) {
			keywords = append(keywords, keyword)
		}
	}
	less := func(a, b *big.Rat) bool { return a.Cmp(b) < 0 }
	more := func(a, b *big.Rat) bool { return a.Cmp(b) > 0 }
	count := func(n int, least, most string) {
		test(big.NewRat(int64(n), 1), least, less)
		test(big.NewRat(int64(n), 1), most, more)
	}
	switch v := v.(type) {
	case json.Number:
		n := exact(v)
		test(n, "minimum", less)
		test(n, "maximum", more)
		test(n, "exclusiveMinimum", func(a, b *big.Rat) bool { return a.Cmp(b) <= 0 })
		test(n, "exclusiveMaximum", func(a, b *big.Rat) bool { return a.Cmp(b) >= 0 })
		test(n, "multipleOf", func(a, b *big.Rat) bool { return !new(big.Rat).Quo(a, b).IsInt() })
	case string:
		count(utf8.RuneCountInString(v), "minLength", "maxLength")
	case []any:
		count(len(v), "minItems", "maxItems")
	case map[string]any:
		count(len(v), "minProperties", "maxProperties")
	}
	return keywords
}

func (c *checker) object(s *Schema, v map[string]any, path []string) {
	for _, name := range s.required {
		if _, ok := v[name]; !ok {
			c.fault(s, path, "required", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		c.property(s, name, v[name], path)
		if s.propertyNames != nil && !s.propertyNames.fits(name) {
			c.fault(s, path, "propertyNames", name)
		}
	}
}

func (c *checker) property(s *Schema, name string, v any, path []string) {
	below := append(slices.Clip(path), name)
	p, known := s.Properties[name]
	if known {
		c.check(p, v, below)
	}
	for _, p := range s.patterns {
		if p.name.MatchString(name) {
			known = true
			c.check(p.schema, v, below)
		}
	}
	switch {
	case known || s.additional == nil:
	case s.additional.never:
		c.fault(s, path, "additionalProperties", name)
	default:
		c.check(s.additional, v, below)
	}
}

func (c *checker) list(s *Schema, v []any, path []string) {
	if s.unique && repeats(v) {
		c.fault(s, path, "uniqueItems", "")
	}
	for i, one := range v {
		item := s.items
		if i < len(s.prefixItems) {
			item = s.prefixItems[i]
		}
		if item != nil {
			c.check(item, one, append(slices.Clip(path), strconv.Itoa(i)))
		}
	}
}

func repeats(v []any) bool {
	seen := make(map[string]bool, len(v))
	for _, one := range v {
		seen[canonical(one)] = true
	}
	return len(seen) < len(v)
}

// combined checks the same value against other schemas.
func (c *checker) combined(s *Schema, v any, path []string) {
	fits := func(other *Schema) bool { return other.fits(v) }
	for _, other := range s.allOf {
		c.check(other, v, path)
	}
	if s.anyOf != nil && !slices.ContainsFunc(s.anyOf, fits) {
		c.fault(s, path, "anyOf", "")
	}
	if s.oneOf != nil {
		first := slices.IndexFunc(s.oneOf, fits)
		if first < 0 || slices.ContainsFunc(s.oneOf[first+1:], fits) {
			c.fault(s, path, "oneOf", "")
		}
	}
	if s.not != nil && fits(s.not) {
		c.fault(s, path, "not", "")
	}
	if s.when == nil {
		return
	}
	branch := s.orElse
	if fits(s.when) {
		branch = s.then
	}
	if branch != nil {
		c.check(branch, v, path)
	}
}

func (s *Schema) fits(v any) bool { return len(s.Check(v)) == 0 }
