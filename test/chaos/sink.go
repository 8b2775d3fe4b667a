package main

import (
	"io"
	"net/http"
	"sync"

	"github.com/pacewire/pacewire/internal/loadtest"
	"github.com/pacewire/pacewire/internal/oracle"
)

// A sink is the system at the end of the pipeline: it takes line protocol over HTTP, as InfluxDB does, and hands it to the oracle.
type sink struct {
	*loadtest.Server

	oracle *oracle.Oracle

	mu        sync.Mutex
	behaviour behaviour
}

// A behaviour is how a sink answers a whole request. It calls take for what it stores, and answers through w; one that wants to
// cut the connection panics with http.ErrAbortHandler. It is called by several goroutines.
type behaviour func(w http.ResponseWriter, r *http.Request, body []byte, take func(body []byte))

// well is how a sink behaves that has no fault.
func well(w http.ResponseWriter, _ *http.Request, body []byte, take func([]byte)) {
	take(body)
	w.WriteHeader(http.StatusNoContent)
}

func newSink(o *oracle.Oracle) (s *sink, err error) {
	s = &sink{oracle: o, behaviour: well}
	s.Server, err = loadtest.Serve(http.HandlerFunc(s.serve))
	return s, err
}

// Behave changes how the sink answers from now on; nil: well.
func (s *sink) Behave(b behaviour) {
	if b == nil {
		b = well
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviour = b
}

func (s *sink) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest) // cut off: nothing of it counts
		return
	}
	s.mu.Lock()
	b := s.behaviour
	s.mu.Unlock()
	b(w, r, body, s.oracle.Delivered)
}
