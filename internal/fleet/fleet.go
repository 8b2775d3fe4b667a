// Package fleet simulates hosts that beat.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// Options say how many hosts there are, and what they are like.
type Options struct {
	URL       string
	CredsFile string // of a user who may do everything; "": none

	Hosts     int
	Prefix    string        // of their ids: "sim-"
	Interval  time.Duration // of their beats, until a hub wants another one: 10 s
	Spread    time.Duration // over which the first beats come, and those after the bus was away: Interval
	Conns     int           // connections that they share: 8
	Plugins   int           // of each host: 2. Each has two entries of inventory: info and status
	Inventory int           // bytes of the info of all plugins of a host
	Sites     int           // over which the hosts are spread, by the label "site"; 0: none
	Owner     string
}

const (
	mostHosts   = 1_000_000 // ids have six digits
	mostPlugins = 100       // whose list goes into one answer
	mostFacts   = 200 << 10 // of one plugin, which go into one message
	tick        = 20 * time.Millisecond
)

func (o *Options) complete() error {
	o.Prefix, o.Interval = cmp.Or(o.Prefix, "sim-"), cmp.Or(o.Interval, 10*time.Second)
	o.Spread, o.Conns, o.Plugins = cmp.Or(o.Spread, o.Interval), cmp.Or(o.Conns, 8), cmp.Or(o.Plugins, 2)
	switch {
	case o.Hosts < 1 || o.Hosts > mostHosts:
		return fmt.Errorf("%d hosts: want 1 to %d", o.Hosts, mostHosts)
	case o.Conns < 0 || o.Interval < 0 || o.Spread < 0 || o.Sites < 0:
		return errors.New("conns, interval, spread and sites must not be negative")
	case o.Plugins < 0 || o.Plugins > mostPlugins:
		return fmt.Errorf("%d plugins: want 1 to %d", o.Plugins, mostPlugins)
	case o.Inventory < 0 || o.Inventory > o.Plugins*mostFacts:
		return fmt.Errorf("inventory of %d bytes: each of %d plugins has %d at most", o.Inventory, o.Plugins, mostFacts)
	case len(o.Prefix) > 40 || bus.Token(o.Prefix) != o.Prefix:
		return fmt.Errorf("prefix %q: want 40 letters, digits, _ and - at most", o.Prefix)
	}
	o.Conns = min(o.Conns, o.Hosts)
	return nil
}

// A Fleet is hosts at work. Methods that name a host which does not exist panic.
type Fleet struct {
	o     Options
	kind  kind
	lines []*line
	hosts []*host
	named map[string]*host
	stop  context.CancelFunc
	done  sync.WaitGroup
	once  sync.Once
}

// Start connects, and has all hosts beat until ctx ends or Stop is called.
func Start(ctx context.Context, o Options) (*Fleet, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	f := &Fleet{o: o, kind: newKind(o), named: make(map[string]*host, o.Hosts)}
	ctx, f.stop = context.WithCancel(ctx)
	if err := f.assemble(ctx); err != nil {
		f.Stop()
		return nil, fmt.Errorf("fleet: %w", err)
	}
	f.done.Go(func() { f.run(ctx) })
	return f, nil
}

func (f *Fleet) assemble(ctx context.Context) error {
	for i := range f.o.Conns {
		l := &line{id: fmt.Sprintf("fleet%d%08x", i, rand.Uint32()), kind: &f.kind, byToken: map[string]*host{}, stats: newStats()}
		var err error
		l.crowd, err = bustest.NewCrowd(bustest.CrowdOptions{
			URL: f.o.URL, CredsFile: f.o.CredsFile, Name: l.id, Hear: l.hear, Back: func() { l.back(f.o.Spread) },
		})
		if err != nil {
			return err
		}
		f.lines = append(f.lines, l)
		if _, err := l.crowd.Listen("*." + l.id + ".*"); err != nil {
			return err
		}
	}
	for i := range f.o.Hosts {
		h := f.kind.host(i)
		f.hosts, f.named[h.name] = append(f.hosts, h), h
		if err := f.lines[i%len(f.lines)].join(h, rand.N(f.o.Spread)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, l := range f.lines {
		if err := l.crowd.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// run sends what is due. One goroutine and one clock do for all hosts.
func (f *Fleet) run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			for _, l := range f.lines {
				l.send(now)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Stop ends all at once, without a goodbye.
func (f *Fleet) Stop() {
	f.once.Do(func() {
		f.stop()
		f.done.Wait()
		for _, l := range f.lines {
			l.crowd.Close()
		}
	})
}

// Names returns the ids of all hosts, in order.
func (f *Fleet) Names() []string {
	names := make([]string, len(f.hosts))
	for i, h := range f.hosts {
		names[i] = h.name
	}
	return names
}

func (f *Fleet) each(names []string, do func(*line, *host)) {
	for _, name := range names {
		h := f.named[name]
		if h == nil {
			panic(fmt.Sprintf("fleet: there is no host %q", name))
		}
		h.line.mu.Lock()
		do(h.line, h)
		h.line.mu.Unlock()
	}
}

// Kill ends hosts as a power cut does: they fall silent, and nobody listens any more.
func (f *Fleet) Kill(names ...string) { f.each(names, (*line).leave) }

// Freeze stops hosts as a SIGSTOP does: their subscriptions stay, but nobody beats or answers.
func (f *Fleet) Freeze(names ...string) {
	f.each(names, func(l *line, h *host) {
		if h.mode == alive {
			h.mode = frozen
			l.queue.drop(h)
		}
	})
}

// Thaw has frozen hosts go on.
func (f *Fleet) Thaw(names ...string) {
	f.each(names, func(l *line, h *host) {
		if h.mode == frozen {
			h.mode = alive
			l.hasten(h)
		}
	})
}

// Restart ends hosts that are there, and has all of them begin again: with a new instance, of a higher gen.
func (f *Fleet) Restart(names ...string) error {
	var errs []error
	f.each(names, func(l *line, h *host) {
		l.leave(h)
		errs = append(errs, l.enter(h, 0))
	})
	return errors.Join(errs...)
}

// Bye has hosts say goodbye, for a reason such as "shutdown", and leave.
func (f *Fleet) Bye(reason string, names ...string) {
	f.each(names, func(l *line, h *host) {
		if h.mode == alive {
			l.beat(h, time.Now(), reason)
			l.leave(h)
		}
	})
}

// Change gives hosts other facts, which they publish and beat.
func (f *Fleet) Change(names ...string) { f.change(names, false) }

// ChangeUnheard is Change, whose plugin data get lost: only beats tell of it.
func (f *Fleet) ChangeUnheard(names ...string) { f.change(names, true) }

func (f *Fleet) change(names []string, lost bool) {
	f.each(names, func(l *line, h *host) {
		l.kind.change(h)
		if h.mode != alive {
			return
		}
		if !lost {
			l.publish(h, changing)
		}
		l.hasten(h)
	})
}

// Digest returns the digest of a host's inventory.
func (f *Fleet) Digest(name string) (d telemetry.Digest) {
	f.each([]string{name}, func(_ *line, h *host) { d = h.digest })
	return d
}

// Stats returns what has happened so far.
func (f *Fleet) Stats() Stats {
	sum := newStats()
	for _, l := range f.lines {
		l.mu.Lock()
		sum.add(&l.stats)
		l.mu.Unlock()
		sum.Dropped += l.crowd.Dropped()
	}
	return sum.finish()
}
