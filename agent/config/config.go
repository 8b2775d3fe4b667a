// Package config turns YAML files into checked settings.
package config

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Kinds of plugins, as they stand in Program.Kind and Plugin.Kind.
const (
	Collector = "collector"
	Processor = "processor"
	Publisher = "publisher"
)

// Program is a built-in program as far as its settings go.
type Program struct {
	Kind    string // Collector, Processor or Publisher
	Name    string
	Summary string

	// Schema is the JSON Schema of the settings; every property has a default.
	Schema json.RawMessage

	// Inventory says that it reports facts instead of points, so that nobody has to read it.
	Inventory bool
}

// Options says what a config is checked against.
type Options struct {
	Programs []Program // the built-ins

	// Offline keeps the check away from files and programs on PATH.
	Offline bool

	// InsecureFiles accepts secret files that every user of the machine may read.
	InsecureFiles bool

	Environ  func(name string) (string, bool)     // for ${NAME}; nil: the process's environment
	LookPath func(program string) (string, error) // finds a program; nil: beside this one, then on PATH
}

// Settings is a config without fault.
type Settings struct {
	Host    string            // empty: the machine's name
	Bus     Bus               // where the bus is; embedded when the file does not say
	Every   time.Duration     // the interval of collectors
	Tags    map[string]string // of every point; a plugin's own go before these
	Owner   string            // who is asked about plugins without an owner of their own
	Site    string            // where the machine stands
	Log     Log               // of agent and hub
	Env     []string          // the names that ${NAME} may use, sorted
	Web     Web               // the page and the API
	Plugins []Plugin          // collectors, processors, publishers, each in the order of the files

	// Warnings is what works but is hardly meant.
	Warnings Faults
}

// Bus says where the bus is: in this process, or at URLs.
type Bus struct {
	Embedded  bool
	URLs      []string
	Listen    string        // embedded: host:port for others; empty: the agent chooses
	Store     string        // embedded: directory of the streams; empty: below the state directory
	Sync      string        // embedded: "always", or a duration between writes to disk
	MaxStore  int64         // embedded: bytes on disk; 0: the default of the bus
	MaxAge    time.Duration // embedded: how long points are kept; 0: the default of the bus
	CredsFile string
	TLS       TLS
}

// TLS names the files of an encrypted bus.
type TLS struct {
	CAFile   string
	CertFile string
	KeyFile  string
}

// Log says how the agent and hub log; empty fields leave the default.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // text or json
}

// Web says where the page is served.
type Web struct {
	Listen string // host:port; empty: not served
}

// Plugin is one plugin of the file.
type Plugin struct {
	Name    string
	Kind    string
	Program string   // the built-in or pacewire-<program>; empty for a command of the operator
	Run     []string // the command; empty for a built-in

	From []string // names of plugins, or "all"; see Settings.Inputs
	On   []string // event types

	Every    time.Duration // 0: Settings.Every, or what the program finds right
	Cron     string        // instead of Every
	Timeout  time.Duration // 0: the default of the kind
	Tags     map[string]string
	Owner    string // empty: Settings.Owner
	Start    string // where a new reader begins: new, all, a duration such as "24h", or a time in RFC 3339
	Enabled  bool
	Replicas int
	Parallel int
	Env      []string // names of the environment that are passed on to the process

	// Config is a JSON object of the settings that the file sets; keys are sorted.
	Config json.RawMessage

	// Shown is Config for other eyes: *** for secrets, ${NAME} as it stands in the file.
	Shown    json.RawMessage
	Position Position
}

// Load reads files, the main one first and then those of conf.d, and joins them.
// The error is Faults when the config is to blame.
func Load(o Options, files ...string) (*Settings, error) {
	l := newLoader(o)
	if len(files) == 0 {
		return nil, Faults{{Message: "no config file is given", Hint: "pacewire init writes one"}}
	}
	for _, name := range files {
		l.read(name)
	}
	return l.settings()
}

// Parse checks one text; name stands for it in messages.
func Parse(o Options, name string, text []byte) (*Settings, error) {
	l := newLoader(o)
	l.add(name, string(text))
	return l.settings()
}

func (l *loader) read(name string) {
	text, err := readFile(name)
	if err == nil {
		l.add(name, string(text))
		return
	}
	s := newSource(name, "", l.secrets)
	s.fatal = true
	s.faults = Faults{unreadable(name, err)}
	l.sources = append(l.sources, s)
}

func unreadable(name string, err error) Fault {
	f := Fault{Position: Position{File: name}, Message: "not readable: " + err.Error()}
	switch {
	case os.IsNotExist(err):
		f.Message, f.Hint = "there is no such file", "pacewire init writes one to start from; -c names another place"
	case os.IsPermission(err):
		f.Message, f.Hint = "no permission to read it", fmt.Sprintf("let the user of the agent (uid %d) read it", os.Geteuid())
	}
	return f
}
