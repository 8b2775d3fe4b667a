package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pacewire/pacewire/internal/schema"
)

// validate checks converted settings against the schema and says what is wrong in words.
func (c *checker) validate(values map[string]any, list []entry) {
	for _, f := range c.schema.Check(values) {
		at := c.spot(f.Path, list)
		if at.schema == nil {
			at.schema = f.Schema
		}
		c.explain(f, at)
	}
}

// spot is a place in the settings: the value, its key, its schema, and its name in a message.
type spot struct {
	path     string
	key, val *yaml.Node
	list     []entry // the pairs of the map that it is
	schema   *schema.Schema
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
			at = spot{index(at.path, i), child, child, entries(child), at.schema.Item(i)}
			continue
		}
		i := slices.IndexFunc(at.list, func(e entry) bool { return e.name == step })
		if i < 0 {
			return at
		}
		e := at.list[i]
		at = spot{join(at.path, e.name), e.key, e.val, entries(e.val), at.schema.Property(e.name)}
	}
	return at
}

func index(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// explain words one fault.
func (c *checker) explain(f schema.Fault, at spot) {
	switch f.Keyword {
	case "additionalProperties":
		c.unknown(f.Name, at)
	case "required":
		c.missing(f.Name, at)
	case "propertyNames":
		i := slices.Index(names(at.list), f.Name)
		c.fault(at.list[max(0, i)].key, about(at.schema), "%s: %s cannot be a key here", at.label(c), f.Name)
	case "enum":
		words := texts(f.Schema.Enum)
		c.fault(at.val, at.hint(didYouMean(at.val.Value, words, about(at.schema))), "%s: want %s, got %s", at.path, alternatives(words), c.value(at))
	case "pattern":
		c.pattern(at)
	case "minItems", "maxItems":
		c.fault(at.val, about(at.schema), "%s: want %s, got %d", at.label(c), Wants(f), len(at.val.Content))
	default:
		c.fault(at.place(), about(at.schema), "%s: want %s, got %s", at.label(c), Wants(f), c.value(at))
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

// Wants words what a schema wants where a value has a fault, such as "a number from 1 to 9".
func Wants(f schema.Fault) string {
	limits := f.Schema.Limits
	number := limits[f.Keyword].String()
	switch f.Keyword {
	case "minimum", "maximum":
		least, most := limits["minimum"].String(), limits["maximum"].String()
		switch {
		case most == "":
			return "at least " + least
		case least == "":
			return "at most " + most
		}
		return "a number from " + least + " to " + most
	case "exclusiveMinimum":
		return "more than " + number
	case "exclusiveMaximum":
		return "less than " + number
	case "multipleOf":
		return "a multiple of " + number
	case "minLength":
		if number == "1" {
			return "a text that is not empty"
		}
		return "at least " + number + " characters"
	case "maxLength":
		return "at most " + number + " characters"
	case "minItems":
		return "a list of at least " + number
	case "maxItems":
		return "a list of at most " + number
	case "minProperties":
		return "a map of at least " + number
	case "maxProperties":
		return "a map of at most " + number
	case "uniqueItems":
		return "a list without repetitions"
	case "const":
		return texts([]any{*f.Schema.Const})[0]
	}
	return wanted(f.Schema)
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
	c.fault(key, didYouMean(name, slices.Concat(known, useful(c.Kind)), hint), "%s has no setting %s", c.Program, name)
}

// missing reports a setting without a default. What was refused before is not missing.
func (c *checker) missing(name string, at spot) {
	if !slices.Contains(names(at.list), name) {
		c.fault(at.key, about(at.schema.Property(name)), "%s: %s is missing", at.label(c), name)
	}
}

func (c *checker) pattern(at spot) {
	hint := about(at.schema)
	switch form(at.schema) {
	case formDuration:
		hint = durationHint(at.val.Value)
		if d, ok := parseDuration(at.val.Value); ok {
			hint = "did you mean " + brief(d) + "?"
		}
	case formSize:
		hint = sizeHint(at.val.Value)
	}
	c.fault(at.val, at.hint(hint), "%s: want %s, got %s", at.path, wanted(at.schema), c.value(at))
}

// mismatch reports a value of the wrong type.
func (c *checker) mismatch(path string, n *yaml.Node, sch *schema.Schema) {
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
	integerForm = &pattern{text: `^-?(0|[1-9][0-9]*)$`}
	numberForm  = &pattern{text: `^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$`}
)

// isInteger reports a whole number that 64 bits can hold.
func isInteger(text string) bool {
	if !integerForm.re().MatchString(text) {
		return false
	}
	_, signed := strconv.ParseInt(text, 10, 64)
	_, unsigned := strconv.ParseUint(text, 10, 64)
	return signed == nil || unsigned == nil
}

// isNumber reports a number as JSON writes it. The bounds keep the validator's exact arithmetic cheap.
func isNumber(text string) bool {
	if len(text) > 40 || !numberForm.re().MatchString(text) {
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

func form(sch *schema.Schema) int {
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
func wanted(sch *schema.Schema) string {
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
		return alternatives(texts(sch.Enum))
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
func about(sch *schema.Schema) string {
	if sch == nil {
		return ""
	}
	text := sch.Description
	if sch.Default != nil && !sch.WriteOnly {
		if value := texts([]any{sch.Default})[0]; value != "" && value != "null" && len(value) < 40 {
			text = strings.TrimPrefix(text+"; default "+value, "; ")
		}
	}
	return text
}
