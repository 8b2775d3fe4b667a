package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// errands are the inputs that plugins have for a while beside those of their config: a part of the past, and dead letters that
// are given again. Their consumers say what they are, so an agent that starts again finds them on the bus.
type errands struct {
	mu  sync.Mutex
	all map[string][]bus.Input // by plugin
}

func (x *errands) of(plugin string) []bus.Input {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.all[plugin])
}

func (x *errands) plugins() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Sorted(maps.Keys(x.all))
}

// add gives a plugin inputs, in place of what it has by their consumers.
func (x *errands) add(plugin string, inputs ...bus.Input) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.all == nil {
		x.all = map[string][]bus.Input{}
	}
	x.all[plugin] = append(without(x.all[plugin], inputs), inputs...)
}

func (x *errands) drop(plugin string, inputs ...bus.Input) {
	x.mu.Lock()
	defer x.mu.Unlock()
	left := without(x.all[plugin], inputs)
	if len(left) == 0 {
		delete(x.all, plugin)
		return
	}
	x.all[plugin] = left
}

// take returns the errands of a plugin, which has none then.
func (x *errands) take(plugin string) []bus.Input {
	all := x.of(plugin)
	x.drop(plugin, all...)
	return all
}

// without returns all but those that are read by the consumers of some.
func without(all, some []bus.Input) []bus.Input {
	return slices.DeleteFunc(slices.Clone(all), func(in bus.Input) bool { return find(some, in) >= 0 })
}

// offered are the errands of a plugin as its work has them. Dead letters have no end there: others may join those under way.
func (x *errands) offered(plugin string) (list []telemetry.Input) {
	for _, in := range x.of(plugin) {
		offer := telemetry.Input{Stream: in.Stream, Durable: in.Durable, Filters: in.Filters}
		if in.Stream != bus.StreamDead {
			offer.End = in.End
		}
		list = append(list, offer)
	}
	return list
}

// Replay gives a plugin again what was stored from since on, up to until or, when that is zero, up to now.
func (h *Host) Replay(ctx context.Context, plugin string, since, until time.Time) (telemetry.ChangeList, error) {
	return h.errand(ctx, plugin, telemetry.ChangeReplay, func(ctx context.Context, p plan) (errandOrder, error) {
		var o errandOrder
		for _, in := range bus.Errands(plugin, p.inputs) {
			if in.Stream == bus.StreamDead {
				continue
			}
			if find(h.errands.of(plugin), in) >= 0 {
				return o, refuse(telemetry.FaultInvalid, "a replay of %s is under way: wait for it, or end it with pacewire replay %s --stop", plugin, plugin)
			}
			in, warning, err := h.stretch(ctx, in, since, until)
			if err != nil {
				return o, err
			}
			if warning != "" {
				o.warnings = append(o.warnings, warning)
			}
			if in.From <= in.End {
				o.inputs = append(o.inputs, in)
			}
		}
		return o, nil
	})
}

// stretch sets where in begins and ends, and warns when the stream has not all of that time any more.
func (h *Host) stretch(ctx context.Context, in bus.Input, since, until time.Time) (_ bus.Input, warning string, err error) {
	state, err := h.conn.StreamInfo(ctx, in.Stream)
	if err != nil {
		return in, "", err
	}
	if in.From, err = h.conn.SeqAt(ctx, in.Stream, since); err != nil {
		return in, "", err
	}
	in.End = state.LastSeq
	if !until.IsZero() {
		next, err := h.conn.SeqAt(ctx, in.Stream, until)
		if err != nil {
			return in, "", err
		}
		in.End = min(in.End, next-1)
	}
	if gone := state.FirstSeq > 1 && state.FirstTime.After(since); gone {
		warning = fmt.Sprintf("%s begins at %s: what is older is gone (bus: max_age, max_store)", in.Stream, state.FirstTime.UTC().Format(time.RFC3339))
	}
	return in, warning, nil
}

// StopReplay ends a replay before it is through.
func (h *Host) StopReplay(ctx context.Context, plugin string) (telemetry.ChangeList, error) {
	release, group, err := h.group(ctx, plugin)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	defer release()
	running := slices.DeleteFunc(h.errands.of(plugin), func(in bus.Input) bool { return in.Stream == bus.StreamDead })
	c := telemetry.Change{Plugin: plugin, Action: telemetry.ChangeReplay, Reason: "it was ended before its end"}
	if len(running) == 0 {
		c.Action, c.Reason = telemetry.ChangeNone, "no replay is under way"
	} else if err := h.takeBack(ctx, group, plugin, running); err != nil {
		c.Error = err.Error()
	}
	return telemetry.ChangeList{Changes: []telemetry.Change{c}}, nil
}

// Again gives a plugin the copies of dead letters that lie from one place in DEAD to another: see bus.GiveAgain.
func (h *Host) Again(ctx context.Context, plugin string, from, to uint64) (telemetry.ChangeList, error) {
	if from == 0 || to < from {
		return telemetry.ChangeList{}, refuse(telemetry.FaultInvalid, "again from %d to %d: want the places of the first and the last copy in DEAD", from, to)
	}
	return h.errand(ctx, plugin, telemetry.ChangeAgain, func(ctx context.Context, _ plan) (errandOrder, error) {
		if err := h.conn.HasAgain(ctx, plugin, to); errors.Is(err, bus.ErrNoLetter) {
			return errandOrder{}, refuse(telemetry.FaultNotFound, "the bus that %s reads has no copies of dead letters for it: "+
				"retry them on that bus (--bus names it), or they have been given again already", plugin)
		} else if err != nil && !errors.Is(err, bus.ErrDenied) {
			return errandOrder{}, err
		}
		in := bus.Errands(plugin, nil)[0]
		in.From, in.End = from, to
		if now := h.errands.of(plugin); find(now, in) >= 0 { // it goes on a little longer
			now := now[find(now, in)]
			in.From, in.End = now.From, max(now.End, to)
		}
		return errandOrder{inputs: []bus.Input{in}}, nil
	})
}

// An errandOrder is what a plugin is to be given.
type errandOrder struct {
	inputs   []bus.Input
	warnings []string
}

// errand gives the processes of a plugin what order says.
func (h *Host) errand(ctx context.Context, plugin, action string, order func(context.Context, plan) (errandOrder, error)) (telemetry.ChangeList, error) {
	release, group, err := h.group(ctx, plugin)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	defer release()
	begun := time.Now()
	o, err := order(ctx, group[0].plan())
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	c := telemetry.Change{Plugin: plugin, Action: action, PID: group[0].pid()}
	if len(o.inputs) == 0 {
		c.Action, c.Reason = telemetry.ChangeNone, "nothing of that time is stored"
	} else if c.Reason, err = h.sendOut(ctx, group, plugin, o.inputs); err != nil {
		return telemetry.ChangeList{}, fmt.Errorf("%s %s: %w", action, plugin, err)
	}
	c.TookMS = time.Since(begun).Milliseconds()
	return telemetry.ChangeList{Changes: []telemetry.Change{c}, Warnings: o.warnings}, nil
}

// sendOut makes the consumers of inputs and offers them to the processes of a plugin. It tells how much there is in them.
func (h *Host) sendOut(ctx context.Context, group []*entry, plugin string, inputs []bus.Input) (string, error) {
	if err := h.ensure(ctx, plugin, inputs); err != nil {
		return "", err
	}
	batches := h.unread(ctx, inputs)
	h.errands.add(plugin, inputs...)
	if err := h.offer(ctx, group); err != nil {
		ctx := context.WithoutCancel(ctx)
		return "", errors.Join(err, h.takeBack(ctx, group, plugin, inputs))
	}
	if batches == 1 {
		return "1 batch", nil
	}
	return fmt.Sprintf("%d batches", batches), nil
}

// group returns the processes of a plugin that may be given an errand, and keeps others from changing which there are.
func (h *Host) group(ctx context.Context, plugin string) (release func(), group []*entry, err error) {
	if err := h.open(ctx); err != nil {
		return nil, nil, err
	}
	select {
	case h.changing <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, refuse(telemetry.FaultTimeout, "the config is being changed by somebody else: try again")
	}
	release = func() { <-h.changing }
	group = h.crew(plugin)
	switch {
	case len(group) == 0:
		err = h.unknown(plugin)
	case group[0].plan().conf.Kind == config.Collector:
		err = refuse(telemetry.FaultInvalid, "%s is a collector: it reads nothing that could be given again", plugin)
	case !slices.ContainsFunc(group, (*entry).wanted):
		err = refuse(telemetry.FaultInvalid, "%s is stopped: pacewire plugin start %s starts it", plugin, plugin)
	}
	if err != nil {
		release()
	}
	return release, group, err
}

// wanted reports whether the plugin is to run.
func (e *entry) wanted() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now.stopped == ""
}

// offer lets processes know what their work is by now.
func (h *Host) offer(ctx context.Context, group []*entry) error {
	var all []error
	for _, e := range group {
		all = append(all, e.offer(ctx))
	}
	return errors.Join(all...)
}

func (e *entry) offer(ctx context.Context) error {
	release, err := e.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	is := e.plan()
	p := e.host.withErrands(is)
	switch {
	case p.rev == is.rev:
		return nil
	case e.live() || !e.wanted():
		return e.configure(ctx, p)
	}
	return e.asked("it is given another input", func() error { return e.swap(ctx, p) })
}

// withErrands returns p with the errands there are by now.
func (h *Host) withErrands(p plan) plan {
	of := len(p.inputs)
	p.work.Inputs = slices.Concat(p.work.Inputs[:of:of], h.errands.offered(p.conf.Name))
	p.rev = revision(p.work)
	return p
}

// takeBack takes errands from the processes of a plugin, and removes their consumers.
func (h *Host) takeBack(ctx context.Context, group []*entry, plugin string, inputs []bus.Input) error {
	h.errands.drop(plugin, inputs...)
	if err := h.offer(ctx, group); err != nil { // who still reads must find what he reads
		h.errands.add(plugin, inputs...)
		return err
	}
	var all []error
	for _, in := range inputs {
		if in.Stream == bus.StreamDead {
			h.forgetAgain(ctx, plugin, in)
		}
		all = append(all, h.conn.DeleteConsumer(ctx, in.Stream, in.Durable))
	}
	return errors.Join(all...)
}

// forgetAgain removes the copies that a plugin has settled, also those that nobody has told us of yet: another consumer would
// give them out once more. Where that cannot be, they leave when they are old.
func (h *Host) forgetAgain(ctx context.Context, plugin string, in bus.Input) {
	state, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
	if err == nil {
		err = h.conn.ForgetAgain(ctx, plugin, state.AckFloor)
	}
	if err != nil {
		h.log.Warn("copies of dead letters stay in the stream", "plugin", plugin, "error", err)
	}
}

// endErrands takes back what plugins have settled to its end. Who changes the config, or gives an errand, goes first.
func (h *Host) endErrands(ctx context.Context) {
	for _, plugin := range h.errands.plugins() {
		select {
		case h.changing <- struct{}{}:
			h.endErrand(ctx, plugin)
			<-h.changing
		default:
			return
		}
	}
}

func (h *Host) endErrand(ctx context.Context, plugin string) {
	through := slices.DeleteFunc(h.errands.of(plugin), func(in bus.Input) bool { return !h.through(ctx, in) })
	group := h.crew(plugin)
	if len(through) == 0 || len(group) == 0 {
		return
	}
	if err := h.takeBack(ctx, group, plugin, through); err != nil {
		h.log.Warn("errand not taken back", "plugin", plugin, "error", err)
		return
	}
	e := group[0]
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, in := range through {
		e.say(slog.LevelInfo, "plugin has been given again all that was asked for", "consumer", in.Durable)
	}
}

// through reports whether an errand is settled to its end, or its consumer is gone.
func (h *Host) through(ctx context.Context, in bus.Input) bool {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	state, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
	if err != nil {
		return errors.Is(err, bus.ErrNoConsumer)
	}
	return state.Quiet() || state.Done() && in.Stream != bus.StreamDead
}

// findErrands adds to the work of a plugin the errands that an agent before has given it. Its process has not been started.
func (e *entry) findErrands(ctx context.Context) error {
	p, h := e.plan(), e.host
	if p.conf.Kind == config.Collector {
		return nil
	}
	for _, in := range bus.Errands(p.conf.Name, p.inputs) {
		state, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
		if errors.Is(err, bus.ErrNoConsumer) || err == nil && state.End == 0 {
			continue
		}
		if err != nil {
			return err
		}
		in.From, in.End = state.From, state.End
		h.errands.add(p.conf.Name, in)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now.plan = h.withErrands(e.now.plan)
	return nil
}

// replay answers the verb of this name: since and until are times by RFC 3339.
func (h *Host) replay(ctx context.Context, r telemetry.CtlRequest) (any, error) {
	if r.Args["stop"] == true {
		return h.StopReplay(ctx, r.Text("plugin"))
	}
	since, err := moment(r, "since")
	if err != nil {
		return nil, err
	}
	if since.IsZero() {
		return nil, refuse(telemetry.FaultInvalid, "since: want a time like 2026-01-02T15:04:05Z")
	}
	until, err := moment(r, "until")
	if err != nil {
		return nil, err
	}
	return h.Replay(ctx, r.Text("plugin"), since, until)
}

// again answers the verb of this name.
func (h *Host) again(ctx context.Context, r telemetry.CtlRequest) (any, error) {
	from, _ := r.Number("from")
	to, _ := r.Number("to")
	return h.Again(ctx, r.Text("plugin"), uint64(max(0, from)), uint64(max(0, to)))
}

// moment returns an argument that is a time, the zero time when it is not there.
func moment(r telemetry.CtlRequest, key string) (time.Time, error) {
	text := r.Text(key)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, refuse(telemetry.FaultInvalid, "%s %q: want a time like 2026-01-02T15:04:05Z", key, text)
	}
	return t, nil
}
