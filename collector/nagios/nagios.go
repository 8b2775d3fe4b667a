// Package nagios runs Nagios checks, each at its own times, and tells what they find.
package nagios

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
)

// Define describes the nagios collector.
func Define() plugin.Definition {
	return collector.DefineRounds(collector.RoundsSpec[Config]{
		Program: "nagios",
		Summary: "Runs Nagios checks: their states, what they measure, and an event for each change.",
		Config:  Defaults(),
		Catalog: catalog(),
		Times:   "under defaults:, or at a check",
		New:     New,
	})
}

// checks are those of one config.
type checks struct {
	cfg  Config
	env  plugin.Env
	list []*check
}

// New returns the checks of cfg.
func New(_ context.Context, cfg Config, env plugin.Env) (collector.Rounds, error) {
	if len(cfg.Checks) == 0 {
		return nil, fmt.Errorf(`checks is empty: name one, such as load: {command: [check_load, -w, "5", -c, "10"]}: %w`, plugin.ErrNoData)
	}
	all := &checks{cfg: cfg, env: env}
	slots := make(chan struct{}, 2*runtime.NumCPU()) // checks wait more than they work
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(cfg.Checks)) {
		c, err := newCheck(name, cfg.whole(name), cfg.Folders, env, slots)
		all.list, faults = append(all.list, c), append(faults, err)
	}
	return all, errors.Join(faults...)
}

// Stream runs the checks until ctx ends.
func (s *checks) Stream(ctx context.Context, out collector.Emitter) error {
	memory := remember(s.env.Dir, s.env.Log) // not before: the process before us may have been at work until now
	var all sync.WaitGroup
	for _, c := range s.list {
		c.memory = memory
		all.Go(func() { c.loop(ctx, out) })
	}
	for _, name := range memory.others(s.cfg.Checks) {
		c := &check{name: name, env: s.env, memory: memory}
		all.Go(func() { c.leave(ctx, out) })
	}
	all.Wait()
	return nil
}

// Round runs each check once. That is to look at: no state follows from it.
func (s *checks) Round(ctx context.Context, out collector.Emitter) error {
	var all sync.WaitGroup
	for _, c := range s.list {
		all.Go(func() {
			if said, ok := c.ask(ctx); ok {
				c.post(said, time.Now(), nil, out)
			}
		})
	}
	all.Wait()
	return nil
}
