package statsd

import (
	"bytes"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/telemetry"
)

// maxTags leaves room for those that the plugin adds.
const maxTags = telemetry.MaxTags - 4

// A label is the name of a metric and its tags, by their keys. However the tags were written, the same are equal.
type label struct {
	name string
	tags []telemetry.Tag
}

// labelOf reads the name and the tags of m. Of a tag that is given twice the last counts.
func labelOf(m *message) (label, reason) {
	name, list, apart := splitName(m.name)
	if len(name) == 0 || len(name) > telemetry.MaxName {
		return label{}, badName
	}
	l := label{name: string(name)}
	l.add(list, apart, "=")
	l.add(m.tags, ",", ":=")
	l.set("container", string(m.container))
	if len(l.tags) > maxTags {
		return label{}, badTags
	}
	l.sort()
	return l, fine
}

// sort puts the tags in the order of their keys.
func (l label) sort() {
	slices.SortFunc(l.tags, func(a, b telemetry.Tag) int { return strings.Compare(a.Key, b.Key) })
}

// splitName parts the name of a metric from tags that are written there, as InfluxDB (name,tag=v), Graphite (name;tag=v), Librato
// (name#tag=v) and SignalFx (name[tag=v]) have it. apart is what is between two tags.
func splitName(text []byte) (name, tags []byte, apart string) {
	n := bytes.IndexAny(text, ",;#[")
	if n < 0 {
		return text, nil, ","
	}
	name, tags = text[:n], text[n+1:]
	switch text[n] {
	case ';':
		return name, tags, ";"
	case '[':
		inner, behind, _ := cut(tags, ']')
		return slices.Concat(name, behind), inner, ","
	}
	return name, tags, ","
}

// add adds the tags of a list: key and value with one of those letters between them, or a key alone, whose value is true.
func (l *label) add(list []byte, apart, between string) {
	for one := range bytes.SplitSeq(list, []byte(apart)) {
		if n := bytes.IndexAny(one, between); n >= 0 {
			l.set(string(one[:n]), string(one[n+1:]))
		} else {
			l.set(string(one), "true")
		}
	}
}

// set gives l a tag. One without a key or a value is none.
func (l *label) set(key, value string) {
	if key == "" || len(l.tags) > maxTags {
		return
	}
	l.tags = slices.DeleteFunc(l.tags, func(t telemetry.Tag) bool { return t.Key == key })
	if value != "" {
		l.tags = append(l.tags, telemetry.Tag{Key: key, Value: value})
	}
}

// keys returns the keys of the tags, and values their values, as a group of points wants them.
func (l label) keys() (keys, values []string) {
	for _, t := range l.tags {
		keys, values = append(keys, t.Key), append(values, t.Value)
	}
	return keys, values
}
