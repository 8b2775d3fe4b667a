package host

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A plan is what the config makes of one process of a plugin: its command, its work and its inputs.
type plan struct {
	conf    config.Plugin
	name    string // of the process: the plugin's, or with a number
	command []string
	env     []string // of every process; each has an id and credentials of its own besides
	inputs  []bus.Input
	work    telemetry.Work
	rev     uint64 // of the work
}

// plan returns what the process of p comes to under s that is called name.
func (h *Host) plan(s *config.Settings, p config.Plugin, name string) plan {
	n := plan{conf: p, name: name, command: h.command(p), env: h.environ(p, name), inputs: inputs(s, p)}
	for i := range n.inputs {
		if h.o.InProcess == nil { // where agents of other hosts may be
			n.inputs[i].Host = h.o.Host
		}
	}
	n.work = h.work(s, p, n.inputs)
	return h.withErrands(n)
}

// plans returns what s comes to: a plan for each process that is to run.
func (h *Host) plans(s *config.Settings) []plan {
	var list []plan
	for _, p := range s.Plugins {
		for n := 1; n <= p.Replicas && p.Enabled; n++ {
			list = append(list, h.plan(s, p, telemetry.ProcessName(p.Name, n)))
		}
	}
	return list
}

// sameProcess reports whether a process started for p is what n wants, whatever it works on.
func (p plan) sameProcess(n plan) bool {
	same := p.conf.Kind == n.conf.Kind && p.conf.Limits == n.conf.Limits && p.conf.RunAs == n.conf.RunAs &&
		p.conf.Keep == n.conf.Keep && p.conf.SHA256 == n.conf.SHA256 && p.conf.Attached == n.conf.Attached &&
		p.conf.Missing == n.conf.Missing
	place := func(a, b bus.Input) bool { // its rights on the bus hang on it
		return a.Stream == b.Stream && a.Durable == b.Durable && a.Ordered == b.Ordered
	}
	return same && slices.Equal(p.command, n.command) && slices.Equal(p.env, n.env) && slices.EqualFunc(p.inputs, n.inputs, place)
}

// program returns what the plugin runs, as the config says it.
func (p plan) program() string {
	switch {
	case p.conf.Program != "":
		return p.conf.Program
	case len(p.conf.Run) > 0:
		return p.conf.Run[0]
	}
	return ""
}

func (h *Host) command(p config.Plugin) []string {
	if len(p.Run) > 0 {
		return p.Run
	}
	return []string{h.o.Executable, "plugin", "run", p.Kind + "." + p.Program}
}

// passed are the names of the environment that every plugin gets.
var passed = []string{"PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// environ returns the whole environment of a process of p: a plugin sees nothing of the agent's that it was not given.
func (h *Host) environ(p config.Plugin, process string) []string {
	env := []string{
		"PACEWIRE_BUS=" + h.o.URL, "PACEWIRE_HOST=" + h.o.Host, "PACEWIRE_PLUGIN=" + p.Name, "PACEWIRE_DIR=" + h.dir(process),
	}
	if process != p.Name {
		env = append(env, "PACEWIRE_PROCESS="+process)
	}
	env = append(env, h.o.TLS.Environ()...)
	if len(p.Run) == 0 {
		env = append(env, "GOGC=50") // what a plugin holds are buffers: collecting them more often costs nothing that shows
	}
	if len(p.Run) == 0 && p.Parallel <= 1 {
		env = append(env, "GOMAXPROCS=1") // a plugin is one worker; more threads only make it heavier
	}
	for _, name := range append(passed, p.Env...) {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// dir returns where a process keeps state.
func (h *Host) dir(process string) string { return filepath.Join(h.o.Dir, bus.Token(process)) }

// inputs returns the durable consumers that p reads under s.
func inputs(s *config.Settings, p config.Plugin) []bus.Input {
	if p.Kind == config.Collector {
		return nil
	}
	in := bus.Input{Durable: bus.Token(p.Name), Start: start(p.Start), Ordered: p.Order != ""}
	var inputs []bus.Input
	if from := s.Inputs(p); len(from) > 0 {
		in.Stream, in.Filters = bus.StreamMetrics, nil
		for _, name := range from {
			in.Filters = append(in.Filters, bus.MetricsFilter(name))
		}
		inputs = append(inputs, in)
	}
	if len(p.On) > 0 {
		in.Stream, in.Filters = bus.StreamEvents, nil
		for _, kind := range p.On {
			in.Filters = append(in.Filters, bus.EventFilter(kind))
		}
		inputs = append(inputs, in)
	}
	return inputs
}

// start returns where a new consumer begins: a duration of the config counts back from now.
func start(text string) string {
	if d, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-d).UTC().Format(time.RFC3339Nano)
	}
	return text
}

// work returns what the ACK tells p to do.
func (h *Host) work(s *config.Settings, p config.Plugin, inputs []bus.Input) telemetry.Work {
	w := telemetry.Work{Config: p.Config, TimeoutMS: p.Timeout.Milliseconds(), Parallel: int64(p.Parallel), Order: p.Order}
	if len(w.Config) == 0 {
		w.Config = json.RawMessage("{}")
	}
	switch p.Kind {
	case config.Processor:
		w.Tags = p.Tags // those of all points were given by the collectors
	case config.Collector:
		w.Tags = map[string]string{}
		maps.Copy(w.Tags, s.Tags)
		maps.Copy(w.Tags, p.Tags)
		w.EveryMS, w.Schedule = p.Every.Milliseconds(), scheduleOf(p.Schedule)
		if p.Every == 0 && !h.o.Inventory(p.Program) {
			w.EveryMS = s.Every.Milliseconds()
		}
	}
	bound(&w, p)
	for _, in := range inputs {
		w.Inputs = append(w.Inputs, telemetry.Input{Stream: in.Stream, Durable: in.Durable, Filters: in.Filters})
	}
	return w
}

// usualSeries is how many series a collector may send at a time, unless the config says otherwise.
const usualSeries = 10_000

// bound tells p what it may send, and keep waiting. A processor has the series of all hosts that it reads, and those were bounded
// where they were made.
func bound(w *telemetry.Work, p config.Plugin) {
	w.QueueBytes, w.Overflow, w.MaxRate, w.MaxSeries = p.Queue, p.Overflow, int64(p.MaxRate), int64(p.Series)
	if p.Kind == config.Collector && p.Series == 0 {
		w.MaxSeries = usualSeries
	}
}

// scheduleOf returns what the plugin is told of s; nil for nothing.
func scheduleOf(s config.Schedule) *telemetry.Schedule {
	if s == (config.Schedule{}) {
		return nil
	}
	w := s.Wire()
	return &w
}

// revision returns a number for w: equal work has an equal number, also after a restart of the agent.
func revision(w telemetry.Work) uint64 {
	text, err := json.Marshal(w)
	if err != nil {
		panic(fmt.Sprintf("host: work of a checked config: %v", err))
	}
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:8])>>1 | 1 // not 0, which is no revision, and an int64 for everybody
}
