// Package config turns YAML files into checked settings.
package config

import (
	"encoding/json"
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

	// Alone returns why only one process can have these settings, a JSON object; nil: any number can.
	Alone func(settings []byte) error `json:"-"`

	// Inventory says that it reports facts instead of points, so that nobody has to read it.
	Inventory bool

	// Series is how many it may send at a time, if max_series does not say; 0: as many as any collector.
	Series int

	// Times is where its settings have times of its own, so that every, cron, schedule and timeout are not for it; empty: nowhere.
	Times string

	// Path is the executable of a program that was found in a plugin directory; empty for a built-in.
	Path string

	// Unavailable is why it cannot be run now; empty: it can. One that never could has no Kind, and the name of its file. One
	// that could before keeps what it was described as: a plugin that runs it goes on, and its next start is decided then.
	Unavailable string
}

// Options says what a config is checked against.
type Options struct {
	Programs []Program // the built-ins

	// Discover returns the programs of plugin directories, each with its Path; nil: there are none. It is called once, when
	// the key discover of the config is known, and not at all when Offline.
	Discover func(Discovery) []Program

	// PluginDirs are the plugin directories of a config that names none.
	PluginDirs []string

	// BusURL, if not empty, is where the bus is, whatever the config says.
	BusURL string

	// Offline keeps the check away from files, users, and programs on PATH.
	Offline bool

	// Lenient makes warnings of programs that are not there or cannot be run now, and Plugin.Missing says why: the other
	// plugins go on. What reads like a mistyped built-in stays a fault, and so does all that is missing in a strict Source.
	Lenient bool

	// ClockUnset makes a warning of a start in the future: a machine that boots may not know the time yet, and is to work all the same.
	ClockUnset bool

	// InsecureFiles accepts secret files that every user of the machine may read.
	InsecureFiles bool

	Environ  func(name string) (string, bool)     // for ${NAME}; nil: the process's environment
	LookPath func(program string) (string, error) // finds a program; nil: beside this one, then on PATH
	LookUser func(name string) error              // finds a user of this machine; nil: asks the system
	Now      func() time.Time                     // nil: the clock
}

// Settings is a config without fault.
type Settings struct {
	Host      string            // empty: the machine's name
	Bus       Bus               // where the bus is; embedded when the file does not say
	Every     time.Duration     // the interval of collectors
	Tags      map[string]string // of every point, where a plugin's own go before these; and the labels of the host
	Owner     string            // who is asked about plugins without an owner of their own
	Site      string            // where the machine stands
	Log       Log               // of agent and hub
	Env       []string          // the names that ${NAME} may use, sorted
	Hub       Hub               // how hosts are judged
	Web       Web               // the API
	Discovery Discovery
	Plugins   []Plugin // collectors, processors, publishers, each in the order of the files

	// Files are the files and folders that Load has read: a change in them may change the config.
	Files []string `json:",omitempty"`

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
	MaxStore  int64         // embedded: bytes on disk, of all that is in it; 0: the default of the bus
	MaxAge    time.Duration // embedded: how long points are kept; 0: the default of the bus
	CredsFile string
	TLS       TLS
	Replicas  int    // elsewhere: of each stream and bucket; 0: 3 in a cluster, else 1
	Spool     *Spool // elsewhere: what is kept here on the way there; nil: nothing
}

// Own reports whether the bus of the plugins is one in the agent's process.
func (b Bus) Own() bool { return b.Embedded || b.Spool != nil }

// Spool says how an agent keeps what is on its way to a bus elsewhere. Listen, Store, Sync, MaxStore and MaxAge of Bus are of the
// bus that it keeps it in.
type Spool struct {
	Order    string // SpoolOldest or SpoolLive
	Window   int64  // bytes on the way at a time; 0: the default
	Compress bool   // what goes there; the URLs are of WebSocket
}

// Orders of a spool that has fallen behind.
const (
	SpoolOldest = "oldest" // what waits longest goes first
	SpoolLive   = "live"   // what is new goes at once, and the rest beside it
)

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

// None is what a duration of Hub is that the file sets to 0.
const None time.Duration = -1

// Hub says how the hub judges the hosts of the fleet; a zero field leaves the default.
type Hub struct {
	Interval   time.Duration // between the beats of an agent: 10 s
	Overdue    float64       // intervals without a beat until OVERDUE: 2.5
	Down       float64       // until DOWN: 4
	Spread     time.Duration // over which hosts come back after the bus was away: 20 s; or None
	WarmUp     time.Duration // after a start, besides Down, without verdicts: 20 s; or None
	Forget     time.Duration // until a host that is DOWN is dropped: 7 d; None: never
	ForgetLeft time.Duration // until one that has LEFT is dropped: 1 h
	MaxHosts   int           // watched at most: 100,000
	MaxBeats   int           // taken each second; above, agents are asked to beat more slowly: 2,000
}

// Web says where the API is served.
type Web struct {
	Listen string // host:port of this machine; WebListen unless the file says otherwise
	Off    bool   // nowhere
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
	Schedule Schedule      // of a collector, beyond Every
	Timeout  time.Duration // 0: the default of the kind
	Tags     map[string]string
	Owner    string // empty: Settings.Owner
	Start    string // where a new reader begins: new, all, a duration such as "24h", or a time in RFC 3339
	Enabled  bool
	Replicas int      // processes of a processor or publisher, which share its work
	Parallel int      // workers in each
	Order    string   // telemetry's word "source", or empty: none is kept
	Queue    int64    // bytes of a collector that may wait for the bus; 0: the default
	Overflow string   // what becomes of more: block, drop_oldest, drop_new; empty: block
	MaxRate  int      // points a second that it may send; 0: no limit
	Series   int      // max_series: that it may send at a time; 0: the default
	Env      []string // names of the environment that are passed on to the process

	Limits   Limits // of the process and all it starts
	RunAs    string // user of the process; empty: the agent's
	Keep     bool   // on_agent_exit: keep, on an external bus. The process goes on when the agent ends, and the next agent takes it over
	SHA256   string // of the executable, lower-case hex; empty: not pinned
	Attached bool   // somebody else starts the process

	// Missing is why its program cannot be run now; empty: it can. The settings are not checked then, and Run is as it was
	// written for run:, or empty.
	Missing string `json:",omitempty"`

	// Config is a JSON object of the settings that the file sets; keys are sorted.
	Config json.RawMessage

	// Shown is Config for other eyes: *** for secrets, ${NAME} as it stands in the file.
	Shown    json.RawMessage
	Position Position
}

// Schedule says when a collector is asked, beyond a plain interval.
type Schedule struct {
	Cron     string        // instead of an interval
	Timezone string        // of Cron, an IANA name; empty: the machine's
	Align    bool          // ticks at multiples of the interval on the wall clock
	Splay    time.Duration // each host ticks later by a part of this
	From     time.Time     // no tick before; zero: at once
	Until    time.Time     // no tick at or after; zero: for ever
	Count    int           // no tick after so many; 0: for ever
}

// Limits bound what the processes of a plugin use. Zero: no limit.
type Limits struct {
	Memory    int64   // bytes
	CPU       float64 // cores
	Files     int     // open at a time
	Processes int     // at a time
}

// Levels of trust in programs.
const (
	TrustOff     = "off"     // run them
	TrustWarn    = "warn"    // run them, and say what is wrong
	TrustEnforce = "enforce" // refuse what is wrong
)

// Discovery says where programs are found besides the built-ins, and which are run.
type Discovery struct {
	Dirs      []string // plugin directories
	Autostart bool     // a program that is found runs under its own name, without being named
	Trust     string   // TrustOff, TrustWarn or TrustEnforce; empty: warn for commands of the config, enforce for programs of Dirs
	Keys      string   // folder of public keys, *.pem; empty: none
	RemoteRun bool     // on an external bus, who can write there may load and swap plugins; without it nobody may
}

// Load reads files and folders, the main file first and then conf.d, and joins them.
// The error is Faults when the config is to blame.
func Load(o Options, names ...string) (*Settings, error) {
	return Join(o, Files(names...)...)
}

// Parse checks one text; name stands for it in messages.
func Parse(o Options, name string, text []byte) (*Settings, error) {
	return Join(o, Source{Name: name, Text: text})
}
