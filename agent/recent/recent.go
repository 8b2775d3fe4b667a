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
	Bytes  int64 // what they take: 192 MiB
}

// Stats count what a Store has and what it has refused.
type Stats struct {
	Series  int    // series by field
	Bytes   int64  // what they take
	Batches uint64 // looked at
	Refused uint64 // values of series for which there was no room
	Dropped uint64 // series that were not heard for an hour
}

// A Store keeps what was told last. It is for any number of goroutines.
type Store struct {
	limits Limits
	begun  time.Time // an hour before it was made, so that the slots of that hour have numbers too

	mu     sync.RWMutex
	sets   map[string]*set
	order  []*set // by key
	fresh  []*set // made by the batch at hand, and not yet in order
	stats  Stats
	taken  int64 // bytes of sets
	most   int   // sets that the map has had
	swept  time.Duration
	rounds uint64 // counts the groups looked at, so that each set of tags is read once in each
	seek   seeker
}

// A set is what one plugin tells of a series with the same tags.
type set struct {
	key    key
	fields []field // by name
	heard  time.Duration
	round  uint64
}

// A field is one value of a set.
type field struct {
	name string
	last telemetry.Value
	at   int64 // ns, the point's own time
	past *past // of a number
}

// maxText is how much is kept of a text.
const maxText = 256

// New makes an empty Store.
func New(l Limits) *Store {
	if l.Series <= 0 {
		l.Series = 50_000
	}
	if l.Bytes <= 0 {
		l.Bytes = 192 << 20
	}
	return &Store{limits: l, begun: time.Now().Add(-Span), sets: map[string]*set{}}
}

// An instant is a moment by both clocks. What counts is mono, since the Store has begun; wall is for display.
type instant struct {
	mono time.Duration
	wall time.Time
}

func (s *Store) instant(t time.Time) instant { return instant{t.Sub(s.begun), t} }

func (i instant) slot() int64 { return int64(i.mono / Step) }

// Add takes the last point of each set of tags in b, which plugin of host has told and which arrived at a time, as time.Now has
// told it. That is the slot of its numbers: the points' own times are kept, and say nothing.
func (s *Store) Add(b *telemetry.Batch, host, plugin string, at time.Time) {
	s.add(b, host, plugin, s.instant(at))
}

func (s *Store) add(b *telemetry.Batch, host, plugin string, now instant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now.mono)
	s.stats.Batches++
	for g := range b.Groups() {
		s.rounds++
		s.seek.begin(g, host, plugin)
		for row := g.Len() - 1; row >= 0; row-- {
			if e := s.find(g, row); e != nil && e.round != s.rounds {
				e.round, e.heard = s.rounds, now.mono
				s.note(e, g, row, now.slot())
			}
			if s.seek.same {
				break // every point has the same tags
			}
		}
	}
	s.arrange()
}

// full reports whether there is no room for n bytes more.
func (s *Store) full(n int64) bool { return s.bytes()+n > s.limits.Bytes }

// find returns the set of a point, nil when there is no room for one more.
func (s *Store) find(g *telemetry.Group, row int) *set {
	name := s.seek.key(row)
	if e := s.sets[string(name)]; e != nil {
		return e
	}
	n := setBytes + textBytes(len(name))
	if len(name) > longestKey || s.stats.Series >= s.limits.Series || s.full(n) {
		s.stats.Refused += uint64(len(g.FieldColumns()))
		return nil
	}
	e := &set{key: key(name)}
	s.sets[string(e.key)] = e
	s.fresh = append(s.fresh, e)
	s.most = max(s.most, len(s.sets))
	s.taken += n
	return e
}

// arrange puts what is fresh in order: from behind, each of the others is moved once at most.
func (s *Store) arrange() {
	if len(s.fresh) == 0 {
		return
	}
	slices.SortFunc(s.fresh, compareSets)
	end := len(s.order)
	s.order = append(s.order, s.fresh...)
	for i, e := range slices.Backward(s.fresh) {
		at, _ := slices.BinarySearchFunc(s.order[:end], e, compareSets)
		copy(s.order[at+i+1:], s.order[at:end])
		s.order[at+i] = e
		end = at
	}
	s.fresh = nil
}

func compareSets(a, b *set) int { return strings.Compare(string(a.key), string(b.key)) }

// note takes the values of a point.
func (s *Store) note(e *set, g *telemetry.Group, row int, slot int64) {
	at := g.Time(row)
	columns := g.FieldColumns()
	if len(e.fields) == 0 {
		s.makeRoom(e, present(columns, row))
	}
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

// present counts the values of a point.
func present(columns []telemetry.Column, row int) (n int) {
	for i := range columns {
		if columns[i].Value(row).Present() {
			n++
		}
	}
	return n
}

// makeRoom gives a new set room for n fields, so that it need not grow by and by to more than it needs.
func (s *Store) makeRoom(e *set, n int) {
	if n = min(n, s.limits.Series-s.stats.Series); s.full(int64(n) * fieldBytes) {
		return
	}
	e.fields = slices.Grow(e.fields, n)
	s.taken += int64(cap(e.fields)) * fieldBytes
}

// field returns a field of a set, nil when there is no room for one more.
func (s *Store) field(e *set, name string) *field {
	i, found := slices.BinarySearchFunc(e.fields, name, func(f field, name string) int { return strings.Compare(f.name, name) })
	if found {
		return &e.fields[i]
	}
	before, n := cap(e.fields), textBytes(len(name))
	if len(e.fields) == before {
		n += fieldBytes * int64(max(1, before)) // it doubles
	}
	if s.stats.Series >= s.limits.Series || s.full(n) {
		return nil
	}
	e.fields = slices.Insert(e.fields, i, field{name: strings.Clone(name)})
	s.stats.Series++
	s.taken += int64(cap(e.fields)-before)*fieldBytes + textBytes(len(name))
	return &e.fields[i]
}

// keep makes v the latest value of f, and of its slot if it is a number. What is none has no past.
func (s *Store) keep(f *field, v telemetry.Value, slot int64) {
	switch v.Type() {
	case telemetry.TypeString:
		s.forget(f)
		s.keepText(f, v.Text())
		return
	case telemetry.TypeBool:
		s.forget(f)
	default:
		s.remember(f, v.Float(), slot)
	}
	s.taken -= textBytes(len(f.last.Text()))
	f.last = v
}

func (s *Store) forget(f *field) {
	s.taken -= f.past.bytes()
	f.past = nil
}

func (s *Store) remember(f *field, v float64, slot int64) {
	room := !s.full(pastBytes + pieceBytes)
	if f.past == nil {
		if !room {
			return
		}
		f.past = new(past)
		s.taken += pastBytes
	}
	s.taken += f.past.set(slot, v, room)
}

// keepText makes text the latest value of f. It looks into a message, so it is copied, unless it is the one that is there. Where
// there is no room for more it is cut to the size of that one.
func (s *Store) keepText(f *field, text string) {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	if f.last.Type() == telemetry.TypeString && f.last.Text() == text {
		return
	}
	has := textBytes(len(f.last.Text()))
	if more := textBytes(len(text)) - has; more > 0 && s.full(more) {
		s.stats.Refused++
		text = strings.ToValidUTF8(text[:has], "")
	}
	s.taken += textBytes(len(text)) - has
	f.last = telemetry.String(strings.Clone(text))
}

// sweep drops what was not heard for an hour; it looks once a minute.
func (s *Store) sweep(now time.Duration) {
	if now-s.swept < time.Minute {
		return
	}
	s.swept = now
	s.order = slices.DeleteFunc(s.order, func(e *set) bool {
		if now-e.heard < Span {
			return false
		}
		delete(s.sets, string(e.key))
		s.stats.Series -= len(e.fields)
		s.stats.Dropped += uint64(len(e.fields))
		s.taken -= e.bytes()
		return true
	})
	if 2*len(s.order) < s.most {
		s.shrink()
	}
}

// shrink gives back what the index has for sets that are gone.
func (s *Store) shrink() {
	s.order, s.most = append([]*set(nil), s.order...), len(s.order)
	s.sets = make(map[string]*set, s.most)
	for _, e := range s.order {
		s.sets[string(e.key)] = e
	}
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	is := s.stats
	is.Bytes = s.bytes()
	return is
}
