package statsd

import (
	"cmp"
	"slices"
	"time"
)

// A metric is what is known of one name with its tags and its kind.
type metric struct {
	kind   kind
	name   string
	keys   []string  // of its tags
	tags   []string  // their values
	forms  []string  // its keys in the table: one for each way in which senders write it
	seen   time.Time // when it was last flushed with news
	news   bool      // something came since the last flush
	told   bool      // something has come at all
	value  float64   // of a gauge; of a counter: what came since the last flush
	total  float64   // of a counter, of what was flushed
	spread *spread   // of a timer
	values map[uint64]struct{}
}

// count adds to a counter.
func (m *metric) count(v float64) reason {
	if !finite(m.total + (m.value + v)) {
		return notFinite
	}
	m.value += v
	return fine
}

// measure sets a gauge, or changes it by a number that is written with its sign.
func (m *metric) measure(v float64, change bool) reason {
	if change {
		v += m.value
	}
	if !finite(v) {
		return notFinite
	}
	m.value = v
	return fine
}

// A spread is how the values of a timer are spread since the last flush.
type spread struct {
	n                    uint64  // values
	count, sum, min, max float64 // with their weights
	samples              []sample
}

// A sample is one of the values, and how many it stands for.
type sample struct{ value, weight float64 }

// maxSamples is how many values quantiles are made of: of more, so many are chosen by lot.
const maxSamples = 1000

// add adds a value. Where the samples are full, or may not grow, it takes the place of one that is chosen by lot, as likely as
// all that came before. It reports whether they have grown.
func (s *spread) add(v, weight float64, mayGrow bool, draw func(n uint64) uint64) (grown bool, r reason) {
	if !finite(s.sum+v*weight) || !finite(s.count+weight) {
		return false, notFinite
	}
	if s.n == 0 {
		s.min, s.max = v, v
	}
	s.n++
	s.count += weight
	s.sum += v * weight
	s.min, s.max = min(s.min, v), max(s.max, v)
	if kept := len(s.samples); kept == 0 || kept < maxSamples && mayGrow {
		s.samples = append(s.samples, sample{v, weight})
		return true, fine
	}
	if i := draw(s.n); i < uint64(len(s.samples)) {
		s.samples[i] = sample{v, weight}
	}
	return false, fine
}

// quantiles returns, for each of the shares in rising order, the smallest value that this share of all is not above.
func (s *spread) quantiles(shares ...float64) []float64 {
	slices.SortFunc(s.samples, func(a, b sample) int { return cmp.Compare(a.value, b.value) })
	all := 0.0
	for _, one := range s.samples {
		all += one.weight
	}
	var found []float64
	below, i := 0.0, 0
	for _, share := range shares {
		for i < len(s.samples)-1 && below+s.samples[i].weight < share*all {
			below += s.samples[i].weight
			i++
		}
		found = append(found, s.samples[i].value)
	}
	return found
}

// reset forgets all values, and keeps the memory for as many.
func (s *spread) reset() { *s = spread{samples: s.samples[:0]} }
