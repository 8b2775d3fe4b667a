package child

import (
	"bytes"
	"strings"
	"sync"

	"github.com/pacewire/pacewire/internal/process"
)

// stderr is what a program prints on standard error, as lines. The last one often says why the program has ended.
type stderr struct {
	process.Lines
	mu   sync.Mutex
	said string
}

func newStderr(hand func(line []byte)) *stderr {
	s := &stderr{}
	s.Lines = process.Lines{Hand: hand, Every: s.keep}
	return s
}

func (s *stderr) keep(line []byte) {
	if line = bytes.TrimSpace(line); len(line) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = string(line)
}

// last returns the last line that is not blank.
func (s *stderr) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	const most = 300
	return strings.ToValidUTF8(s.said[:min(len(s.said), most)], "\uFFFD")
}
