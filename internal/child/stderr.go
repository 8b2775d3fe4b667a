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
	tail clip
	said []byte // the last line that is not blank, or its begin
}

const (
	stderrTail = 4 << 10 // bytes that are kept
	mostSaid   = 300     // bytes of a line that are kept
)

func newStderr(hand func(line []byte)) *stderr {
	s := &stderr{tail: clip{tail: stderrTail}}
	s.Lines = process.Lines{Hand: hand, Every: s.keep}
	return s
}

func (s *stderr) keep(line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.tail.Write(line) // it never fails
	_, _ = s.tail.Write([]byte{'\n'})
	if line = bytes.TrimSpace(line); len(line) > 0 {
		s.said = append(s.said[:0], line[:min(len(line), mostSaid)]...)
	}
}

// last returns the last line that is not blank.
func (s *stderr) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ToValidUTF8(string(s.said), "\uFFFD")
}

// text returns the end of it.
func (s *stderr) text() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, _ := s.tail.bytes()
	return end
}
