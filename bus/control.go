package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Request asks on subject and returns the body of the answer. ctx should have a
// deadline. Errors: ErrNoResponders, ErrTimeout, ErrDisconnected, ErrTooLarge,
// ErrDenied.
func (c *Conn) Request(ctx context.Context, subject string, body []byte) ([]byte, error) {
	ctx, done := c.heed(ctx, subject)
	defer done()
	reply, err := c.nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", subject, translate(whyEnded(ctx, err)))
	}
	return reply.Data, nil
}

// Tell sends body to whoever listens, without any promise: nil means only that
// a server was connected.
func (c *Conn) Tell(subject string, body []byte) error {
	if err := c.nc.Publish(subject, body); err != nil {
		return fmt.Errorf("tell %s: %w", subject, translate(err))
	}
	return nil
}

// Flush waits until the server has seen everything sent before; at most 10 s
// where ctx has no deadline.
func (c *Conn) Flush(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, flushWait)
		defer cancel()
	}
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush bus connection: %w", translate(err))
	}
	return nil
}

// translate names errors of the client by our sentinels, and keeps the cause.
func translate(err error) error {
	sentinel := map[error]error{
		nats.ErrNoResponders:         ErrNoResponders,
		nats.ErrTimeout:              ErrTimeout,
		context.DeadlineExceeded:     ErrTimeout,
		nats.ErrReconnectBufExceeded: ErrDisconnected,
		nats.ErrDisconnected:         ErrDisconnected,
		nats.ErrConnectionClosed:     ErrClosed,
		nats.ErrConnectionDraining:   ErrClosed,
		nats.ErrMaxPayload:           ErrTooLarge,
		nats.ErrPermissionViolation:  ErrDenied,
	}
	for cause, ours := range sentinel {
		switch {
		case err == cause: //nolint:errorlint // what wraps it says more
			return &inOurWords{ours, err}
		case errors.Is(err, cause):
			return fmt.Errorf("%w: %w", ours, err)
		}
	}
	if leaderless(err) {
		return fmt.Errorf("%w: %w", ErrNoResponders, err)
	}
	return err
}

// inOurWords is an error of the client that says no more than ours does.
type inOurWords struct{ ours, cause error }

func (e *inOurWords) Error() string { return e.ours.Error() }

func (e *inOurWords) Unwrap() []error { return []error{e.ours, e.cause} }

const flushWait = 10 * time.Second

// Rules are what a handler asks of a message beyond a fitting subject and body.
type Rules struct {
	// Responders are the users whose inboxes may get the answer. Empty: the
	// owner of the subject for what plugins send; the host's agent and the hub
	// for ctl and http; anybody's inbox for requests to the hub. There the
	// server's rights say who may ask, and nobody is harmed by an answer: inboxes
	// take nothing but replies, and these wait for one of an unguessable name.
	Responders []string

	// Reply says that a message without a reply subject is a bad request.
	Reply bool

	// Parallel is how many calls of the handler may be under way at a time, in
	// no order; what comes meanwhile waits within Pending. 0: one at a time, in
	// order.
	Parallel int

	// MaxBytes of a body; 0 means what the server lets pass.
	MaxBytes int

	// Pending bounds what waits while the handler works; more is dropped and
	// counted. 0 means 1,024 messages and 4 MiB.
	Pending, PendingBytes int

	// Queue names a group of which only one member gets each message; empty:
	// every subscriber gets it.
	Queue string
}

const (
	defaultPending      = 1024
	defaultPendingBytes = 4 << 20
)

// Subscription is a handler at work.
type Subscription struct {
	sub    *nats.Subscription
	cancel context.CancelFunc
	done   chan struct{}
	room   chan struct{} // holds one for each parallel call; nil: calls are made in order
	calls  sync.WaitGroup
}

// Handle calls h for each good message on pattern: in order, on one goroutine of
// its own, unless rules.Parallel says otherwise. Every handler of control
// subjects goes through here, because the server answers on reply subjects with
// its own rights and so lends them to whoever names one (the bus as deputy). A
// message is refused, counted in BadRequests and dropped unless
//
//  1. its own subject parses and fits pattern,
//  2. it carries no Nats-* header, so it does not come out of a stream,
//  3. decode takes its body, which is not empty,
//  4. the answer goes to the inbox of a user who may ask here (see Rules).
//
// A nil reply answers nothing. An error of h is logged, and its reply, if any,
// is still sent. ctx of h ends with the subscription.
func Handle[T any](c *Conn, pattern string, rules Rules, decode func(body []byte) (T, error),
	h func(ctx context.Context, s Subject, m T) (reply []byte, err error),
) (*Subscription, error) {
	return c.subscribe(pattern, &rules, func(ctx context.Context, sub *Subscription, msg *nats.Msg) {
		s, m, rule, err := admit(&rules, pattern, decode, msg)
		if err != nil {
			c.bad.refuse(c.log, rule, msg.Subject, err)
			return
		}
		sub.call(ctx, func() {
			reply, err := h(ctx, s, m)
			c.answer(msg, reply, err)
		})
	})
}

// admit applies all rules to a message, and names the one it breaks.
func admit[T any](r *Rules, pattern string, decode func([]byte) (T, error), msg *nats.Msg) (s Subject, m T, rule string, err error) {
	if s, rule, err = r.envelope(pattern, msg); err != nil {
		return s, m, rule, err
	}
	if m, err = decode(msg.Data); err != nil {
		return s, m, ruleBody, err
	}
	rule, err = r.responder(&s, msg.Reply)
	return s, m, rule, err
}

// answer sends what a handler said.
func (c *Conn) answer(msg *nats.Msg, reply []byte, err error) {
	if err != nil {
		c.bad.note(c.log, "handler", msg.Subject, err)
	}
	if reply == nil || msg.Reply == "" {
		return
	}
	if err := c.nc.Publish(msg.Reply, reply); err != nil {
		c.bad.note(c.log, "reply", msg.Subject, err)
	}
}

// call makes one call of a handler, or starts it as soon as there is room.
func (s *Subscription) call(ctx context.Context, f func()) {
	if s.room == nil {
		f()
		return
	}
	select {
	case s.room <- struct{}{}:
		s.calls.Go(func() {
			defer func() { <-s.room }()
			f()
		})
	case <-ctx.Done(): // stopped: what waited is dropped
	}
}

func (c *Conn) subscribe(pattern string, rules *Rules, h func(context.Context, *Subscription, *nats.Msg)) (*Subscription, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Subscription{cancel: cancel, done: make(chan struct{})}
	if rules.Parallel > 0 {
		s.room = make(chan struct{}, rules.Parallel)
	}
	sub, err := c.nc.QueueSubscribe(pattern, rules.Queue, func(msg *nats.Msg) { h(ctx, s, msg) })
	if err != nil {
		cancel()
		return nil, fmt.Errorf("subscribe %s: %w", pattern, translate(err))
	}
	s.sub = sub
	sub.SetClosedHandler(func(string) { // no call begins after it
		if c.nc.IsClosed() {
			cancel() // what is under way has nobody to answer any more
		}
		s.calls.Wait()
		cancel()
		close(s.done)
	})
	msgs, size := rules.Pending, rules.PendingBytes
	if msgs == 0 {
		msgs = defaultPending
	}
	if size == 0 {
		size = defaultPendingBytes
	}
	if err := sub.SetPendingLimits(msgs, size); err != nil {
		s.Stop()
		return nil, fmt.Errorf("subscribe %s: %w", pattern, translate(err))
	}
	return s, nil
}

// Dropped is how many messages came faster than the handler worked.
func (s *Subscription) Dropped() uint64 {
	n, err := s.sub.Dropped()
	if err != nil {
		return 0
	}
	return uint64(n)
}

// Pending is what waits for the handler now: messages, and their bytes.
func (s *Subscription) Pending() (messages, size int) {
	messages, size, err := s.sub.Pending()
	if err != nil {
		return 0, 0 // stopped
	}
	return messages, size
}

// Stop ends the subscription at once and waits for the handler's present calls,
// unless the connection is closed. It must not be called by a handler.
func (s *Subscription) Stop() {
	s.cancel()
	if s.sub.Unsubscribe() == nil {
		<-s.done
	}
}

// Drain lets the handler finish what has arrived.
func (s *Subscription) Drain(ctx context.Context) error {
	if err := s.sub.Drain(); err != nil {
		return nil // closed before: nothing is left to drain
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		s.Stop()
		return fmt.Errorf("drain %s: %w", s.sub.Subject, ctx.Err())
	}
}

// The rules a bad request can break, as BadRequests counts them.
const (
	ruleSubject   = "subject"
	ruleHeader    = "header"
	ruleBody      = "body"
	ruleResponder = "responder"
)

var (
	errPattern = errors.New("subject is not the handler's")
	errHeader  = errors.New("message comes out of a stream")
	errEmpty   = errors.New("body is empty")
	errSize    = errors.New("body is too large")
	errNoReply = errors.New("no reply subject")
	errInbox   = errors.New("reply subject is not an inbox of a user who may ask here")
)

func (r *Rules) envelope(pattern string, msg *nats.Msg) (Subject, string, error) {
	s, err := ParseSubject(msg.Subject)
	if err != nil {
		return s, ruleSubject, err
	}
	if !matches(pattern, msg.Subject) {
		return s, ruleSubject, errPattern
	}
	for key := range msg.Header {
		if len(key) >= 5 && strings.EqualFold(key[:5], "Nats-") {
			return s, ruleHeader, errHeader
		}
	}
	switch {
	case len(msg.Data) == 0:
		return s, ruleBody, errEmpty
	case r.MaxBytes > 0 && len(msg.Data) > r.MaxBytes:
		return s, ruleBody, errSize
	}
	return s, "", nil
}

func (r *Rules) responder(s *Subject, reply string) (string, error) {
	if reply == "" {
		if r.Reply {
			return ruleResponder, errNoReply
		}
		return "", nil
	}
	user, ok := inboxUser(reply)
	if !ok {
		return ruleResponder, errInbox
	}
	allowed := r.Responders
	if len(allowed) == 0 {
		allowed = s.users()
	}
	if allowed != nil && !slices.Contains(allowed, user) {
		return ruleResponder, errInbox
	}
	return "", nil
}

// inboxUser takes the user out of _INBOX_<user>.<rest>.
func inboxUser(reply string) (string, bool) {
	rest, ok := strings.CutPrefix(reply, "_INBOX_")
	if !ok || strings.ContainsAny(reply, "*> \t\r\n") {
		return "", false
	}
	user, inbox, ok := strings.Cut(rest, ".")
	return user, ok && user != "" && inbox != ""
}
