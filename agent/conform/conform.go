// Package conform checks what a plugin promises to whoever runs it, on a running process.
package conform

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Status is how a check went.
type Status string

// How a check goes.
const (
	Pass Status = "PASS"
	Fail Status = "FAIL"
	Skip Status = "SKIP"
)

// A Result is one check of one plugin.
type Result struct {
	Check   string  `json:"check"`
	About   string  `json:"about"` // what is promised, in a sentence
	Status  Status  `json:"status"`
	Reason  string  `json:"reason,omitempty"`  // why it failed or was skipped, or what there is to say of a pass
	Message string  `json:"message,omitempty"` // that broke the promise, shortened, as JSON where it can be
	Seconds float64 `json:"seconds"`           // since the begin of the run
}

// A Report is all that was found out about a plugin.
type Report struct {
	Kind    string   `json:"kind,omitempty"`
	Program string   `json:"program,omitempty"`
	Version string   `json:"version,omitempty"`
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Skipped int      `json:"skipped"`
	Seconds float64  `json:"seconds"`
	Results []Result `json:"results"`         // in the order of Checks
	Stderr  []string `json:"stderr,omitzero"` // what a process said last, where something failed
}

// Options say what is run, and how hard it is tried.
type Options struct {
	Command   []string        // of the plugin
	Env       []string        // beside what an agent gives each plugin, as KEY=value
	Kind      string          // it has to be; empty: any
	Config    json.RawMessage // settings with which it works; empty: {}. {dir} in it is a folder of each process's own
	Only      []string        // checks; empty: all
	Mutations int             // of each valid message; 0: 100
	Seed      uint64          // of the mutations
	Input     []byte          // points for processors and publishers; empty: made ones
	Alone     bool            // one process at a time: they want the same port, or the like

	OnKind   func(telemetry.Manifest) // is told what the plugin is, once that is known; may be nil
	OnResult func(Result)             // is told each result as soon as it is known, but none of checks that were not begun; may be nil
}

// ErrCommand says that nothing could be started, so that nothing could be checked: see to the command.
var ErrCommand = errors.New("the plugin cannot be started")

// Run checks a plugin, and leaves no process and no file behind. An error means that it could not be checked.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.Validate(); err != nil {
		return Report{}, err
	}
	o.complete()
	dir, err := os.MkdirTemp("", "pacewire-conform-")
	if err != nil {
		return Report{}, fmt.Errorf("folder for the bus: %w", err)
	}
	defer os.RemoveAll(dir)
	k := &kit{o: o, dir: dir, began: time.Now(), results: map[string]Result{}}
	if err := k.run(ctx); err != nil {
		return Report{}, err
	}
	return k.report(), ctx.Err()
}

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	if len(o.Command) == 0 {
		return errors.New("which plugin? no command is given")
	}
	if len(o.Config) > 0 && !isObject(o.Config) {
		return fmt.Errorf("config %s: want a JSON object", short(o.Config))
	}
	if kinds := []string{"collector", "processor", "publisher"}; o.Kind != "" && !slices.Contains(kinds, o.Kind) {
		return fmt.Errorf("kind %q: want collector, processor or publisher", o.Kind)
	}
	if o.Mutations < 0 {
		return fmt.Errorf("mutations %d: want a number above 0", o.Mutations)
	}
	for _, name := range o.Only {
		if _, ok := checkOf(name); !ok {
			return fmt.Errorf("there is no check %q: there are %s", name, strings.Join(names(), ", "))
		}
	}
	return nil
}

// complete fills in what is left out.
func (o *Options) complete() {
	if len(o.Config) == 0 {
		o.Config = json.RawMessage("{}")
	}
	o.Mutations = cmp.Or(o.Mutations, 100)
}

// kit is one run.
type kit struct {
	o     Options
	dir   string
	began time.Time

	mu       sync.Mutex
	manifest telemetry.Manifest // of the first hello
	results  map[string]Result
	stderr   []string // of a process of a check that failed
	quiet    bool     // it is a collector that sends nothing for long
}

// wanted reports whether a check is to be made.
func (k *kit) wanted(c check) bool {
	return (len(k.o.Only) == 0 || slices.Contains(k.o.Only, c.name)) && (k.kind() == "" || c.of(k.kind()))
}

// wants is wanted, by the name of a check.
func (k *kit) wants(name string) bool {
	c, _ := checkOf(name)
	return k.wanted(c)
}

func (k *kit) kind() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.manifest.Kind
}

// meet notes what the plugin is.
func (k *kit) meet(m telemetry.Manifest) {
	k.mu.Lock()
	k.manifest = m
	k.mu.Unlock()
	if k.o.OnKind != nil {
		k.o.OnKind(m)
	}
}

// told returns what the plugin has told of itself.
func (k *kit) told() telemetry.Manifest {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.manifest
}

func (k *kit) isQuiet() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.quiet
}

// settle notes how a check went; the first word counts. A failure counts even of a check that was not asked for.
func (k *kit) settle(name string, err error, stderr func() []string) {
	c, _ := checkOf(name)
	r := Result{Check: name, About: c.about, Status: Pass, Seconds: time.Since(k.began).Seconds()}
	var v *verdict
	switch {
	case errors.As(err, &v):
		r.Status, r.Reason, r.Message = v.status, v.reason, v.message
	case err != nil:
		r.Status, r.Reason = Fail, err.Error()
	}
	if r.Status != Fail && !k.wanted(c) {
		return
	}
	if !k.note(r) {
		return
	}
	if r.Status == Fail && stderr != nil {
		k.mu.Lock()
		if len(k.stderr) == 0 {
			k.stderr = stderr()
		}
		k.mu.Unlock()
	}
	if k.o.OnResult != nil {
		k.o.OnResult(r)
	}
}

// note keeps a result, if it is the first one of its check.
func (k *kit) note(r Result) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, again := k.results[r.Check]; again {
		return false
	}
	k.results[r.Check] = r
	return true
}

func (k *kit) report() Report {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.manifest
	r := Report{Kind: m.Kind, Program: m.Program, Version: m.Version, Seconds: time.Since(k.began).Seconds(), Results: []Result{}, Stderr: k.stderr}
	for _, c := range checks {
		one, ok := k.results[c.name]
		if !ok {
			continue
		}
		switch r.Results = append(r.Results, one); one.Status {
		case Pass:
			r.Passed++
		case Fail:
			r.Failed++
		case Skip:
			r.Skipped++
		}
	}
	return r
}
