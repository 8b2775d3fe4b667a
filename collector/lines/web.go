package lines

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/telemetry"
)

const retryAfter = "2" // seconds

// A web answers the requests of clients that know InfluxDB.
type web struct {
	l       *listener
	out     collector.Emitter
	busy    sync.RWMutex // requests hold it for reading
	stalled atomic.Int32 // requests that have waited for longer than stall
	bodies  sync.Pool    // of *body
}

// A body is the memory that reading the body of a request takes.
type body struct {
	batch telemetry.Batch
	gzip  *gunzip
}

// sourceKey is the key of the *intake of a connection.
type sourceKey struct{}

// web serves HTTP on s until ctx ends, and returns when the last request is answered.
func (l *listener) web(ctx context.Context, s net.Listener, out collector.Emitter) {
	w := &web{l: l, out: out}
	srv := &http.Server{
		Handler:     w.handler(),
		IdleTimeout: l.cfg.IdleTimeout.Std(),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			in := l.intake(out, "http://"+c.RemoteAddr().String())
			return context.WithValue(ctx, sourceKey{}, &in)
		},
	}
	l.gate.Serve(ctx, srv, s)
	w.busy.Lock() // for ever
}

func (w *web) handler() http.Handler {
	own := http.NewServeMux()
	own.HandleFunc("POST /write", func(rw http.ResponseWriter, r *http.Request) { w.write(version1{rw}, rw, r) })
	own.HandleFunc("POST /api/v2/write", func(rw http.ResponseWriter, r *http.Request) { w.write(version2{rw}, rw, r) })
	own.HandleFunc("/query", answerQuery)
	mux := http.NewServeMux()
	mux.Handle("/", asBasic(w.l.cfg.Username, w.l.cfg.Access.Guard(own, w.l.log, refuse)))
	mux.HandleFunc("/ping", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /health", answerHealth)
	guarded := http.NewCrossOriginProtection().Handler(mux) // no web page makes up points through a visitor's browser
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !w.busy.TryRLock() {
			rw.WriteHeader(http.StatusServiceUnavailable) // the end has come
			return
		}
		defer w.busy.RUnlock()
		rw.Header().Set("X-Influxdb-Version", influxVersion)
		rw.Header().Set("X-Influxdb-Build", "pacewire")
		guarded.ServeHTTP(rw, r)
	})
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
