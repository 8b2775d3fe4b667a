package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
)

// validate checks converted settings against the schema and says what is wrong in words.
func (c *checker) validate(values map[string]any, list []entry) {
	var invalid *jsonschema.ValidationError
	if err := c.schema.Validate(map[string]any(values)); errors.As(err, &invalid) {
		c.leaves(invalid, list)
	}
}

// leaves goes down to the errors that say something; alternatives are one fault, not many.
func (c *checker) leaves(e *jsonschema.ValidationError, list []entry) {
	switch e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.AllOf, *kind.Reference:
		for _, cause := range e.Causes {
			c.leaves(cause, list)
		}
		return
	}
	c.explain(e.ErrorKind, c.spot(e.InstanceLocation, list))
}

// spot is a place in the settings: the value, its key, its schema, and its name in a message.
type spot struct {
	path     string
	key, val *yaml.Node
	list     []entry // the pairs of the map that it is
	schema   *jsonschema.Schema
}

// spot walks from the settings along a location in the JSON value.
func (c *checker) spot(location []string, list []entry) spot {
	at := spot{key: c.definition.key, val: c.val, list: list, schema: c.schema}
	for _, step := range location {
		if at.val.Kind == yaml.SequenceNode {
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(at.val.Content) {
				return at
			}
			child := at.val.Content[i]
			at = spot{index(at.path, i), child, child, entries(child), item(at.schema, i)}
			continue
		}
		i := slices.IndexFunc(at.list, func(e entry) bool { return e.name == step })
		if i < 0 {
			return at
		}
		e := at.list[i]
		at = spot{join(at.path, e.name), e.key, e.val, entries(e.val), property(at.schema, e.name)}
	}
	return at
}

func index(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// explain words one error of the validator.
func (c *checker) explain(k jsonschema.ErrorKind, at spot) {
	switch k := k.(type) {
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			c.unknown(name, at)
		}
	case *kind.Required:
		c.missing(k.Missing, at)
	case *kind.PropertyNames:
		i := slices.Index(names(at.list), k.Property)
		c.fault(at.list[max(0, i)].key, about(at.schema), "%s: %s cannot be a key here", at.label(c), k.Property)
	case *kind.Enum:
		words := texts(k.Want)
		c.fault(at.val, at.hint(didYouMean(at.val.Value, words, about(at.schema))), "%s: want %s, got %s", at.path, alternatives(words), c.value(at))
	case *kind.Pattern:
		c.pattern(at)
	case *kind.MaxItems:
		c.fault(at.val, about(at.schema), "%s: want %s, got %d", at.label(c), limit(k, at.schema), k.Got)
	case *kind.MinItems:
		c.fault(at.val, about(at.schema), "%s: want %s, got %d", at.label(c), limit(k, at.schema), k.Got)
	default:
		c.fault(at.place(), about(at.schema), "%s: want %s, got %s", at.label(c), limit(k, at.schema), c.value(at))
	}
}

// label names the place in a message; the settings as a whole go by the plugin's name.
func (at spot) label(c *checker) string {
	if at.path == "" {
		return c.Name
	}
	return at.path
}

func (at spot) place() *yaml.Node {
	if at.path == "" {
		return at.key
	}
	return at.val
}

// value shows what the file has, unless it is a secret.
func (c *checker) value(at spot) string {
	if at.schema != nil && at.schema.WriteOnly {
		return "***"
	}
	return c.got(at.val)
}

// hint keeps a hint made of the value from telling a secret.
func (at spot) hint(text string) string {
	if at.schema != nil && at.schema.WriteOnly {
		return ""
	}
	return text
}

// limit words the bound that a value is beyond.
func limit(k jsonschema.ErrorKind, sch *jsonschema.Schema) string {
	number := func(r *big.Rat) string { return strings.TrimSuffix(strings.TrimRight(r.FloatString(6), "0"), ".") }
	switch k := k.(type) {
	case *kind.Minimum, *kind.Maximum:
		if sch != nil && sch.Minimum != nil && sch.Maximum != nil {
			return "a number from " + number(sch.Minimum) + " to " + number(sch.Maximum)
		}
		if m, ok := k.(*kind.Minimum); ok {
			return "at least " + number(m.Want)
		}
		return "at most " + number(k.(*kind.Maximum).Want)
	case *kind.ExclusiveMinimum:
		return "more than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "less than " + number(k.Want)
	case *kind.MultipleOf:
		return "a multiple of " + number(k.Want)
	case *kind.MinLength:
		if k.Want == 1 {
			return "a text that is not empty"
		}
		return fmt.Sprintf("at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("at most %d characters", k.Want)
	case *kind.MinItems:
		return "a list of at least " + strconv.Itoa(k.Want)
	case *kind.MaxItems:
		return "a list of at most " + strconv.Itoa(k.Want)
	case *kind.MinProperties:
		return "a map of at least " + strconv.Itoa(k.Want)
	case *kind.MaxProperties:
		return "a map of at most " + strconv.Itoa(k.Want)
	case *kind.UniqueItems:
		return "a list without repetitions"
	case *kind.Const:
		return texts([]any{k.Want})[0]
	case *kind.Format:
		return "text in the form " + k.Want
	}
	return wanted(sch)
}

func texts(values []any) []string {
	list := make([]string, 0, len(values))
	for _, v := range values {
		text, ok := v.(string)
		if !ok {
			raw, _ := json.Marshal(v)
			text = string(raw)
		}
		list = append(list, text)
	}
	return list
}

// unknown reports a key that the schema does not have.
func (c *checker) unknown(name string, at spot) {
	i := slices.Index(names(at.list), name)
	if i < 0 {
		return
	}
	var known []string
	if at.schema != nil {
		known = slices.Sorted(maps.Keys(at.schema.Properties))
	}
	key := at.list[i].key
	if at.path != "" {
		c.fault(key, didYouMean(name, known, "known are "+few(known)), "%s: unknown key %s", at.path, name)
		return
	}
	hint := "its settings are " + few(known)
	if len(known) == 0 {
		hint = "it has no settings"
	}
	if slices.Contains(commonKeys, name) { // only under config: can it get here
		hint = name + " stands beside config:, not in it"
	}
	c.fault(key, didYouMean(name, slices.Concat(known, commonKeys), hint), "%s has no setting %s", c.Program, name)
}

// missing reports settings without a default. What was refused before is not missing.
func (c *checker) missing(list []string, at spot) {
	have := names(at.list)
	list = slices.DeleteFunc(slices.Clone(list), func(name string) bool { return slices.Contains(have, name) })
	for _, name := range list {
		c.fault(at.key, about(property(at.schema, name)), "%s: %s is missing", at.label(c), name)
	}
}

func (c *checker) pattern(at spot) {
	hint := about(at.schema)
	switch form(at.schema) {
	case formDuration:
		hint = durationHint(at.val.Value)
		if d, ok := parseDuration(at.val.Value); ok {
			hint = "did you mean " + strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m") + "?"
		}
	case formSize:
		hint = sizeHint(at.val.Value)
	}
	c.fault(at.val, at.hint(hint), "%s: want %s, got %s", at.path, wanted(at.schema), c.value(at))
}

// mismatch reports a value of the wrong type.
func (c *checker) mismatch(path string, n *yaml.Node, sch *jsonschema.Schema) {
	at := spot{path: path, val: n, schema: sch}
	c.fault(n, at.hint(typeHint(n, types(sch))), "%s: want %s, got %s", path, wanted(sch), c.value(at))
}

func typeHint(n *yaml.Node, want []string) string {
	if len(want) != 1 {
		return ""
	}
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	switch t := want[0]; {
	case n.Kind != yaml.ScalarNode && t == "string":
		return "quote a text that begins with { or ["
	case n.Kind != yaml.ScalarNode:
		return ""
	case t == "array":
		return "write [" + n.Value + "]"
	case t == "boolean":
		return booleanHint(n.Value)
	case t == "integer" && quoted && isInteger(n.Value), t == "number" && quoted && isNumber(n.Value):
		return "write it without quotes"
	case t == "integer" || t == "number":
		return numberHint(n.Value, t)
	}
	return ""
}

func booleanHint(text string) string {
	switch strings.ToLower(text) {
	case "yes", "on", "y", "1", "true":
		return "did you mean true?"
	case "no", "off", "n", "0", "false":
		return "did you mean false?"
	}
	return ""
}

var (
	integerForm = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	numberForm  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$`)
)

// isInteger reports a whole number that 64 bits can hold.
func isInteger(text string) bool {
	if !integerForm.MatchString(text) {
		return false
	}
	_, signed := strconv.ParseInt(text, 10, 64)
	_, unsigned := strconv.ParseUint(text, 10, 64)
	return signed == nil || unsigned == nil
}

// isNumber reports a number as JSON writes it. The bounds keep the validator's exact arithmetic cheap.
func isNumber(text string) bool {
	if len(text) > 40 || !numberForm.MatchString(text) {
		return false
	}
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

// numberHint guesses the number meant by 010, 1_000, .5, 1GiB, 5%.
func numberHint(text, want string) string {
	fits := isNumber
	if want == "integer" {
		fits = isInteger
		if size, ok := parseSize(text); ok {
			return "did you mean " + strconv.FormatInt(size, 10) + "?"
		}
	}
	plain := strings.TrimLeft(strings.NewReplacer("_", "", ",", "", "%", "", "+", "").Replace(text), "0")
	if strings.HasPrefix(plain, ".") || plain == "" {
		plain = "0" + plain
	}
	if text != "" && fits(plain) && plain != text {
		return "did you mean " + plain + "?"
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && isNumber(text) {
		if whole := strconv.FormatFloat(f, 'f', -1, 64); fits(whole) {
			return "did you mean " + whole + "?"
		}
	}
	return ""
}

// Forms of text that are recognised by what a pattern lets through.
const (
	formText = iota
	formDuration
	formSize
)

func form(sch *jsonschema.Schema) int {
	if sch == nil || sch.Pattern == nil || sch.Pattern.MatchString("x") {
		return formText
	}
	switch p := sch.Pattern; {
	case p.MatchString("10s") && p.MatchString("1m30s"):
		return formDuration
	case p.MatchString("1GiB") && p.MatchString("10MiB"):
		return formSize
	}
	return formText
}

// wanted words what a schema accepts.
func wanted(sch *jsonschema.Schema) string {
	switch form(sch) {
	case formDuration:
		return "a duration such as 10s"
	case formSize:
		return "a size such as 1GiB"
	}
	if sch == nil {
		return "something else"
	}
	if sch.Enum != nil {
		return alternatives(texts(sch.Enum.Values))
	}
	if sch.Pattern != nil {
		return "text that matches " + sch.Pattern.String()
	}
	var list []string
	for _, t := range types(sch) {
		list = append(list, map[string]string{
			"string": "text", "integer": "a whole number", "number": "a number",
			"boolean": "true or false", "array": "a list", "object": "a map",
		}[t])
	}
	if len(list) == 0 {
		return "something else"
	}
	return alternatives(list)
}

// about tells what a setting is for, from its schema.
func about(sch *jsonschema.Schema) string {
	if sch == nil {
		return ""
	}
	text := sch.Description
	if sch.Default != nil && !sch.WriteOnly {
		if value := texts([]any{*sch.Default})[0]; value != "" && value != "null" && len(value) < 40 {
			text = strings.TrimPrefix(text+"; default "+value, "; ")
		}
	}
	return text
}
