package host

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/journal"
	"github.com/pacewire/pacewire/agent/supervise"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// An entry is one process of a plugin: a name, and what stands for it. That is one process, and while a new version takes over a
// second one.
type entry struct {
	host    *Host
	name    string // of the process: the plugin's, or with a number
	plugin  string
	crew    *crew            // what it shares with the other processes of the plugin
	journal *journal.Journal // its own: that of all, if it is the first
	turn    chan struct{}    // 1: who operates on this process; the others wait

	mu       sync.Mutex
	now      *instance     // in charge
	next     *instance     // is to take over; nil for none
	leaving  *instance     // has been relieved, and drains; nil for none
	restarts int           // of instances before
	denied   uint64        // attempts on the bus that it had no right to
	shown    shown         // the state that was seen last
	news     chan struct{} // closed at the next change of anything
	others   flood         // of those who only call themselves so
	course   course        // what events have told
	lag      string        // how far behind it is; "": not far
	sink     sink          // how it gets on with what takes its points
	backlog  uint64        // batches on the bus that its readers have not settled
}

// shown is a state as others see it.
type shown struct {
	state, reason string
	since         time.Time
}

func (h *Host) entry(p plan) *entry { return h.member(p, h.crewOf(p)) }

// member returns a process of a crew.
func (h *Host) member(p plan, c *crew) *entry {
	e := &entry{host: h, name: p.name, plugin: p.conf.Name, crew: c, turn: make(chan struct{}, 1), news: make(chan struct{})}
	e.journal = e.crew.journal
	if e.name != e.plugin {
		e.journal = journal.New(0)
	}
	e.now = e.instance(p, false)
	e.shown = shown{state: stopped, since: time.Now()}
	return e
}

// plan returns what the plugin is to be.
func (e *entry) plan() plan {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now.plan
}

// current returns the instance in charge.
func (e *entry) current() *instance {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

// front returns the instance that others see: the one in charge, or the one that works in its place while it proves itself. The
// caller has the lock.
func (e *entry) front() *instance {
	if e.next != nil && !e.next.hold && e.now.ended() {
		return e.next
	}
	return e.now
}

// take waits until nobody else operates on the plugin.
func (e *entry) take(ctx context.Context) (release func(), err error) {
	select {
	case e.turn <- struct{}{}:
		return func() { <-e.turn }, nil
	case <-ctx.Done():
		return nil, busyError(e.name)
	}
}

// changed follows what has happened to an instance: the state that others see, and who waits for it.
func (e *entry) changed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.look()
	e.host.inventory.stirs(e.name)
	close(e.news)
	e.news = make(chan struct{})
}

// look notes a change of state, and returns the process that it has looked at. The caller has the lock.
func (e *entry) look() (child supervise.Status) {
	i := e.front()
	child = i.process()
	state, reason := i.stateOf(child, time.Now())
	e.follow(i, state, reason, exitOf(child))
	if state == e.shown.state {
		e.shown.reason = reason
		return child
	}
	e.shown = shown{state, reason, time.Now()}
	e.note(state, reason)
	e.host.inventory.stirs(e.name)
	return child
}

// await returns what found says, once it says something, or limit is over: then ok is false.
func await[T any](ctx context.Context, e *entry, limit time.Duration, found func() (T, bool)) (value T, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		e.mu.Lock()
		news := e.news
		value, ok = found()
		e.mu.Unlock()
		if ok {
			return value, true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return value, false
		}
	}
}

// status puts together what process and heartbeats say.
func (e *entry) status() telemetry.PluginStatus { return e.statusWith(nil) }

// statusWith is status with counters that are newer than those of the last heartbeat; nil: there are none.
func (e *entry) statusWith(fresh *telemetry.Stats) telemetry.PluginStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	child, i := e.look(), e.front()
	s := telemetry.PluginStatus{
		Name: e.name, Kind: i.plan.conf.Kind, Program: i.plan.program(), Host: e.host.o.Host,
		State: e.shown.state, Reason: e.shown.reason, Since: e.shown.since.UnixNano(),
		Config: i.last.ConfigRev, Stats: cmp.Or(fresh, i.last.Stats), Attached: i.attached(), Backlog: e.backlog,
	}
	if i.manifest != nil {
		s.Version = i.manifest.Version
		if i.attached() {
			s.Program = i.manifest.Program
		}
	}
	if !i.arrived.IsZero() {
		s.Beat = i.arrived.UnixNano()
	}
	s.Trust, s.Denied = i.warned, e.denied
	if e.denied > 0 && s.State == running {
		s.Reason = cmp.Or(s.Reason, amount.Of(e.denied, "attempt", "attempts")+" to do on the bus what it may not")
	}
	if s.State == running {
		e.troubled(i, &s)
	}
	e.addUnread(&s, time.Now())
	e.addSink(&s, time.Now())
	if s.State == running {
		s.Reason = cmp.Or(s.Reason, e.crew.differs())
	}
	e.addErrands(&s)
	i.timed(&s, time.Now())
	if e.next != nil && i == e.now && e.next.stopped == "" { // else it is given up
		state, _ := e.next.state(time.Now())
		s.Reason = cmp.Or(s.Reason, "a new process is to take over: it is "+state)
	}
	if !i.attached() {
		e.process(i, child, &s)
	}
	return s
}

// troubled tells why not all points get through. The caller has the lock.
func (e *entry) troubled(i *instance, s *telemetry.PluginStatus) {
	for _, t := range troubles(i.last.Flags) {
		s.Flags = append(s.Flags, t.flag)
	}
	if e.lag != "" {
		s.Flags = append(s.Flags, telemetry.FlagLag)
		s.Reason = cmp.Or(s.Reason, e.lag)
	}
}

// process tells of the process.
func (e *entry) process(i *instance, child supervise.Status, s *telemetry.PluginStatus) {
	usage, _ := i.child.Usage() // without a process there is none
	s.PID, s.Restarts = int64(child.PID), uint64(e.restarts+child.Restarts)
	if i != e.now && !e.now.attached() {
		s.Restarts += uint64(e.now.child.Status().Restarts)
	}
	s.RSS, s.CPUMS = uint64(usage.RSS), uint64(usage.CPU.Milliseconds())
	if !child.Next.IsZero() {
		s.Next = child.Next.UnixNano()
	}
	if exit := child.LastExit; !exit.At.IsZero() {
		s.LastExit, s.LastEnd = exit.String(), exit.At.UnixNano()
	}
}

// newID returns an id that no other process has.
func newID() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	return hex.EncodeToString(id)
}
