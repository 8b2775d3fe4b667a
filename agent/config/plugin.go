package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// definition is a plugin in the making: what came of it, and where that stands.
type definition struct {
	Plugin
	*source
	entry

	use, run *yaml.Node
	replicas *yaml.Node // of Plugin.Replicas
	pin      *yaml.Node // of sha256
	exit     *yaml.Node // of on_agent_exit
	threads  *yaml.Node // of limits.processes
	timing   timing
	from     []*yaml.Node // of Plugin.From
	builtin  *Program     // nil when the settings are not known here
	beside   []entry      // settings that stand beside use, from ...
	inside   []entry      // settings that stand under config:
}

// commonKeys are those every plugin has; a program cannot name a setting so.
var commonKeys = []string{
	"use", "run", "from", "on", "config", "every", "cron", "schedule", "timeout", "tags", "owner", "enabled", "start", "replicas", "parallel", "env",
	"limits", "run_as", "on_agent_exit", "sha256", "attached", "order", "queue", "overflow", "max_rate", "max_series",
}

var pluginName = &pattern{text: `^[a-z0-9][a-z0-9_-]{0,62}$`}

// plugin reads one entry of a section.
func (l *loader) plugin(s *source, kind string, e entry) {
	d := &definition{source: s, entry: e, Plugin: Plugin{
		Name: e.name, Kind: kind, Enabled: true, Replicas: 1, Parallel: 1,
		Position: Position{File: s.name, Line: e.key.Line, Column: e.key.Column},
	}}
	if !l.named(d) {
		return
	}
	l.plugins, l.byName[d.Name] = append(l.plugins, d), d
	if !empty(e.val) && !s.isMap(e.name, e.val, "{ every: 10s }") {
		return
	}
	l.keys(d)
	d.sources()
	d.when(l.Offline)
	d.attached()
	l.outlives(d)
	l.resolve(d)
	d.pinned()
	d.roomy()
	l.doubtful(d)
	l.config(d)
	d.shareable()
	d.timed()
}

// named checks the name, which is a token of subjects, a folder and a user of the bus.
func (l *loader) named(d *definition) bool {
	name := d.Name
	was := l.byName[name]
	switch {
	case name == "agent" || name == "all":
		d.fault(d.key, "choose another one", "%s is reserved: no plugin can have this name", name)
	case !pluginName.re().MatchString(name):
		hint := ""
		if better := fold(name); pluginName.re().MatchString(better) {
			hint = "did you mean " + better + "?"
		}
		d.fault(d.key, hint, "%q: a name has a-z, 0-9, _ and -, begins with a letter or digit, and is at most 63 long", name)
	case was != nil:
		d.another(was)
	default:
		return true
	}
	return false
}

// another refuses a second plugin of a name: the one that is loaded, or else the later one.
func (d *definition) another(was *definition) {
	hint := "names are unique over collect, process and publish: rename one"
	if was.loaded && !d.loaded {
		d, was = was, d
	}
	if d.loaded {
		hint = "choose another name, or load it with --replace"
	}
	d.fault(d.key, hint, "there are two plugins %s: the first in %s", d.Name, was.place(d.source, was.key))
}

// fold makes a name of what somebody wrote for one.
func fold(name string) string {
	return regexp.MustCompile(`[^a-z0-9_-]+`).ReplaceAllString(strings.ToLower(name), "_")
}

// keys reads the keys every plugin has and sets the others aside.
func (l *loader) keys(d *definition) {
	read := map[string]func(*yaml.Node){
		"use":      func(n *yaml.Node) { d.use = n },
		"run":      func(n *yaml.Node) { d.run = n },
		"from":     d.readFrom,
		"on":       func(n *yaml.Node) { d.events(d.texts("on", n)) },
		"config":   d.readConfig,
		"every":    func(n *yaml.Node) { d.timing.every, d.Every = n, d.duration("every", n, shortest) },
		"cron":     func(n *yaml.Node) { d.timing.short = n },
		"schedule": d.readSchedule,
		"timeout":  func(n *yaml.Node) { d.Timeout = d.duration("timeout", n, time.Millisecond) },
		"tags":     func(n *yaml.Node) { d.Tags = d.tags("tags", n) },
		"owner":    func(n *yaml.Node) { d.Owner = d.text("owner", n) },
		"enabled":  func(n *yaml.Node) { d.Enabled = d.flag("enabled", n) },
		"start":    func(n *yaml.Node) { d.Start = l.readStart(d, n) },
		"replicas": func(n *yaml.Node) { d.replicas, d.Replicas = n, d.count("replicas", n, mostProcesses) },
		"parallel": func(n *yaml.Node) { d.Parallel = d.count("parallel", n, mostProcesses) },
		"env":      d.readEnv,

		"order":      func(n *yaml.Node) { d.Order = d.readOrder(n) },
		"queue":      func(n *yaml.Node) { d.Queue = d.readQueue(n) },
		"overflow":   func(n *yaml.Node) { d.Overflow = d.oneOf("overflow", n, "block", "drop_oldest", "drop_new") },
		"max_rate":   func(n *yaml.Node) { d.MaxRate = d.count("max_rate", n, mostRate) },
		"max_series": func(n *yaml.Node) { d.Series = d.count("max_series", n, mostSeries) },

		"limits":        d.readLimits,
		"run_as":        func(n *yaml.Node) { l.readUser(d, n) },
		"on_agent_exit": d.readExit,
		"sha256":        d.readSHA256,
		"attached":      func(n *yaml.Node) { d.Attached = d.flag("attached", n) },
	}
	for _, e := range entries(d.val) {
		if f := read[e.name]; f != nil {
			d.misplaced(e)
			f(e.val)
			d.alone(e)
		} else {
			d.beside = append(d.beside, e)
		}
	}
}

// Most of what a plugin may have.
const (
	mostProcesses = 1000 // or workers
	mostRate      = 1 << 40
	mostSeries    = 1 << 30
)

// readOrder reads the one order that can be kept.
func (d *definition) readOrder(n *yaml.Node) string {
	text := d.text("order", n)
	if text == "" || text == "source" {
		return text
	}
	d.fault(n, didYouMean(text, []string{"source"}, "leave it out where no order is to be kept"), "order: want source, got %s", d.got(n))
	return ""
}

// leastQueue is what a queue must hold: some messages.
const leastQueue = 1 << 20

func (d *definition) readQueue(n *yaml.Node) int64 {
	bytes := d.size("queue", n)
	if bytes > 0 && bytes < leastQueue {
		d.fault(n, "write 1MiB, or leave it out for 16MiB", "queue: want at least 1MiB, got %s", d.got(n))
	}
	return bytes
}

// readFrom parts the names of plugins from event:<type>.
func (d *definition) readFrom(n *yaml.Node) {
	list, nodes := d.texts("from", n)
	for i, name := range list {
		if kind, ok := strings.CutPrefix(name, "event:"); ok {
			d.events([]string{kind}, nodes[i:i+1])
			continue
		}
		if slices.Contains(d.From, name) {
			d.fault(nodes[i], "remove one of them", "from: %s stands there twice", name)
			continue
		}
		d.From, d.from = append(d.From, name), append(d.from, nodes[i])
	}
	if i := slices.Index(d.From, "all"); i >= 0 && len(d.From) > 1 {
		d.fault(d.from[i], "remove the others, or name each", "from: all already stands for every other one")
	}
}

func (d *definition) events(list []string, nodes []*yaml.Node) {
	for i, kind := range list {
		switch {
		case kind == "" || strings.ContainsAny(kind, " \t\r\n"):
			d.fault(nodes[i], "", "on: want the type of an event such as monitoring, got %s", d.got(nodes[i]))
		case slices.Contains(d.On, kind):
			d.fault(nodes[i], "remove one of them", "the event %s is asked for twice", kind)
		default:
			d.On = append(d.On, kind)
		}
	}
}

func (d *definition) readConfig(n *yaml.Node) {
	if !empty(n) && d.isMap("config", n, "{ url: http://127.0.0.1/status }") {
		d.inside = entries(n)
	}
}

func (d *definition) readEnv(n *yaml.Node) {
	list, nodes := d.texts("env", n)
	for i, name := range list {
		if !envName.re().MatchString(name) {
			d.fault(nodes[i], "name it alone; its value comes from the agent's environment", "env: want the name of an environment variable, got %s", d.got(nodes[i]))
			continue
		}
		d.Env = append(d.Env, name)
	}
}

// readStart gives new, all, a time, or the duration of "24h ago".
func (l *loader) readStart(d *definition, n *yaml.Node) string {
	text := d.text("start", n)
	ago, hasAgo := strings.CutSuffix(text, " ago")
	past, isDuration := parseDuration(ago)
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case text == "", text == "new", text == "all":
		return text
	case err == nil:
		if l.future(at) {
			l.early(d, n)
		}
		return text
	case isDuration && hasAgo:
		return past.String() // which every program reads: days are ours
	}
	hint := didYouMean(text, []string{"new", "all"}, "")
	if isDuration {
		hint = "did you mean " + text + " ago?"
	}
	d.fault(n, hint, "start: want new, all, 24h ago, or a time such as 2026-01-31T08:00:00Z, got %s", d.got(n))
	return ""
}

// early tells of a start that has not come yet: to a machine that boots it may be its own clock that is late.
func (l *loader) early(d *definition, n *yaml.Node) {
	tell := d.fault
	if l.ClockUnset && !d.strict {
		tell = d.warn
	}
	tell(n, "leave it out, or write new, to have what comes from now on", "start: %s is in the future, and a reader begins with what is there: it would not wait until then", d.raw(n))
}

// future reports a time that has not come yet. Clocks differ a little, and one of a time before this program is not set.
func (l *loader) future(at time.Time) bool {
	now := l.Now()
	return now.Year() >= 2026 && at.After(now.Add(time.Minute))
}

// sources checks that who reads has something to read.
func (d *definition) sources() {
	if d.Kind == Collector || hasKey(d.val, "from") || hasKey(d.val, "on") {
		return
	}
	d.fault(d.key, "name plugins (from: [host, app]), or from: all", "%s reads nothing: a %s needs from:", d.Name, d.Kind)
}

func hasKey(n *yaml.Node, key string) bool {
	return slices.Contains(names(entries(n)), key)
}

// resolve finds out what the plugin runs.
func (l *loader) resolve(d *definition) {
	switch {
	case d.Attached:
		l.other(d)
	case d.use != nil && d.run != nil:
		d.fault(d.run, "remove one of them", "use and run exclude each other: use names a program of pacewire, run a command")
	case d.run != nil:
		l.command(d)
	case d.use == nil:
		l.find(d, d.key, d.Name)
	default:
		if name := d.text("use", d.use); name != "" {
			l.find(d, d.use, name)
		}
	}
}

// other finds the settings of a plugin that somebody else starts; its program need not be on this machine.
func (l *loader) other(d *definition) {
	if d.use == nil {
		return
	}
	name := d.text("use", d.use)
	if name == "" || l.known(d, d.use, name) {
		return
	}
	if near := Suggest(name, l.programNames(d.Kind)); near != "" {
		d.fault(d.use, "did you mean "+near+"?", "there is no %s program %s", d.Kind, d.raw(d.use))
		return
	}
	d.Program = name
}

// known finds a program whose schema is known. One of another kind is a fault, and none to look for further.
func (l *loader) known(d *definition, at *yaml.Node, name string) bool {
	if d.builtin = l.program(d.Kind, name); d.builtin != nil {
		d.Program, d.Series = name, cmp.Or(d.Series, d.builtin.Series)
		if d.builtin.Path != "" && !d.Attached {
			d.Run = []string{d.builtin.Path}
			l.asBefore(d, at)
		}
		return true
	}
	for _, s := range sections {
		if l.program(s.kind, name) != nil {
			d.fault(at, fmt.Sprintf("move it to %s:", s.key), "%s is a %s: it %s", d.raw(at), s.kind, s.verb)
			return true
		}
	}
	return false
}

// find finds a built-in of the plugin's kind, else the binary pacewire-<name>.
func (l *loader) find(d *definition, at *yaml.Node, name string) {
	if l.known(d, at, name) || d.otherWord() {
		return
	}
	near := Suggest(name, l.programNames(d.Kind))
	possible := pluginName.re().MatchString(name)
	if possible && l.binary(d, at, name, near) || l.useless(d, at, name) {
		return
	}
	hint := "say what it runs: use: PROGRAM or run: COMMAND; known are " + few(l.programNames(d.Kind))
	if near != "" {
		hint = "did you mean " + near + "?"
		if d.use == nil {
			hint = fmt.Sprintf("did you mean %s? if %s is a name of your own, say what it runs: use: %s", near, name, near)
		}
	}
	if !possible || l.mistyped(d.Kind, name) {
		d.fault(at, hint, "there is no %s program %s", d.Kind, d.raw(at))
		return
	}
	d.Program = name
	l.missing(d, at, hint, "there is no %s program %s", d.Kind, d.raw(at))
}

// otherWord finds a key by which other programs mean run: or use:.
func (d *definition) otherWord() bool {
	for _, e := range d.beside {
		if word := elsewhere(e.name); word == "run" || word == "use" {
			d.fault(e.key, "did you mean "+word+"?", "%s: unknown key %s", d.Name, e.name)
			return true
		}
	}
	return false
}

// binary looks for pacewire-<name>; offline it takes the operator's word, unless a built-in is near.
func (l *loader) binary(d *definition, at *yaml.Node, name, near string) bool {
	path := "pacewire-" + name
	if l.Offline {
		if near != "" {
			return false
		}
		d.warn(at, "", "%s is no built-in; whether there is a program %s was not looked at (offline)", d.raw(at), "pacewire-"+d.raw(at))
	} else {
		found, err := l.LookPath(path)
		if err != nil {
			return false
		}
		path = found
	}
	d.Program, d.Run = name, []string{path}
	return true
}
