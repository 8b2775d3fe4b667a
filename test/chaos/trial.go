package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/oracle"
)

// A trial is one run of a row. Its methods belong to the goroutine of the row unless they say otherwise.
type trial struct {
	settings
	row    row
	ctx    context.Context //nolint:containedctx // as that of a testing.T: it ends with the row
	random *rand.Rand      // of the seed and the row: the same schedule again
	place  lab.Place
	beyond []lab.Place // those of agents at another bus
	oracle *oracle.Oracle
	sink   *sink

	system  *system
	source  *source
	passed  []string // names of the environment that every plugin gets
	boots   int
	garbage int // messages that a row has put on the bus and that are no batches

	mu       sync.Mutex
	result   result
	cleanups []func()
}

// run runs a row and returns what came of it.
func (s settings) run(ctx context.Context, r row) result {
	if why := r.missing(); why != "" {
		return result{row: r, verdict: skipped, why: "needs " + why}
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(r.within, rowWithin))
	defer cancel()
	t := &trial{settings: s, row: r, ctx: ctx, random: s.randomOf(r.name), oracle: oracle.New(), result: result{row: r}}
	begin := time.Now()
	ended := make(chan struct{})
	go func() { // fatal ends this goroutine and nothing else
		defer close(ended)
		defer t.judge()
		defer t.cleanUp()
		t.prepare()
		r.run(t)
	}()
	<-ended
	t.result.took = time.Since(begin)
	return t.result
}

// rowWithin ends a row that does not end by itself, and has no time of its own.
const rowWithin = 15 * time.Minute

func (t *trial) prepare() {
	place, err := lab.NewPlace(filepath.Join(t.dir, t.row.name), t.binary)
	t.must(err, "make a folder")
	t.place = place
	t.sink, err = newSink(t.oracle)
	t.must(err, "start the sink")
	t.cleanup(t.sink.Close)
}

// cleanup has f called at the end of the row, the last first.
func (t *trial) cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *trial) cleanUp() {
	for len(t.cleanups) > 0 {
		last := len(t.cleanups) - 1
		f := t.cleanups[last]
		t.cleanups = t.cleanups[:last]
		f()
	}
}

// errorf marks the row as failed, and goes on. Any goroutine may call it.
func (t *trial) errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.faults = append(t.result.faults, fmt.Sprintf(format, args...))
}

// fatalf marks the row as failed and ends it.
func (t *trial) fatalf(format string, args ...any) {
	t.errorf(format, args...)
	if t.system != nil && t.system.agent != nil {
		t.logf("log of the agent:\n%s", t.system.logs())
	}
	runtime.Goexit()
}

// must ends the row on an error.
func (t *trial) must(err error, doing string) {
	if err != nil {
		t.fatalf("%s: %v", doing, err)
	}
}

// note adds a figure to the row of the table.
func (t *trial) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.notes = append(t.result.notes, fmt.Sprintf(format, args...))
	t.say("%s", t.result.notes[len(t.result.notes)-1])
}

// bite says what was seen of the fault.
func (t *trial) bite(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.bites++
	t.say("bites: "+format, args...)
}

// missed says that a part of the fault has met nobody: the row has shown nothing of it.
func (t *trial) missed(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.missed = append(t.result.missed, what)
	t.say("missed: %s", what)
}

// mayDouble says that the fault has opened a window in which so many points more may come twice, with the same id.
func (t *trial) mayDouble(points int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.windows += points
}

// logf tells whoever watches.
func (t *trial) logf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.say(format, args...)
}

func (t *trial) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.err, "%s  %s\n", t.row.name, fmt.Sprintf(format, args...))
}

// span returns how long something lasts: in the short form less.
func (t *trial) span(short, full time.Duration) time.Duration {
	if t.short {
		return short
	}
	return full
}

// times is span for a number.
func (t *trial) times(short, full int) int {
	if t.short {
		return short
	}
	return full
}

// hold lets everything go on for about d: up to a quarter less or more, by the seed.
func (t *trial) hold(d time.Duration) {
	t.sleep(d + time.Duration((t.random.Float64()-0.5)/2*float64(d)))
}

func (t *trial) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.ctx.Done():
		t.fatalf("interrupted: %v", context.Cause(t.ctx))
	}
}

// await polls cond until it returns nil, and ends the row when it does not within limit. It returns how long it took.
func (t *trial) await(limit time.Duration, what string, cond func() error) time.Duration {
	begin := time.Now()
	for {
		err := cond()
		if err == nil {
			return time.Since(begin)
		}
		if time.Since(begin) > limit {
			t.fatalf("not within %v: %s: %v", limit, what, err)
		}
		t.sleep(look)
	}
}

const look = 20 * time.Millisecond

// errNotYet is for conditions that have no more to say.
var errNotYet = errors.New("not yet")

// yet makes a condition of a bool.
func yet(ok bool) error {
	if ok {
		return nil
	}
	return errNotYet
}

// healed says that the fault is over since a time, and waits until all that was acknowledged until now has arrived and something
// more was acknowledged: that is the recovery.
func (t *trial) healed(since time.Time, limit time.Duration) time.Duration {
	mark := t.oracle.Obligations()
	t.await(limit, "what was acknowledged before has arrived, and more is acknowledged", func() error {
		return yet(t.oracle.Settled(mark) && t.oracle.Obligations() > mark)
	})
	took := time.Since(since)
	t.result.recoveries = append(t.result.recoveries, took)
	return took
}

const (
	drainPatience = 90 * time.Second // a publisher that waits longest between two tries waits a minute
	freshWithin   = 60 * time.Second
)

// settle ends a row: all that is owed has to come, and what is on the bus is checked.
func (t *trial) settle() {
	t.settleLoad()
	t.checkStream()
}

// settleLoad stops the load, waits until nothing is owed any more or nothing comes, and then sends a fresh event through. The
// oracle judges the rest.
func (t *trial) settleLoad() {
	t.source.stop()
	t.result.ackGap, t.result.gap = t.source.ackGap, t.source.gap
	last, since := t.oracle.Arrived(), time.Now()
	for !t.oracle.Settled(t.oracle.Obligations()) && time.Since(since) < t.patience() {
		t.sleep(look)
		if now := t.oracle.Arrived(); now != last {
			last, since = now, time.Now()
		}
	}
	t.fresh()
	t.calm()
}

func (t *trial) patience() time.Duration {
	if t.row.loses { // it waits for what does not come
		return 6 * time.Second // longer than a batch is held by who has died
	}
	return drainPatience
}

// fresh sends an event now that everything is over: it has to pass.
func (t *trial) fresh() {
	mark := t.oracle.Obligations()
	s := t.oracle.Source("fresh", t.nextBoot())
	t.await(freshWithin, "a fresh event is acknowledged", func() error { return t.source.post(t.ctx, s.Issue(1)) })
	t.await(freshWithin, "a fresh event arrives", func() error { return yet(t.oracle.Delivers(mark)) })
}

func (t *trial) nextBoot() int {
	t.boots++
	return t.boots
}
