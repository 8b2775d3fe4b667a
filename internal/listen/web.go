package listen

import (
	"cmp"
	"context"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Bounds of the requests that Serve takes.
const (
	headerTime = 5 * time.Second
	bodyTime   = time.Minute      // for header and body together
	idleTime   = 10 * time.Minute // of a connection between requests, where the server says nothing
	maxHeader  = 16 << 10
	maxStreams = 64                     // requests at once of a connection of HTTP/2
	writeTime  = 2 * time.Minute        // for the answer too: a client that does not read it would stay for ever
	webGrace   = 300 * time.Millisecond // for requests that are being answered at the end
)

// Serve serves HTTP on s for those that the gate lets in until ctx ends, within bounds, and returns when the last request is answered
// or its time is over.
func (g *Gate) Serve(ctx context.Context, srv *http.Server, s net.Listener) {
	srv.ErrorLog = log.New(complaints{g}, "", 0)
	srv.ReadHeaderTimeout, srv.ReadTimeout, srv.WriteTimeout, srv.MaxHeaderBytes = headerTime, bodyTime, writeTime, maxHeader
	srv.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams}
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
	_ = srv.Serve(g.Before(ctx, s)) // its end is that of ctx: a listener behind a Gate fails for nothing else
	wg.Wait()
}

// complaints are what a server of HTTP says about its clients, line by line.
type complaints struct{ gate *Gate }

// How those of them begin that are not for developers alone.
const (
	handshakeComplaint = "http: TLS handshake error from "
	panicComplaint     = "http: panic "
)

// Write takes a line.
func (c complaints) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.HasPrefix(text, panicComplaint) {
		c.gate.log.Error("request failed", "error", text)
		return len(line), nil
	}
	about, ok := strings.CutPrefix(text, handshakeComplaint)
	if !ok || strings.HasSuffix(about, ": EOF") { // as of who only looks whether the port is open
		c.gate.log.Debug("http", "error", text)
		return len(line), nil
	}
	if more, ok := c.gate.strangers.Pass(); ok {
		from, fault, _ := strings.Cut(about, ": ")
		c.gate.log.Warn("connection refused", "from", from, "error", fault, "unreported", more)
	}
	return len(line), nil
}
