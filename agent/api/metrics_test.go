package api

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/telemetry"
)

func TestMetrics(t *testing.T) {
	r := start(t, nil, nil)
	r.fleet.status.Counts["Odd name-1"] = 5
	r.ask("GET", "/api/v1/hosts", "")
	r.ask("GET", "/api/v1/hosts/nobody", "")
	r.ask("GET", "/nothing", "")
	a := r.ask("GET", "/metrics", "")
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("Content-Type %s", a.Header.Get("Content-Type"))
	}
	for _, line := range []string{
		`pacewire_hosts{state="UP"} 2`,
		`pacewire_hub_beats_total 12`,
		`pacewire_hub_odd_name_1_total 5`,
		`pacewire_hub_voice 1`,
		`pacewire_api_requests_total{route="GET /api/v1/hosts",code="200"} 1`,
		`pacewire_api_requests_total{route="GET /api/v1/hosts/{host}",code="404"} 1`,
		`pacewire_api_requests_total{route="none",code="404"} 1`,
		`pacewire_api_problems_total{reason="no_host"} 1`,
		`pacewire_recent_skipped_batches_total 0`,
	} {
		if !strings.Contains(a.text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	checkExposition(t, a.text)
}

// checkExposition parses a text as strictly as Prometheus: HELP and TYPE once before the samples of each metric, every other line
// a sample of it, none twice, and histograms that add up.
func checkExposition(t *testing.T, text string) {
	t.Helper()
	e := expositionReader{t: t, seen: map[string]bool{}}
	for line := range strings.Lines(text) {
		e.read(line)
	}
	e.end()
}

// An expositionReader is how far a text has been read.
type expositionReader struct {
	t                *testing.T
	help, name, kind string          // of the metric that is being read
	seen             map[string]bool // names, and samples with their labels
	samples          int             // of the metric
	le, below        float64         // of the last bucket
	sum, count       bool
}

var (
	helpLine   = regexp.MustCompile(`^# HELP (pacewire_[a-z0-9_]+) ([A-Z0-9][^\\]*\.)\n$`)
	typeLine   = regexp.MustCompile(`^# TYPE (pacewire_[a-z0-9_]+) (counter|gauge|histogram)\n$`)
	sampleLine = regexp.MustCompile(`^(pacewire_[a-z0-9_]+)(?:\{([a-z]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*)\})? (\S+)\n$`)
)

func (e *expositionReader) read(line string) {
	e.t.Helper()
	if m := helpLine.FindStringSubmatch(line); m != nil {
		e.end()
		*e = expositionReader{t: e.t, seen: e.seen, help: m[1], le: math.Inf(-1)}
		e.once(m[1], line)
		return
	}
	if m := typeLine.FindStringSubmatch(line); m != nil {
		if e.name, e.kind = m[1], m[2]; e.name != e.help || e.samples > 0 || strings.HasSuffix(e.name, "_total") != (e.kind == "counter") {
			e.t.Errorf("type %q below help of %s", line, e.help)
		}
		return
	}
	m := sampleLine.FindStringSubmatch(line)
	if m == nil {
		e.t.Errorf("%q is no line of an exposition", line)
		return
	}
	v, err := strconv.ParseFloat(m[3], 64)
	if err != nil || e.kind != "gauge" && !(v >= 0) {
		e.t.Errorf("%q: value %v, %v", line, v, err)
	}
	e.once(m[1]+"{"+m[2]+"}", line)
	e.samples++
	if e.kind == "histogram" {
		e.part(m[1], m[2], v)
	} else if m[1] != e.name || e.kind == "" {
		e.t.Errorf("sample %q below %s", line, e.name)
	}
}

// part reads a sample of a histogram.
func (e *expositionReader) part(name, labels string, v float64) {
	e.t.Helper()
	switch name {
	case e.name + "_bucket":
		le, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimPrefix(labels, `le="`), `"`), 64)
		if err != nil || le <= e.le || v < e.below || e.sum || e.count {
			e.t.Errorf("%s: bucket %s of %v after %v of %v: %v", e.name, labels, v, e.le, e.below, err)
		}
		e.le, e.below = le, v
	case e.name + "_sum":
		e.sum = labels == ""
	case e.name + "_count":
		if e.count = labels == ""; v != e.below {
			e.t.Errorf("%s: %v values, %v in buckets", e.name, v, e.below)
		}
	default:
		e.t.Errorf("%s is no part of %s", name, e.name)
	}
}

func (e *expositionReader) once(what, line string) {
	e.t.Helper()
	if e.seen[what] {
		e.t.Errorf("%q comes twice", line)
	}
	e.seen[what] = true
}

// end is where the metric ends.
func (e *expositionReader) end() {
	e.t.Helper()
	if e.kind == "histogram" && !(e.sum && e.count && math.IsInf(e.le, 1)) {
		e.t.Errorf("histogram %s: sum %v, count %v, last bucket %v", e.name, e.sum, e.count, e.le)
	}
	if e.help != e.name {
		e.t.Errorf("%s has no type", e.help)
	}
}

// measuredHub is a hub that has heard some beats.
type measuredHub struct {
	*fakeHub
	watch *liveness.Watch
}

func (h measuredHub) Measures() hub.Measures { return h.watch.Measures() }

func TestBeatMetrics(t *testing.T) {
	h := measuredHub{watch: liveness.New(liveness.DefaultRules(), liveness.Instant{})}
	for i, at := range []time.Duration{0, 10 * time.Second, 40 * time.Second} {
		b := telemetry.Heartbeat{
			Host: "web1", Inst: "i", Seq: []uint64{1, 2, 5}[i], IntervalMS: 10_000, RTTUS: 1500, OffsetUS: -250_000, AckLost: uint64(i) * 3,
		}
		h.watch.Hear(b, liveness.Instant{Mono: at, Wall: time.Unix(1, 0).Add(at)})
	}
	r := start(t, nil, func(o *Options) {
		h.fakeHub = o.Hub.(*fakeHub)
		o.Hub = h
	})
	text := r.ask("GET", "/metrics", "").text
	for _, line := range []string{
		`# TYPE pacewire_beat_interval_ratio histogram`,
		`pacewire_beat_interval_ratio_bucket{le="0.95"} 0`,
		`pacewire_beat_interval_ratio_bucket{le="1.05"} 1`,
		`pacewire_beat_interval_ratio_bucket{le="3"} 2`,
		`pacewire_beat_interval_ratio_bucket{le="+Inf"} 2`,
		`pacewire_beat_interval_ratio_sum 4`,
		`pacewire_beat_interval_ratio_count 2`,
		`pacewire_beat_rtt_seconds_bucket{le="0.002"} 3`,
		`pacewire_beat_rtt_seconds_count 3`,
		`pacewire_clock_offset_seconds_bucket{le="0.1"} 0`,
		`pacewire_clock_offset_seconds_bucket{le="0.25"} 3`,
		`pacewire_clock_offset_seconds_sum 0.75`,
		`pacewire_beats_lost_total 2`,
		`pacewire_acks_lost_total 6`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	checkExposition(t, text)
}

// TestCheckExposition shows texts that Prometheus would refuse to the check.
func TestCheckExposition(t *testing.T) {
	f := func(text string) {
		t.Helper()
		e := expositionReader{t: new(testing.T), seen: map[string]bool{}}
		for line := range strings.Lines(text) {
			e.read(line)
		}
		if e.end(); !e.t.Failed() {
			t.Errorf("it takes %q", text)
		}
	}
	const head = "# HELP pacewire_a Help.\n# TYPE pacewire_a "
	f("pacewire_a 1\n")
	f("# HELP pacewire_a Help.\n")
	f(head + "gauge\npacewire_b 1\n")
	f(head + "gauge\npacewire_a 1\npacewire_a 1\n")
	f(head + "gauge\npacewire_a one\n")
	f(head + "gauge\npacewire_a 1")
	f(head + "gauge\n\n")
	f(head + "gauge\npacewire_a{x=\"1\",} 1\n")
	f(head + "gauge\npacewire_a{x=\"\"\"} 1\n")
	f(head + "counter\npacewire_a 1\n")
	f(head + "histogram\npacewire_a_bucket{le=\"1\"} 1\npacewire_a_sum 1\npacewire_a_count 1\n")
	f(head + "histogram\npacewire_a_bucket{le=\"+Inf\"} 1\npacewire_a_sum 1\npacewire_a_count 2\n")
	f(head + "histogram\npacewire_a_bucket{le=\"1\"} 2\npacewire_a_bucket{le=\"+Inf\"} 1\npacewire_a_sum 1\npacewire_a_count 1\n")
}

func TestExposition(t *testing.T) {
	var w exposition
	w.family("a", "gauge", "Help.")
	w.sample(1.5, "x", "a\"b\\c\nd", "y", "")
	if want := "# HELP a Help.\n# TYPE a gauge\na{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 1.5\n"; w.String() != want {
		t.Errorf("%q", w.String())
	}
}
