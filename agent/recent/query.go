package recent

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A Query selects values; what is empty selects all.
type Query struct {
	Host   string
	Plugin string
	Series string
	Field  string
	Tags   map[string]string
}

// A Value is what was told last of one field of a series.
type Value struct {
	ID     string            `json:"id"` // of host, plugin, series, tags and field
	Host   string            `json:"host"`
	Plugin string            `json:"plugin"`
	Series string            `json:"series"`
	Tags   map[string]string `json:"tags,omitzero"`
	Field  string            `json:"field"`
	Value  any               `json:"value"` // a text is cut at 256 bytes
	Type   string            `json:"type"`  // float, int, uint, bool or string
	Time   int64             `json:"time"`  // the point's own, ns
	AgeMS  int64             `json:"age_ms"`
}

// A History is the last hour of a number. Values[i] is of the slot that began at From + i × Step; NaN where nothing was told.
type History struct {
	Value
	From   time.Time
	Values []float64
}

// Latest returns the values that q selects, at most limit, in a fixed order: those behind the one with the id after, "" being the
// first. more says that there are others behind them; ok is false when after is no id. The one that had it need not be there any
// more: an id is a place in the order.
func (s *Store) Latest(q Query, now time.Time, after string, limit int) (values []Value, more, ok bool) {
	var from place
	if after != "" {
		if from, ok = placeOf(after); !ok {
			return nil, false, false
		}
	}
	var all []told
	moment := s.instant(now)
	s.walk(q, moment, from, func(e *set, f *field) bool {
		if more = len(all) == limit; !more {
			all = append(all, tell(e, f))
		}
		return !more
	})
	for _, t := range all {
		values = append(values, t.value(moment))
	}
	return values, more, true
}

// History returns the past of the numbers that q selects, at most limit series; more says that there are others. It begins at
// since, at most an hour ago, and ends now.
func (s *Store) History(q Query, since, now time.Time, limit int) (all []History, more bool) {
	return s.history(q, since, s.instant(now), limit)
}

func (s *Store) history(q Query, since time.Time, now instant, limit int) (all []History, more bool) {
	last := now.slot()
	ago := min(max(0, now.wall.Sub(since)), Span)
	first := max(instant{mono: now.mono - ago}.slot(), last-Slots+1)
	from := now.wall.Add(time.Duration(first)*Step - now.mono)
	var tellers []told
	s.walk(q, now, place{}, func(e *set, f *field) bool {
		if f.past == nil {
			return true
		}
		if more = len(all) == limit; more {
			return false
		}
		h := History{From: from, Values: make([]float64, 0, last-first+1)}
		for slot := first; slot <= last; slot++ {
			h.Values = append(h.Values, f.past.at(slot))
		}
		all, tellers = append(all, h), append(tellers, tell(e, f))
		return true
	})
	for i := range all {
		all[i].Value = tellers[i].value(now)
	}
	return all, more
}

// Rate returns how much a counter grows in a second, by what there is of h; ok is false when that is not enough, or when the
// counter began anew meanwhile.
func (h History) Rate() (perSecond float64, ok bool) {
	first, last := -1, -1
	for i, v := range h.Values {
		if math.IsNaN(v) {
			continue
		}
		if first < 0 || v < h.Values[last] {
			first = i
		}
		last = i
	}
	if first == last {
		return 0, false
	}
	return (h.Values[last] - h.Values[first]) / (float64(last-first) * Step.Seconds()), true
}

// told is what was told of a field when a reader came by. It is looked at later, without the lock.
type told struct {
	place
	last  telemetry.Value
	at    int64
	heard time.Duration
}

func tell(e *set, f *field) told { return told{place{e.key, f.name}, f.last, f.at, e.heard} }

func (t told) value(now instant) Value {
	head, _ := t.key.head()
	return Value{
		ID: t.id(), Host: head[0], Plugin: head[1], Series: head[2], Tags: t.key.tags(), Field: t.field,
		Value: t.last.Any(), Type: t.last.Type().String(), Time: t.at, AgeMS: max(0, now.mono-t.heard).Milliseconds(),
	}
}

// A Series is a line of the catalog.
type Series struct {
	Series  string            `json:"series"`
	Fields  map[string]string `json:"fields"`  // name to type
	Sets    int               `json:"sets"`    // of tags
	Hosts   int               `json:"hosts"`   // that tell it
	Plugins []string          `json:"plugins"` // that tell it, sorted
}

// Catalog returns the series that q selects, by name.
func (s *Store) Catalog(q Query, now time.Time) []Series {
	lines := map[string]*line{}
	var l *line
	var seen *set
	s.walk(q, s.instant(now), place{}, func(e *set, f *field) bool {
		if e != seen {
			head, _ := e.key.head()
			if l = lines[head[2]]; l == nil {
				l = newLine(head[2])
				lines[head[2]] = l
			}
			l.add(head)
			seen = e
		}
		l.Fields[f.name] = f.last.Type().String()
		return true
	})
	var all []Series
	for _, l := range lines {
		l.Hosts = len(l.hosts)
		slices.Sort(l.Plugins)
		all = append(all, l.Series)
	}
	slices.SortFunc(all, func(a, b Series) int { return cmp.Compare(a.Series, b.Series) })
	return all
}

// A line is a Series that is being counted.
type line struct {
	Series
	hosts map[string]bool
}

func newLine(series string) *line {
	return &line{Series: Series{Series: series, Fields: map[string]string{}}, hosts: map[string]bool{}}
}

func (l *line) add(head [3]string) {
	l.Sets++
	l.hosts[head[0]] = true
	if !slices.Contains(l.Plugins, head[1]) {
		l.Plugins = append(l.Plugins, head[1])
	}
}
