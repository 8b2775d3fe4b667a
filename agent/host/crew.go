package host

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/journal"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A crew is what the processes of one plugin have in common: the consumers that they read together, and a journal of all.
type crew struct {
	journal *journal.Journal
	giving  chan struct{} // 1: who changes what the consumers give out; he has the next
	said    bool          // the last change of that has come to its end: only others can have changed the consumers since

	oldest map[string]*bus.Oldest // by consumer: of what waits; of who looks for lag alone

	mu     sync.Mutex
	reads  []bus.Input                  // what the consumers give out
	unread unread                       // what they have missed
	until  map[string]uint64            // by stream: where they may be narrowed to what is read; nil: they are, or somebody is about to
	past   lull                         // they have said that they are there
	again  []time.Time                  // when to look whether what was said last of them still stands there
	stands map[string]bus.ConsumerState // by consumer: how it was when that stood there
	other  string                       // what another host wants of them that this one does not, or the other way round; "": nothing
}

// crewOf returns what a new process of a plugin shares with those that are there.
func (h *Host) crewOf(p plan) *crew {
	if all := h.crew(p.conf.Name); len(all) > 0 {
		return all[0].crew
	}
	return &crew{journal: journal.New(0), giving: make(chan struct{}, 1), reads: p.inputs}
}

// crew returns the processes of a plugin, in the order of their numbers.
func (h *Host) crew(plugin string) []*entry {
	return slices.DeleteFunc(h.entries(), func(e *entry) bool { return e.plugin != plugin })
}

// called returns the processes that an operator means by name: all of the plugin hot, only one by hot.2 and, since the first has
// the name of the plugin, hot.1.
func (h *Host) called(name string) []*entry {
	if plugin, n := telemetry.PluginOf(name); n > 0 {
		if e := h.find(telemetry.ProcessName(plugin, n)); e != nil {
			return []*entry{e}
		}
		return nil
	}
	return h.crew(name)
}

// one returns the process that an operator means by name, the first of a plugin.
func (h *Host) one(name string) *entry {
	if all := h.called(name); len(all) > 0 {
		return all[0]
	}
	return nil
}

// whole returns the first process of a plugin, and refuses the name of one process: what is in the config is the plugin.
func (h *Host) whole(name string) (*entry, error) {
	e := h.one(name)
	if e == nil {
		return nil, h.unknown(name)
	}
	if e.plugin != name {
		return nil, refuse(telemetry.FaultInvalid, "%s is one process of the plugin %s, and has no entry of its own: say %[2]s", name, e.plugin)
	}
	return e, nil
}

// inputs returns what the processes of the plugin are to read under their plans: while they change, these are not the same.
func (e *entry) inputs() []bus.Input {
	all := slices.Clone(e.plan().inputs)
	for _, o := range e.host.crew(e.plugin) {
		if o != e {
			all = union(all, o.plan().inputs)
		}
	}
	return all
}

// keepLine keeps a line of this process: among its own, and among those of all.
func (e *entry) keepLine(add func(*journal.Journal)) {
	add(e.crew.journal)
	if e.journal != e.crew.journal {
		add(e.journal)
	}
}

// jot notes what the agent says about the process.
func (e *entry) jot(level slog.Level, text string) {
	if e.journal != e.crew.journal {
		e.journal.Note(level, text)
		text = e.name + ": " + text
	}
	e.crew.journal.Note(level, text)
}
