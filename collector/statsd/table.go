package statsd

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

const (
	maxForms   = 64        // ways of writing one metric that are kept at hand
	allText    = 128 << 20 // bytes of the names and tags of all metrics, in all their ways
	allSamples = 4 << 20   // of all timers in one flush
	allValues  = 1 << 20   // different values of all sets in one flush
)

// A table holds the metrics that are known. It is for several goroutines.
type table struct {
	host, plugin string
	most         int    // metrics
	typeTag      string // the tag that tells the type of a metric; empty: none

	mu      sync.Mutex
	byForm  map[string]*metric
	metrics []*metric
	key     []byte            // of the metric that is looked for
	msg     message           // that is read
	row     []telemetry.Value // of a point that is told
	seed    maphash.Seed
	lots    *rand.Rand
	text    int              // bytes of names and tags
	samples int              // in this flush
	values  int              // likewise
	events  int              // likewise
	direct  *telemetry.Batch // what does not wait for the flush; nil: nothing
	waiting int              // points of that
	losses  losses
	twin    string // a name that has come with two types since somebody asked
}

func newTable(host, plugin string, most int, typeTag string) *table {
	return &table{
		host: host, plugin: plugin, most: most, typeTag: typeTag,
		byForm: map[string]*metric{}, seed: maphash.MakeSeed(), lots: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
}

// take takes the lines of text. Who calls holds the lock.
func (t *table) take(text []byte) {
	for len(text) > 0 {
		var line []byte
		line, text, _ = cut(text, '\n')
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		if len(line) > 0 {
			t.line(line)
		}
	}
}

// line takes one line.
func (t *table) line(line []byte) {
	take := t.message
	switch {
	case bytes.HasPrefix(line, []byte("_e{")):
		take = t.event
	case bytes.HasPrefix(line, []byte("_sc|")):
		take = t.check
	}
	if r := take(line); r != fine {
		t.losses.add(r, line)
	}
}

// message takes a line about a metric.
func (t *table) message(line []byte) reason {
	m := &t.msg
	if r := m.parse(line); r != fine {
		return r
	}
	var last *metric
	for i := range m.parts {
		p := &m.parts[i]
		if last == nil || last.kind != p.kind {
			var r reason
			if last, r = t.metric(m, p.kind); r != fine {
				return r
			}
		}
		t.part(last, p, line)
	}
	return fine
}

// part takes the values of p. One that is bad costs itself alone.
func (t *table) part(to *metric, p *part, line []byte) {
	if p.kind == set {
		if r := t.member(to, p.values); r != fine {
			t.losses.add(r, line)
		}
		return
	}
	for values, more := p.values, true; more; {
		var value []byte
		value, values, more = cut(values, ':')
		v, r := number(value)
		if r == fine {
			r = t.value(to, v, value[0] == '-' || value[0] == '+', p.weight)
		}
		if r != fine {
			t.losses.add(r, line)
		}
	}
}

// value takes one value. signed: it was written with its sign.
func (t *table) value(to *metric, v float64, signed bool, weight float64) (r reason) {
	switch {
	case t.msg.time != 0 && to.kind == counter:
		return t.timed(to, v*weight)
	case t.msg.time != 0 && to.kind == gauge:
		return t.timed(to, v)
	case to.kind == counter:
		r = to.count(v * weight)
	case to.kind == gauge:
		r = to.measure(v, signed)
	default:
		var grown bool
		if grown, r = to.spread.add(v, weight, t.samples < allSamples, t.lots.Uint64N); grown {
			t.samples++
		}
	}
	if r == fine {
		to.news, to.told = true, true
	}
	return r
}

// timed passes on a value that brings its own time: it is no part of a flush.
func (t *table) timed(to *metric, v float64) reason {
	if !finite(v) {
		return notFinite
	}
	b := t.room()
	if b == nil {
		return backlog
	}
	b.Group(to.name, to.keys, valueField).Row(time.Unix(t.msg.time, 0), to.tags, telemetry.Float(v))
	return fine
}

// member takes one value of a set.
func (t *table) member(to *metric, value []byte) reason {
	h := maphash.Bytes(t.seed, value)
	if _, ok := to.values[h]; ok {
		return fine
	}
	if t.values >= allValues {
		return setsFull
	}
	t.values++
	to.values[h] = struct{}{}
	to.news, to.told = true, true
	return fine
}

// metric returns the metric of a kind that m is about.
func (t *table) metric(m *message, k kind) (*metric, reason) {
	t.key = append(t.key[:0], byte(k))
	t.key = binary.LittleEndian.AppendUint32(t.key, uint32(len(m.name)))
	t.key = binary.LittleEndian.AppendUint32(t.key, uint32(len(m.tags)))
	t.key = append(append(append(t.key, m.name...), m.tags...), m.container...)
	if found := t.byForm[string(t.key)]; found != nil {
		return found, fine
	}
	l, r := labelOf(m)
	if r != fine {
		return nil, r
	}
	form := string(t.key)
	found := t.labelled(l, k)
	if found == nil {
		return nil, metricsFull
	}
	if len(found.forms) < maxForms && t.text+len(form) <= allText {
		t.keep(found, form)
	}
	return found, fine
}

// labelled returns the metric of a kind with a label, nil where there is no room for one more.
func (t *table) labelled(l label, k kind) *metric {
	key := t.labelKey(l, k)
	if found := t.byForm[string(key)]; found != nil {
		return found
	}
	if len(t.metrics) >= t.most || t.text+len(key) > allText {
		return nil
	}
	form := string(key)
	if t.typeTag == "" {
		t.lookForTwins(l, k)
	} else {
		l.set(t.typeTag, k.String())
		l.sort()
	}
	keys, tags := l.keys()
	m := &metric{kind: k, name: l.name, keys: keys, tags: tags}
	switch k {
	case timer:
		m.spread = new(spread)
	case set:
		m.values = map[uint64]struct{}{}
	}
	t.keep(m, form)
	t.metrics = append(t.metrics, m)
	return m
}

// labelKey returns the form that no sender writes: of a name of 4 GB.
func (t *table) labelKey(l label, k kind) []byte {
	t.key = append(t.key[:0], byte(k), 0xff, 0xff, 0xff, 0xff)
	t.key = appendText(t.key, l.name)
	for _, tag := range l.tags {
		t.key = appendText(appendText(t.key, tag.Key), tag.Value)
	}
	return t.key
}

// lookForTwins notes whether a new metric is known by another type whose points would have the same field.
func (t *table) lookForTwins(l label, k kind) {
	for _, other := range []kind{counter, gauge, set} {
		if k != timer && k != other && t.byForm[string(t.labelKey(l, other))] != nil {
			t.twin = l.name
		}
	}
}

// keep has m found by a form.
func (t *table) keep(m *metric, form string) {
	m.forms = append(m.forms, form)
	t.byForm[form] = m
	t.text += len(form)
}

// forget takes the i-th metric out of the table.
func (t *table) forget(i int) {
	for _, form := range t.metrics[i].forms {
		delete(t.byForm, form)
		t.text -= len(form)
	}
	last := len(t.metrics) - 1
	t.metrics[i] = t.metrics[last]
	t.metrics = slices.Delete(t.metrics, last, last+1)
}

func appendText(key []byte, text string) []byte {
	return append(binary.LittleEndian.AppendUint32(key, uint32(len(text))), text...)
}
