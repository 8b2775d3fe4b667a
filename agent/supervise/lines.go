package supervise

import (
	"slices"
	"strings"
	"sync"

	"github.com/pacewire/pacewire/internal/process"
)

const (
	tailLines = 20
	tailBytes = 1 << 10 // of each line in the tail
)

// lines cuts what the child prints on a stream into lines; keep gets all of them, and may be nil.
func (c *Child) lines(stream string, keep *tail) *process.Lines {
	l := &process.Lines{Skip: func(n int64) { c.leftOut.Add(n) }}
	if keep != nil {
		l.Every = keep.add
	}
	if c.spec.Line != nil {
		l.Hand = func(line []byte) { c.spec.Line(stream, line) }
	}
	return l
}

// tail keeps the last lines.
type tail struct {
	mu    sync.Mutex
	kept  []string
	fresh int // how many of them are of the present process
}

// begin says that a new process prints from now on.
func (t *tail) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fresh = 0
}

func (t *tail) add(line []byte) {
	text := strings.ToValidUTF8(string(line[:min(len(line), tailBytes)]), "\uFFFD")
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) == tailLines {
		t.kept = slices.Delete(t.kept, 0, 1)
	}
	t.kept = append(t.kept, text)
	t.fresh = min(t.fresh+1, tailLines)
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.kept)
}

// last is what up to n lines of the present process say of its end, the last
// one first: a reason is often cut.
func (t *tail) last(n int, cause func(string) (string, bool)) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last []string
	for i := len(t.kept) - 1; i >= len(t.kept)-t.fresh && len(last) < n; i-- {
		text, whole := cause(strings.TrimSpace(t.kept[i]))
		if text != "" && !slices.Contains(last, text) {
			last = append(last, text)
		}
		if whole {
			break
		}
	}
	return last
}
