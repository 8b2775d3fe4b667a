package nagios

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/internal/schedule"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// EventType is the type of the event that tells of a hard change of state.
const EventType = "check_state"

// missed is the reason by which runs are counted that were due while the one before was still at work.
const missed = "missed_run"

// tooMany is the reason by which events are counted for which there was no room while none could be sent.
const tooMany = "too_many_events"

const (
	head, tail = 48 << 10, 16 << 10     // what is kept of standard output: items may stand at its end
	linger     = 200 * time.Millisecond // what other checks have to say by then travels in the same message
	firstWait  = time.Second            // before an event that was not stored is sent again
	longWait   = 30 * time.Second       // the longest such time
	precision  = time.Microsecond       // of times
	longest    = 1 << 10                // bytes of what a check says that an event repeats, which is for people and pagers
)

// A check is run at its times, and says what it finds.
type check struct {
	Check
	name    string
	options nagios.Options
	environ []string
	env     plugin.Env
	slots   chan struct{} // one for each run
	memory  *memory
}

func newCheck(name string, c Check, folders []string, env plugin.Env, slots chan struct{}) (*check, error) {
	path := strings.TrimPrefix(strings.Join(append([]string{os.Getenv("PATH")}, folders...), ":"), ":") // nothing before a colon is where one works
	environ, err := child.EnvironOf(append(os.Environ(), "PATH="+path), c.User, c.Environment)
	if err != nil {
		return nil, fmt.Errorf("checks.%s: %w", name, err)
	}
	return &check{Check: c, name: name, options: c.options(), environ: environ, env: env, slots: slots}, nil
}

// loop runs the check at its times until ctx ends. What it has to tell of changes keeps it from no run.
func (c *check) loop(ctx context.Context, out collector.Emitter) {
	raised := make(chan struct{}, 1)
	raised <- struct{}{} // perhaps there is what a process before us had no time for
	var teller sync.WaitGroup
	defer teller.Wait()
	defer close(raised)
	teller.Go(func() {
		for range raised {
			c.tell(ctx, out)
		}
	})
	due := time.Now().Add(c.first())
	for wait(ctx, time.Until(due)) {
		said, ok := c.ask(ctx)
		if !ok {
			return
		}
		if c.take(said, out) {
			select {
			case raised <- struct{}{}:
			default: // it looks for all that waits
			}
		}
		due = c.next(due, time.Now(), out)
	}
}

// first returns how long after the start the check is due: a part of its interval that is the same each time, so that not all checks of
// all hosts run at once.
func (c *check) first() time.Duration {
	every := c.Every.Std()
	plan, err := schedule.New(telemetry.Schedule{SplayMS: every.Milliseconds()}, every, c.env.Host, c.env.Name+"/"+c.name)
	if err != nil {
		return 0 // there is nothing wrong with such a schedule
	}
	return plan.First()
}

// next returns when the check is due after a run that was due at a given time. Times that have passed meanwhile are counted.
func (c *check) next(due, now time.Time, out collector.Emitter) time.Time {
	every := c.Every.Std()
	if c.memory.of(c.name).soft() {
		every = c.RetryEvery.Std()
	}
	due = due.Add(every)
	if late := now.Sub(due); late > 0 {
		n := late/every + 1
		out.Drop(missed, int(n))
		due = due.Add(n * every)
	}
	return due
}

// ask runs the check as soon as there is room, and reports whether it has come to its end: a run that we have interrupted proves
// nothing.
func (c *check) ask(ctx context.Context) (said nagios.Check, ok bool) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return said, false
	}
	run := c.run(ctx)
	<-c.slots
	said = nagios.Parse(run, c.options)
	if said.Text == "" && said.Reason == nagios.TimedOut {
		said.Text = "no answer within " + c.Timeout.String()
	}
	return said, ctx.Err() == nil
}

// run runs the check once.
func (c *check) run(ctx context.Context) nagios.Run {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout.Std())
	defer cancel()
	r, err := child.Run(ctx, child.Spec{Command: c.Command, Env: c.environ, User: c.User}, nil, head, tail)
	if err != nil {
		return nagios.Run{Stderr: err.Error(), Code: -1, Reason: cmp.Or(child.ReasonOf(err), child.NotExecutable)}
	}
	stdout := string(r.Stdout)
	if r.Cut {
		stdout = nagios.Mend(stdout, head)
	}
	return nagios.Run{Stdout: stdout, Stderr: string(r.Stderr), Code: r.Exit.Code, Reason: r.Reason(), Truncated: r.Cut, Took: r.Took}
}

// take counts what a run has found, posts it, and reports whether the hard state is another one, of which an event is to tell.
func (c *check) take(said nagios.Check, out collector.Emitter) (changed bool) {
	now, lost := time.Now(), 0
	s := c.memory.change(c.name, func(s *status) {
		before := s.Hard
		if *s, changed = s.next(said.State, c.Attempts); changed {
			e := c.event(before, s.Hard, "is "+s.Hard, said.Text, now)
			e.Reason = said.Reason
			lost = s.raise(e)
		}
	})
	if lost > 0 {
		out.Drop(tooMany, lost)
	}
	c.post(said, now, s.fields(), out)
	return changed
}

// post sends what the check has said by now, and more fields of its state.
func (c *check) post(said nagios.Check, now time.Time, more telemetry.Fields, out collector.Emitter) {
	b := out.Batch()
	b.At(now.Truncate(precision))
	said.AppendTo(b, c.name, c.options, more)
	if err := out.Post(b, linger); err != nil {
		c.env.Log.Warn("what a check says is not sent", "check", c.name, "error", err)
	}
}

// fields are what a status adds to a point of check_state.
func (s status) fields() telemetry.Fields {
	fields := telemetry.Fields{"attempt": max(s.Attempt, 1)}
	if state, ok := nagios.ParseState(s.Hard); ok {
		fields["hard_state"] = int(state)
	}
	return fields
}

// event says that the hard state of the check is another one, what has become of it, and why.
func (c *check) event(from, to, becomes, why string, now time.Time) telemetry.Event {
	return telemetry.Event{
		ID: unguessable(), Time: now.Truncate(precision).UnixNano(), Host: c.env.Host, Plugin: c.env.Name, Type: EventType,
		Message: strings.TrimSuffix(c.name+" "+becomes+": "+report.Cut(why, longest), ": "), From: cmp.Or(from, pending), To: to,
	}
}

// unguessable returns an id that nobody else has.
func unguessable() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// leave says that the check is no longer in the config, where somebody has been told of a problem of it: nobody would tell the end of that.
// Then it is forgotten.
func (c *check) leave(ctx context.Context, out collector.Emitter) {
	c.memory.change(c.name, func(s *status) {
		if s.Incident == "" {
			*s = status{Events: s.Events}
			return
		}
		gone := status{Incident: s.Incident, Events: s.Events}
		gone.raise(c.event(s.Hard, removed, "is checked no longer", "it was "+s.Hard, time.Now()))
		*s = gone
	})
	c.tell(ctx, out)
}

// tell sends the events that wait, one after the other, each until it is stored or ctx has ended. An event has the same id each time,
// so that one whose acknowledgement we did not live to see is not stored twice.
func (c *check) tell(ctx context.Context, out collector.Emitter) {
	for pause := firstWait; ; {
		waiting := c.memory.of(c.name).Events
		if len(waiting) == 0 {
			return
		}
		if err := c.send(waiting[0], out); err != nil {
			c.env.Log.Warn("event not sent, it will be", slog.String("check", c.name), slog.Any("error", err))
			if !wait(ctx, pause) {
				return
			}
			pause = min(2*pause, longWait)
			continue
		}
		c.memory.change(c.name, func(s *status) { s.told(waiting[0].ID) })
		pause = firstWait
	}
}

func (c *check) send(e telemetry.Event, out collector.Emitter) error {
	var b telemetry.Batch
	e.AppendTo(&b)
	for g := range b.Groups() {
		g.SetTag("check", c.name)
	}
	return out.Emit(&b)
}

// wait waits for d, and reports whether it passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
