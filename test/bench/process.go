package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
)

// A system is a running pacewire: the agent with the bus in it, and its plugins.
type system struct {
	lab.Place
	agent *lab.Process
	pids  map[string]int // by plugin; "agent" is the agent and the bus
}

const (
	startWithin = time.Minute // of a system with many plugins on a slow machine
	stopWithin  = time.Minute
)

// start runs the program with a config, and returns when every plugin works.
func start(ctx context.Context, s settings, name, config string) (*system, error) {
	place, err := lab.NewPlace(filepath.Join(s.dir, name), s.binary)
	if err != nil {
		return nil, err
	}
	path, err := place.Write("pacewire.yaml", config)
	if err != nil {
		return nil, err
	}
	sys := &system{Place: place}
	if sys.agent, err = lab.Start(place.Command(ctx, "up", "--plain", path)); err != nil {
		return nil, err
	}
	for end := time.Now().Add(startWithin); ; time.Sleep(50 * time.Millisecond) {
		err := sys.look(ctx)
		if err == nil {
			return sys, nil
		}
		if time.Now().After(end) {
			sys.stop()
			return nil, fmt.Errorf("plugins do not work (%w)\n%s", err, sys.agent.Log)
		}
	}
}

// look asks for the plugins; an error says that not all are running.
func (sys *system) look(ctx context.Context) error {
	plugins, err := sys.Plugins(ctx)
	if err := lab.AllRunning(plugins, err); err != nil {
		return err
	}
	sys.pids = map[string]int{"agent": sys.agent.PID()}
	for name, p := range plugins {
		sys.pids[name] = p.PID
	}
	return nil
}

// stop drains the system.
func (sys *system) stop() { _ = sys.agent.Stop(stopWithin) } // how it ends is no measurement

// usage is what processes have used.
type usage struct {
	cpu  map[string]time.Duration
	peak map[string]int64 // bytes, resident
	rss  map[string]int64 // now
	pss  map[string]int64 // now, what is shared counted in parts
}

func (sys *system) usage() (usage, error) {
	u := usage{map[string]time.Duration{}, map[string]int64{}, map[string]int64{}, map[string]int64{}}
	var faults []error
	for name, pid := range sys.pids {
		cpu, err := lab.CPU(pid)
		faults = append(faults, err)
		u.cpu[name] = cpu
		u.peak[name] = lab.Memory(pid, "status", "VmHWM:")
		u.rss[name] = lab.Memory(pid, "status", "VmRSS:")
		u.pss[name] = lab.Memory(pid, "smaps_rollup", "Pss:")
	}
	return u, errors.Join(faults...)
}

// since returns the CPU of each process since before, and the sum.
func (u usage) since(before usage) (each map[string]time.Duration, sum time.Duration) {
	each = map[string]time.Duration{}
	for name, cpu := range u.cpu {
		each[name] = cpu - before.cpu[name]
		sum += each[name]
	}
	return each, sum
}
