package main

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// answer is the behaviour of a sink that stores nothing and says why, as InfluxDB does.
func answer(code int, header http.Header, why string) behaviour {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte, _ func([]byte)) {
		maps.Copy(w.Header(), header)
		refuse(w, code, why)
	}
}

func refuse(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(`{"error":"` + why + `"}`)) // the client may be gone
}

// A diary notes when a sink was asked.
type diary struct {
	mu    sync.Mutex
	times []time.Time
}

// noting is a behaviour of which d notes the requests.
func (d *diary) noting(b behaviour) behaviour {
	return func(w http.ResponseWriter, r *http.Request, body []byte, take func([]byte)) {
		d.mu.Lock()
		d.times = append(d.times, time.Now())
		d.mu.Unlock()
		b(w, r, body, take)
	}
}

// gaps are the times between the requests so far.
func (d *diary) gaps() (all []time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := 1; i < len(d.times); i++ {
		all = append(all, d.times[i].Sub(d.times[i-1]))
	}
	return all
}

// A gourmet is a sink that will never take some points: of the host "bad" those whose number ends with 3. A body with one of
// them is refused as a whole, and so is one that is longer than it likes.
type gourmet struct {
	code    int
	most    int  // bytes of a body; 0: any
	partial bool // the other points of the body are stored, as InfluxDB 1 does
	taken   *tally
}

// A tally tells how many different points a sink has stored without saying so. All its methods may be called at once.
type tally struct {
	mu   sync.Mutex
	seed maphash.Seed
	seen map[uint64]bool // hashed
}

func newTally() *tally { return &tally{seed: maphash.MakeSeed(), seen: map[uint64]bool{}} }

// add notes the points of a body.
func (t *tally) add(body []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range bytes.Lines(body) {
		t.seen[maphash.Bytes(t.seed, line)] = true
	}
}

func (t *tally) points() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.seen)
}

func (g gourmet) behave(w http.ResponseWriter, _ *http.Request, body []byte, take func([]byte)) {
	good, refused := sorted(body)
	switch {
	case refused == 0 && (g.most == 0 || len(body) <= g.most):
		take(body)
		w.WriteHeader(http.StatusNoContent)
	case g.partial:
		take(good)
		g.taken.add(good)
		refuse(w, g.code, fmt.Sprintf("partial write: points that are never taken dropped=%d", refused))
	default:
		refuse(w, g.code, "points that are never taken")
	}
}

// sorted returns the points of body that a gourmet takes, and how many others there are.
func sorted(body []byte) (good []byte, refused int) {
	if !bytes.Contains(body, []byte(",host=bad ")) {
		return body, 0
	}
	for line := range bytes.Lines(body) {
		if bytes.Contains(line, []byte(",host=bad ")) && bytes.Contains(line, []byte("3i ")) {
			refused++
			continue
		}
		good = append(good, line...)
	}
	return good, refused
}

// A mute is a sink that stores what it gets, and now and then resets the connection instead of answering.
type mute struct {
	every int // the how manieth request is not answered

	unanswered *tally

	mu       sync.Mutex
	requests int
	resets   int
}

func newMute(every int) *mute { return &mute{every: every, unanswered: newTally()} }

func (m *mute) behave(w http.ResponseWriter, _ *http.Request, body []byte, take func([]byte)) {
	take(body)
	if !m.turn(body) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = c.(*net.TCPConn).SetLinger(0) // RST instead of FIN
	_ = c.Close()
}

// turn counts a request and reports whether it is one that is not answered.
func (m *mute) turn(body []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.requests++; m.requests%m.every > 0 {
		return false
	}
	m.resets++
	m.unanswered.add(body)
	return true
}

// seen returns how many requests were not answered, and how many points were in them.
func (m *mute) seen() (resets, points int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.resets, m.unanswered.points()
}
