package config

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pacewire/pacewire/internal/schema"
)

// loader turns sources into settings, in stages: read each file, join them, replace ${NAME}, check
// the plugins one by one, then how they are linked.
type loader struct {
	Options
	secrets  *regexp.Regexp
	schemas  map[*Program]*schema.Schema // those used so far
	sources  []*source                   // the main file first
	plain    map[string]setting          // top-level keys that are not joined; also "tags.site"
	replaced map[string]int              // plugins that a later source defines anew, and which one does
	plugins  []*definition
	byName   map[string]*definition
	unusable []Program // of plugin directories: what they are nobody knows
	out      *Settings
}

// setting is a top-level key and the file that won it.
type setting struct {
	*source
	entry
}

func newLoader(o Options) *loader {
	if o.Environ == nil {
		o.Environ = os.LookupEnv
	}
	if o.LookPath == nil {
		o.LookPath = lookPath
	}
	if o.LookUser == nil {
		o.LookUser = lookUser
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &loader{
		Options:  o,
		schemas:  make(map[*Program]*schema.Schema),
		byName:   make(map[string]*definition),
		plain:    make(map[string]setting),
		replaced: make(map[string]int),
		out: &Settings{
			Every: 10 * time.Second, Tags: map[string]string{}, Bus: Bus{Embedded: true, Sync: "always"},
			Web: Web{Listen: WebListen}, Discovery: Discovery{Dirs: slices.Clone(o.PluginDirs)},
		},
	}
	l.secrets = secretPattern(secretNames(o.Programs))
	return l
}

// lookPath finds a program beside the running one, then on PATH.
func lookPath(name string) (string, error) {
	if self, err := os.Executable(); err == nil && !strings.ContainsRune(name, filepath.Separator) {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), name)); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

// settings runs the stages after reading.
func (l *loader) settings() (*Settings, error) {
	if slices.ContainsFunc(l.sources, func(s *source) bool { return s.fatal }) {
		return nil, l.faults()
	}
	if !slices.ContainsFunc(l.sources, func(s *source) bool { return s.root != nil }) {
		return nil, l.nothing()
	}
	l.join()
	for _, s := range l.sources {
		if s.root != nil {
			l.expand(s, s.root)
		}
	}
	l.general()
	if l.BusURL != "" {
		l.out.Bus.Embedded, l.out.Bus.URLs = false, []string{l.BusURL}
	}
	l.discover()
	l.succeed()
	l.define()
	l.autostart()
	l.link()
	if faults := l.faults(); len(faults) > 0 {
		return nil, faults
	}
	l.finish()
	return l.out, nil
}

func (l *loader) faults() Faults {
	var all Faults
	for _, s := range l.sources {
		all = append(all, sorted(s.faults)...)
	}
	return all
}

func (l *loader) finish() {
	for _, d := range l.plugins {
		l.out.Plugins = append(l.out.Plugins, d.Plugin)
	}
	for _, s := range l.sources {
		l.out.Warnings = append(l.out.Warnings, sorted(s.warnings)...)
	}
}

// section is a top-level key that holds plugins, and their kind.
type section struct{ key, kind, verb string }

var sections = []section{
	{"collect", Collector, "brings points in"},
	{"process", Processor, "changes points"},
	{"publish", Publisher, "carries points out"},
}

// topKeys are the other ones, as a message lists them.
var topKeys = []string{"host", "bus", "every", "tags", "owner", "site", "log", "env", "hub", "web", "discover", "collect", "process", "publish"}

// join decides which file's value of a top-level key counts. The list env: is read here, since
// nothing can be replaced without it.
func (l *loader) join() {
	for _, s := range l.sources {
		for _, e := range entries(s.root) {
			_, isSection := kindOf(e.name)
			switch {
			case isSection: // define reads them
			case !slices.Contains(topKeys, e.name):
				s.fault(e.key, l.topHint(s, e), "unknown key %s", e.name)
			case s.loaded:
				s.fault(e.key, "set it in the config that the agent was started with", "%s: what is loaded holds plugins only, below collect, process and publish", e.name)
			case e.name == "env":
				l.allow(s, e.val)
			case e.name == "tags" && e.val.Kind == yaml.MappingNode:
				for _, tag := range entries(e.val) {
					l.set("tags."+tag.name, s, tag)
				}
			default:
				l.set(e.name, s, e)
			}
		}
	}
	slices.Sort(l.out.Env)
	l.out.Env = slices.Compact(l.out.Env)
}

func (l *loader) topHint(s *source, e entry) string {
	const below = "put it below collect:, process: or publish:"
	if hasKey(e.val, "use") || hasKey(e.val, "run") || hasKey(e.val, "from") {
		return below
	}
	if hint := didYouMean(e.name, topKeys, ""); hint != "" {
		return hint
	}
	for _, p := range l.Programs {
		if p.Name == e.name {
			return "a " + p.Kind + " stands under " + sectionOf(p.Kind) + ":"
		}
	}
	if s.loaded {
		return below
	}
	return "known are " + strings.Join(topKeys, ", ")
}

func sectionOf(kind string) string {
	for _, s := range sections {
		if s.kind == kind {
			return s.key
		}
	}
	return kind
}

// set lets a file of conf.d win over the main file, and nobody else.
func (l *loader) set(key string, s *source, e entry) {
	was, twice := l.plain[key]
	if twice && was.source != l.sources[0] {
		s.fault(e.key, "remove one of them: only the main file may be overruled", "%s is set twice: first in %s", key, was.place(s, was.key))
		return
	}
	l.plain[key] = setting{s, e}
}

func kindOf(section string) (kind string, ok bool) {
	for _, s := range sections {
		if s.key == section {
			return s.kind, true
		}
	}
	return "", false
}

func (l *loader) allow(s *source, n *yaml.Node) {
	list, nodes := s.texts("env", n)
	for i, name := range list {
		if !envName.re().MatchString(name) {
			s.fault(nodes[i], "write the name alone: env: [HOME]", "env: want the name of an environment variable, got %s", s.got(nodes[i]))
			continue
		}
		l.out.Env = append(l.out.Env, name)
	}
}

// general reads the top-level keys that are not plugins; their faults are sorted later.
func (l *loader) general() {
	for key, at := range l.plain {
		if tag, ok := strings.CutPrefix(key, "tags."); ok {
			l.tag(at, tag)
			continue
		}
		l.topKey(at)
	}
}

func (l *loader) tag(at setting, name string) {
	one := yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{at.key, at.val}}
	maps.Copy(l.out.Tags, at.tags("tags", &one))
}

// shortest is the least interval; below it a plugin does nothing but tick.
const shortest = 10 * time.Millisecond

func (l *loader) topKey(at setting) {
	switch at.entry.name {
	case "host":
		l.out.Host = l.hostName(at)
	case "every":
		l.out.Every = at.duration("every", at.val, shortest)
	case "owner":
		l.out.Owner = at.text("owner", at.val)
	case "site":
		l.out.Site = at.text("site", at.val)
	case "tags":
		at.isMap("tags", at.val, "{ site: lab }")
	case "bus":
		l.out.Bus = l.bus(at.source, at.val)
	case "log":
		l.out.Log = at.log(at.val)
	case "discover":
		l.out.Discovery = l.discovery(at.source, at.val)
	case "hub":
		l.out.Hub = at.hub(at.val)
	case "web":
		l.out.Web = at.web(at.val)
	}
}

func (l *loader) hostName(at setting) string {
	name := at.text("host", at.val)
	if len(name) > 253 || strings.ContainsAny(name, " \t\r\n") {
		at.fault(at.val, "leave it out to use the machine's name", "host: want a name without blanks of at most 253 letters, got %s", at.got(at.val))
		return ""
	}
	return name
}

// define reads the plugins of every file, kind by kind.
func (l *loader) define() {
	for _, sec := range sections {
		for _, s := range l.sources {
			for _, e := range entries(s.root) {
				if e.name == sec.key {
					l.section(s, sec.kind, e)
				}
			}
		}
	}
}

func (l *loader) section(s *source, kind string, e entry) {
	switch {
	case empty(e.val): // everything below is commented out
	case e.val.Kind == yaml.SequenceNode:
		s.fault(e.val, "write name: { settings } for each, without -", "%s: want a map of plugins, got a list", e.name)
	default:
		if s.isMap(e.name, e.val, "{ name: { settings } }") {
			for _, plugin := range entries(e.val) {
				if !l.outdated(s, plugin) {
					l.plugin(s, kind, plugin)
				}
			}
		}
	}
}

func (l *loader) program(kind, name string) *Program {
	i := slices.IndexFunc(l.Programs, func(p Program) bool { return p.Kind == kind && p.Name == name })
	if i < 0 {
		return nil
	}
	return &l.Programs[i]
}

func (l *loader) programNames(kind string) []string {
	var list []string
	for _, p := range l.Programs {
		if p.Kind == kind && p.Unavailable == "" {
			list = append(list, p.Name)
		}
	}
	slices.Sort(list)
	return list
}
