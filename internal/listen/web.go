package listen

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds of the requests that Serve takes.
const (
	headerTime = 5 * time.Second
	bodyTime   = time.Minute      // for header and body together
	idleTime   = 10 * time.Minute // of a connection between requests, where the server says nothing
	maxHeader  = 16 << 10
	webGrace   = 300 * time.Millisecond // for requests that are being answered at the end
)

// Serve serves HTTP on l until ctx ends, within bounds, and returns when the last request is answered or its time is over.
func Serve(ctx context.Context, srv *http.Server, l net.Listener) {
	srv.ReadHeaderTimeout, srv.ReadTimeout, srv.MaxHeaderBytes = headerTime, bodyTime, maxHeader
	srv.IdleTimeout = cmp.Or(srv.IdleTimeout, idleTime)
	var wg sync.WaitGroup
	wg.Go(func() {
		<-ctx.Done()
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), webGrace)
		defer cancel()
		if srv.Shutdown(patience) != nil {
			_ = srv.Close()
		}
	})
	_ = srv.Serve(l) // its end is that of ctx: a listener behind a Gate fails for nothing else
	wg.Wait()
}
