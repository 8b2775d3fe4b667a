package plugin

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/pulse"
	"github.com/pacewire/pacewire/telemetry"
)

// Options say which plugin a program is run as, and where its bus is.
type Options struct {
	Bus    string // URL
	Creds  string // file with the plugin's own credentials; "": none
	TLS    bus.TLS
	Host   string
	Plugin string // the plugin's name in the config
	Inst   string // id of this process, by which its agent knows it from another one of its name; "": one of its own
	Dir    string // for state; it may not exist yet

	// Process is what this one of several processes of the plugin is called: it beats, listens and logs under that name, and what
	// it sends is the plugin's. "": Plugin.
	Process string

	Log  *slog.Logger
	Wait time.Duration // how long the first connection may take; 0: for ever

	Survey <-chan os.Signal // each asks for a survey of the inventory; nil: nobody does

	// LeastBeat is the shortest interval of heartbeats an agent gets; 0: 1 s. Only a test needs another value.
	LeastBeat time.Duration
}

const (
	drainTime = 10 * time.Second // for calls in progress and messages under way
	lateTime  = time.Second      // for what was given up to come to its end
	byeTime   = 500 * time.Millisecond
)

// Serve runs d as a plugin on the bus until ctx ends or the agent asks it to drain. It returns nil when everything taken was
// finished, ErrRefused when the agent does not want it.
func Serve(ctx context.Context, d Definition, o Options) error {
	l, err := newLife(ctx, d, o)
	if ctx.Err() != nil && errors.Is(err, ErrNoBus) {
		return nil // asked to end before there was anything to finish
	}
	if err != nil {
		return err
	}
	defer l.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := l.listen(cancel); err != nil {
		return err
	}
	beats, stopBeats := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBeats()
	var g errgroup.Group
	g.Go(func() error { return l.beatLoop(beats, cancel) })
	g.Go(func() error { return l.surveyWhenAsked(beats) })
	g.Go(func() error { return l.alarms.run(beats, l.tell) })
	err = l.finish(ctx, func() error { return l.work(ctx) })
	stopBeats()
	_ = g.Wait()
	l.sayBye()
	if cause := context.Cause(ctx); errors.Is(cause, ErrRefused) {
		return cause
	}
	return err
}

// finish returns what work does. When ctx ends, work has drainTime for calls in progress and messages under way; then these
// are given up, and a call that does not even heed that is left behind.
func (l *life) finish(ctx context.Context, work func() error) error {
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, l.giveUp) })()
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-l.hard.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(lateTime):
		return errors.New("drain: a call does not come back")
	}
}

// A life is one plugin process between hello and goodbye.
type life struct {
	def   Definition
	o     Options
	log   *slog.Logger
	inst  string
	clock pulse.Clock

	control   *bus.Conn
	data      *bus.Conn
	link      *busLink
	count     counters
	inventory *inventory
	suspect   *suspects
	queue     *queue
	limits    *limits
	alarms    *alarms
	refresh   chan refreshOrder
	offers    chan offer
	beatNow   chan struct{}
	back      chan struct{} // the bus was away
	gate      *gate
	hard      context.Context //nolint:containedctx // the life of the process itself: it ends when a drain has taken too long
	giveUp    context.CancelFunc

	subs    []*bus.Subscription // to what the agent asks
	replies sync.WaitGroup      // that are still to be sent

	mu      sync.Mutex
	sender  *pulse.Sender
	seen    seen   // what heartbeats tell and acks have told of the work
	alarmed string // the alarm that was raised last
}

// An offer is work the agent wants done.
type offer struct {
	rev  uint64
	work telemetry.Work
}

func newInst() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	return hex.EncodeToString(id)
}

func newLife(ctx context.Context, d Definition, o Options) (*life, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Process = cmp.Or(o.Process, o.Plugin)
	l := &life{
		def: d, o: o, inst: cmp.Or(o.Inst, newInst()), clock: pulse.NewClock(), suspect: remember(o.Dir), gate: newGate(),
		refresh: make(chan refreshOrder, 16), // as many refreshes as are joined in one survey
		offers:  make(chan offer, 1),         // the newest replaces one that nobody took yet
		beatNow: make(chan struct{}, 1), back: make(chan struct{}, 1), queue: newQueue(), limits: newLimits(),
	}
	l.alarms = newAlarms(func() { nudge(l.beatNow) })
	l.count.lost = l.alarms.add
	l.sender = pulse.New(pulse.Options{Host: o.Host, Plugin: o.Process, Inst: l.inst, Boot: pulse.Boot(), Least: o.LeastBeat}, l.clock.Now())
	l.hard, l.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	l.seen.state = "starting"
	var err error
	if l.inventory, err = newInventory(o, l.inst, d); err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", d.Program, err)
	}
	if err := l.dial(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// dial opens the two connections: a full pipe of data must not delay a heartbeat.
func (l *life) dial(ctx context.Context) error {
	options := bus.Options{
		URL: l.o.Bus, CredsFile: l.o.Creds, TLS: l.o.TLS, User: bus.User(l.o.Host, l.o.Process), Log: l.o.Log, Wait: l.o.Wait,
		OnDenied: func(err error) { l.count.fail("denied", err) },
	}
	var err error
	options.Name = l.o.Host + "/" + l.o.Process + " control"
	options.OnConnect = l.connected()
	if l.control, err = bus.Dial(ctx, options); err != nil {
		return noBus(err)
	}
	l.log = slog.New(newBusLog(l.o.Log.Handler(), l.control, bus.LogSubject(l.o.Host, l.o.Process)))
	options.Name, options.OnConnect, options.Data = l.o.Host+"/"+l.o.Process+" data", nil, true
	if l.data, err = bus.Dial(ctx, options); err != nil {
		return noBus(err)
	}
	out, err := bus.NewPublisher(l.data, bus.PublisherOptions{Host: l.o.Host, Plugin: l.o.Plugin, Log: l.o.Log, OnState: l.publishes,
		LetterKey: sync.OnceValue(l.letterKey)})
	if err != nil {
		return err
	}
	l.link = &busLink{host: l.o.Host, plugin: l.o.Plugin, process: l.o.Process, conn: l.data, control: l.control, out: out,
		unread: l.unread}
	return nil
}

// letterKey returns the secret of the plugin; none where it cannot be kept.
func (l *life) letterKey() []byte {
	key, err := letterKey(l.o.Dir)
	if err != nil {
		l.log.Warn("a batch that is set aside when this process dies may be set aside twice: the secret for the ids of dead letters cannot be kept", "error", err)
	}
	return key
}

// noBus tells errors of dialling that waiting mends from those that it does not.
func noBus(err error) error {
	if errors.Is(err, bus.ErrTimeout) || errors.Is(err, bus.ErrDisconnected) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %w", ErrNoBus, err)
	}
	return fmt.Errorf("%w: %w", errDial, err)
}

func (l *life) close() {
	l.giveUp()
	for _, s := range l.subs { // no reply is begun any more
		s.Stop()
	}
	l.replies.Wait()
	if l.link != nil {
		l.link.out.Close()
	}
	for _, c := range []*bus.Conn{l.control, l.data} {
		if c != nil {
			c.Close()
		}
	}
}

// listen answers the agent's requests.
func (l *life) listen(stop context.CancelCauseFunc) error {
	verbs := map[string]func(ctx context.Context, r telemetry.CtlRequest) (any, error){
		"beat": func(context.Context, telemetry.CtlRequest) (any, error) {
			l.greetAgain()
			return nil, nil
		},
		"ping":    func(context.Context, telemetry.CtlRequest) (any, error) { return l.stats(), nil },
		"refresh": l.refreshed,
		"drain": func(_ context.Context, r telemetry.CtlRequest) (any, error) {
			reason, _ := r.Args["reason"].(string)
			l.leaves(reason)
			l.log.Info("drain asked for by the agent")
			stop(nil)
			return nil, nil
		},
	}
	for verb, do := range verbs {
		subject := bus.CtlSubject(l.o.Host, l.o.Process, verb)
		s, err := bus.Handle(l.control, subject, bus.Rules{}, decodeRequest, l.ifMeant(answer(do)))
		if err != nil {
			return fmt.Errorf("listen on %s: %w", subject, err)
		}
		l.subs = append(l.subs, s)
	}
	return nil
}

// request is a control request and the encoding it came in, which the reply takes as well.
type request struct {
	telemetry.CtlRequest
	enc telemetry.Encoding
}

func decodeRequest(body []byte) (request, error) {
	r, enc, err := telemetry.DecodeCtlRequest(body)
	return request{r, enc}, err
}

// ifMeant keeps from do what is for another process of this name: while a new one takes over there are two.
func (l *life) ifMeant(do handler) handler {
	return func(ctx context.Context, s bus.Subject, r request) ([]byte, error) {
		if inst, named := r.Args["inst"].(string); named && inst != l.inst {
			return nil, nil
		}
		return do(ctx, s, r)
	}
}

// A handler answers a control request.
type handler func(context.Context, bus.Subject, request) ([]byte, error)

// answer makes a handler of do, whose result is the payload of the reply.
func answer(do func(context.Context, telemetry.CtlRequest) (any, error)) handler {
	return func(ctx context.Context, _ bus.Subject, r request) ([]byte, error) {
		reply := telemetry.CtlReply{ID: r.ID, OK: true}
		payload, err := do(ctx, r.CtlRequest)
		if err == nil && payload != nil {
			reply.Payload, err = telemetry.EncodeControl(payload, telemetry.MsgPack)
		}
		if err != nil {
			reply.OK, reply.Error = false, &telemetry.Fault{Code: "internal", Message: shorten(err.Error())}
		}
		return telemetry.EncodeControl(reply, r.enc)
	}
}

// refreshed answers a refresh: the list of what there is, and then the wanted data.
func (l *life) refreshed(ctx context.Context, r telemetry.CtlRequest) (any, error) {
	if r.Mode == telemetry.ModeCollect && l.refreshable() {
		l.surveyAnew(ctx)
	}
	messages, err := l.inventory.messages(r.Want)
	if err != nil {
		return nil, err
	}
	l.replies.Go(func() { // after the reply: the list comes first
		for _, m := range messages {
			if err := l.link.data(m); err != nil {
				l.log.Warn("plugin data not sent", "type", m.Type, "error", err)
			}
		}
	})
	return telemetry.RefreshManifest{Items: l.inventory.items()}, nil
}

// refreshable reports whether somebody listens for a refresh.
func (l *life) refreshable() bool {
	l.mu.Lock()
	idle := l.seen.state == "idle"
	l.mu.Unlock()
	return idle || l.inventory.keepsFacts()
}

// surveyWhenAsked has facts collected anew when somebody on this machine asks for it, until ctx ends.
func (l *life) surveyWhenAsked(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.o.Survey:
			if l.refreshable() {
				l.surveyAnew(ctx)
			}
		}
	}
}

// surveyAnew has facts collected anew, and says so in heartbeats meanwhile.
func (l *life) surveyAnew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*surveyApart)
	defer cancel()
	l.refreshes(1)
	defer l.refreshes(-1)
	surveyAnew(ctx, l.refresh)
}

func (l *life) refreshes(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.refreshing += n
}
