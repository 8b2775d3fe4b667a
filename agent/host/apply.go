package host

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

// A step is what a new config makes necessary for one plugin.
type step struct {
	action string
	reason string
	entry  *entry // nil for one that is new
	plan   plan
}

// steps compares the plugins there are with those that s wants.
func (h *Host) steps(s *config.Settings) []step {
	var list []step
	wanted := map[string]bool{}
	for _, p := range s.Plugins {
		if !p.Enabled {
			continue
		}
		wanted[p.Name] = true
		list = append(list, h.step(h.plan(s, p)))
	}
	for _, e := range h.entries() {
		if !wanted[e.name] {
			list = append(list, step{telemetry.ChangeStop, "it is not in the config any more", e, e.plan()})
		}
	}
	return list
}

// step returns what p makes necessary.
func (h *Host) step(p plan) step {
	e := h.find(p.conf.Name)
	if e == nil {
		return step{telemetry.ChangeStart, "it is new", nil, p}
	}
	was := e.plan()
	switch {
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
		{"config", !bytes.Equal(p.work.Config, n.work.Config)},
		{"from", !reflect.DeepEqual(p.work.Inputs, n.work.Inputs)},
		{"interval", p.work.EveryMS != n.work.EveryMS || !reflect.DeepEqual(p.work.Schedule, n.work.Schedule)},
		{"tags", !reflect.DeepEqual(p.work.Tags, n.work.Tags)},
		{"timeout", p.work.TimeoutMS != n.work.TimeoutMS},
		{"parallel", p.work.Parallel != n.work.Parallel},
	}
	text := ""
	for _, d := range differs {
		if d.yes && text != "" {
			text += ", "
		}
		if d.yes {
			text += d.what
		}
	}
	return text + " changed"
}

// planned tells what steps would do.
func planned(steps []step) []telemetry.Change {
	list := make([]telemetry.Change, 0, len(steps))
	for _, s := range steps {
		list = append(list, telemetry.Change{Plugin: s.plan.conf.Name, Action: s.action, Reason: s.reason})
	}
	return list
}

// apply makes the plugins what s wants: new ones first, then those that change, and those that go at last, so that whoever
// takes over reads before the one before him stops. What is equal is not touched. The caller has the host's turn.
func (h *Host) apply(ctx context.Context, s *config.Settings) ([]telemetry.Change, error) {
	steps := h.steps(s)
	for _, st := range steps {
		if st.action == telemetry.ChangeStop || st.action == telemetry.ChangeNone {
			continue
		}
		if err := h.consumers(ctx, st.plan); err != nil { // before anything is touched
			return nil, err
		}
	}
	changes := planned(steps)
	h.each(steps, changes, []string{telemetry.ChangeStart}, func(st step) telemetry.Change { return h.begin(st.plan) })
	h.each(steps, changes, []string{telemetry.ChangeConfigure, telemetry.ChangeSwap}, func(st step) telemetry.Change { return st.change(ctx) })
	for _, kind := range []string{config.Collector, config.Processor, config.Publisher} {
		h.each(steps, changes, []string{telemetry.ChangeStop}, func(st step) telemetry.Change {
			if st.plan.conf.Kind != kind {
				return telemetry.Change{}
			}
			return h.end(ctx, st.entry)
		})
	}
	h.adopt(s)
	return changes, nil
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
			if c := do(st); c.Plugin != "" {
				c.Reason = cmp.Or(c.Reason, st.reason)
				changes[i] = c
			}
		})
	}
	wg.Wait()
}

// begin starts a plugin that is new.
func (h *Host) begin(p plan) telemetry.Change {
	e := h.entry(p)
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
	was, do := s.entry.plan(), s.entry.swap
	if s.action == telemetry.ChangeConfigure {
		do = s.entry.configure
	}
	return s.entry.change(s.action, func() error {
		err := do(ctx, s.plan)
		if err != nil { // what goes on reads what it read before
			err = errors.Join(err, s.entry.host.consumers(context.WithoutCancel(ctx), was))
		}
		return err
	})
}

// configure gives the process that runs another work. One that cannot use it goes on with what it has.
func (e *entry) configure(ctx context.Context, p plan) error {
	e.mu.Lock()
	i, was := e.now, e.now.plan
	i.plan, i.planned = p, time.Now()
	e.mu.Unlock()
	i.greet(ctx)
	if !i.works() { // it gets the new one when it comes
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

// end drains a plugin and forgets it.
func (h *Host) end(ctx context.Context, e *entry) telemetry.Change {
	release, err := e.take(ctx)
	if err != nil {
		return telemetry.Change{Plugin: e.name, Action: telemetry.ChangeStop, Error: err.Error()}
	}
	defer release()
	return e.change(telemetry.ChangeStop, func() error {
		e.now.stop(ctx, "it is not in the config any more")
		<-e.now.done
		h.remove(e)
		return h.forget(ctx, e)
	})
}

// forget removes the consumers of a plugin that is gone, where nobody else can read by them: on our own bus.
func (h *Host) forget(ctx context.Context, e *entry) error {
	if h.o.InProcess == nil {
		return nil
	}
	for _, in := range e.now.plan.inputs {
		if err := h.conn.DeleteConsumer(ctx, in.Stream, in.Durable); err != nil {
			return err
		}
	}
	return nil
}
