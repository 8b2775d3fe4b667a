package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// request asks the agent, or the hub, and returns what its answer carries.
func (l *link) request(ctx context.Context, verb string, args map[string]any) (telemetry.Raw, error) {
	return l.send(ctx, verb, telemetry.CtlRequest{Args: args})
}

// send is request for one that is more than its arguments.
func (l *link) send(ctx context.Context, verb string, q telemetry.CtlRequest) (telemetry.Raw, error) {
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	q.ID = hex.EncodeToString(id)
	body, err := telemetry.EncodeControl(q, telemetry.MsgPack)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", verb, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.cancel.Store(&cancel)
	answer, err := l.conn.Request(ctx, l.subject(verb), body)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, bus.ErrDenied) {
			err = cause
		}
		e := &unanswered{l.host, err}
		return nil, exitWith(e.code(), e)
	}
	reply, _, err := telemetry.DecodeCtlReply(answer)
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", party(l.host), err)
	}
	if reply.Error != nil {
		e := &refused{*reply.Error}
		return nil, exitWith(e.code(), e)
	}
	return reply.Payload, nil
}

// subject is where who is asked listens.
func (l *link) subject(verb string) string {
	if l.host == "" {
		return bus.HubSubject(verb)
	}
	return bus.CtlSubject(l.host, bus.Agent, verb)
}

// party names who is asked: the agent of a host or, without one, the hub.
func party(host string) string {
	if host == "" {
		return "the hub"
	}
	return "the agent of " + host
}

// unanswered is a request that got no answer.
type unanswered struct {
	host string // of the agent; empty: the hub
	err  error
}

func (e *unanswered) Error() string {
	agent := party(e.host)
	switch {
	case errors.Is(e.err, bus.ErrDenied):
		return fmt.Sprintf("the bus does not let this user ask %s: name a file of credentials that may, by --creds (%v)", agent, e.err)
	case errors.Is(e.err, bus.ErrNoResponders) && e.host == "":
		return `no hub answers on this bus: start "pacewire hub" ("pacewire up" has one where the bus is its own)`
	case errors.Is(e.err, bus.ErrNoResponders):
		return fmt.Sprintf("no agent of host %s is on this bus: start pacewire agent there, or name another host by --host", e.host)
	case errors.Is(e.err, bus.ErrTimeout) && e.host == "":
		return "no hub has answered in time: there is one that does not speak, or cannot keep up; another one takes over within 15 s: try again in 10 s"
	case errors.Is(e.err, bus.ErrTimeout):
		return agent + " has not answered in time"
	case errors.Is(e.err, bus.ErrDisconnected):
		return "the bus is away: " + agent + " cannot be asked before it is back"
	case errors.Is(e.err, context.Canceled):
		return "interrupted before " + agent + " answered: what it began goes on"
	}
	return fmt.Sprintf("ask %s: %v", agent, e.err)
}

func (e *unanswered) Unwrap() error { return e.err }

func (e *unanswered) code() int {
	switch {
	case errors.Is(e.err, bus.ErrDenied):
		return exitConfig
	case errors.Is(e.err, bus.ErrTimeout):
		return exitTryAgain
	case errors.Is(e.err, context.Canceled):
		return exitFailed
	}
	return exitNoBus
}

// refused is a request that the agent did not carry out.
type refused struct{ fault telemetry.Fault }

func (e *refused) Error() string { return told(e.fault.Message) }

func (e *refused) code() int {
	switch e.fault.Code {
	case telemetry.FaultInvalid, telemetry.FaultDenied:
		return exitConfig
	case telemetry.FaultTimeout:
		return exitTryAgain
	case telemetry.FaultNotFound:
		return exitUsage
	}
	return exitFailed
}

// notFound reports whether the agent knows no plugin, or no verb, of the name.
func notFound(err error) bool {
	r, ok := errors.AsType[*refused](err)
	return ok && r.fault.Code == telemetry.FaultNotFound
}
