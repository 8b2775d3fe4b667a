package config

import (
	"slices"
	"strings"
)

// Inputs returns the names of the plugins that p reads, with all spelled out: for a publisher every
// collector and processor, for a processor every collector. They are those of this config: that all
// on an external bus holds the plugins of other machines too is for the reader of From to see.
func (s *Settings) Inputs(p Plugin) []string {
	if !slices.Contains(p.From, "all") {
		return p.From
	}
	var list []string
	for _, other := range s.Plugins {
		if feeds(other.Kind, p.Kind) {
			list = append(list, other.Name)
		}
	}
	return list
}

// feeds reports whether all, at a plugin of kind to, holds plugins of kind from.
func feeds(from, to string) bool {
	return from == Collector && to != Collector || from == Processor && to == Publisher
}

// link checks the edges that from: draws.
func (l *loader) link() {
	for _, d := range l.plugins {
		if d.Kind == Collector {
			continue
		}
		for i, name := range d.From {
			if name == "all" {
				l.nobody(d, i)
				continue
			}
			l.edge(d, i, name)
		}
	}
	l.loops()
	l.unread()
}

// nobody warns of all where there is none: it stands for the plugins of this config alone.
func (l *loader) nobody(d *definition, i int) {
	if !slices.ContainsFunc(l.plugins, func(other *definition) bool { return feeds(other.Kind, d.Kind) && !other.facts() }) {
		hint := "name the plugins of other machines, as from: [host, app]"
		if l.out.Bus.Own() {
			hint = "add one to collect:"
		}
		d.warn(d.from[i], hint,
			"from: all means the plugins of this config, and there is none: %s gets no points", d.Name)
	}
}

// facts reports whether the plugin brings facts instead of points.
func (d *definition) facts() bool { return d.builtin != nil && d.builtin.Inventory }

// always are the producers that no config names: the agent, with the counters of its plugins, and pacewire send.
var always = []string{"agent", "send"}

// edge checks one name in a from:.
func (l *loader) edge(d *definition, i int, name string) {
	switch source := l.byName[name]; {
	case name == d.Name:
		d.fault(d.from[i], "", "from: %s reads itself", name)
	case slices.Contains(always, name) && source == nil:
	case source == nil:
		l.stranger(d, i, name)
	case source.Kind == Publisher:
		d.fault(d.from[i], "read what it reads: "+strings.Join(source.From, ", "), "from: %s is a publisher: it carries points out and gives none on", name)
	}
}

// stranger judges a name that no plugin of the file has. Beside an external bus it may be a plugin
// of another machine, unless it looks like a mistyped one of ours. Where this machine collects nothing
// that is what it is here for.
func (l *loader) stranger(d *definition, i int, name string) {
	var known []string
	for _, other := range l.plugins {
		if other.Kind != Publisher && other != d {
			known = append(known, other.Name)
		}
	}
	near := Suggest(name, known)
	if near == "" && !l.out.Bus.Own() {
		if !slices.ContainsFunc(l.plugins, func(other *definition) bool { return other.Kind == Collector }) {
			return
		}
		d.warn(d.from[i], "", "from: no plugin here is called %s: taken for one of other machines on the bus", d.raw(d.from[i]))
		return
	}
	hint := "there is none to read: add one to collect:"
	if len(known) > 0 {
		hint = "known are all, " + few(known)
	}
	if strings.ContainsAny(name, ", ") {
		hint = "write a list: from: [" + strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == ',' || r == ' ' }), ", ") + "]"
	}
	d.fault(d.from[i], didYouMean(name, known, hint), "from: there is no plugin %s", d.raw(d.from[i]))
}

// loops finds processors that feed themselves through others, each loop once.
func (l *loader) loops() {
	done := make(map[*definition]bool)
	for _, d := range l.plugins {
		if d.Kind == Processor {
			l.follow(d, nil, done)
		}
	}
}

// follow goes against the flow of points, from a reader to what it reads.
func (l *loader) follow(d *definition, path []*definition, done map[*definition]bool) {
	if at := slices.Index(path, d); at >= 0 {
		l.loop(path[at:])
		return
	}
	if done[d] {
		return
	}
	path = append(path, d)
	for _, name := range d.From {
		if next := l.byName[name]; next != nil && next != d && next.Kind == Processor {
			l.follow(next, path, done)
		}
	}
	done[d] = true
}

// loop reports a loop at the plugin of it that stands first.
func (l *loader) loop(path []*definition) {
	first := path[0]
	for _, d := range path {
		if slices.Index(l.plugins, d) < slices.Index(l.plugins, first) {
			first = d
		}
	}
	at := slices.Index(path, first)
	path = slices.Concat(path[at:], path[:at], path[at:at+1])
	var way []string
	for _, d := range path {
		way = append(way, d.Name)
	}
	i := slices.Index(first.From, path[1].Name)
	first.fault(first.from[i], "remove one of these from:", "from: points would go round for ever: %s", strings.Join(way, " reads "))
}

// unread warns of points that go nowhere. On an external bus somebody else may read them.
func (l *loader) unread() {
	if !l.out.Bus.Embedded {
		return
	}
	read := make(map[string]bool)
	for _, d := range l.plugins {
		for _, name := range d.From {
			read[name] = true
			read["all of "+Collector] = read["all of "+Collector] || name == "all"
			read["all of "+Processor] = read["all of "+Processor] || name == "all" && d.Kind == Publisher
		}
	}
	for _, d := range l.plugins {
		if d.Kind != Publisher && !d.facts() && !read[d.Name] && !read["all of "+d.Kind] {
			d.warn(d.key, "name it in a from: of publish:, or remove it", "nobody reads %s: its points go nowhere", d.Name)
		}
	}
}
