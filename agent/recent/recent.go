package recent

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Of the past that is kept.
const (
	Step  = 10 * time.Second // of one slot
	Slots = 360
	Span  = Slots * Step // an hour
)

// Limits bound what a Store keeps; what is above is refused and counted. 0 is the default of each.
type Limits struct {
	Series int   // series by field: 50,000
	Bytes  int64 // estimate of what they take: 192 MiB
}

// Stats count what a Store has and what it has refused.
type Stats struct {
	Series  int    // series by field
	Bytes   int64  // estimate of what they take
	Batches uint64 // looked at
	Refused uint64 // values of series for which there was no room
	Dropped uint64 // series that were not heard for an hour
}

// A Store keeps what was told last. It is for any number of goroutines.
type Store struct {
	limits Limits

	mu     sync.RWMutex
	sets   map[string]*set
	stats  Stats
	swept  int64  // ns
	rounds uint64 // counts the groups looked at, so that each set of tags is read once in each
	seek   seeker
}

// A set is what one plugin tells of a series with the same tags.
type set struct {
	key    key
	fields []field
	heard  int64 // ns, by the clock of who adds
	round  uint64
}

// A field is one value of a set.
type field struct {
	name string
	last telemetry.Value
	at   int64 // ns, the point's own time
	past past  // of a number
}

// maxText is how much is kept of a text.
const maxText = 256

// overhead is what a field takes beside its texts and its past.
const overhead = 160

// New makes an empty Store.
func New(l Limits) *Store {
	if l.Series <= 0 {
		l.Series = 50_000
	}
	if l.Bytes <= 0 {
		l.Bytes = 192 << 20
	}
	return &Store{limits: l, sets: map[string]*set{}}
}

// Add takes the last point of each set of tags in b, which plugin of host has told and which arrived at a time. A point has the
// slot of its own time, unless that is ahead or more than an hour ago: then of its arrival.
func (s *Store) Add(b *telemetry.Batch, host, plugin string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := at.UnixNano()
	s.sweep(now)
	s.stats.Batches++
	for g := range b.Groups() {
		s.rounds++
		s.seek.begin(g, host, plugin)
		for row := g.Len() - 1; row >= 0; row-- {
			if e := s.find(g, row); e != nil && e.round != s.rounds {
				e.round, e.heard = s.rounds, now
				s.note(e, g, row, now)
			}
			if s.seek.same {
				break // every point has the same tags
			}
		}
	}
}

// find returns the set of a point, nil when there is no room for one more.
func (s *Store) find(g *telemetry.Group, row int) *set {
	name := s.seek.key(row)
	if e := s.sets[string(name)]; e != nil {
		return e
	}
	if s.stats.Series >= s.limits.Series || s.stats.Bytes+int64(len(name)) > s.limits.Bytes {
		s.stats.Refused += uint64(len(g.FieldColumns()))
		return nil
	}
	e := &set{key: key(name)}
	s.sets[string(e.key)] = e
	s.stats.Bytes += int64(len(name)) + overhead
	return e
}

// note takes the values of a point.
func (s *Store) note(e *set, g *telemetry.Group, row int, now int64) {
	at := g.Time(row)
	slot := slotOf(at, now)
	columns := g.FieldColumns()
	for i := range columns {
		v := columns[i].Value(row)
		if !v.Present() {
			continue
		}
		f := s.field(e, columns[i].Name)
		if f == nil {
			s.stats.Refused++
			continue
		}
		f.at = at
		s.keep(f, v, slot)
	}
}

// field returns a field of a set, nil when there is no room for one more.
func (s *Store) field(e *set, name string) *field {
	i, found := slices.BinarySearchFunc(e.fields, name, func(f field, name string) int { return strings.Compare(f.name, name) })
	if found {
		return &e.fields[i]
	}
	if s.stats.Series >= s.limits.Series || s.stats.Bytes > s.limits.Bytes {
		return nil
	}
	e.fields = slices.Insert(e.fields, i, field{name: strings.Clone(name)})
	s.stats.Series++
	s.stats.Bytes += int64(len(name)) + overhead
	return &e.fields[i]
}

// keep makes v the latest value of f, and of its slot if it is a number.
func (s *Store) keep(f *field, v telemetry.Value, slot int64) {
	if v.Type() == telemetry.TypeString {
		s.keepText(f, v.Text())
		return
	}
	s.stats.Bytes -= int64(len(f.last.Text()))
	f.last = v
	if v.Type() != telemetry.TypeBool {
		s.stats.Bytes += f.past.set(slot, v.Float(), s.stats.Bytes < s.limits.Bytes)
	}
}

// keepText makes text the latest value of f. It looks into a message, so it is copied, unless it is the one that is there.
func (s *Store) keepText(f *field, text string) {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	if f.last.Type() == telemetry.TypeString && f.last.Text() == text {
		return
	}
	s.stats.Bytes += int64(len(text) - len(f.last.Text()))
	f.last = telemetry.String(strings.Clone(text))
}

// slotOf returns the slot of a point.
func slotOf(at, now int64) int64 {
	if at > now+int64(Step) || at <= now-int64(Span) {
		at = now
	}
	return at / int64(Step)
}

// sweep drops what was not heard for an hour; it looks once a minute.
func (s *Store) sweep(now int64) {
	if now-s.swept < int64(time.Minute) {
		return
	}
	s.swept = now
	for name, e := range s.sets {
		if now-e.heard < int64(Span) {
			continue
		}
		delete(s.sets, name)
		s.stats.Series -= len(e.fields)
		s.stats.Dropped += uint64(len(e.fields))
		s.stats.Bytes -= e.bytes()
	}
}

// bytes estimates what a set takes.
func (e *set) bytes() int64 {
	n := int64(len(e.key)) + overhead
	for i := range e.fields {
		f := &e.fields[i]
		n += int64(len(f.name)+len(f.last.Text())) + overhead + f.past.bytes()
	}
	return n
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.stats
}
