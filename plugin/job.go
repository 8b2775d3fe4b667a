package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/internal/schedule"
	"github.com/pacewire/pacewire/telemetry"
)

// A job is work under one config, tried again when it fails.
type job struct {
	offer
	first  chan error // the outcome of the first New
	cancel context.CancelFunc
	done   chan struct{}
}

// stop ends j and waits for it.
func (j *job) stop() {
	if j == nil {
		return
	}
	j.cancel()
	<-j.done
}

// outcome notes how the first try went.
func (j *job) outcome(err error) {
	select {
	case j.first <- err:
	default: // it was not the first
	}
}

func (l *life) start(o offer) *job {
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.hard))
	j := &job{offer: o, first: make(chan error, 1), cancel: cancel, done: make(chan struct{})}
	l.inventory.configured(o.work.Config)
	l.queue.shape(o.work)
	l.limits.set(o.work)
	l.inForce(o.rev)
	go func() {
		defer close(j.done)
		l.keepTrying(ctx, j)
	}()
	return j
}

// keepTrying runs j until ctx ends, or it says that trying again does not help. Where there is nothing to do it waits for
// somebody to ask whether there is now.
func (l *life) keepTrying(ctx context.Context, j *job) {
	for try := 1; ; try++ {
		begun := time.Now()
		err := l.lanes(ctx, j)
		idle := errors.Is(err, errIdle)
		if idle {
			err = nil
		}
		j.outcome(err)
		switch {
		case ctx.Err() != nil, idle && !l.awaitRefresh(ctx):
			return
		case idle:
			try = 0
			continue
		case errors.Is(err, errLeaseLost): // no fault of the work
			l.log.Warn("another process may read", "reason", err)
			try = 0
			continue
		}
		l.failed(err)
		if time.Since(begun) > time.Minute {
			try = 1
		}
		if IsPermanent(err) || !sleep(ctx, pause(verdictOf(err), try)) {
			return
		}
	}
}

// awaitRefresh waits for a refresh, and reports whether one came before ctx ended.
func (l *life) awaitRefresh(ctx context.Context) bool {
	select {
	case o := <-l.refresh:
		close(o.done)
		return true
	case <-ctx.Done():
		return false
	}
}

// lanes runs one session, or as many as the config asks for side by side.
func (l *life) lanes(ctx context.Context, j *job) error {
	n := max(1, int(j.work.Parallel))
	g, ctx := errgroup.WithContext(ctx)
	started := make(chan struct{}, 2*n) // each may be ready first
	go func() {
		for range n {
			select {
			case <-started:
			case <-ctx.Done():
				return
			}
		}
		j.outcome(nil)
	}()
	o := l.orderOf(j.work, n)
	l.forgetCalls()
	g.Go(func() error { return o.watch(ctx) })
	for k := range n {
		s := l.session(j.work, started)
		s.link = o.lane(s.link, k)
		if k == 0 {
			s.shares = l.shares(j.work)
		}
		g.Go(func() error {
			err := l.def.run(ctx, s, j.work.Config)
			if err == nil && ctx.Err() == nil {
				return errors.New("ended by itself")
			}
			return err
		})
	}
	return errors.Join(g.Wait(), o.end(l.hard))
}

// forgetCalls takes back what earlier sessions have told of their calls: the next ones know nothing of it, so they never would.
func (l *life) forgetCalls() {
	l.mu.Lock()
	told := l.seen.failing || l.seen.hung
	l.seen.failing, l.seen.hung = false, false
	l.mu.Unlock()
	if told {
		nudge(l.beatNow)
	}
}

// shares returns the setting by which several instances work on batches of the same sources, "" where they do not, as far as this
// process knows.
func (l *life) shares(w telemetry.Work) string {
	switch {
	case w.Order == telemetry.OrderSource:
	case w.Parallel > 1:
		return "parallel"
	case l.o.Process != l.o.Plugin:
		return "replicas"
	}
	return ""
}

func (l *life) session(work telemetry.Work, started chan<- struct{}) *Session {
	s := &Session{
		work: work, tags: sortedTags(work.Tags), link: l.link, count: &l.count, life: l.hard, suspect: l.suspect, refresh: l.refresh, log: l.log,
		gate:   l.gate,
		limits: l.limits,
		status: sessionStatus{l, started},
	}
	if l.def.Kind == Collector {
		s.queue = l.queue
	}
	s.Env = Env{Log: l.log, Host: l.o.Host, Name: l.o.Plugin, Dir: l.o.Dir, Event: s.event,
		Every: time.Duration(work.EveryMS) * time.Millisecond}
	return s
}

func sortedTags(tags map[string]string) []telemetry.Tag {
	var list []telemetry.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, telemetry.Tag{Key: key, Value: tags[key]})
	}
	return list
}

// work runs what the agent offers, one config after the other, until ctx ends; then it drains.
func (l *life) work(ctx context.Context) error {
	var now *job
	for {
		select {
		case <-ctx.Done():
			return l.drain(now)
		case o := <-l.offers:
			now = l.change(ctx, now, o)
		}
	}
}

// change puts o in force in place of now. A config that cannot be used leaves now running.
func (l *life) change(ctx context.Context, now *job, o offer) *job {
	if err := l.usable(o.work); err != nil {
		l.rejected(o.rev, err)
		if now == nil {
			l.setState("failed")
		}
		return now
	}
	now.stop()
	next := l.start(o)
	select {
	case <-ctx.Done():
	case err := <-next.first:
		if err != nil && now != nil {
			l.rejected(o.rev, err)
			next.stop()
			return l.start(now.offer)
		}
	}
	return next
}

// usable reports why w cannot be worked on.
func (l *life) usable(w telemetry.Work) error {
	err := l.def.check(w.Config)
	switch {
	case w.Schedule == nil:
	case l.def.Inventory:
		err = errors.Join(err, errors.New("schedule: facts are collected at each interval: write every: instead"))
	default:
		err = errors.Join(err, schedule.Check(*w.Schedule))
	}
	return err
}

func (l *life) rejected(rev uint64, err error) {
	l.count.fail("config_invalid", err)
	l.log.Error("config cannot be used", "revision", rev, "error", err)
	l.mu.Lock()
	l.seen.declined = true
	l.mu.Unlock()
	nudge(l.beatNow)
}

// drain ends now, and waits until what it sent is stored.
func (l *life) drain(now *job) error {
	l.setState("draining")
	now.stop()
	if err := cmp.Or(l.queue.flush(l.hard), l.link.flush(l.hard)); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}
