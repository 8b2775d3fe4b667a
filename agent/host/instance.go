package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/agent/journal"
	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/agent/supervise"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// An instance is a process of a plugin with those that follow it when it ends, or one that somebody else starts: what it is
// to do, and what it tells of itself.
type instance struct {
	entry *entry
	child *supervise.Child // nil: somebody else starts the process

	// The lock of the entry guards all of these.
	plan     plan
	planned  time.Time // when the process was given another plan
	hold     bool      // it is not to begin its work yet
	stopped  string    // why nobody wants it to run
	id       string    // that the present process was given
	back     bool      // the process was kept, and has not told this agent what it is
	pid      int
	begun    time.Time // of the present process
	last     telemetry.Heartbeat
	enc      telemetry.Encoding // of its heartbeats, and of what it is asked
	manifest *telemetry.Manifest
	arrived  time.Time      // of the last heartbeat; zero: none from this process
	track    liveness.Track // of the sequences of its heartbeats
	ticked   time.Time      // when it was heard last to have collected once more
	flood    flood
	double   double
	refused  string        // why this plugin is refused
	warned   string        // what was found about its program last
	program  *os.File      // its executable, while another process may have to give way to it again
	former   string        // id of the process before
	programs string        // what its program was when it failed
	done     chan struct{} // closed while Run of the child does not run, nor is about to
	creds    string        // file of one that somebody else starts
	revoke   func()
}

const (
	silentFor   = 3 // intervals without a heartbeat that make a plugin hang
	silentLeast = 15 * time.Second
	leaveTime   = 12 * time.Second // for the goodbye of a process that is not ours
)

// Exit codes after which another start is no use.
const (
	exitUsage  = 64
	exitConfig = 78
)

// instance makes one of what p wants, which is started by its start. With single it is not started again when it ends.
func (e *entry) instance(p plan, single bool) *instance {
	i := &instance{entry: e, plan: p, done: make(chan struct{})}
	close(i.done)
	if p.conf.Attached {
		return i
	}
	c, h := p.conf, e.host
	l := c.Limits
	i.child = supervise.New(supervise.Spec{
		Name: p.name, Command: p.command, Env: p.env, Log: h.log.With("plugin", p.name), Each: i.each, Single: single,
		Limits: supervise.Limits{Memory: l.Memory, CPU: l.CPU, Files: l.Files, Processes: l.Processes}, User: c.RunAs,
		Keep: c.Keep, KeepDir: h.keepDir(p, !single), Resumed: i.resumed,
		Line: i.line, Cause: journal.Cause, Drain: i.drain, NoRestart: func(code int) bool { return code == exitUsage || code == exitConfig },
		OnChange: i.follow,
	})
	return i
}

// attached reports whether somebody else starts the process.
func (i *instance) attached() bool { return i.child == nil }

// start keeps the process running until ctx ends or it is stopped.
func (i *instance) start(ctx context.Context) {
	e := i.entry
	e.mu.Lock()
	i.stopped, i.done = "", make(chan struct{})
	if i.attached() { // whoever comes now introduces himself
		i.last, i.arrived, i.refused = telemetry.Heartbeat{}, time.Time{}, ""
	}
	e.mu.Unlock()
	if i.attached() {
		close(i.done)
		if err := i.attach(); err != nil {
			e.host.log.Error("plugin cannot be attached", "plugin", e.name, "error", err)
		}
		e.changed()
		return
	}
	e.host.children.Go(func() {
		defer e.changed()
		defer close(i.done)
		if err := i.child.Run(ctx); err != nil {
			e.host.log.Error("plugin cannot be run", "plugin", e.name, "error", err)
		}
	})
}

// ended reports whether no process of the instance runs any more, nor will.
func (i *instance) ended() bool {
	select {
	case <-i.done:
		return true
	default:
		return false
	}
}

// stop drains the process and waits for its end; one that does not heed is killed.
func (i *instance) stop(ctx context.Context, reason string) {
	e := i.entry
	e.mu.Lock()
	i.stopped = reason
	e.mu.Unlock()
	if i.attached() {
		i.leave(ctx)
		i.detach()
		e.changed()
		return
	}
	if i.ended() { // or was never started: the next start is not to end at once
		e.changed()
		return
	}
	if err := i.child.Stop(ctx); err != nil {
		e.host.log.Warn("plugin does not stop and is killed", "plugin", e.name, "error", err)
		i.child.Kill("does not stop")
	}
}

// line keeps what the process prints.
func (i *instance) line(stream string, line []byte) {
	i.entry.mu.Lock()
	pid := i.pid
	i.entry.mu.Unlock()
	now := time.Now()
	i.entry.keepLine(func(j *journal.Journal) { j.Add(now, pid, stream, line) })
	i.entry.host.o.Line(i.entry.name, stream, line)
}

// follow follows the process: a new one introduces itself anew.
func (i *instance) follow(s supervise.Status) {
	e, programs := i.entry, ""
	if s.State == supervise.Failed {
		programs = identity(e.command(i)) // before the lock: a file system may hang
	}
	e.mu.Lock()
	if s.PID != 0 && s.PID != i.pid {
		i.pid, i.begun = s.PID, time.Now()
		if i.back {
			i.back = false
			e.host.children.Go(func() { i.greet(e.host.life) })
		}
	}
	if s.State == supervise.Failed {
		i.programs = programs
	}
	e.mu.Unlock()
	e.changed()
}

// expect makes the instance wait for a process of this id: nothing is known of it yet. This is done before it starts, since it
// may be heard before its start is told.
func (i *instance) expect(id string) {
	i.entry.mu.Lock()
	defer i.entry.mu.Unlock()
	i.former, i.id, i.begun, i.arrived = i.last.Inst, id, time.Now(), time.Time{}
	i.last, i.refused, i.flood, i.double = telemetry.Heartbeat{}, "", flood{}, double{}
}

// command returns what an instance runs.
func (e *entry) command(i *instance) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return i.plan.command
}

// identity tells the files that a command names as they are now: when one is changed, another try may help.
func identity(command []string) string {
	var text strings.Builder
	for _, word := range command {
		if !filepath.IsAbs(word) {
			continue
		}
		if info, err := os.Stat(word); err == nil && info.Mode().IsRegular() {
			fmt.Fprintf(&text, "%s %d %d\n", word, info.Size(), info.ModTime().UnixNano())
		}
	}
	return text.String()
}

// hangs returns why the process has to be replaced, "" when it has not. The caller has the lock of the entry.
func (i *instance) hangs(now time.Time) string {
	if i.attached() || i.child.Status().State != supervise.Running || i.refused != "" { // the next process would be refused too
		return ""
	}
	switch {
	case i.arrived.IsZero() && now.Sub(i.begun) > i.entry.host.o.Times.Hello:
		return fmt.Sprintf("no heartbeat within %v of its start", i.entry.host.o.Times.Hello)
	case !i.arrived.IsZero() && now.Sub(i.arrived) > i.silence():
		return fmt.Sprintf("no heartbeat for %v", i.silence())
	case slices.Contains(i.last.Flags, "hung"):
		return "a call does not come back"
	}
	return ""
}

// excuse starts the plugin's silence anew: it was not its own. The caller has the lock of the entry.
func (i *instance) excuse(now time.Time) {
	if !i.arrived.IsZero() {
		i.arrived, i.ticked = now, now
	}
	if !i.begun.IsZero() {
		i.begun = now
	}
}

// drain asks the plugin to finish what it holds and end. One that has not been heard holds nothing, and is not asked: another
// process of its name might obey, which works while this one was to take over.
func (i *instance) drain(ctx context.Context) error {
	i.entry.mu.Lock()
	heard, reason := i.last.Inst != "", "shutdown"
	if i.stopped == replaced {
		reason = "upgrade"
	}
	i.entry.mu.Unlock()
	if !heard {
		return errors.New("it has sent no heartbeat")
	}
	r := telemetry.CtlRequest{Args: map[string]any{"reason": reason}} // that it gives in its goodbye
	_, err := i.request(ctx, "drain", r, askTime)
	return err
}

// leave asks a process that is not ours to end, and waits for its goodbye: then its credentials can go.
func (i *instance) leave(ctx context.Context) {
	if i.drain(ctx) != nil {
		return // nobody is there
	}
	_, _ = await(ctx, i.entry, leaveTime, func() (bool, bool) { return true, i.last.Bye != "" })
}

// greet asks the plugin for a heartbeat now. None is no fault: the next one comes by itself.
func (i *instance) greet(ctx context.Context) { _, _ = i.ask(ctx, "beat", pingTime) }

// ask sends the plugin a control request without more than its verb.
func (i *instance) ask(ctx context.Context, verb string, limit time.Duration) (telemetry.CtlReply, error) {
	return i.request(ctx, verb, telemetry.CtlRequest{}, limit)
}

// request sends the plugin a control request, meant for this process of it alone.
func (i *instance) request(ctx context.Context, verb string, r telemetry.CtlRequest, limit time.Duration) (telemetry.CtlReply, error) {
	h := i.entry.host
	r.ID = h.inst
	i.entry.mu.Lock()
	enc, inst := i.enc, i.last.Inst
	i.entry.mu.Unlock()
	if inst != "" {
		args := map[string]any{"inst": inst}
		maps.Copy(args, r.Args)
		r.Args = args
	}
	body, err := telemetry.EncodeControl(r, enc)
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := h.conn.Request(ctx, bus.CtlSubject(h.o.Host, i.entry.name, verb), body)
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	reply, _, err := telemetry.DecodeCtlReply(answer)
	return reply, err
}

// ping asks the plugin for its counters as they are now; nil when it does not answer.
func (i *instance) ping(ctx context.Context) *telemetry.Stats {
	reply, err := i.ask(ctx, "ping", pingTime)
	if err != nil {
		return nil
	}
	stats, _, err := telemetry.DecodeStats(reply.Payload)
	if err != nil {
		return nil
	}
	return &stats
}

// pingTime is how long a plugin may take to tell its counters.
const pingTime = time.Second
