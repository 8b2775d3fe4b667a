package host

import (
	"errors"
	"fmt"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

// A refusal is why an operation was not done, with the class that tells a program of it.
type refusal struct {
	code string
	err  error
}

func (r *refusal) Error() string { return r.err.Error() }

func (r *refusal) Unwrap() error { return r.err }

func refuse(code, format string, args ...any) error {
	return &refusal{code, fmt.Errorf(format, args...)}
}

// errEnds is why an operation was not begun: what it starts would be stopped at once.
var errEnds = refuse(telemetry.FaultTimeout, "the agent ends: try again when it is back")

// busyError is why an operation on a plugin gave up waiting for its turn.
func busyError(name string) error {
	return refuse(telemetry.FaultTimeout, "somebody else operates on %s: try again", name)
}

// unknown is why nothing was done to a plugin that is not there.
func (h *Host) unknown(name string) error {
	for _, p := range h.inForce().Plugins {
		if p.Name == name && !p.Enabled {
			return refuse(telemetry.FaultNotFound, "%s of host %s is disabled in the config: take out enabled: false, and pacewire reload starts it", name, h.o.Host)
		}
	}
	hint := "pacewire plugin list names them"
	if near := config.Suggest(name, h.names()); near != "" {
		hint = "did you mean " + near + "?"
	}
	return refuse(telemetry.FaultNotFound, "host %s has no plugin %q: %s", h.o.Host, name, hint)
}

// faultOf is err as it travels.
func faultOf(err error) *telemetry.Fault {
	code := telemetry.FaultInternal
	if r, ok := errors.AsType[*refusal](err); ok {
		code = r.code
	}
	if _, ok := errors.AsType[config.Faults](err); ok {
		code = telemetry.FaultInvalid
	}
	return &telemetry.Fault{Code: code, Message: err.Error()}
}
