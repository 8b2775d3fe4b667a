package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A Problem is why a request came to nothing, as application/problem+json.
type Problem struct {
	Type   string `json:"type"`            // urn:pacewire:<code>
	Title  string `json:"title"`           // of the status
	Status int    `json:"status"`          // of HTTP
	Code   string `json:"code"`            // for programs; it is counted by this
	Detail string `json:"detail,omitzero"` // one sentence for people
	Field  string `json:"field,omitzero"`  // of the body, or parameter of the query
	Hint   string `json:"hint,omitzero"`   // the command or key that mends it

	// Instance is urn:pacewire:request: and the id of the request, which X-Request-Id and the hub's log have too.
	Instance string `json:"instance,omitzero"`

	after int    // seconds; 0: not told
	allow string // methods
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

func problem(status int, code, format string, args ...any) *Problem {
	return &Problem{
		Type: "urn:pacewire:" + code, Title: http.StatusText(status), Status: status, Code: code,
		Detail: cutText(fmt.Sprintf(format, args...)),
	}
}

// hint adds what mends it.
func (p *Problem) hint(format string, args ...any) *Problem {
	p.Hint = cutText(fmt.Sprintf(format, args...))
	return p
}

// at adds the field or parameter that is wrong.
func (p *Problem) at(field string) *Problem {
	p.Field = cutText(field)
	return p
}

// mostText bounds the texts of a problem, which may quote what somebody sent.
const mostText = 4 << 10

func cutText(text string) string {
	if len(text) <= mostText {
		return text
	}
	return strings.ToValidUTF8(text[:mostText], "") + "..."
}

func invalid(field, format string, args ...any) *Problem {
	return problem(http.StatusBadRequest, "invalid", format, args...).at(field)
}

func (p *Problem) write(w http.ResponseWriter) {
	h := w.Header()
	h.Del("ETag")
	h.Set("Content-Type", "application/problem+json")
	if p.after > 0 {
		h.Set("Retry-After", fmt.Sprint(p.after))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="pacewire"`)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // who is gone needs no answer
}

// errNotNow says that the bus has not done in time what it does in a moment when it is well: its servers may be choosing another leader.
var errNotNow = errors.New("the bus does not answer now")

// late returns err, as errNotNow where the bus is late with what it stores.
func late(err error) error {
	if errors.Is(err, bus.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", errNotNow, err)
	}
	return err
}

// known are the errors of others, and what they are in HTTP. The first that matches counts.
var known = []struct {
	err    error
	status int
	code   string
	hint   string
}{
	{hub.ErrNoHost, http.StatusNotFound, "no_host", "pacewire host list"},
	{hub.ErrNoEntry, http.StatusNotFound, "no_entry", "GET /api/v1/hosts/{host}/inventory lists the entries"},
	{hub.ErrNoJob, http.StatusNotFound, "no_job", "jobs are kept for an hour after their end"},
	{hub.ErrNotConnected, http.StatusServiceUnavailable, "not_connected", "is pacewire agent running there? pacewire host info tells since when it is silent"},
	{hub.ErrNotSpeaker, http.StatusServiceUnavailable, "not_speaker", "GET /api/v1/status names the hub that speaks: ask that one"},
	{hub.ErrBusy, http.StatusTooManyRequests, "hub_busy", "as many refreshes as are done at a time are under way: try again when one has ended"},
	{bus.ErrNoLetter, http.StatusNotFound, "no_letter", "GET /api/v1/dead lists them"},
	{bus.ErrNoContent, http.StatusUnprocessableEntity, "no_content", "GET /api/v1/dead/{letter} tells what is known of it, DELETE removes it"},
	{bus.ErrKept, http.StatusConflict, "letter_kept", "what is in it leaves by age; without the stream the hub makes another one"},
	{bus.ErrFull, http.StatusInsufficientStorage, "bus_full", "drop what is of no use, or give the bus more room"},
	{bus.ErrDenied, http.StatusServiceUnavailable, "bus_denied", "the bus refuses this to the hub's user: pacewire doctor"},
	{errNotNow, http.StatusServiceUnavailable, "not_now", "try again: what was begun may still be done; GET /-/ready tells how the bus is"},
	{bus.ErrNoResponders, http.StatusServiceUnavailable, "not_now", "nobody leads the stream, or stores at all: try again; GET /-/ready tells how the bus is"},
	{bus.ErrDisconnected, http.StatusServiceUnavailable, "no_bus", "the bus is away: GET /-/ready tells more"},
	{bus.ErrNoStream, http.StatusServiceUnavailable, "no_stream", "the hub makes the streams when it has a bus: GET /-/ready tells more"},
	{bus.ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large", "send it in smaller pieces"},
	{bus.ErrTimeout, http.StatusGatewayTimeout, "timeout", "what was begun may go on: look how it stands, then try again"},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "timeout", "what was begun may go on: look how it stands, then try again"},
	{context.Canceled, http.StatusServiceUnavailable, "ended", "the hub ends, or the request was given up"},
}

// passing are the codes of what the bus cannot do now, and can by itself in a while.
var passing = []string{"not_now", "no_bus", "no_stream"}

// comeAgain is that while, in seconds: another leader takes some.
const comeAgain = 5

// faults are the classes in which an agent answers.
var faults = map[string]int{
	telemetry.FaultNotFound: http.StatusNotFound, telemetry.FaultInvalid: http.StatusBadRequest,
	telemetry.FaultDenied: http.StatusForbidden, telemetry.FaultTimeout: http.StatusGatewayTimeout,
	telemetry.FaultDependency: http.StatusFailedDependency,
}

// problemOf returns err as a problem. What nobody has foreseen may quote anything, so it is not told: see told.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	for _, k := range known {
		if errors.Is(err, k.err) {
			p := problem(k.status, k.code, "%v", err).hint("%s", k.hint)
			if slices.Contains(passing, k.code) {
				p.after = comeAgain
			}
			return p
		}
	}
	return problem(http.StatusInternalServerError, "internal", "something went wrong in the hub").
		hint("the hub's log has the cause, beside the id of the request or job")
}

// told returns err as a problem; the cause of one that nobody has foreseen is in the log, with what it is about.
func (s *Server) told(err error, about, id string) *Problem {
	p := problemOf(err)
	if _, foreseen := errors.AsType[*Problem](err); !foreseen && p.Status == http.StatusInternalServerError {
		s.log.Error("api fault", about, id, "error", err)
	}
	return p
}

// problemOfFault returns what an agent answered as a problem.
func problemOfFault(host string, f *telemetry.Fault) *Problem {
	status, ok := faults[f.Code]
	if !ok {
		return problem(http.StatusBadGateway, "agent_"+telemetry.FaultInternal, "host %s: %s", host, f.Message)
	}
	return problem(status, "agent_"+f.Code, "host %s: %s", host, f.Message)
}
