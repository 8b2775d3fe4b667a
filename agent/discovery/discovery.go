// Package discovery finds programs in plugin directories.
package discovery

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/trust"
	"github.com/pacewire/pacewire/telemetry"
)

// Options say where programs are found, and what they have to show.
type Options struct {
	// Dirs are the plugin directories. Of programs with one name that of the first directory counts.
	Dirs []string

	// Trust is what a program has to show before it is asked what it is. Dir is set to its directory.
	Trust   trust.Policy
	Checker *trust.Checker // nil: one without a folder for copies

	// API is the version of the contract with plugins that the agent speaks; 0: any.
	API uint64

	Log     *slog.Logger  // nil: none
	Timeout time.Duration // of an answer to --describe (5 s)
	Every   time.Duration // between two scans without a change that was told (5 s)

	// OnChange gets all programs after a scan that found them changed, one call at a time, from the goroutine
	// that scans: it must not call Scan.
	OnChange func([]Program)
}

// State says whether a program can be used.
type State string

// The states of a program.
const (
	Available State = "available" // it may be run, and says what it is
	Refused   State = "refused"   // it must not be executed
	Unusable  State = "unusable"  // it does not say what it is as a plugin does
	Shadowed  State = "shadowed"  // one before it has its name
	Busy      State = "busy"      // it is being written, and looked at again
)

// A Program is an executable of a plugin directory.
type Program struct {
	Name    string // from the manifest; without one the file's
	Kind    string
	Version string
	Path    string

	State  State
	Reason string // why it is not available

	Manifest telemetry.Manifest // what it says of itself, if available or shadowed
	SHA256   string             // of its bytes, lower-case hex; empty when trust did not want it
	SignedBy string             // the name of a key, or empty
	Findings []trust.Finding    // what trust found, also if it did not refuse it
}

// Agrees compares what the running program says of itself with what its file said. If they do not agree the finding tells how.
func (p Program) Agrees(hello telemetry.Manifest) (found trust.Finding, ok bool) {
	m := p.Manifest
	if m.Kind == hello.Kind && m.Program == hello.Program && m.API == hello.API {
		return trust.Finding{}, true
	}
	return trust.Finding{Code: trust.Mismatch, Detail: p.Path + " introduces itself as " + self(hello) + " and described itself as " + self(m)}, false
}

// A Finder knows the programs of the plugin directories. Its methods may be called by several at a time.
type Finder struct {
	o   Options
	log *slog.Logger

	scanning sync.Mutex
	entries  map[string]*entry // by path; of who scans

	mu       sync.Mutex
	programs []Program
}

// New returns a finder that has not looked yet.
func New(o Options) *Finder {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.Every = cmp.Or(o.Every, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Checker == nil {
		o.Checker, _ = trust.New("") // without a folder nothing can fail
	}
	if o.OnChange == nil {
		o.OnChange = func([]Program) {}
	}
	dirs := o.Dirs
	o.Dirs = nil
	for _, dir := range dirs {
		if abs, err := filepath.Abs(dir); err == nil && !slices.Contains(o.Dirs, abs) {
			o.Dirs = append(o.Dirs, abs)
		}
	}
	return &Finder{o: o, log: o.Log, entries: make(map[string]*entry)}
}

// Programs returns what the last scan found, the available and the others, in the order of directories and file names.
func (f *Finder) Programs() []Program {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.programs)
}

// Scan looks through the directories once, and returns all programs when each new or changed one has said what it is. A
// program that hangs keeps it for the timeout.
func (f *Finder) Scan(ctx context.Context) []Program {
	f.scanning.Lock()
	defer f.scanning.Unlock()
	due, changed := f.look()
	f.ask(ctx, due)
	if changed || len(due) > 0 {
		f.publish()
	}
	return f.Programs()
}

// publish tells what is not as it was.
func (f *Finder) publish() {
	now := f.list()
	f.mu.Lock()
	was := f.programs
	f.programs = now
	f.mu.Unlock()
	if reflect.DeepEqual(was, now) {
		return
	}
	f.tell(was, now)
	f.o.OnChange(slices.Clone(now))
}

// list returns the programs in order, with those shadowed that have the name of one before them.
func (f *Finder) list() []Program {
	all := make([]*entry, 0, len(f.entries))
	for _, e := range f.entries {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.path, b.path)) })
	type name struct{ kind, program string }
	first := make(map[name]string)
	list := make([]Program, len(all))
	for i, e := range all {
		p := e.program
		if p.State == Available {
			key := name{p.Kind, p.Name}
			if before := first[key]; before != "" {
				p.State, p.Reason = Shadowed, before+" is the "+p.Kind+" "+p.Name+" already: remove or rename one of them"
			} else {
				first[key] = p.Path
			}
		}
		list[i] = p
	}
	return list
}

// tell logs the differences, as an operator would note them in a diary.
func (f *Finder) tell(was, now []Program) {
	before := make(map[string]Program, len(was))
	for _, p := range was {
		before[p.Path] = p
	}
	for _, p := range now {
		old, known := before[p.Path]
		delete(before, p.Path)
		switch {
		case known && reflect.DeepEqual(old, p):
		case p.State == Available && len(p.Findings) == 0:
			f.log.Info("program is available", "path", p.Path, "kind", p.Kind, "program", p.Name, "version", p.Version, "signed_by", p.SignedBy)
		case p.State == Available:
			f.log.Warn("program is available", "path", p.Path, "kind", p.Kind, "program", p.Name, "version", p.Version, "findings", texts(p.Findings))
		case p.State == Busy:
			f.log.Debug("program is being written", "path", p.Path)
		default:
			f.log.Warn("program is not available", "path", p.Path, "state", string(p.State), "reason", p.Reason)
		}
	}
	for path := range before {
		f.log.Info("program is gone", "path", path)
	}
}

func texts(all []trust.Finding) []string {
	list := make([]string, len(all))
	for i, f := range all {
		list[i] = f.String()
	}
	return list
}
