package recent

import (
	"cmp"
	"encoding/hex"
	"hash/fnv"
	"math"
	"slices"
	"time"
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

// found is a field that a query selects.
type found struct {
	set   *set
	field *field
}

// Latest returns the values that q selects, at most limit, in a fixed order: those behind the one with the id after, "" being the
// first. more says that there are others behind them; ok is false when no value has the id any more.
func (s *Store) Latest(q Query, now time.Time, after string, limit int) (values []Value, more, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := s.selected(q, now)
	if after != "" {
		i := slices.IndexFunc(all, func(f found) bool { return f.id() == after })
		if i < 0 {
			return nil, false, false
		}
		all = all[i+1:]
	}
	for _, f := range all[:min(limit, len(all))] {
		values = append(values, f.value(now))
	}
	return values, len(all) > limit, true
}

// History returns the past of the numbers that q selects, at most limit series; more says that there are others. It begins at
// since, at most an hour ago, and ends now.
func (s *Store) History(q Query, since, now time.Time, limit int) (all []History, more bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	last := now.UnixNano() / int64(Step)
	first := max(since.UnixNano()/int64(Step), last-Slots+1)
	for _, f := range s.selected(q, now) {
		if f.field.past.newest == 0 {
			continue
		}
		if len(all) == limit {
			return all, true
		}
		h := History{Value: f.value(now), From: time.Unix(0, first*int64(Step))}
		for slot := first; slot <= last; slot++ {
			h.Values = append(h.Values, f.field.past.at(slot))
		}
		all = append(all, h)
	}
	return all, false
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

// selected returns what q selects, in order.
func (s *Store) selected(q Query, now time.Time) []found {
	var all []found
	oldest := now.Add(-Span).UnixNano()
	for _, e := range s.sets {
		if e.heard <= oldest || !q.selects(e.key) {
			continue
		}
		for i := range e.fields {
			if q.Field == "" || q.Field == e.fields[i].name {
				all = append(all, found{e, &e.fields[i]})
			}
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(a.set.key.compare(b.set.key), cmp.Compare(a.field.name, b.field.name))
	})
	return all
}

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

func (f found) id() string {
	h := fnv.New128a()
	_, _ = h.Write([]byte(f.set.key)) // never fails
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(f.field.name))
	return hex.EncodeToString(h.Sum(nil))
}

func (f found) value(now time.Time) Value {
	head, _ := f.set.key.head()
	return Value{
		ID: f.id(), Host: head[0], Plugin: head[1], Series: head[2], Tags: f.set.key.tags(), Field: f.field.name,
		Value: f.field.last.Any(), Type: f.field.last.Type().String(), Time: f.field.at,
		AgeMS: max(0, now.Sub(time.Unix(0, f.set.heard)).Milliseconds()),
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
	s.mu.RLock()
	defer s.mu.RUnlock()
	oldest := now.Add(-Span).UnixNano()
	lines := map[string]*line{}
	for _, e := range s.sets {
		if e.heard > oldest && q.selects(e.key) {
			head, _ := e.key.head()
			if lines[head[2]] == nil {
				lines[head[2]] = newLine(head[2])
			}
			lines[head[2]].add(e, head)
		}
	}
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

func (l *line) add(e *set, head [3]string) {
	l.Sets++
	l.hosts[head[0]] = true
	if !slices.Contains(l.Plugins, head[1]) {
		l.Plugins = append(l.Plugins, head[1])
	}
	for i := range e.fields {
		l.Fields[e.fields[i].name] = e.fields[i].last.Type().String()
	}
}
