package api

import (
	"bufio"
	"regexp"
	"strings"
	"testing"
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

// checkExposition looks whether a text is as Prometheus wants it: HELP and TYPE once before the samples of each metric.
func checkExposition(t *testing.T, text string) {
	t.Helper()
	sample := regexp.MustCompile(`^(pacewire_[a-z0-9_]+)(\{([a-z]+="([^"\\]|\\.)*",?)+\})? [0-9.e+-]+$`)
	help, name, seen := "", "", map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		words := strings.SplitN(lines.Text(), " ", 4)
		switch {
		case strings.HasPrefix(lines.Text(), "# HELP "):
			if help = words[2]; seen[help] || len(words) < 4 || !strings.HasSuffix(words[3], ".") {
				t.Errorf("%s", lines.Text())
			}
			seen[help] = true
		case strings.HasPrefix(lines.Text(), "# TYPE "):
			if name = words[2]; name != help || strings.HasSuffix(name, "_total") != (words[3] == "counter") {
				t.Errorf("%s", lines.Text())
			}
		default:
			if m := sample.FindStringSubmatch(lines.Text()); m == nil || m[1] != name {
				t.Errorf("sample %q below %s", lines.Text(), name)
			}
		}
	}
}

func TestExposition(t *testing.T) {
	var w exposition
	w.family("a", "gauge", "Help.")
	w.sample(1.5, "x", "a\"b\\c\nd", "y", "")
	if want := "# HELP a Help.\n# TYPE a gauge\na{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 1.5\n"; w.String() != want {
		t.Errorf("%q", w.String())
	}
}
