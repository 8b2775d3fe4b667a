package plugin

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"sync"
)

// suspects remembers, beyond the end of the process, which batches were being worked on when it died. A batch that is given
// again is noted in a file while it is in hand; what is found there at the next start has one more death to its name. So a
// batch that kills its plugin is set aside, and the innocent ones that were given again with it are not.
type suspects struct {
	path string // "": nothing is kept

	mu   sync.Mutex
	seen map[uint64]int  // deaths by stream sequence
	hand map[uint64]bool // being worked on
}

// remember returns the suspects noted in dir by the process before this one.
func remember(dir string) *suspects {
	s := &suspects{seen: map[uint64]int{}, hand: map[uint64]bool{}}
	if dir == "" {
		return s
	}
	s.path = filepath.Join(dir, "suspects.json")
	var noted struct {
		Seen map[uint64]int `json:"deaths"`
		Hand []uint64       `json:"in_hand"`
	}
	text, err := os.ReadFile(s.path)
	if err != nil || json.Unmarshal(text, &noted) != nil {
		return s // none, or a torn note: a poisonous batch then takes one death more
	}
	maps.Copy(s.seen, noted.Seen)
	for _, seq := range noted.Hand {
		s.seen[seq]++
	}
	return s
}

// deaths returns how often the process has died with d in hand.
func (s *suspects) deaths(d *delivery) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[d.seq]
}

// begin notes that d is in hand.
func (s *suspects) begin(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hand[d.seq] = true
	s.write()
}

// end notes that d was survived.
func (s *suspects) end(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hand, d.seq)
	delete(s.seen, d.seq)
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
	hand := make([]uint64, 0, len(s.hand))
	for seq := range s.hand {
		hand = append(hand, seq)
	}
	text, err := json.Marshal(map[string]any{"deaths": s.seen, "in_hand": hand})
	if err == nil && os.MkdirAll(filepath.Dir(s.path), 0o700) == nil {
		_ = os.WriteFile(s.path, text, 0o600)
	}
}
