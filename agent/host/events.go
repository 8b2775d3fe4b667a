package host

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/agent/supervise"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// Types of the events of a plugin's life.
const (
	isUp        = "up"        // it works
	isDown      = "down"      // it does not, though it should
	hasLeft     = "left"      // nobody wants it to, or it has said goodbye
	isRestarted = "restarted" // it works by another process than before
	flaps       = "flapping"  // it goes down again and again, or no longer does: the reason is begun or ended
)

// classOf returns the class of a state; "" is on the way from one to another.
func classOf(state string) string {
	switch state {
	case running, idle:
		return isUp
	case backingOff, failed, refused, lost:
		return isDown
	case stopped:
		return hasLeft
	}
	return ""
}

// A course is the life of a plugin as events have told it.
type course struct {
	class, state string // told last
	inst         string // process that was up last
	asked        string // why another one is to follow it that somebody has asked for
	flaps        liveness.Flaps
}

// A diary has the events that are still to be told.
type diary struct {
	queue   chan telemetry.Event
	dropped atomic.Uint64
	count   atomic.Uint64
}

const (
	mostEvents = 1024             // that wait for the bus; more are dropped, and counted
	calmEvery  = 10 * time.Second // plugins that flapped are looked at
	lastWords  = time.Second      // for what is to be told when the agent ends
)

func newDiary() *diary { return &diary{queue: make(chan telemetry.Event, mostEvents)} }

// exitOf is how the process before ended.
func exitOf(child supervise.Status) string {
	if child.LastExit.At.IsZero() {
		return ""
	}
	return child.LastExit.String()
}

// follow tells of a change in the life of the plugin. The caller has the lock.
func (e *entry) follow(i *instance, state, reason, exit string) {
	c, class := &e.course, classOf(state)
	if e.host.until.Err() != nil || class == "" || class == hasLeft && !e.leaves(i) {
		return
	}
	inst := i.last.Inst
	fresh := class == isUp && inst != c.inst
	switch {
	case class == isDown && c.class != isDown:
		e.happens(class, state, cmp.Or(reason, exit))
	case class != c.class:
		e.happens(class, state, reason)
	case fresh && c.inst != "":
		e.happens(isRestarted, state, cmp.Or(c.asked, exit, "another process has taken over"))
	}
	c.class, c.state = class, state
	if class == isUp {
		c.inst = inst
	}
	if fresh || class == isDown { // what was asked for has come, or something else
		c.asked = ""
	}
}

// asked has the process that do starts told as one that somebody has asked for, unless it comes to nothing.
func (e *entry) asked(why string, do func() error) error {
	e.expects(why)
	err := do()
	if err != nil {
		e.expects("")
	}
	return err
}

func (e *entry) expects(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.course.asked = why
}

// leaves reports whether a plugin that is stopped has left: one that has not begun has not, nor one that another process is about to
// follow. The caller has the lock.
func (e *entry) leaves(i *instance) bool {
	return e.course.class != "" && e.next == nil && (i.stopped != "" && i.stopped != agentEnds && i.stopped != replaced || i.last.Bye != "")
}

// happens tells of one thing that happens to the plugin. The DOWN with which it begins to flap is told as that. The caller has the
// lock.
func (e *entry) happens(what, state, reason string) {
	c, now := &e.course, time.Now()
	begins := what == isDown && c.flaps.Down(now.Sub(e.host.begun))
	text := e.now.plan.conf.Kind + " " + e.name + " " + map[string]string{
		isUp: "works", isDown: "is down", hasLeft: "has left", isRestarted: "was restarted",
	}[what]
	switch {
	case what == isRestarted && reason == c.asked:
		text = e.now.plan.conf.Kind + " " + e.name + " was " + reason
	case reason != "" && what != isUp:
		text += ": " + reason
	}
	e.announce(telemetry.Event{Time: now.UnixNano(), Type: what, From: c.state, To: state, Reason: reason, Message: text, Silenced: c.flaps.Damped()})
	if begins {
		e.announce(telemetry.Event{Time: now.UnixNano(), Type: flaps, From: state, To: state, Reason: "begun",
			Message: fmt.Sprintf("%s %s goes down again and again: nobody is told until it keeps quiet", e.now.plan.conf.Kind, e.name)})
	}
}

// announce leaves an event to be told, without waiting. The caller has the lock.
func (e *entry) announce(v telemetry.Event) { e.host.announce(v, e.name, e.now.plan.conf.Owner) }

// announce leaves an event of a plugin, or of the agent as one, to be told.
func (h *Host) announce(v telemetry.Event, plugin, owner string) {
	d := h.diary
	v.ID = fmt.Sprintf("%s-%d", h.inst, d.count.Add(1))
	v.Host, v.Plugin, v.Owner, v.Name = h.o.Host, plugin, owner, h.o.Name
	select {
	case d.queue <- v:
	default:
		d.dropped.Add(1)
	}
}

// calms tells that the plugin does not flap any more, once it does not.
func (e *entry) calms(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.course.flaps.Calms(now.Sub(e.host.begun)) {
		state := e.course.state
		e.announce(telemetry.Event{Time: now.UnixNano(), Type: flaps, From: state, To: state, Reason: "ended",
			Message: fmt.Sprintf("%s %s has kept quiet, and is %s", e.now.plan.conf.Kind, e.name, state)})
	}
}

// tellEvents publishes what happens to the plugins until ctx ends.
func (h *Host) tellEvents(ctx context.Context) error {
	t := time.NewTicker(calmEvery)
	defer t.Stop()
	var dropped uint64
	for {
		select {
		case <-ctx.Done():
			return h.lastEvents()
		case v := <-h.diary.queue:
			h.tellEvent(ctx, v)
		case now := <-t.C:
			for _, e := range h.entries() {
				e.calms(now)
			}
			if n := h.diary.dropped.Load(); n > dropped {
				h.log.Warn("events of plugins not told", "count", n-dropped)
				dropped = n
			}
		}
	}
}

// lastEvents publishes what has happened before the agent was to end.
func (h *Host) lastEvents() error {
	ctx, cancel := context.WithTimeout(h.life, lastWords)
	defer cancel()
	for {
		select {
		case v := <-h.diary.queue:
			h.tellEvent(ctx, v)
		default:
			_ = h.out.Flush(ctx) // the bus may be away: then nobody is told
			return nil
		}
	}
}

// tellEvent publishes one event.
func (h *Host) tellEvent(ctx context.Context, v telemetry.Event) {
	s := h.inForce()
	v.Owner, v.Site = cmp.Or(v.Owner, s.Owner), s.Site
	var b telemetry.Batch
	v.AppendTo(&b)
	m := bus.Message{Subject: bus.EventSubject(v.Host, v.Plugin, v.Type), ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
	lost := func(err error) {
		if err != nil {
			h.diary.dropped.Add(1)
		}
	}
	if err := h.out.Send(ctx, m, lost); err != nil {
		h.diary.dropped.Add(1)
	}
}
