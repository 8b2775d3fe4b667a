package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// violation is what the server refused to this user.
type violation struct {
	subject   string
	subscribe bool // else a publish
	err       error
}

func (c *Conn) watch(w *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers[w] = struct{}{}
}

func (c *Conn) unwatch(w *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watchers, w)
}

// tell calls f for every watcher, without the lock: a watcher may leave.
func (c *Conn) tell(f func(*watcher)) {
	c.mu.Lock()
	all := make([]*watcher, 0, len(c.watchers))
	for w := range c.watchers {
		all = append(all, w)
	}
	c.mu.Unlock()
	for _, w := range all {
		f(w)
	}
}

// onAttempt hears why a connect failed; a wrong password shows nowhere else.
func (c *Conn) onAttempt(_ *nats.Conn, err error) {
	c.mu.Lock()
	changed := c.lastErr == nil || c.lastErr.Error() != err.Error()
	c.lastErr = err
	c.mu.Unlock()
	if changed {
		c.log.Warn("bus does not connect", "err", err)
	}
}

func (c *Conn) setLastError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastErr = err
}

func (c *Conn) onUp(nc *nats.Conn) {
	select {
	case <-c.first:
	default:
		close(c.first) // the callbacks of a connection come one by one
	}
	c.setLastError(nil)
	c.log.Info("bus connected", "server", nc.ConnectedUrlRedacted())
	c.tell(func(w *watcher) { w.up() })
	if c.opts.OnConnect != nil {
		c.opts.OnConnect()
	}
}

func (c *Conn) onDown(nc *nats.Conn, err error) {
	if nc.IsClosed() {
		return
	}
	c.setLastError(err)
	c.log.Warn("bus disconnected", "err", err)
	c.tell(func(w *watcher) { w.down() })
	if c.opts.OnDisconnect != nil {
		c.opts.OnDisconnect(err)
	}
}

func (c *Conn) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		v := parseViolation(err)
		c.denied.Add(1)
		c.log.Error("bus denied", "subject", v.subject, "subscribe", v.subscribe, "user", c.opts.User)
		c.tell(func(w *watcher) { w.denied(v) })
		if c.opts.OnDenied != nil {
			c.opts.OnDenied(err)
		}
	case sub != nil:
		c.log.Warn("bus subscription", "subject", sub.Subject, "err", err)
	default:
		c.log.Warn("bus error", "err", err)
	}
}

// heed returns a context that ends when the server refuses a publish on subject:
// who asks something there would hear nothing at all.
func (c *Conn) heed(ctx context.Context, subject string) (_ context.Context, done func()) {
	return c.heedEach(ctx, func(refused string) bool { return refused == subject })
}

// heedEach is heed for the subjects that mine selects.
func (c *Conn) heedEach(ctx context.Context, mine func(subject string) bool) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watcher{up: func() {}, down: func() {}, denied: func(v violation) {
		if !v.subscribe && mine(v.subject) {
			cancel(fmt.Errorf("%w: %w", ErrDenied, v.err))
		}
	}}
	c.watch(w)
	return ctx, func() { c.unwatch(w); cancel(nil) }
}

// whyEnded returns the violation that ended a context of heed, else err.
func whyEnded(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrDenied) {
		return cause
	}
	return err
}

// parseViolation reads `Permissions Violation for Publish to "pw.x"` and
// `... for Subscription to "pw.x" ...`.
func parseViolation(err error) violation {
	text := err.Error()
	v := violation{err: err, subscribe: strings.Contains(text, "for Subscription")}
	if _, rest, ok := strings.Cut(text, `"`); ok {
		v.subject, _, _ = strings.Cut(rest, `"`)
	}
	return v
}

// check leaves a server that does not answer any more, for another one if there is any: a machine that hangs keeps its connections,
// and pings are far between.
func (c *Conn) check() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opts.InProcess != nil || c.checking || c.ended || !c.nc.IsConnected() {
		return
	}
	c.checking = true
	c.checks.Go(func() {
		defer c.checked()
		if err := c.nc.FlushTimeout(max(checkWait, 2*c.opts.Ping)); !errors.Is(err, nats.ErrTimeout) {
			return
		}
		c.log.Warn("bus server hangs, asking another one", "server", c.nc.ConnectedUrlRedacted())
		_ = c.nc.ForceReconnect() // fails when it is closed
	})
}

func (c *Conn) checked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checking = false
}
