package main

import (
	"bytes"
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
	words     map[string]words // by connection
	newest    string           // connection
}

// words are how many points the last two requests of a connection had, and the most of one request.
type words struct{ last, before, most int }

// A behaviour is how a sink answers a whole request. It calls take for what it stores, and answers through w; one that wants to
// cut the connection panics with http.ErrAbortHandler. It is called by several goroutines.
type behaviour func(w http.ResponseWriter, r *http.Request, body []byte, take func(body []byte))

// well is how a sink behaves that has no fault.
func well(w http.ResponseWriter, _ *http.Request, body []byte, take func([]byte)) {
	take(body)
	w.WriteHeader(http.StatusNoContent)
}

func newSink(o *oracle.Oracle) (s *sink, err error) {
	s = &sink{oracle: o, behaviour: well, words: map[string]words{}}
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
	b := s.heard(r.RemoteAddr, bytes.Count(body, []byte("\n")))
	b(w, r, body, s.oracle.Delivered)
}

// heard notes a request of so many points, and returns how to behave to it.
func (s *sink) heard(from string, points int) behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.words[from]
	s.words[from] = words{points, was.last, max(was.most, points)}
	s.newest = from
	return s.behaviour
}

// lastWords returns how many points were in the last two requests of all connections but the newest: what a publisher that was killed
// has said and may say again, since word of it may not have reached the stream.
func (s *sink) lastWords() (points int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for from, w := range s.words {
		if from != s.newest {
			points += w.last + w.before
		}
	}
	return points
}

// longest returns how many points the largest request has had.
func (s *sink) longest() (points int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.words {
		points = max(points, w.most)
	}
	return points
}
