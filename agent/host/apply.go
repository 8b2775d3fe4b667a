package host

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// A step is what a new config makes necessary for one process of a plugin.
type step struct {
	action string
	reason string
	entry  *entry // nil for one that is new, until it is prepared
	plan   plan
}

// Why a process ends or begins.
const (
	notInConfig = "it is not in the config any more"
	isNew       = "it is new"
)

// steps compares the processes there are with those that s wants.
func (h *Host) steps(s *config.Settings) []step {
	var list []step
	wanted, replicas := map[string]bool{}, map[string]int{}
	for _, p := range h.plans(s) {
		wanted[p.name], replicas[p.conf.Name] = true, p.conf.Replicas
		list = append(list, h.step(p))
	}
	for _, e := range h.entries() {
		if wanted[e.name] {
			continue
		}
		st := step{telemetry.ChangeStop, notInConfig, e, e.plan()}
		if n := replicas[e.plugin]; n > 0 {
			st.reason = fmt.Sprintf("replicas of %s: %d", e.plugin, n)
		}
		list = append(list, st)
	}
	return list
}

// step returns what p makes necessary.
func (h *Host) step(p plan) step {
	e := h.find(p.name)
	if e == nil {
		return step{telemetry.ChangeStart, isNew, nil, p}
	}
	was := e.plan()
	switch {
	case p.conf.Missing != "" && e.current().works():
		return step{telemetry.ChangeNone, "it goes on as it is: " + p.conf.Missing, e, was}
	case !was.sameProcess(p):
		return step{telemetry.ChangeSwap, was.difference(p), e, p}
	case was.rev == p.rev:
		return step{telemetry.ChangeNone, "", e, p}
	case e.live():
		return step{telemetry.ChangeConfigure, was.difference(p), e, p}
	}
	return step{telemetry.ChangeSwap, was.difference(p), e, p}
}

// live reports whether the plugin takes a new config while it runs.
func (e *entry) live() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now.manifest != nil && e.now.manifest.Live
}

// difference names what n has other than p.
func (p plan) difference(n plan) string {
	a, b := p.conf, n.conf
	differs := []struct {
		what string
		yes  bool
	}{
		{"kind", a.Kind != b.Kind},
		{"program", a.Program != b.Program || !slices.Equal(p.command, n.command)},
		{"environment", !slices.Equal(p.env, n.env)},
		{"limits", a.Limits != b.Limits},
		{"run_as", a.RunAs != b.RunAs},
		{"on_agent_exit", a.Keep != b.Keep},
		{"sha256", a.SHA256 != b.SHA256},
		{"attached", a.Attached != b.Attached},
		{"availability", a.Missing != b.Missing},
		{"config", !bytes.Equal(p.work.Config, n.work.Config)},
		{"from", !reflect.DeepEqual(p.work.Inputs, n.work.Inputs)},
		{"interval", p.work.EveryMS != n.work.EveryMS || !reflect.DeepEqual(p.work.Schedule, n.work.Schedule)},
		{"tags", !reflect.DeepEqual(p.work.Tags, n.work.Tags)},
		{"timeout", p.work.TimeoutMS != n.work.TimeoutMS},
		{"queue", p.work.QueueBytes != n.work.QueueBytes},
		{"overflow", p.work.Overflow != n.work.Overflow},
		{"max_rate", p.work.MaxRate != n.work.MaxRate},
		{"max_series", p.work.MaxSeries != n.work.MaxSeries},
		{"parallel", p.work.Parallel != n.work.Parallel},
		{"order", p.work.Order != n.work.Order},
	}
	var what []string
	for _, d := range differs {
		if d.yes {
			what = append(what, d.what)
		}
	}
	return strings.Join(what, ", ") + " changed"
}

// planned tells what steps would do.
func planned(steps []step) []telemetry.Change {
	list := make([]telemetry.Change, 0, len(steps))
	for _, s := range steps {
		list = append(list, telemetry.Change{Plugin: s.plan.name, Action: s.action, Reason: s.reason})
	}
	return list
}

// apply makes the plugins what s wants: new ones first, then those that change, and those that go at last, so that whoever
// takes over reads before the one before him stops. What is equal is not touched, and the consumers of those called forget are
// removed with them. The caller has the host's turn.
func (h *Host) apply(ctx context.Context, s *config.Settings, forget ...string) ([]telemetry.Change, error) {
	steps := h.steps(s)
	if err := h.prepare(ctx, steps); err != nil { // before anything is touched
		return nil, errors.Join(err, h.narrow(ctx, steps))
	}
	changes := planned(steps)
	h.each(steps, changes, []string{telemetry.ChangeStart}, func(st step) telemetry.Change { return h.begin(st.entry) })
	h.roll(steps, changes, func(st step) telemetry.Change { return st.change(ctx) })
	for _, kind := range []string{config.Collector, config.Processor, config.Publisher} {
		h.each(steps, changes, []string{telemetry.ChangeStop}, func(st step) telemetry.Change {
			if st.plan.conf.Kind != kind {
				return telemetry.Change{}
			}
			return h.end(ctx, st.entry, slices.Contains(forget, st.entry.plugin))
		})
	}
	h.adopt(s)
	return changes, h.narrow(ctx, steps)
}

// prepare lets the consumers give out what will be read.
func (h *Host) prepare(ctx context.Context, steps []step) error {
	crews := map[string]*crew{}
	for i, st := range steps {
		var err error
		switch st.action {
		case telemetry.ChangeStart:
			e := h.member(st.plan, cmp.Or(crews[st.plan.conf.Name], h.crewOf(st.plan)))
			steps[i].entry, crews[e.plugin] = e, e.crew
			err = e.supply(ctx)
		case telemetry.ChangeConfigure, telemetry.ChangeSwap:
			err = st.entry.widen(ctx, st.plan)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// narrow lets the consumers give out what is read by now.
func (h *Host) narrow(ctx context.Context, steps []step) error {
	ctx = context.WithoutCancel(ctx)
	var all []error
	done := map[string]bool{}
	for _, st := range steps {
		plugin := st.plan.conf.Name
		crew := h.crew(plugin)
		if done[plugin] || len(crew) == 0 || st.action == telemetry.ChangeNone || st.action == telemetry.ChangeStop {
			continue
		}
		done[plugin] = true
		all = append(all, crew[0].narrow(ctx))
	}
	return errors.Join(all...)
}

// supply lets the consumers give out what a process that is new will read, besides what they give out to others of its plugin.
// What a plugin that comes back has not read yet it reads to its end, though its config may not say so any more.
func (e *entry) supply(ctx context.Context) error {
	if crew := e.host.crew(e.plugin); len(crew) > 0 {
		return crew[0].widen(ctx, e.plan())
	}
	if err := e.found(ctx); err != nil {
		return err
	}
	return e.give(ctx, same)
}

// sideBySide is how many plugins are changed at a time: a swap starts a process.
const sideBySide = 4

// each does the steps of some actions, and notes what became of them in changes.
func (h *Host) each(steps []step, changes []telemetry.Change, actions []string, do func(step) telemetry.Change) {
	var wg sync.WaitGroup
	room := make(chan struct{}, sideBySide)
	for i, st := range steps {
		if !slices.Contains(actions, st.action) {
			continue
		}
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			st.do(do, &changes[i])
		})
	}
	wg.Wait()
}

// do does the step, and notes in c what became of it.
func (s step) do(do func(step) telemetry.Change, c *telemetry.Change) {
	if done := do(s); done.Plugin != "" {
		done.Reason = cmp.Or(done.Reason, s.reason)
		*c = done
	}
}

// roll changes processes: those of one plugin one after the other, so that the others work meanwhile, and none any more after one
// of them that could not be changed.
func (h *Host) roll(steps []step, changes []telemetry.Change, do func(step) telemetry.Change) {
	byPlugin, plugins := map[string][]int{}, []string{}
	for i, st := range steps {
		if st.action != telemetry.ChangeConfigure && st.action != telemetry.ChangeSwap {
			continue
		}
		if byPlugin[st.plan.conf.Name] == nil {
			plugins = append(plugins, st.plan.conf.Name)
		}
		byPlugin[st.plan.conf.Name] = append(byPlugin[st.plan.conf.Name], i)
	}
	var g errgroup.Group
	g.SetLimit(sideBySide)
	for _, name := range plugins {
		g.Go(func() error {
			bad := ""
			for _, i := range byPlugin[name] {
				if bad != "" {
					changes[i].Error = "it is left as it is, because " + bad + " could not be changed"
					continue
				}
				steps[i].do(do, &changes[i])
				if changes[i].Error != "" {
					bad = changes[i].Plugin
				}
			}
			return nil
		})
	}
	_ = g.Wait() // what goes wrong stands in the changes
}

// begin starts a plugin that is new.
func (h *Host) begin(e *entry) telemetry.Change {
	h.add(e)
	return e.change(telemetry.ChangeStart, func() error {
		e.now.start(h.life)
		return nil
	})
}

// change brings a plugin that runs to its new plan.
func (s step) change(ctx context.Context) telemetry.Change {
	release, err := s.entry.take(ctx)
	if err != nil {
		return telemetry.Change{Plugin: s.entry.name, Action: s.action, Error: err.Error()}
	}
	defer release()
	return s.entry.change(s.action, func() error {
		if s.action == telemetry.ChangeConfigure {
			return s.entry.configure(ctx, s.plan)
		}
		return s.entry.asked("swapped: "+s.reason, func() error { return s.entry.swap(ctx, s.plan) })
	})
}

// configure gives the process that runs another work. One that cannot use it goes on with what it has, if that did work.
func (e *entry) configure(ctx context.Context, p plan) error {
	worked := e.current().works() // asked before: one that has failed tries again as soon as it is told
	e.mu.Lock()
	i, was := e.now, e.now.plan
	i.plan, i.planned = p, time.Now()
	e.mu.Unlock()
	i.greet(ctx)
	if !worked { // it gets the new one when it comes
		if !i.attached() {
			i.child.Retry("its config has changed")
		}
		return nil
	}
	err := i.working(ctx, e.host.o.Times.Ready)
	if err == nil {
		return nil
	}
	e.mu.Lock()
	i.plan = was
	e.mu.Unlock()
	return err
}

// end drains a plugin that is not wanted any more. With forget its consumers go too.
func (h *Host) end(ctx context.Context, e *entry, forget bool) telemetry.Change {
	release, err := e.take(ctx)
	if err != nil {
		return telemetry.Change{Plugin: e.name, Action: telemetry.ChangeStop, Error: err.Error()}
	}
	defer release()
	ctx = context.WithoutCancel(ctx) // who drains is not cut short
	var unread uint64
	c := e.change(telemetry.ChangeStop, func() (err error) {
		e.now.stop(ctx, notInConfig)
		<-e.now.done
		last := h.remove(e)
		if last {
			h.endAgain(ctx, e.plugin)
		}
		if last && forget {
			unread, err = h.forgetPlugin(ctx, e.plugin, slices.Concat(e.read(), h.errands.take(e.plugin)))
		}
		return err
	})
	if unread > 0 {
		c.Reason = amount.Of(unread, "batch was not read", "batches were not read")
	}
	return c
}
