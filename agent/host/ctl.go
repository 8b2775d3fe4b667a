package host

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// asked answers a request to the agent: list, or info of the plugin that args name.
func (h *Host) asked(ctx context.Context, s bus.Subject, r request) ([]byte, error) {
	list, fault := h.look(ctx, s.Verb, r.CtlRequest)
	if fault == nil {
		body, err := encodeList(r, list)
		if err == nil {
			return body, nil
		}
		fault = &telemetry.Fault{Code: telemetry.FaultInternal, Message: fmt.Sprintf( // silence would look like an agent that is gone
			"%s of %d plugins, of which info tells one at a time: %v", s.Verb, len(list.Plugins), err)}
	}
	return telemetry.EncodeControl(telemetry.CtlReply{ID: r.ID, Error: fault}, r.enc)
}

// encodeList returns the reply to r, in which list must have room.
func encodeList(r request, list telemetry.PluginList) ([]byte, error) {
	payload, err := telemetry.EncodeControl(list, telemetry.MsgPack)
	if err != nil {
		return nil, err
	}
	return telemetry.EncodeControl(telemetry.CtlReply{ID: r.ID, OK: true, Payload: payload}, r.enc)
}

func (h *Host) look(ctx context.Context, verb string, r telemetry.CtlRequest) (telemetry.PluginList, *telemetry.Fault) {
	switch verb {
	case "list":
		list := h.Statuses()
		for i := range list {
			list[i].Reason = shorten(list[i].Reason)
		}
		return telemetry.PluginList{Plugins: list}, nil
	case "info":
		name, _ := r.Args["plugin"].(string)
		e := h.find(name)
		if e == nil {
			return telemetry.PluginList{}, &telemetry.Fault{Code: telemetry.FaultNotFound, Message: fmt.Sprintf(
				"host %s has no plugin %q: pacewire plugin list names them", h.o.Host, name)}
		}
		fresh := e.ping(ctx)
		s := e.status(h.o.Host)
		if fresh != nil {
			s.Stats = fresh
		}
		s.Stderr = e.child.Status().Stderr
		e.mu.Lock()
		defer e.mu.Unlock()
		s.Manifest = e.manifest
		s.Inputs = e.work.Inputs
		return telemetry.PluginList{Plugins: []telemetry.PluginStatus{s}}, nil
	}
	return telemetry.PluginList{}, &telemetry.Fault{Code: telemetry.FaultNotFound, Message: fmt.Sprintf(
		"the agent has no verb %q: it has list and info", verb)}
}

// shortReason is how many bytes of a reason stand in a list: info has all of it.
const shortReason = 300

func shorten(reason string) string {
	if len(reason) <= shortReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:shortReason], "") + "..."
}

// pingTime is how long a plugin may take to tell its counters.
const pingTime = time.Second

// ping asks the plugin for its counters as they are now; nil when it does not answer.
func (e *entry) ping(ctx context.Context) *telemetry.Stats {
	reply, err := e.ask(ctx, "ping", pingTime)
	if err != nil {
		return nil
	}
	stats, _, err := telemetry.DecodeStats(reply.Payload)
	if err != nil {
		return nil
	}
	return &stats
}

// ask sends the plugin a control request.
func (e *entry) ask(ctx context.Context, verb string, limit time.Duration) (telemetry.CtlReply, error) {
	body, err := telemetry.EncodeControl(telemetry.CtlRequest{ID: e.host.inst}, telemetry.MsgPack)
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := e.host.conn.Request(ctx, bus.CtlSubject(e.host.o.Host, e.conf.Name, verb), body)
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	reply, _, err := telemetry.DecodeCtlReply(answer)
	return reply, err
}
