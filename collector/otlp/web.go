package otlp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/internal/listen"
	"github.com/pacewire/pacewire/telemetry"
)

var (
	errStalled  = errors.New("the bus takes no points at the moment")
	errOverdue  = errors.New("the bus has not answered yet: who sends the same again is told what has become of it")
	errEnding   = errors.New("the plugin ends")
	errNoAccess = errors.New("no or a wrong token or password")
)

// A web answers requests.
type web struct {
	l       *listener
	out     collector.Emitter
	busy    sync.RWMutex // who may still store points holds it for reading
	stalled atomic.Int32 // requests that have waited for longer than stall
	late    late
	faults  listen.Throttle // for the log of what senders do wrong
	spare   sync.Pool       // of *export
}

// An export is a request to store metrics, and the memory that it takes.
type export struct {
	body   body
	intake intake
	users  atomic.Int32 // who answers the request, and who stores it
}

// serve serves HTTP or gRPC on s until ctx ends, and returns when the last request is answered.
func (w *web) serve(ctx context.Context, s listen.Socket) {
	srv := &http.Server{Handler: w.handler()}
	if s.Scheme == "grpc" {
		srv.Handler, srv.Protocols, srv.IdleTimeout = w.caller(), new(http.Protocols), idleCalls
		srv.Protocols.SetHTTP1(true) // to say what is wrong
		srv.Protocols.SetHTTP2(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	w.l.gate.Serve(ctx, srv, s.Streams)
}

// idleCalls is how long a connection of gRPC may be quiet. The client is told before it is closed, and nothing is lost.
const idleCalls = 2 * time.Minute

// handler answers requests over HTTP.
func (w *web) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/metrics", w.metrics)
	mux.HandleFunc("/v1/metrics", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Allow", http.MethodPost)
		formOf(r).fail(rw, http.StatusMethodNotAllowed, "want POST")
	})
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		formOf(r).fail(rw, http.StatusNotFound, "want /v1/metrics: logs and traces are not taken")
	})
	return w.guard(mux, func(rw http.ResponseWriter, r *http.Request, o outcome) { o.answer(rw, formOf(r)) })
}

// guard returns h for requests that may come in, while there is somebody to store their points. refuse answers the others.
func (w *web) guard(h http.Handler, refuse func(rw http.ResponseWriter, r *http.Request, o outcome)) http.Handler {
	h = http.NewCrossOriginProtection().Handler(h) // no web page makes up points through a visitor's browser
	h = w.l.cfg.Access.Guard(h, w.l.log, func(rw http.ResponseWriter, r *http.Request) {
		w.out.Drop("unauthorized", 1)
		refuse(rw, r, outcome{status: http.StatusUnauthorized, err: errNoAccess})
	})
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !w.busy.TryRLock() {
			refuse(rw, r, outcome{status: http.StatusServiceUnavailable, err: errEnding})
			return
		}
		defer w.busy.RUnlock()
		h.ServeHTTP(rw, r)
	})
}

// formOf returns the form that the body of r has, and that of the answer; json where it is neither.
func formOf(r *http.Request) form {
	if f, err := contentForm(r); err == nil {
		return f
	}
	return jsonForm
}

func contentForm(r *http.Request) (form, error) {
	text := r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(text)
	switch {
	case err == nil && kind == string(protobufForm):
		return protobufForm, nil
	case err == nil && kind == string(jsonForm):
		return jsonForm, nil
	}
	return "", fmt.Errorf("unsupported Content-Type %q: send %s or %s", text, protobufForm, jsonForm)
}

// metrics answers a request over HTTP that brings metrics.
func (w *web) metrics(rw http.ResponseWriter, r *http.Request) {
	f, err := contentForm(r)
	if err != nil {
		o := outcome{status: http.StatusUnsupportedMediaType, err: err}
		w.note(r, o)
		o.answer(rw, jsonForm)
		return
	}
	o := w.store(f, w.l.giveUp, func(b *body) ([]byte, error) { return b.read(rw, r) })
	w.note(r, o)
	o.answer(rw, f)
}

// refusals are the reasons for which requests are refused for good, as they are counted.
var refusals = map[int]string{
	http.StatusBadRequest:            "malformed",
	http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnsupportedMediaType:  "unsupported",
}

// note counts a request that was refused for good, and tells of it and of data points that were rejected: their sender may not.
func (w *web) note(r *http.Request, o outcome) {
	reason, refused := refusals[o.status]
	if refused {
		w.out.Drop(reason, 1)
	}
	if !refused && o.rejected == 0 {
		return
	}
	if more, ok := w.faults.Pass(); ok {
		w.l.log.Warn("not all is stored", "from", r.RemoteAddr, "error", cmp.Or(o.err, errors.New(o.message)), "unreported", more)
	}
}

// store stores what a request brings, whose message read returns. When that takes longer than patience its client is to come again:
// what has become of the request is remembered until then.
func (w *web) store(f form, patience time.Duration, read func(b *body) ([]byte, error)) outcome {
	if w.stalled.Load() > 0 {
		return away(errStalled)
	}
	e := w.export()
	defer w.leave(e)
	text, err := read(&e.body)
	if err != nil {
		return unread(err)
	}
	p := w.again(f, text)
	if p == nil {
		if !w.busy.TryRLock() { // for longer than the request itself, if need be
			return away(errEnding)
		}
		p = &pending{done: make(chan struct{})}
		e.users.Add(1)
		go func() {
			defer w.busy.RUnlock()
			defer w.leave(e)
			p.outcome = w.take(e, f, text)
			close(p.done)
		}()
	}
	end := time.NewTimer(patience)
	defer end.Stop()
	select {
	case <-p.done:
		return p.outcome
	case <-end.C:
		w.late.add(digestOf(f, text), p, time.Now())
		return away(errOverdue)
	}
}

// again returns the request that this one repeats; nil if there is none, or the bus has refused it.
func (w *web) again(f form, text []byte) *pending {
	if w.late.n.Load() == 0 {
		return nil
	}
	p := w.late.take(digestOf(f, text))
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
		if p.outcome.comeAgain() {
			return nil
		}
	default:
	}
	return p
}

func (w *web) export() *export {
	e, ok := w.spare.Get().(*export)
	if ok {
		e.users.Store(1)
		return e
	}
	e = &export{body: body{l: w.l}}
	e.users.Store(1)
	e.intake.chosen, e.intake.store = w.l.chooses, w.emit
	if w.l.cfg.Delta == deltaAdd {
		e.intake.deltas = &w.l.deltas
	}
	return e
}

// leave gives e back when nobody uses it any more.
func (w *web) leave(e *export) {
	if e.users.Add(-1) == 0 {
		e.body.release()
		w.spare.Put(e)
	}
}

// chooses reports whether an attribute of a resource becomes a tag.
func (l *listener) chooses(key string) bool {
	return slices.Contains(l.cfg.Resource, allAttributes) || slices.Contains(l.cfg.Resource, key)
}

// take stores the points of a body.
func (w *web) take(e *export, f form, text []byte) outcome {
	in := &e.intake
	in.begin(time.Now())
	err := in.read(f, text)
	if err == nil {
		err = in.flush()
	}
	refusal, refused := errors.AsType[*refusalError](err)
	if refused || err != nil && in.stored == 0 {
		in.undo()
	}
	if refused {
		return away(refusal.err)
	}
	for reason, n := range in.dropped {
		w.out.Drop(reason, n)
	}
	switch {
	case err == nil:
		return outcome{status: http.StatusOK, rejected: in.rejected, message: in.message()}
	case in.stored > 0:
		err = fmt.Errorf("%w, after %s stored", err, amount.Of(in.stored, "data point was", "data points were"))
	}
	return outcome{status: http.StatusBadRequest, err: err}
}

// emit stores b. While that takes too long new requests are turned away at once: their clients would only give up, and
// send the same again.
func (w *web) emit(b *telemetry.Batch) error {
	t := time.AfterFunc(w.l.stall, func() { w.stalled.Add(1) })
	defer func() {
		if !t.Stop() {
			w.stalled.Add(-1)
		}
	}()
	return w.out.Emit(b)
}
