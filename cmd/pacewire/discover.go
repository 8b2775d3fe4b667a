package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"sync"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/discovery"
	"github.com/pacewire/pacewire/agent/host"
	"github.com/pacewire/pacewire/agent/trust"
	"github.com/pacewire/pacewire/plugin"
)

// A finder knows the programs of the plugin directories that the config in force names. Its zero value knows none.
type finder struct {
	mu     sync.Mutex
	copies *scratch // of scripts; nil before the first directory
	of     config.Discovery
	now    *discovery.Finder
	seen   memory        // of programs
	other  chan struct{} // closed when another config names other directories
	news   chan struct{} // 1: something has changed since it was looked at
}

func newFinder() *finder {
	return &finder{seen: memory{}, other: make(chan struct{}), news: make(chan struct{}, 1)}
}

// programs returns all that is in the plugin directories, available or not. Directories that were not looked at yet are.
func (f *finder) programs(d config.Discovery) []discovery.Program {
	if len(d.Dirs) == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now != nil && reflect.DeepEqual(d, f.of) {
		return f.now.Programs()
	}
	checker, err := f.checker()
	if err != nil {
		return nil
	}
	f.of, f.now = d, discovery.New(discovery.Options{
		Dirs: d.Dirs, Trust: host.DirPolicy(d), Checker: checker, API: plugin.API,
		OnChange: func([]discovery.Program) {
			select {
			case f.news <- struct{}{}:
			default:
			}
		},
	})
	close(f.other)
	f.other = make(chan struct{})
	return f.now.Scan(context.Background()) // each program has its deadline
}

// checker makes one that keeps copies in a folder of this process.
func (f *finder) checker() (_ *trust.Checker, err error) {
	if f.copies == nil {
		if f.copies, err = newScratch(); err != nil {
			return nil, err
		}
	}
	return f.copies.checker()
}

// close takes the copies away.
func (f *finder) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.copies != nil {
		f.copies.remove()
	}
}

// current returns the finder in force, nil for none, and what is closed when there is another one.
func (f *finder) current() (*discovery.Finder, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now, f.other
}

// run follows the plugin directories until ctx ends.
func (f *finder) run(ctx context.Context) {
	for ctx.Err() == nil {
		now, other := f.current()
		looking, enough := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if now != nil {
				_ = now.Run(looking) // it returns nil
			}
		}()
		select {
		case <-ctx.Done():
		case <-other:
		}
		enough()
		<-done
	}
}

// A known is a program as -o json shows it; its keys are stable.
type known struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Summary  string `json:"summary"`
	Version  string `json:"version"`
	State    string `json:"state"` // available, refused, unusable, shadowed or busy
	Reason   string `json:"reason"`
	Path     string `json:"path"` // empty for a built-in
	SHA256   string `json:"sha256"`
	SignedBy string `json:"signed_by"`
}

// showPrograms lists the built-ins, and what is in the plugin directories.
func (a *app) showPrograms() error {
	rows := []known{}
	for _, d := range programs() {
		rows = append(rows, known{Kind: string(d.Kind), Name: d.Program, Summary: d.Summary, Version: version(), State: string(discovery.Available)})
	}
	c, err := a.configure(configured{options: config.Options{Lenient: true}, named: a.filesOfAgent(), starter: true}, false)
	if err != nil {
		fmt.Fprintln(a.err, "the config names no plugin directories that could be looked at: pacewire validate tells why")
	} else {
		rows = append(rows, knowns(a.found.programs(c.Discovery))...)
	}
	if a.flags.output == "json" {
		return json.NewEncoder(a.out).Encode(rows)
	}
	return a.table("KIND\tPROGRAM\tSTATE\tDOES", func(w io.Writer) {
		for _, r := range rows {
			does := cmp.Or(r.Reason, r.Summary)
			if r.Path != "" {
				does = r.Path + ": " + does
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(cmp.Or(r.Kind, "-")), printable(r.Name), r.State, printable(does))
		}
	})
}

func knowns(list []discovery.Program) []known {
	var rows []known
	for _, p := range list {
		rows = append(rows, known{p.Kind, p.Name, p.Manifest.Summary, p.Version, string(p.State), p.Reason, p.Path, p.SHA256, p.SignedBy})
	}
	return rows
}
