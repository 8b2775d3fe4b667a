package recent

import (
	"runtime"
	"slices"
	"strings"
	"time"
)

// chunk is how many sets or fields a reader looks at before it lets go of the lock: some tenths of a millisecond at most, so that
// Add, which is behind a stream, never waits for a reader for longer.
const chunk = 512

// A walk is how far a reader has come.
type walk struct {
	query  Query
	prefix string        // of the keys that it selects
	oldest time.Duration // what was heard then or before is forgotten
	at     place
	see    func(*set, *field) bool
	looked int // at sets and fields, since it has the lock
	all    int // before that
}

// walk calls see for each field that q selects, from a place on in order, until see returns false. It has the lock for a chunk at
// a time: what comes or goes meanwhile is seen or not, and nothing is seen twice. see must not keep set and field.
func (s *Store) walk(q Query, now instant, from place, see func(*set, *field) bool) (looked int) {
	w := walk{query: q, prefix: q.prefix(), oldest: now.mono - Span, at: from, see: see}
	if string(w.at.key) < w.prefix {
		w.at = place{key: key(w.prefix)}
	}
	for s.step(&w) {
		runtime.Gosched() // to whoever has waited for the lock
	}
	runtime.Gosched()
	return w.all
}

// step looks at a chunk, and reports whether there is more.
func (s *Store) step(w *walk) (more bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	w.looked = 0
	defer func() { w.all += w.looked }()
	i, _ := slices.BinarySearchFunc(s.order, w.at.key, func(e *set, k key) int { return strings.Compare(string(e.key), string(k)) })
	for ; i < len(s.order); i++ {
		e := s.order[i]
		if !strings.HasPrefix(string(e.key), w.prefix) {
			return false
		}
		if e.key != w.at.key {
			w.at = place{key: e.key}
		}
		if w.looked++; w.looked > chunk {
			return true
		}
		if e.heard <= w.oldest || !w.query.selects(e.key) {
			continue
		}
		if more, ends := w.fields(e); more || ends {
			return more
		}
	}
	return false
}

// fields looks at those of a set. more says that some are left for the next chunk, ends that nothing more is to be seen.
func (w *walk) fields(e *set) (more, ends bool) {
	for i := range e.fields {
		f := &e.fields[i]
		switch {
		case f.name <= w.at.field || w.query.Field != "" && w.query.Field != f.name:
			continue
		case w.looked >= chunk:
			return true, false
		}
		w.looked++
		w.at.field = f.name
		if !w.see(e, f) {
			return false, true
		}
	}
	return false, false
}

// prefix returns how the keys begin that q selects: as far as it names host, plugin and series from the left.
func (q Query) prefix() string {
	var b []byte
	for _, text := range []string{q.Host, q.Plugin, q.Series} {
		if text == "" {
			break
		}
		b = appendText(b, text)
	}
	return string(b)
}

// selects reports whether q selects a set.
func (q Query) selects(k key) bool {
	head, _ := k.head()
	for i, want := range []string{q.Host, q.Plugin, q.Series} {
		if want != "" && want != head[i] {
			return false
		}
	}
	for name, want := range q.Tags {
		if k.tag(name) != want {
			return false
		}
	}
	return true
}
