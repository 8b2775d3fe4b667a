package plugin

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// suspects remembers, beyond the end of the process, which batches were being worked on when it died. A batch that is given
// again is noted in a file while it is in hand; what is found there at the next start has one more death to its name. So a
// batch that kills its plugin is set aside, and the innocent ones that were given again with it are not.
type suspects struct {
	path string // "": nothing is kept

	alone chan struct{} // full while one has suspects in hand, and no other may

	mu   sync.Mutex
	seen map[string]int  // deaths by place
	hand map[string]bool // being worked on
}

// place is where d lies: the numbers of several streams are the same.
func place(d *delivery) string { return d.stream + "/" + strconv.FormatUint(d.seq, 10) }

// remember returns the suspects noted in dir by the process before this one.
func remember(dir string) *suspects {
	s := &suspects{alone: make(chan struct{}, 1), seen: map[string]int{}, hand: map[string]bool{}}
	if dir == "" {
		return s
	}
	s.path = filepath.Join(dir, "suspects.json")
	var noted struct {
		Seen map[string]int `json:"deaths"`
		Hand []string       `json:"in_hand"`
	}
	text, err := os.ReadFile(s.path)
	if err != nil || json.Unmarshal(text, &noted) != nil {
		return s // none, or a torn note: a poisonous batch then takes one death more
	}
	maps.Copy(s.seen, noted.Seen)
	for _, place := range noted.Hand {
		s.seen[place]++
	}
	return s
}

// deaths returns how often the process has died with d in hand.
func (s *suspects) deaths(d *delivery) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[place(d)]
}

// turn waits until no other lane has suspects in hand, if the process has died of some: what one lane does must not be laid to the
// batch of another. done lets the next one.
func (s *suspects) turn() (done func()) {
	s.mu.Lock()
	died := len(s.seen) > 0
	s.mu.Unlock()
	if !died {
		return func() {}
	}
	s.alone <- struct{}{}
	return func() { <-s.alone }
}

// begin notes that d is in hand.
func (s *suspects) begin(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hand[place(d)] = true
	s.write()
}

// end notes that d was survived, or set aside.
func (s *suspects) end(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hand, place(d))
	delete(s.seen, place(d))
	s.write()
}

// write keeps the note up to date; it is no promise, so errors are not told.
func (s *suspects) write() {
	if s.path == "" {
		return
	}
	if len(s.hand)+len(s.seen) == 0 {
		_ = os.Remove(s.path)
		return
	}
	text, err := json.Marshal(map[string]any{"deaths": s.seen, "in_hand": slices.Sorted(maps.Keys(s.hand))})
	if err == nil && os.MkdirAll(filepath.Dir(s.path), 0o700) == nil {
		_ = os.WriteFile(s.path, text, 0o600)
	}
}
