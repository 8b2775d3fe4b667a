package munin

import (
	"strings"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// An Output is what a plugin has printed in one run. The zero value is ready.
type Output struct {
	host   string // whom it is about; empty: this one
	graphs []*graph
	index  map[string]*graph
	values bool
	report report.Report
}

// A graph is a section of it.
type graph struct {
	name   string // empty: that of the plugin
	fields []*field
	index  map[string]*field
}

// A field is a line of a graph.
type field struct {
	name              string
	label             string
	kind              string
	min, max          *float64
	warning, critical *Range
	values            []value
}

// A value is one as it was printed: what it means is known when all of the field is.
type value struct {
	line  int
	epoch string // its time; empty: now
	text  string
}

// The kinds of fields, as RRDtool has them.
const (
	gauge    = "GAUGE"
	counter  = "COUNTER"  // only grows; it begins anew above 2^32 or 2^64
	derive   = "DERIVE"   // grows and shrinks
	absolute = "ABSOLUTE" // begins anew each time that it is read
)

// Values reports whether there are values in what was read: a plugin may print them along with its config.
func (o *Output) Values() bool { return o.values }

// SetHost says whom the points are about, whatever the plugin says.
func (o *Output) SetHost(name string) { o.host = name }

// Read adds what a plugin has printed, of config or of values.
func (o *Output) Read(text []byte) {
	g := o.graph("")
	for n, word := range o.report.Lines(text) {
		rest := ""
		if i := strings.IndexAny(word, " \t"); i >= 0 {
			word, rest = word[:i], strings.TrimLeft(word[i:], " \t")
		}
		switch {
		case word[0] == '#':
		case word == "multigraph" && rest != "":
			g = o.graph(report.Cut(rest, telemetry.MaxTagValue)) // the tag of each of its points
		case word == "host_name" && rest != "":
			o.host = report.Cut(rest, telemetry.MaxTagValue)
		case !strings.Contains(word, "."):
			o.ofGraph(n, word)
		default:
			name, attribute, _ := strings.Cut(word, ".")
			o.ofField(n, g, name, attribute, rest)
		}
	}
}

// graph returns the graph of a name.
func (o *Output) graph(name string) *graph {
	g := o.index[name]
	if g != nil {
		return g
	}
	if o.index == nil {
		o.index = map[string]*graph{}
	}
	g = &graph{name: name, index: map[string]*field{}}
	o.graphs, o.index[name] = append(o.graphs, g), g
	return g
}

// ofGraph refuses a line of a graph as a whole that is none: what there is to say of how it looks is of no use here.
func (o *Output) ofGraph(n int, word string) {
	if !strings.HasPrefix(word, "graph") && word != "update_rate" {
		o.report.Refuse(report.Syntax, n, "%.40q: want field.value, another attribute of a field, or one of the graph", word)
	}
}

// ofField takes a line about a field.
func (o *Output) ofField(n int, g *graph, name, attribute, rest string) {
	if !isName(name) {
		o.report.Refuse(report.Syntax, n, "field %.40q: want letters, digits and _, no digit first", name)
		return
	}
	f := g.index[name]
	if f == nil {
		f = &field{name: name, label: name, kind: gauge}
		g.fields, g.index[name] = append(g.fields, f), f
	}
	switch attribute {
	case "value":
		o.values = true
		f.values = append(f.values, split(n, rest))
	case "label":
		f.label = rest
	case "type":
		o.kind(n, f, rest)
	case "min":
		f.min = o.bound(n, f.name, rest)
	case "max":
		f.max = o.bound(n, f.name, rest)
	case "warning":
		f.warning = o.limit(n, f.name, rest)
	case "critical":
		f.critical = o.limit(n, f.name, rest)
	}
}

// split takes the time off a value.
func split(n int, text string) value {
	if epoch, rest, ok := strings.Cut(text, ":"); ok {
		if epoch == "N" {
			epoch = ""
		}
		return value{n, epoch, rest}
	}
	return value{n, "", text}
}

func (o *Output) kind(n int, f *field, text string) {
	switch kind := strings.ToUpper(text); kind {
	case gauge, counter, derive, absolute:
		f.kind = kind
	default:
		o.report.Refuse(report.Syntax, n, "%s: type %.40q: want GAUGE, COUNTER, DERIVE or ABSOLUTE", f.name, text)
	}
}

func (o *Output) bound(n int, name, text string) *float64 {
	if text == "" || text == unknown {
		return nil
	}
	v, ok := number(text)
	if !ok {
		o.report.Refuse(BadLimit, n, "%s: %.40q: want a number", name, text)
		return nil
	}
	return &v
}

func (o *Output) limit(n int, name, text string) *Range {
	r, ok := ParseRange(text)
	if !ok {
		o.report.Refuse(BadLimit, n, "%s: %.40q: want max, min:, :max or min:max", name, text)
	}
	return r
}

// isName reports whether text may be the name of a field.
func isName(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return text != ""
}
