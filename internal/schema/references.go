package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// references finds what the references of a document mean.
type references struct {
	text  []byte
	found map[string]*Schema // by the text of $ref
	all   []*Schema
	ended map[*Schema]bool // false while it is being looked at
}

// resolve finds the targets of all references below s, and then looks for circles.
func (r *references) resolve(s *Schema) error {
	if err := r.below(s); err != nil {
		return err
	}
	r.ended = make(map[*Schema]bool, len(r.all))
	for _, s := range r.all {
		if !r.ends(s) {
			return errors.New("a schema refers to itself in a circle")
		}
	}
	return nil
}

// below resolves s and all that it consists of.
func (r *references) below(s *Schema) error {
	if s == nil {
		return errNull
	}
	r.all = append(r.all, s)
	if s.refersTo != "" {
		var err error
		if s.ref, err = r.find(s.refersTo); err != nil {
			return fmt.Errorf("$ref %s: %w", s.refersTo, err)
		}
	}
	for _, part := range s.parts() {
		if err := r.below(part); err != nil {
			return err
		}
	}
	return nil
}

// find gives the same schema for the same text, so that a schema may refer to one that it is a part of.
func (r *references) find(ref string) (*Schema, error) {
	if s := r.found[ref]; s != nil {
		return s, nil
	}
	text, err := locate(r.text, ref)
	if err != nil {
		return nil, err
	}
	s := new(Schema)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	r.found[ref] = s
	return s, r.below(s)
}

// locate follows a JSON Pointer in a document.
func locate(text []byte, ref string) ([]byte, error) {
	pointer, err := url.PathUnescape(ref)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(pointer, "#/") {
		return nil, errors.New("want a place in this document, such as #/$defs/name")
	}
	for step := range strings.SplitSeq(pointer[2:], "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		if text = child(text, step); text == nil {
			return nil, fmt.Errorf("there is no %s", step)
		}
	}
	return text, nil
}

// child is the value of a key, or an element of a list, nil when there is none.
func child(text []byte, step string) []byte {
	var doc map[string]json.RawMessage
	if json.Unmarshal(text, &doc) == nil {
		return doc[step]
	}
	var list []json.RawMessage
	if i, err := strconv.Atoi(step); err == nil && json.Unmarshal(text, &list) == nil && i >= 0 && i < len(list) {
		return list[i]
	}
	return nil
}

// parts are the schemas that s is made of, what it refers to left out.
func (s *Schema) parts() []*Schema {
	list := slices.Concat(s.here(), s.prefixItems)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		list = append(list, s.Properties[name])
	}
	for _, p := range s.patterns {
		list = append(list, p.schema)
	}
	return present(list, s.additional, s.propertyNames, s.items)
}

// here are those parts that s applies to the same value as it is applied to.
func (s *Schema) here() []*Schema {
	return present(slices.Concat(s.allOf, s.anyOf, s.oneOf), s.not, s.when, s.then, s.orElse)
}

// present appends what is there.
func present(list []*Schema, optional ...*Schema) []*Schema {
	for _, s := range optional {
		if s != nil {
			list = append(list, s)
		}
	}
	return list
}

// ends reports whether s does not lead back to itself before it comes to a part of the value: a check would never end.
func (r *references) ends(s *Schema) bool {
	if ended, seen := r.ended[s]; seen {
		return ended
	}
	r.ended[s] = false
	r.ended[s] = !slices.ContainsFunc(present(s.here(), s.ref), func(part *Schema) bool { return !r.ends(part) })
	return r.ended[s]
}
