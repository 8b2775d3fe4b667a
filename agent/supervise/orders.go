package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

// ErrStopped is returned by Restart when Run has not begun or has ended: start
// the child with Run.
var ErrStopped = errors.New("child is stopped")

// Usage is what the process uses now.
type Usage = process.Usage

// An order is what others want of the goroutine of Run.
type order struct {
	kind   kind
	reason string
	pid    int          // of the process that is meant; a later one is not to blame
	done   chan<- error // for restart
}

type kind int

const (
	none    kind = iota
	stop         // drain, and no other start; given by ctx alone
	restart      // drain, then start again at once
	replace      // TERM, then as after a crash
	kill         // KILL, then as after a crash
	leave        // no end: it goes on without us; given by ctx alone
)

// Stop ends Run: drain, TERM, KILL, also of a process that is kept. It waits until Run has ended, or ctx has;
// the child is stopping all the same. While no Run is under way it makes the next
// one return at once, as the goroutine meant to call it may still be on its way:
// who knows that there is none should not call Stop.
func (c *Child) Stop(ctx context.Context) error {
	c.mu.Lock()
	cancel, done := c.cancel, c.done
	c.early = cancel == nil
	c.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel(ErrStopped)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop child %s: %w", c.spec.Name, ctx.Err())
	}
}

// Restart ends the process with drain, TERM, KILL, forgets earlier crashes and
// starts it again at once; a child that backs off or has failed starts now. It
// waits for the start, or for ctx; the restart takes place all the same.
func (c *Child) Restart(ctx context.Context) error {
	c.mu.Lock()
	running, done := c.cancel != nil, c.done
	c.mu.Unlock()
	if !running {
		return fmt.Errorf("restart child %s: %w", c.spec.Name, ErrStopped)
	}
	started := make(chan error, 1) // so that Run need not wait for us
	orders := c.orders
	for {
		select {
		case orders <- order{kind: restart, reason: "to be started again", done: started}:
			orders = nil // once
		case err := <-started:
			if err != nil {
				err = fmt.Errorf("restart child %s: %w", c.spec.Name, err)
			}
			return err
		case <-done:
			return fmt.Errorf("restart child %s: %w", c.spec.Name, ErrStopped)
		case <-ctx.Done():
			return fmt.Errorf("restart child %s: %w", c.spec.Name, ctx.Err())
		}
	}
}

// Retry starts a child that has failed or backs off now, and forgets its earlier
// crashes: something has changed, such as its program. A process that is there is
// not touched. It does not wait.
func (c *Child) Retry(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc != nil || c.cancel == nil {
		return
	}
	select {
	case c.wake <- reason:
	default: // another one came just now
	}
}

// Steady turns Single off: from now on the child is kept running. It reports
// whether it came in time, before the end of the process.
func (c *Child) Steady() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spent {
		return false
	}
	c.single = false
	return true
}

// Replace ends the present process, which hangs, with TERM and KILL, without
// asking it to drain. Another follows as after a crash. It does not wait, and
// does nothing without a process.
func (c *Child) Replace(reason string) { c.send(replace, reason) }

// Kill is Replace with KILL at once; it also cuts short what ends the process already.
func (c *Child) Kill(reason string) { c.send(kill, reason) }

// send gives up when another order is under way: that one ends the process too,
// or it means one that is gone.
func (c *Child) send(k kind, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil {
		return
	}
	select {
	case c.orders <- order{kind: k, reason: reason, pid: c.proc.PID()}:
	default:
	}
}

// Signal sends a signal to the process and its group. Without a process it
// returns os.ErrProcessDone.
func (c *Child) Signal(sig syscall.Signal) error {
	p := c.process()
	if p == nil {
		return fmt.Errorf("signal child %s: %w", c.spec.Name, os.ErrProcessDone)
	}
	return p.Signal(sig)
}

// Usage reads what the process uses now. Without a process it returns
// os.ErrProcessDone.
func (c *Child) Usage() (Usage, error) {
	p := c.process()
	if p == nil {
		return Usage{}, fmt.Errorf("usage of child %s: %w", c.spec.Name, os.ErrProcessDone)
	}
	return p.Usage()
}

func (c *Child) process() running {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proc
}

// watch returns when the process is gone, with the order that ended it, if one did.
func (c *Child) watch(ctx context.Context, p running) order {
	for {
		select {
		case <-p.Done():
			return order{}
		case <-ctx.Done():
			if c.spec.Keep && !stopped(ctx) && p.Detach() {
				return order{kind: leave, reason: "left running"}
			}
			return c.end(ctx, p, order{kind: stop, reason: "stop"})
		case o := <-c.orders:
			if o.kind == restart || o.pid == p.PID() {
				return c.end(ctx, p, o)
			}
		}
	}
}

// stopped reports whether Stop has ended ctx, rather than the agent.
func stopped(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ErrStopped) }

// end ends the process as the order says. A restart that is asked for on the
// way turns a replacement into a restart.
func (c *Child) end(ctx context.Context, p running, o order) order {
	c.hear(p, o)
	c.set(func(s *Status) { s.State, s.Reason = Stopping, o.reason })
	if o.kind == stop || o.kind == restart { // who hangs is not asked
		c.drain(ctx, p)
	}
	if o.kind != kill {
		p.Terminate(c.spec.TermTimeout)
	}
	for {
		select {
		case <-p.Done():
			return o
		case late := <-c.orders:
			c.hear(p, late)
			if late.kind == restart && o.kind != stop {
				o.kind = restart
			}
		}
	}
}

// drain asks the process to finish, and waits until it has.
func (c *Child) drain(ctx context.Context, p running) {
	if c.spec.Drain == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.spec.DrainTimeout)
	var refusal error
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		refusal = c.spec.Drain(ctx)
	}()
	defer func() {
		cancel()
		<-answered
	}()
	for answer := answered; ; {
		select {
		case <-p.Done():
			return
		case <-ctx.Done():
			c.spec.Log.Warn("child did not drain in time", "timeout", c.spec.DrainTimeout)
			return
		case <-answer:
			if refusal != nil {
				c.spec.Log.Warn("child did not drain", "err", refusal)
				return
			}
			answer = nil // agreed: it has the rest of the time to exit
		case o := <-c.orders:
			c.hear(p, o)
		}
	}
}

// idle waits without a process. It reports whether Restart or Retry ended it.
func (c *Child) idle(ctx context.Context, until <-chan time.Time) (restarted bool) {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-until:
			return false
		case reason := <-c.wake:
			c.spec.Log.Info("child is tried again", "reason", reason)
			return true
		case o := <-c.orders:
			if o.kind == restart {
				c.hear(nil, o)
				return true
			}
		}
	}
}

// hear does what an order asks for at once; p may be nil only for a restart.
func (c *Child) hear(p running, o order) {
	switch {
	case o.kind == restart:
		c.waiting = append(c.waiting, o.done)
	case o.kind == kill && o.pid == p.PID():
		_ = p.Signal(syscall.SIGKILL) // the only error is that it has ended
	}
}

// answer tells those who asked for a restart what became of it.
func (c *Child) answer(err error) {
	for _, w := range c.waiting {
		w <- err
	}
	c.waiting = nil
}
