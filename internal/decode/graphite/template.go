package graphite

import (
	"fmt"
	"maps"
	stdpath "path"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/telemetry"
)

// What a node of a template may be, besides the name of a tag. Other programs say measurement for series.
const (
	seriesNode = "series"
	fieldNode  = "field"
)

// A template says what the nodes of a path are.
type template struct {
	filter []string // a pattern for each node; none matches all
	nodes  []string // as in the config; "" is left out
	tags   telemetry.Tags
}

func parseTemplate(text string) (t template, err error) {
	words := strings.Fields(text)
	fault := func(format string, args ...any) (template, error) {
		return t, fmt.Errorf("template %q: "+format, append([]any{text}, args...)...)
	}
	if n := len(words); n > 1 && strings.Contains(words[n-1], "=") {
		if t.tags, err = parseTags(words[n-1]); err != nil {
			return fault("%w", err)
		}
		words = words[:n-1]
	}
	switch len(words) {
	case 1:
	case 2:
		t.filter = strings.Split(words[0], ".")
	default:
		return fault("want [FILTER] TEMPLATE [TAG=VALUE,...]")
	}
	for _, pattern := range t.filter {
		if _, err := stdpath.Match(pattern, ""); err != nil {
			return fault("filter: %w", err)
		}
	}
	t.nodes = strings.Split(strings.ReplaceAll(words[len(words)-1], "measurement", seriesNode), ".")
	for i, node := range t.nodes {
		if strings.HasSuffix(node, "*") && (i < len(t.nodes)-1 || node != seriesNode+"*" && node != fieldNode+"*") {
			return fault("%s: only series* and field* take all that is left, and stand last", node)
		}
	}
	if !slices.Contains(t.nodes, seriesNode) && !slices.Contains(t.nodes, seriesNode+"*") {
		return fault("no node is the series")
	}
	return t, nil
}

func parseTags(text string) (telemetry.Tags, error) {
	tags := telemetry.Tags{}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" || value == "" {
			return nil, fmt.Errorf("tag %q: want name=value", pair)
		}
		tags[key] = value
	}
	return tags, nil
}

// exact tells how exact the filter is: nodes without a pattern count most, then all.
func (t template) exact() (n int) {
	const patternWeight, nodeWeight = 1, 1 << 10
	for _, pattern := range t.filter {
		n += patternWeight
		if !strings.ContainsAny(pattern, `*?[\`) {
			n += nodeWeight
		}
	}
	return n
}

// matches reports whether the path is one for the template.
func (t template) matches(path []string) bool {
	if len(t.filter) > len(path) {
		return false
	}
	for i, pattern := range t.filter {
		if ok, _ := stdpath.Match(pattern, path[i]); !ok {
			return false
		}
	}
	return true
}

// apply takes a path apart. What is longer than the template is left out, unless its last node takes it.
func (t template) apply(nodes []string, separator string) path {
	var series, field []string
	tags := map[string][]string{}
	for i, node := range t.nodes {
		if i >= len(nodes) {
			break
		}
		part := nodes[i : i+1]
		if name, rest := strings.CutSuffix(node, "*"); rest {
			node, part = name, nodes[i:]
		}
		switch node {
		case "":
		case seriesNode:
			series = append(series, part...)
		case fieldNode:
			field = append(field, part...)
		default:
			tags[node] = append(tags[node], part...)
		}
	}
	p := path{series: strings.Join(series, separator), field: strings.Join(field, separator), tags: telemetry.Tags{}}
	maps.Copy(p.tags, t.tags)
	for key, parts := range tags {
		p.tags[key] = strings.Join(parts, separator)
	}
	return p
}
