package loadtest

import (
	"net"
	"net/http"
)

// A Server answers HTTP on a free port of the loopback.
type Server struct {
	URL string

	server http.Server
	served chan struct{}
}

// Serve starts a server.
func Serve(h http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + l.Addr().String(), server: http.Server{Handler: h}, served: make(chan struct{})}
	go func() {
		defer close(s.served)
		_ = s.server.Serve(l) // ends by Close
	}()
	return s, nil
}

// Close ends the server, with the connections it has.
func (s *Server) Close() {
	_ = s.server.Close()
	<-s.served
}
