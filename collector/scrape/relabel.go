package scrape

import (
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// A Rule is one step of relabelling, as Prometheus writes it.
type Rule struct {
	SourceLabels plugin.Strings `json:"source_labels,omitempty" jsonschema:"labels whose values are joined"`
	Separator    *string        `json:"separator,omitempty" jsonschema:"what joins them; absent: a semicolon"`
	Regex        *string        `json:"regex,omitempty" jsonschema:"what has to match, from begin to end; absent: anything"`
	Modulus      uint64         `json:"modulus,omitempty" jsonschema:"of hashmod"`
	TargetLabel  string         `json:"target_label,omitempty" jsonschema:"the label that is written"`
	Replacement  *string        `json:"replacement,omitempty" jsonschema:"what is written, with $1 and so on; absent: $1"`
	Action       string         `json:"action,omitempty" jsonschema:"replace (the default), keep, drop, labelmap, labeldrop, labelkeep, hashmod, lowercase, uppercase, keepequal or dropequal"`
}

// A rule is a Rule, ready to be applied.
type rule struct {
	action      string
	source      []string
	separator   string
	regex       *regexp.Regexp
	all         bool // regex is (.*) and replacement $1: the text stays as it is
	modulus     uint64
	target      string
	expands     bool // target has a $
	replacement string
}

// Actions that write one label, those that look at names, and the others.
var (
	writing = []string{"replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"}
	naming  = []string{"labelmap", "labeldrop", "labelkeep"}
	sifting = []string{"keep", "drop"}
)

const anything = "(.*)"

// compile returns rules ready to be applied, or what is wrong with each of them. key is the setting they are from.
func compile(key string, rules []Rule) ([]rule, error) {
	var all []rule
	var faults []error
	for i, r := range rules {
		one, err := newRule(r)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s[%d]: %w", key, i, err))
		}
		all = append(all, one)
	}
	return all, errors.Join(faults...)
}

func newRule(r Rule) (rule, error) {
	one := rule{
		action: strings.ToLower(r.Action), source: r.SourceLabels, separator: orElse(r.Separator, ";"),
		modulus: r.Modulus, target: r.TargetLabel, replacement: orElse(r.Replacement, "$1"),
	}
	if one.action == "" {
		one.action = "replace"
	}
	text := orElse(r.Regex, anything)
	one.all = text == anything && one.replacement == "$1"
	one.expands = strings.Contains(one.target, "$")
	var err error
	if one.regex, err = regexp.Compile("^(?s:" + text + ")$"); err != nil {
		return one, fmt.Errorf("regex %q: %w", text, err)
	}
	return one, one.check(r.Regex != nil)
}

func orElse(text *string, other string) string {
	if text == nil {
		return other
	}
	return *text
}

// check reports a rule that would do something else than who wrote it meant.
func (r *rule) check(hasRegex bool) error {
	known := slices.Concat(writing, naming, sifting)
	byName := slices.Contains(naming, r.action)
	switch {
	case !slices.Contains(known, r.action):
		return fmt.Errorf("action %q: want one of %s", r.action, strings.Join(known, ", "))
	case byName && !hasRegex:
		return fmt.Errorf("action %s: give a regex, which the names of labels are to match", r.action)
	case byName && len(r.source) > 0:
		return fmt.Errorf("action %s looks at the names of all labels: take source_labels out, and let regex match names", r.action)
	case r.target == "" && slices.Contains(writing, r.action):
		return fmt.Errorf("action %s: name the target_label", r.action)
	case len(r.source) == 0 && !byName && r.action != "replace":
		return fmt.Errorf("action %s: name the source_labels, such as [__name__]", r.action)
	case r.modulus == 0 && r.action == "hashmod":
		return errors.New("action hashmod: give a modulus of 1 or more")
	}
	return nil
}

// Labels are the labels of a target or a sample, none of them twice. One with the value "" is none.
type labels []telemetry.Tag

func (l labels) find(key string) int {
	for i := range l {
		if l[i].Key == key {
			return i
		}
	}
	return -1
}

func (l labels) value(key string) string {
	if i := l.find(key); i >= 0 {
		return l[i].Value
	}
	return ""
}

// set gives key a value; "" takes the label away.
func (l *labels) set(key, value string) {
	i := l.find(key)
	switch {
	case i >= 0 && value == "":
		*l = slices.Delete(*l, i, i+1)
	case i >= 0:
		(*l)[i].Value = value
	case value != "":
		*l = append(*l, telemetry.Tag{Key: key, Value: value})
	}
}

// relabel applies rules to l in their order, and reports whether what has the labels is kept.
func (l *labels) relabel(rules []rule) bool {
	for i := range rules {
		if !rules[i].apply(l) {
			return false
		}
	}
	return true
}

func (r *rule) apply(l *labels) (keep bool) {
	switch r.action {
	case "labelmap":
		for _, tag := range slices.Clone(*l) {
			if name := r.regex.ReplaceAllString(tag.Key, r.replacement); name != "" && r.regex.MatchString(tag.Key) {
				l.set(name, tag.Value)
			}
		}
		return true
	case "labeldrop":
		*l = slices.DeleteFunc(*l, func(t telemetry.Tag) bool { return r.regex.MatchString(t.Key) })
		return true
	case "labelkeep":
		*l = slices.DeleteFunc(*l, func(t telemetry.Tag) bool { return !r.regex.MatchString(t.Key) })
		return true
	}
	text := r.join(*l)
	switch r.action {
	case "keep":
		return r.regex.MatchString(text)
	case "drop":
		return !r.regex.MatchString(text)
	case "keepequal":
		return l.value(r.target) == text
	case "dropequal":
		return l.value(r.target) != text
	case "lowercase":
		l.set(r.target, strings.ToLower(text))
	case "uppercase":
		l.set(r.target, strings.ToUpper(text))
	case "hashmod":
		sum := md5.Sum([]byte(text)) // what Prometheus takes: shards agree with those of others
		l.set(r.target, strconv.FormatUint(binary.BigEndian.Uint64(sum[8:])%r.modulus, 10))
	default:
		r.replace(l, text)
	}
	return true
}

// join returns the values of the source labels, joined.
func (r *rule) join(l labels) string {
	switch len(r.source) {
	case 0:
		return ""
	case 1:
		return l.value(r.source[0])
	}
	var b strings.Builder
	for i, key := range r.source {
		if i > 0 {
			b.WriteString(r.separator)
		}
		b.WriteString(l.value(key))
	}
	return b.String()
}

func (r *rule) replace(l *labels, text string) {
	if r.all && !r.expands {
		l.set(r.target, text)
		return
	}
	match := r.regex.FindStringSubmatchIndex(text)
	if match == nil {
		return
	}
	target := r.target
	if r.expands {
		target = string(r.regex.ExpandString(nil, target, text, match))
	}
	if target != "" {
		l.set(target, string(r.regex.ExpandString(nil, r.replacement, text, match)))
	}
}
