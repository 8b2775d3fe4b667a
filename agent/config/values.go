package config

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The readers of single values: each takes the key for its message, gives the zero value when the
// node is wrong, and has then noted the fault.

// text reads a scalar as it is written: 010 and 1.10 stay what they are.
func (s *source) text(key string, n *yaml.Node) string {
	switch {
	case empty(n):
		s.fault(n, "give it a value or remove the key", "%s: has no value", key)
	case n.Kind != yaml.ScalarNode:
		s.fault(n, s.bare(n), "%s: want text, got %s", key, s.got(n))
	case n.Value == "":
		s.fault(n, "remove the key to leave it out", "%s: is empty", key)
	default:
		return n.Value
	}
	return ""
}

// bare is what to write instead of a list of one.
func (s *source) bare(n *yaml.Node) string {
	if n.Kind != yaml.SequenceNode || len(n.Content) != 1 || n.Content[0].Kind != yaml.ScalarNode {
		return ""
	}
	return "write " + s.raw(n.Content[0]) + " without brackets"
}

// texts reads a scalar or a list of them; nodes are those of the texts.
func (s *source) texts(key string, n *yaml.Node) (list []string, nodes []*yaml.Node) {
	nodes = []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	if len(nodes) == 0 {
		s.fault(n, "name one or remove the key", "%s: the list is empty", key)
	}
	kept := nodes[:0:0]
	for _, item := range nodes {
		if text := s.text(key, item); text != "" {
			list, kept = append(list, text), append(kept, item)
		}
	}
	return list, kept
}

// oneOf reads one of some words.
func (s *source) oneOf(key string, n *yaml.Node, words ...string) string {
	text := s.text(key, n)
	for _, w := range words {
		if text == w || text == "" {
			return text
		}
	}
	s.fault(n, didYouMean(text, words, ""), "%s: want %s, got %s", key, alternatives(words), s.got(n))
	return ""
}

// alternatives is a list in words: a, b or c.
func alternatives(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func (s *source) flag(key string, n *yaml.Node) bool {
	text := s.text(key, n)
	if text != "" && text != "true" && text != "false" {
		s.fault(n, booleanHint(text), "%s: want true or false, got %s", key, s.got(n))
	}
	return text == "true"
}

// count reads a whole number of at least 1.
func (s *source) count(key string, n *yaml.Node, most int) int {
	return s.countFrom(key, n, 1, most)
}

func (s *source) countFrom(key string, n *yaml.Node, least, most int) int {
	text := s.text(key, n)
	if text == "" {
		return 0
	}
	i, err := strconv.Atoi(text)
	if err != nil || i < least || i > most || text != strconv.Itoa(i) {
		s.fault(n, "", "%s: want a whole number from %d to %d, got %s", key, least, most, s.got(n))
		return 0
	}
	return i
}

// duration reads a duration of at least least.
func (s *source) duration(key string, n *yaml.Node, least time.Duration) time.Duration {
	text := s.text(key, n)
	if text == "" {
		return 0
	}
	d, ok := parseDuration(text)
	switch {
	case !ok && text != "0": // which needs no unit
		s.fault(n, durationHint(text), "%s: want a duration such as 10s, got %s", key, s.got(n))
	case d < least:
		s.fault(n, leastHint(d), "%s: want at least %s, got %s", key, brief(least), s.got(n))
	default:
		return d
	}
	return 0
}

// leastHint helps whoever wrote none for a duration that has to be.
func leastHint(d time.Duration) string {
	if d == 0 {
		return "leave it out for its default"
	}
	return ""
}

var durationForm = &pattern{text: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+$`}

// ParseDuration reads a duration as the config has it, also days (2d, 1d12h). The error says how to write what was meant.
func ParseDuration(text string) (time.Duration, error) {
	d, ok := parseDuration(text)
	if !ok {
		return 0, fmt.Errorf("want a duration such as 10s or 2d, got %.40q: %s", text, durationHint(text))
	}
	return d, nil
}

// parseDuration reads what time.ParseDuration does, and days; no sign.
func parseDuration(text string) (time.Duration, bool) {
	if !durationForm.re().MatchString(text) {
		return 0, false
	}
	var days time.Duration
	if whole, rest, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseFloat(whole, 64)
		if err != nil || n > 36500 {
			return 0, false
		}
		days, text = time.Duration(n*float64(24*time.Hour)), rest
	}
	if text == "" {
		return days, true
	}
	d, err := time.ParseDuration(text)
	return days + d, err == nil && days+d >= 0
}

const durationUnitsHint = "units are ms, s, m, h, d"

var durationPart = &pattern{text: `^([0-9]+(?:\.[0-9]+)?)\s*([a-zµ]*)`}

// durationHint guesses the duration meant by 10, 10 sec, 10S.
func durationHint(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	m := durationPart.re().FindStringSubmatch(text)
	if m == nil || m[0] != text {
		return durationUnitsHint
	}
	if d := m[1] + durationUnit(m[2]); durationForm.re().MatchString(d) {
		return "did you mean " + d + "?"
	}
	return durationUnitsHint
}

// durationUnit is our name of a unit.
func durationUnit(word string) string {
	switch word {
	case "", "sec", "secs", "second", "seconds":
		return "s"
	case "msec", "millis", "milliseconds":
		return "ms"
	case "min", "mins", "minute", "minutes":
		return "m"
	case "hr", "hrs", "hour", "hours":
		return "h"
	case "day", "days":
		return "d"
	}
	return word
}

var sizeForm = &pattern{text: `^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)$`}

var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"B", 1}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
}

// size reads bytes, such as 1GiB.
func (s *source) size(key string, n *yaml.Node) int64 {
	text := s.text(key, n)
	if text == "" {
		return 0
	}
	bytes, ok := parseSize(text)
	if !ok {
		s.fault(n, sizeHint(text), "%s: want a size such as 1GiB, got %s", key, s.got(n))
	}
	return bytes
}

func parseSize(text string) (int64, bool) {
	m := sizeForm.re().FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	for _, unit := range sizeUnits {
		if unit.name == m[2] {
			n, err := strconv.ParseFloat(m[1], 64)
			bytes := n * unit.bytes
			return int64(bytes), err == nil && bytes >= 1 && bytes < math.MaxInt64
		}
	}
	return 0, false
}

func sizeHint(text string) string {
	const units = "units are B, KB, MB, GB, TB (of 1000) and KiB, MiB, GiB, TiB (of 1024)"
	m := sizeForm.re().FindStringSubmatch(text)
	if m == nil {
		return units
	}
	if number, err := strconv.ParseFloat(m[1], 64); err == nil && number == 0 {
		return "it has to be more than 0: leave it out for the default"
	}
	for _, unit := range sizeUnits {
		short, binary := strings.CutSuffix(unit.name, "iB")
		if strings.EqualFold(m[2], unit.name) || binary && strings.EqualFold(m[2], short) {
			return "did you mean " + m[1] + unit.name + "?"
		}
	}
	if m[2] == "" {
		return "did you mean " + m[1] + "MiB? " + units
	}
	return units
}

// address reads host:port.
func (s *source) address(key string, n *yaml.Node) string {
	text := s.text(key, n)
	if text == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(text)
	if _, bad := strconv.ParseUint(port, 10, 16); err == nil && bad == nil && !strings.ContainsAny(text, " /@") {
		return text
	}
	hint := ""
	if _, bad := strconv.ParseUint(text, 10, 16); bad == nil {
		hint = "did you mean 127.0.0.1:" + text + "?"
	}
	s.fault(n, hint, "%s: want host:port such as 127.0.0.1:8470, got %s", key, s.got(n))
	return ""
}

// tags reads a map of texts.
func (s *source) tags(key string, n *yaml.Node) map[string]string {
	if !s.isMap(key, n, "{ site: lab }") {
		return nil
	}
	out := make(map[string]string)
	for _, e := range entries(n) {
		if e.name == "host" {
			s.fault(e.key, "host: beside tags: names the machine", "%s: host is set by the bus: it says whose points these are", key)
			continue
		}
		if text := s.text(key+"."+e.name, e.val); text != "" {
			out[e.name] = text
		}
	}
	return out
}

func (s *source) isMap(key string, n *yaml.Node, such string) bool {
	if n.Kind != yaml.MappingNode {
		s.fault(n, "", "%s: want a map such as %s, got %s", key, such, s.got(n))
	}
	return n.Kind == yaml.MappingNode
}

// fields hands each value of a map to the reader of its key.
func (s *source) fields(what string, n *yaml.Node, known map[string]func(*yaml.Node), order []string) {
	for _, e := range entries(n) {
		if read := known[e.name]; read != nil {
			read(e.val)
			continue
		}
		s.fault(e.key, didYouMean(e.name, order, "known are "+few(order)), "%s: unknown key %s", what, e.name)
	}
}
