package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net"
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

const retryAfter = "2" // seconds

var (
	errStalled = errors.New("the bus takes no points at the moment")
	errEnding  = errors.New("the plugin ends")
)

// A web answers requests.
type web struct {
	l       *listener
	out     collector.Emitter
	busy    sync.RWMutex // who may still store points holds it for reading
	stalled atomic.Int32 // requests that have waited for longer than stall
	spare   sync.Pool    // of *export
}

// An export is a request to store metrics, and the memory that it takes.
type export struct {
	body   body
	intake intake
}

// serve serves HTTP on s until ctx ends, and returns when the last request is answered.
func (w *web) serve(ctx context.Context, s net.Listener) {
	srv := &http.Server{Handler: w.handler(), ErrorLog: slog.NewLogLogger(w.l.log.Handler(), slog.LevelDebug)}
	listen.Serve(ctx, srv, w.l.gate.Before(ctx, s))
}

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
	guarded := http.NewCrossOriginProtection().Handler(mux) // no web page makes up points through a visitor's browser
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !w.busy.TryRLock() {
			turnAway(rw, formOf(r), http.StatusServiceUnavailable, errEnding)
			return
		}
		defer w.busy.RUnlock()
		guarded.ServeHTTP(rw, r)
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

// metrics answers a request that brings metrics.
func (w *web) metrics(rw http.ResponseWriter, r *http.Request) {
	f, err := contentForm(r)
	if err != nil {
		jsonForm.fail(rw, http.StatusUnsupportedMediaType, err.Error())
		return
	}
	if w.stalled.Load() > 0 {
		turnAway(rw, f, http.StatusServiceUnavailable, errStalled)
		return
	}
	e := w.export()
	text, err := e.body.read(rw, r)
	if err != nil {
		w.release(e)
		refuse(rw, f, err)
		return
	}
	if !w.busy.TryRLock() { // for longer than the request itself, if need be
		w.release(e)
		turnAway(rw, f, http.StatusServiceUnavailable, errEnding)
		return
	}
	done := make(chan outcome, 1) // has a place, for nobody may listen any more
	go func() {
		defer w.busy.RUnlock()
		done <- w.take(e, f, text)
		w.release(e)
	}()
	patience := time.NewTimer(w.l.giveUp)
	defer patience.Stop()
	select {
	case o := <-done:
		o.answer(rw, f)
	case <-patience.C:
		turnAway(rw, f, http.StatusServiceUnavailable, errStalled)
	}
}

func (w *web) export() *export {
	if e, ok := w.spare.Get().(*export); ok {
		return e
	}
	e := &export{body: body{l: w.l}}
	e.intake.chosen, e.intake.store = w.l.chooses, w.emit
	if w.l.cfg.Delta == deltaAdd {
		e.intake.deltas = &w.l.deltas
	}
	return e
}

func (w *web) release(e *export) {
	e.body.release()
	w.spare.Put(e)
}

// chooses reports whether an attribute of a resource becomes a tag.
func (l *listener) chooses(key string) bool {
	return slices.Contains(l.cfg.Resource, allAttributes) || slices.Contains(l.cfg.Resource, key)
}

// An outcome is what has become of a request.
type outcome struct {
	malformed error // what is wrong with its body
	refused   error // why points are not stored that may come again
	rejected  int   // data points that must not come again; the others are stored
	message   string
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
	switch {
	case refused:
		return outcome{refused: refusal.err}
	case err != nil && in.stored > 0:
		err = fmt.Errorf("%w, after %s stored", err, amount.Of(in.stored, "data point was", "data points were"))
	}
	for reason, n := range in.dropped {
		w.out.Drop(reason, n)
	}
	return outcome{malformed: err, rejected: in.rejected, message: in.message()}
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
