package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// errands are the inputs that plugins have for a while beside those of their config: a part of the past, and dead letters that
// are given again. Their consumers say what they are, so an agent that starts again finds them on the bus.
type errands struct {
	mu    sync.Mutex
	all   map[string][]bus.Input // by plugin
	looks map[string]errandLook  // at their consumers, the last of each
}

// An errandLook is how the consumer of an errand was, and since when nothing is left for it.
type errandLook struct {
	state bus.ConsumerState
	quiet lull
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
	for _, in := range inputs {
		delete(x.looks, consumerOf(in))
	}
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

// seen notes how the consumer of an errand is, and reports whether nothing has been left for it for long enough to be true.
func (x *errands) seen(in bus.Input, state bus.ConsumerState, now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.looks == nil {
		x.looks = map[string]errandLook{}
	}
	l := x.looks[consumerOf(in)]
	l.state = state
	lasts := l.quiet.lasts(state.Quiet(), now)
	x.looks[consumerOf(in)] = l
	return lasts
}

// text says which errands of a plugin are under way, and how much of them waits; "": none.
func (x *errands) text(plugin string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var parts []string
	for _, in := range x.all[plugin] {
		what := fmt.Sprintf("replays %s from %d to %d", in.Stream, in.From, in.End)
		if in.Stream == bus.StreamDead {
			what = "is given dead letters again"
		}
		if l, known := x.looks[consumerOf(in)]; known {
			what += fmt.Sprintf(": %s to go", batchesOf(l.state.Pending+uint64(l.state.AckPending)))
		}
		parts = append(parts, what)
	}
	return strings.Join(parts, "; ")
}

// addErrands tells of what the plugin is given again. The caller has the lock.
func (e *entry) addErrands(s *telemetry.PluginStatus) {
	text := e.host.errands.text(e.plugin)
	switch {
	case e.name != e.plugin || text == "":
	case s.Reason == "":
		s.Reason, s.Sound = text, true
	case s.State != running:
		s.Reason += "; " + text + ", once it runs"
	}
	s.Sound = s.Sound || s.State == running && s.Reason == standsBy
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

// underWay returns the consumer of an errand, if there is one. The bus tells, not what we have begun ourselves: a plugin of this
// name on another host shares it.
func (h *Host) underWay(ctx context.Context, in bus.Input) (state bus.ConsumerState, found bool, err error) {
	state, err = h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
	if errors.Is(err, bus.ErrNoConsumer) {
		return state, false, nil
	}
	return state, err == nil, err
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
	begun := without(inputs, h.errands.of(plugin)) // what others wait for in one that goes on stays
	h.errands.add(plugin, inputs...)
	if err := h.offer(ctx, group); err != nil {
		return "", errors.Join(err, h.takeBack(context.WithoutCancel(ctx), group, plugin, begun))
	}
	return batchesOf(batches), nil
}

// group returns the processes of a plugin that may be given an errand, and keeps others from changing which there are.
func (h *Host) group(ctx context.Context, plugin string) (release func(), group []*entry, err error) {
	release, group, err = h.groupOf(ctx, plugin)
	if err == nil && !slices.ContainsFunc(group, (*entry).wanted) {
		release()
		err = refuse(telemetry.FaultInvalid, "%s is stopped: pacewire plugin start %s starts it", plugin, plugin)
	}
	return release, group, err
}

// groupOf is group, also for a plugin that is stopped.
func (h *Host) groupOf(ctx context.Context, plugin string) (release func(), group []*entry, err error) {
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
		err = h.notWhole(plugin)
	case group[0].plan().conf.Kind == config.Collector:
		err = refuse(telemetry.FaultInvalid, "%s is a collector: it reads nothing that could be given again", plugin)
	}
	if err != nil {
		release()
	}
	return release, group, err
}

// notWhole is why a plugin that is not there is given nothing: one process of several shares what they all read.
func (h *Host) notWhole(name string) error {
	whole, n := telemetry.PluginOf(name)
	if n == 0 || len(h.crew(whole)) == 0 {
		return h.unknown(name)
	}
	return refuse(telemetry.FaultNotFound, "%s is one process of %s, and what is given again is for the whole plugin: say %[2]s, as in pacewire replay %[2]s", name, whole)
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
		err := h.forgetSettled(ctx, in)
		switch {
		case errors.Is(err, bus.ErrKept): // and the consumer, which alone knows that they are no letters
			h.log.Warn("copies of dead letters stay in the stream", "plugin", plugin, "error", err)
			continue
		case err == nil:
			err = h.conn.DeleteConsumer(ctx, in.Stream, in.Durable)
		}
		if err != nil {
			h.errands.add(plugin, in) // once more later
		}
		all = append(all, err)
	}
	return errors.Join(all...)
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
	through := slices.DeleteFunc(h.errands.of(plugin), func(in bus.Input) bool { return !h.through(ctx, plugin, in, time.Now()) })
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

// endAgain gives a plugin that goes no dead letters any more. Those that it has not settled are letters again once their consumer is
// gone, which stays where another host reads by it.
func (h *Host) endAgain(ctx context.Context, plugin string) {
	for _, in := range h.errands.of(plugin) {
		if in.Stream != bus.StreamDead {
			continue
		}
		h.errands.drop(plugin, in)
		err := h.forgetSettled(ctx, in)
		var state bus.ConsumerState
		if err == nil {
			state, err = h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
		}
		if err == nil && state.Waiting == 0 {
			err = h.conn.DeleteConsumer(ctx, in.Stream, in.Durable)
		}
		if err != nil {
			h.log.Warn("dead letters stay under way to a plugin that is gone", "plugin", plugin, "error", err)
		}
	}
}

// through reports whether an errand is settled to its end, or its consumer is gone.
func (h *Host) through(ctx context.Context, plugin string, in bus.Input, now time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	state, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
	if err != nil {
		return errors.Is(err, bus.ErrNoConsumer)
	}
	settled := h.errands.seen(in, state, now)
	switch {
	case in.Stream != bus.StreamDead:
		return state.Done() || settled
	case !state.Quiet(): // others may have joined, whose copies lie behind the end
		return false
	case state.Done():
		return true
	}
	err = h.conn.HasAgain(ctx, plugin, state.End) // the last copy: somebody may have removed it
	return errors.Is(err, bus.ErrNoLetter) || settled && errors.Is(err, bus.ErrDenied)
}

// findErrands adds to the work of a plugin the errands that an agent before has given it. Its process has not been started.
func (e *entry) findErrands(ctx context.Context) error {
	p, h := e.plan(), e.host
	if p.conf.Kind == config.Collector {
		return nil
	}
	for _, in := range bus.Errands(p.conf.Name, p.inputs) {
		state, found, err := h.underWay(ctx, in)
		if err != nil {
			return err
		}
		if !found || state.End == 0 {
			continue
		}
		in.From, in.End = state.From, state.End
		h.errands.add(p.conf.Name, in)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now.plan = h.withErrands(e.now.plan)
	return nil
}
