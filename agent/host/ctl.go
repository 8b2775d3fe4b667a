package host

import (
	"context"
	"fmt"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// asked answers a request to the agent: list, or info of the plugin that args name.
func (h *Host) asked(_ context.Context, s bus.Subject, r request) ([]byte, error) {
	reply := telemetry.CtlReply{ID: r.ID, OK: true}
	list, fault := h.look(s.Verb, r.CtlRequest)
	if fault == nil {
		payload, err := telemetry.EncodeControl(list, telemetry.MsgPack)
		if err != nil {
			fault = &telemetry.Fault{Code: telemetry.FaultInternal, Message: err.Error()}
		}
		reply.Payload = payload
	}
	if fault != nil {
		reply = telemetry.CtlReply{ID: r.ID, Error: fault}
	}
	return telemetry.EncodeControl(reply, r.enc)
}

func (h *Host) look(verb string, r telemetry.CtlRequest) (telemetry.PluginList, *telemetry.Fault) {
	switch verb {
	case "list":
		return telemetry.PluginList{Plugins: h.Statuses()}, nil
	case "info":
		name, _ := r.Args["plugin"].(string)
		e := h.find(name)
		if e == nil {
			return telemetry.PluginList{}, &telemetry.Fault{Code: telemetry.FaultNotFound, Message: fmt.Sprintf(
				"host %s has no plugin %q: pacewire plugin list names them", h.o.Host, name)}
		}
		s := e.status(h.o.Host)
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
