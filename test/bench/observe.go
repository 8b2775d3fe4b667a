package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A step is how far a plugin that starts has come.
type step int

const (
	hello   step = iota // its first heartbeat has come
	running             // it has told that it works
	point               // its first points are stored
	steps               // how many there are
)

func (s step) String() string { return [...]string{"hello", "running", "point"}[s] }

// An observer sees on the bus how far a plugin has come, as somebody does who is not part of it.
type observer struct {
	sys    *system
	plugin string
	conn   *bus.Conn
	end    context.CancelFunc
	points sync.WaitGroup // who observes them

	mu    sync.Mutex
	seen  [steps][]time.Time
	fault error // why no points are observed any more
}

// observe observes a plugin that works, and returns when it is seen.
func (sys *system) observe(ctx context.Context, plugin string) (*observer, error) {
	conn, host, err := sys.Connect(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	o := &observer{sys: sys, plugin: plugin, conn: conn, end: cancel}
	o.points.Go(func() { o.follow(ctx) })
	err = o.hear(host)
	if err == nil {
		_, err = o.await(ctx, point, time.Now())
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// hear notes heartbeats, which the agent answers.
func (o *observer) hear(host string) error {
	beats := bus.Pattern(bus.AreaBeat, bus.Name(host), bus.Name(o.plugin), bus.HTB)
	decode := func(body []byte) (telemetry.Heartbeat, error) {
		h, _, err := telemetry.DecodeHeartbeat(body)
		return h, err
	}
	_, err := bus.Handle(o.conn, beats, bus.Rules{}, decode, func(_ context.Context, _ bus.Subject, h telemetry.Heartbeat) ([]byte, error) {
		o.beat(h, time.Now())
		return nil, nil
	})
	return err
}

// follow notes points until ctx ends.
func (o *observer) follow(ctx context.Context) {
	metrics := bus.TapOptions{Stream: bus.StreamMetrics, Filters: []string{bus.MetricsFilter(o.plugin)}}
	err := o.conn.Tap(ctx, metrics, func(t bus.Tapped) error {
		o.note(point, t.Stored)
		return nil
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fault = err
}

func (o *observer) close() {
	o.end()
	o.points.Wait()
	o.conn.Close()
}

func (o *observer) beat(h telemetry.Heartbeat, at time.Time) {
	if h.Hello {
		o.note(hello, at)
	}
	if h.State == "running" {
		o.note(running, at)
	}
}

func (o *observer) note(s step, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen[s] = append(o.seen[s], at)
}

// first returns when a step was first seen after a time.
func (o *observer) first(s step, after time.Time) (at time.Time, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, at := range o.seen[s] {
		if at.After(after) {
			return at, true
		}
	}
	return at, false
}

func (o *observer) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = [steps][]time.Time{}
}

// stepWithin is how long a step may take on a slow machine.
const stepWithin = 20 * time.Second

// await is first that waits for it.
func (o *observer) await(ctx context.Context, s step, after time.Time) (time.Time, error) {
	for end := time.Now().Add(stepWithin); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if at, ok := o.first(s, after); ok {
			return at, nil
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Time{}, errors.Join(ctx.Err(), o.fault, fmt.Errorf("no %v of %s is seen within %v\n%s", s, o.plugin, stepWithin, o.sys.agent.Log))
}

// restart starts the plugin anew, and returns how long each step took from the moment its process was there.
func (o *observer) restart(ctx context.Context) (took [steps]time.Duration, err error) {
	o.forget()
	before := time.Now()
	if _, err := o.sys.Verb(ctx, "plugin", "restart", o.plugin); err != nil {
		return took, err
	}
	begun, ok := o.sys.agent.Log.First(before, o.plugin, "child started")
	if !ok {
		return took, fmt.Errorf("%s is restarted, and the log tells of no start\n%s", o.plugin, o.sys.agent.Log)
	}
	for s := range steps { // what the process before it has sent came before
		at, err := o.await(ctx, s, begun.Time)
		if err != nil {
			return took, err
		}
		took[s] = at.Sub(begun.Time)
	}
	return took, nil
}
