package api

import (
	"fmt"
	"maps"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pacewire/pacewire/agent/hub"
)

// counts are those of requests.
type counts struct {
	mu       sync.Mutex
	requests map[answered]uint64
	problems map[string]uint64 // by code
}

// answered is a kind of request and its answer.
type answered struct {
	route  string
	status int
}

// add counts a request that is answered. Routes, statuses and codes are few, so these are too.
func (k *counts) add(rec *recorder) {
	a := answered{"none", rec.status}
	if rec.route != nil {
		a.route = rec.route.pattern()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.requests == nil {
		k.requests, k.problems = map[answered]uint64{}, map[string]uint64{}
	}
	k.requests[a]++
	if rec.problem != nil {
		k.problems[rec.problem.Code]++
	}
}

func (k *counts) copy() (requests map[answered]uint64, problems map[string]uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.requests), maps.Clone(k.problems)
}

// metrics answers with what the hub and the API count, for Prometheus.
func (c *call) metrics() error {
	var w exposition
	c.s.hubMetrics(&w)
	c.s.beatMetrics(&w)
	c.s.apiMetrics(&w)
	c.s.recentMetrics(&w)
	processMetrics(&w)
	c.w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = c.w.Write([]byte(w.String())) // who is gone needs no answer
	return nil
}

func (s *Server) hubMetrics(w *exposition) {
	is := s.o.Hub.Status()
	w.family("pacewire_build_info", "gauge", "The program that answers; always 1.")
	w.sample(1, "version", s.o.Version, "go", runtime.Version())
	w.family("pacewire_start_time_seconds", "gauge", "When the API began, Unix time.")
	w.sample(float64(s.begun.UnixNano()) / 1e9)
	w.family("pacewire_hub_ready", "gauge", "1 when the hub can do its work.")
	w.sample(number(is.Ready))
	w.family("pacewire_hub_voice", "gauge", "1 when this hub is the one that speaks.")
	w.sample(number(is.Voice))
	w.family("pacewire_hosts", "gauge", "Hosts by state.")
	for _, state := range slices.Sorted(maps.Keys(is.States)) {
		w.sample(float64(is.States[state]), "state", state)
	}
	for _, name := range slices.Sorted(maps.Keys(is.Counts)) {
		w.family("pacewire_hub_"+metricName(name)+"_total", "counter", "What the hub counts as "+name+".")
		w.sample(float64(is.Counts[name]))
	}
}

// A measurer is a Fleet that measures its beats.
type measurer interface{ Measures() hub.Measures }

var _ measurer = (*hub.Hub)(nil)

func (s *Server) beatMetrics(w *exposition) {
	fleet, ok := s.o.Hub.(measurer)
	if !ok {
		return
	}
	is := fleet.Measures()
	w.histogram("pacewire_beat_interval_ratio", "Time between two beats of an agent, by the interval it beats at.",
		is.Intervals.Bounds, is.Intervals.Counts[:], is.Intervals.Sum)
	w.histogram("pacewire_beat_rtt_seconds", "Round trips from beat to answer, the best of the last eight, as each beat tells it.",
		is.RTTs.Bounds, is.RTTs.Counts[:], is.RTTs.Sum)
	w.histogram("pacewire_clock_offset_seconds", "How far the clocks of the hosts are from the hub's, whichever way, as each beat tells it.",
		is.Offsets.Bounds, is.Offsets.Counts[:], is.Offsets.Sum)
	w.family("pacewire_beats_lost_total", "counter", "Beats that had not come to the hub when a newer one did.")
	w.sample(float64(is.BeatsLost))
	w.family("pacewire_acks_lost_total", "counter", "Answers of the hub that did not come to the agents.")
	w.sample(float64(is.AcksLost))
}

func (s *Server) apiMetrics(w *exposition) {
	requests, problems := s.counts.copy()
	w.family("pacewire_api_requests_total", "counter", "Requests by route and status; route none: refused before one was found.")
	for _, a := range slices.SortedFunc(maps.Keys(requests), func(a, b answered) int {
		return strings.Compare(a.route+fmt.Sprint(a.status), b.route+fmt.Sprint(b.status))
	}) {
		w.sample(float64(requests[a]), "route", a.route, "code", fmt.Sprint(a.status))
	}
	w.family("pacewire_api_problems_total", "counter", "Requests that came to nothing, by reason.")
	for _, code := range slices.Sorted(maps.Keys(problems)) {
		w.sample(float64(problems[code]), "reason", code)
	}
	w.family("pacewire_api_connections", "gauge", "Connections that are open.")
	w.sample(float64(s.open.Load()))
	w.family("pacewire_api_streams", "gauge", "Streams of events and taps that are open.")
	w.sample(float64(len(s.streams)))
	w.family("pacewire_api_audit_suppressed_total", "counter", "Refusals that were not logged, as there were too many in a second.")
	w.sample(float64(s.audit.suppressed()))
}

func (s *Server) recentMetrics(w *exposition) {
	is := s.store.Stats()
	w.family("pacewire_recent_series", "gauge", "Series, by field, of which the last hour is kept.")
	w.sample(float64(is.Series))
	w.family("pacewire_recent_bytes", "gauge", "Memory that they take.")
	w.sample(float64(is.Bytes))
	w.family("pacewire_recent_refused_values_total", "counter", "Values of series for which there was no room.")
	w.sample(float64(is.Refused))
	w.family("pacewire_recent_dropped_series_total", "counter", "Series that were not heard for an hour.")
	w.sample(float64(is.Dropped))
	w.family("pacewire_recent_read_batches_total", "counter", "Batches that were looked at.")
	w.sample(float64(s.read.read.Load()))
	w.family("pacewire_recent_skipped_batches_total", "counter", "Batches that were skipped, as they were beyond the budget.")
	w.sample(float64(s.read.skipped.Load()))
	w.family("pacewire_recent_foreign_messages_total", "counter", "Messages that are no batch.")
	w.sample(float64(s.read.foreign.Load()))
}

// processMetrics adds what the runtime knows; reading it stops nothing.
func processMetrics(w *exposition) {
	known := []struct{ name, kind, help, source string }{
		{"pacewire_go_goroutines", "gauge", "Goroutines.", "/sched/goroutines:goroutines"},
		{"pacewire_go_heap_bytes", "gauge", "Bytes of live and unswept objects.", "/memory/classes/heap/objects:bytes"},
		{"pacewire_go_memory_bytes", "gauge", "Bytes that the runtime has from the system.", "/memory/classes/total:bytes"},
		{"pacewire_go_gc_cycles_total", "counter", "Collections of garbage.", "/gc/cycles/total:gc-cycles"},
	}
	samples := make([]metrics.Sample, len(known))
	for i, k := range known {
		samples[i].Name = k.source
	}
	metrics.Read(samples)
	for i, k := range known {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			w.family(k.name, k.kind, k.help)
			w.sample(float64(samples[i].Value.Uint64()))
		}
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// metricName returns name as a part of the name of a metric.
func metricName(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
			return c
		}
		return '_'
	}, strings.ToLower(strings.TrimSuffix(name, "_total")))
}

// An exposition is a text for Prometheus.
type exposition struct {
	strings.Builder
	name string // of the family that is being written
}

// family begins a metric.
func (w *exposition) family(name, kind, help string) {
	w.name = name
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample adds a value of it, with labels as pairs of name and value.
func (w *exposition) sample(v float64, labels ...string) {
	w.suffixed("", v, labels...)
}

// suffixed adds a value of a part of it.
func (w *exposition) suffixed(suffix string, v float64, labels ...string) {
	w.WriteString(w.name + suffix)
	for i := 0; i < len(labels); i += 2 {
		w.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		fmt.Fprintf(w, `%s="%s"`, labels[i], strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		w.WriteByte('}')
	}
	fmt.Fprintf(w, " %g\n", v)
}

// histogram adds a metric of values by their size: counts are of the values up to each bound and above the one before, the last
// of those above all.
func (w *exposition) histogram(name, help string, bounds []float64, counts []uint64, sum float64) {
	w.family(name, "histogram", help)
	below := uint64(0)
	for i, n := range counts {
		below += n
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		w.suffixed("_bucket", float64(below), "le", le)
	}
	w.suffixed("_sum", sum)
	w.suffixed("_count", float64(below))
}
