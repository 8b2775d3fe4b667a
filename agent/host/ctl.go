package host

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// askers is how many requests are worked on at a time: an operation takes its time, and a list must not wait for it.
const askers = 24

// operators is how many of these may be operations, which take their time: who only looks has room in any case.
const operators = 8

// verb answers one request to the agent: with the payload of the reply.
type verb func(ctx context.Context, r telemetry.CtlRequest) (any, error)

// verbs are what the agent can be asked.
func (h *Host) verbs() map[string]verb {
	slow := func(do verb) verb {
		return func(ctx context.Context, r telemetry.CtlRequest) (any, error) {
			select {
			case h.operating <- struct{}{}:
				defer func() { <-h.operating }()
				return do(ctx, r)
			default:
				return nil, refuse(telemetry.FaultTimeout, "%d operations are under way: try again when they are through", operators)
			}
		}
	}
	one := func(do func(context.Context, string) (telemetry.ChangeList, error)) verb {
		return slow(func(ctx context.Context, r telemetry.CtlRequest) (any, error) { return do(ctx, r.Text("plugin")) })
	}
	return map[string]verb{
		"list":    func(_ context.Context, r telemetry.CtlRequest) (any, error) { return h.list(r.Text("after")) },
		"info":    h.info,
		"logs":    h.logs,
		"env":     h.environment,
		"pulse":   func(context.Context, telemetry.CtlRequest) (any, error) { return h.Pulse(), nil },
		"beat":    h.beatNow,
		"ping":    func(context.Context, telemetry.CtlRequest) (any, error) { return h.Pulse(), nil },
		"refresh": h.refresh,
		"start":   one(h.Start),
		"stop":    one(h.Stop),
		"restart": one(h.Restart),
		"upgrade": one(h.Upgrade),
		"unload":  one(h.Unload),
		"replay":  slow(h.replay),
		"again":   slow(h.again),
		"load": slow(func(ctx context.Context, r telemetry.CtlRequest) (any, error) {
			return h.loadFrom(ctx, r.Text("file"), r.Text("config"), r.Args["replace"] == true)
		}),
		"swap": slow(func(ctx context.Context, r telemetry.CtlRequest) (any, error) {
			to, err := target(r)
			if err != nil {
				return nil, err
			}
			return h.Swap(ctx, r.Text("plugin"), to)
		}),
		"reload": slow(func(ctx context.Context, r telemetry.CtlRequest) (any, error) {
			return h.Reload(ctx, r.Args["dry_run"] == true)
		}),
	}
}

// asked answers a request to the agent.
func (h *Host) asked(ctx context.Context, s bus.Subject, r request) ([]byte, error) {
	if inst, named := r.Args["inst"].(string); named && inst != h.inst {
		return nil, nil // it is for another agent that beats under the id of this host
	}
	ctx, cancel := h.whileRunning(ctx)
	defer cancel()
	reply := telemetry.CtlReply{ID: r.ID, OK: true}
	payload, err := h.doFor(ctx, s.Verb, r)
	if err == nil && payload != nil {
		reply.Payload, err = telemetry.EncodeControl(payload, telemetry.MsgPack)
	}
	if err == nil && len(reply.Payload) > mostPayload {
		err = fmt.Errorf("the answer to %s has %d bytes, and there is room for %d", s.Verb, len(reply.Payload), mostPayload)
	}
	var answer []byte
	if err == nil {
		answer, err = telemetry.EncodeControl(reply, r.enc)
	}
	if err == nil {
		return answer, nil
	}
	fault := faultOf(err) // aloud, rather than no answer
	fault.Message = shorten(fault.Message, longMessage)
	return telemetry.EncodeControl(telemetry.CtlReply{ID: r.ID, Error: fault}, r.enc)
}

// mostPayload is what a reply has room for, in JSON too, and with as many values as it may have.
const mostPayload = 36 << 10

// doFor is do, but for what may not be asked over a bus that others have too.
func (h *Host) doFor(ctx context.Context, name string, r request) (any, error) {
	if r.afar && (name == "load" || name == "swap") {
		if err := h.runsForOthers(); err != nil {
			return nil, err
		}
	}
	return h.do(ctx, name, r.CtlRequest)
}

// do finds the verb.
func (h *Host) do(ctx context.Context, name string, r telemetry.CtlRequest) (any, error) {
	do := h.verbs()[name]
	if do == nil {
		return nil, refuse(telemetry.FaultNotFound, "the agent has no verb %q", name)
	}
	return do(ctx, r)
}

// whileRunning returns a context that ends with ctx, or when the host is to end.
func (h *Host) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(h.until, cancel)
	return ctx, func() { stop(); cancel() }
}

// list returns a page of plugins: those that come after one of this name.
func (h *Host) list(after string) (telemetry.PluginList, error) {
	list := h.Statuses()
	if after != "" {
		i := slices.IndexFunc(list, func(s telemetry.PluginStatus) bool { return s.Name == after })
		if i < 0 {
			return telemetry.PluginList{}, refuse(telemetry.FaultNotFound, "%s, after which the list goes on, is gone: ask for the list again", after)
		}
		list = list[i+1:]
	}
	page := telemetry.PluginList{Plugins: []telemetry.PluginStatus{}}
	room := mostPayload
	for _, s := range list {
		s, size := brief(s)
		if room -= size; room < 0 {
			page.More = true
			break
		}
		page.Plugins = append(page.Plugins, s)
	}
	return page, nil
}

// brief returns s as a list has it, and the bytes it needs there. A plugin that tells without end has a line all the same.
func brief(s telemetry.PluginStatus) (telemetry.PluginStatus, int) {
	s.Reason = shorten(s.Reason, shortReason)
	if n := size(s); n < mostPayload/4 {
		return s, n
	}
	s = telemetry.PluginStatus{Name: s.Name, Kind: s.Kind, Host: s.Host, State: s.State, Reason: s.Reason, Since: s.Since, PID: s.PID}
	return s, size(s)
}

// size returns the bytes that s has in a list, more than there is room for when it cannot be told.
func size(s telemetry.PluginStatus) int {
	b, err := telemetry.EncodeControl(telemetry.PluginList{Plugins: []telemetry.PluginStatus{s}}, telemetry.MsgPack)
	if err != nil {
		return mostPayload + 1
	}
	return len(b)
}

// info returns all that is known of one plugin.
func (h *Host) info(ctx context.Context, r telemetry.CtlRequest) (any, error) {
	e := h.one(r.Text("plugin"))
	if e == nil {
		return nil, h.unknown(r.Text("plugin"))
	}
	i := e.current()
	s := e.statusWith(i.ping(ctx))
	if !i.attached() {
		s.Stderr = i.child.Status().Stderr
	}
	e.mu.Lock()
	s.Manifest, s.Inputs = i.manifest, i.plan.work.Inputs
	e.mu.Unlock()
	if size(s) > mostPayload {
		s.Manifest = nil // the longest part, which the program itself tells as well
	}
	return telemetry.PluginList{Plugins: []telemetry.PluginStatus{s}}, nil
}

// logs returns what a plugin has printed: all its processes, or the one that is called by its number.
func (h *Host) logs(_ context.Context, r telemetry.CtlRequest) (any, error) {
	e := h.one(r.Text("plugin"))
	if e == nil {
		return nil, h.unknown(r.Text("plugin"))
	}
	after, _ := r.Number("after")
	tail, _ := r.Number("tail")
	return e.journal.Page(uint64(max(0, after)), int(min(tail, 1<<20)), 0), nil
}

// environment returns what somebody needs who starts the plugin himself.
func (h *Host) environment(_ context.Context, r telemetry.CtlRequest) (any, error) {
	e := h.one(r.Text("plugin"))
	if e == nil {
		return nil, h.unknown(r.Text("plugin"))
	}
	return e.environ()
}

const (
	shortReason = 300      // bytes of a reason in a list: info has all of it
	longMessage = 48 << 10 // bytes of a fault
)

func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + fmt.Sprintf("... (%d bytes more)", len(text)-most)
}
