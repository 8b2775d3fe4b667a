package influxdb

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// A picky is a fake that refuses some lines, in the manner of a version: 1 stores the others, 2 and 3 store nothing.
type picky struct {
	version int
	counted bool // it says dropped=N
	refuses func(line string) bool

	mu     sync.Mutex
	stored map[string]bool
}

func (p *picky) answer(w http.ResponseWriter, r request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bad := 0
	lines := strings.SplitAfter(strings.TrimSuffix(r.body, "\n"), "\n")
	for _, line := range lines {
		if p.refuses(line) {
			bad++
		}
	}
	for _, line := range lines {
		if bad == 0 || p.version == 1 && !p.refuses(line) {
			p.stored[strings.TrimSuffix(line, "\n")] = true
		}
	}
	reason := "unable to parse 'x': bad"
	switch {
	case bad == 0:
		w.WriteHeader(204)
		return
	case p.counted:
		reason = fmt.Sprintf("partial write: field type conflict dropped=%d", bad)
	case p.version == 1 && bad < len(lines):
		reason = "partial write: " + reason + " dropped=0"
	}
	says(400, fmt.Sprintf(`{"error":%q}`, reason))(w, r)
}

// lines returns the lines of in, sorted.
func lines(in *telemetry.Batch) []string {
	all := strings.Split(strings.TrimSuffix(string(in.AppendLines(nil)), "\n"), "\n")
	slices.Sort(all)
	return all
}

func TestSift(t *testing.T) {
	f := func(v int, counted bool, refuses func(line string) bool, most int) {
		t.Helper()
		server := &picky{version: v, counted: counted, refuses: refuses, stored: map[string]bool{}}
		s := newFake(t, server.answer)
		p, _ := start(t, s.URL, version(v))
		all := lines(batch(500, "cpu", "mem", "net"))
		in := batch(500, "cpu", "mem", "net")
		err := p.Publish(t.Context(), in)
		if !plugin.IsPermanent(err) {
			t.Fatalf("error %v", err)
		}
		var bad []string
		for _, line := range all {
			if refuses(line) {
				bad = append(bad, line)
			} else if !server.stored[line] {
				t.Errorf("%s is neither stored nor refused", line)
			}
		}
		if got := lines(in); !slices.Equal(got, bad) {
			t.Errorf("%d points are left, want the %d refused ones", len(got), len(bad))
		}
		if want := fmt.Sprintf("%d of %d points refused", len(bad), len(all)); !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
		if n := len(s.requests()); n > most {
			t.Errorf("version %d: %d requests for %d bad points", v, n, len(bad))
		}
	}
	one := func(line string) bool { return strings.HasPrefix(line, "mem") && strings.Contains(line, "v=123 ") }
	few := func(line string) bool { return strings.Contains(line, "v=77 ") }
	group := func(line string) bool { return strings.HasPrefix(line, "mem") }
	every := func(string) bool { return true }

	f(1, true, one, 25)
	f(1, true, few, 70)
	f(1, true, group, 40)
	f(1, true, every, 1)
	f(1, false, one, 25)
	f(1, false, group, 40)
	f(1, false, every, 1)
	f(2, true, one, 25)
	f(2, false, few, 70)
	f(3, false, one, 25)
}

// A search that costs too much ends with points too many among the refused ones, and none lost.
func TestSiftEnds(t *testing.T) {
	server := &picky{version: 2, stored: map[string]bool{},
		refuses: func(line string) bool { return strings.Contains(line, "5 ") }} // every tenth
	s := newFake(t, server.answer)
	p, _ := start(t, s.URL, version(2))
	in := batch(8000, "cpu")
	if err := p.Publish(t.Context(), in); !plugin.IsPermanent(err) {
		t.Fatalf("error %v", err)
	}
	if n := len(s.requests()); n > probes+3 {
		t.Errorf("%d requests", n)
	}
	left := map[string]bool{}
	for _, line := range lines(in) {
		left[line] = true
	}
	for _, line := range lines(batch(8000, "cpu")) {
		if left[line] == server.stored[line] {
			t.Fatalf("%s: set aside %v, stored %v", line, left[line], server.stored[line])
		}
	}
}

// A fault in the middle of a search leaves the batch to be given again.
func TestSiftIsInterrupted(t *testing.T) {
	n := 0
	s := newFake(t, func(w http.ResponseWriter, r request) {
		if n++; n > 4 {
			says(503, "")(w, r)
			return
		}
		says(400, `{"error":"partial write: x dropped=0"}`)(w, r)
	})
	p, _ := start(t, s.URL, nil)
	wantPlain(t, p.Publish(t.Context(), batch(100, "cpu")))
}

// A search that finds nothing any more has nothing to complain of.
func TestSiftOfAServerThatChangesItsMind(t *testing.T) {
	n := 0
	s := newFake(t, func(w http.ResponseWriter, r request) {
		if n++; n > 1 {
			stored(w, r)
			return
		}
		says(400, `{"error":"partial write: x dropped=1"}`)(w, r)
	})
	p, _ := start(t, s.URL, nil)
	if err := p.Publish(t.Context(), batch(100, "cpu")); err != nil {
		t.Error(err)
	}
}

// A search takes no more than half of the time of its call.
func TestSearchHasATime(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	s := newSearch(ctx, nil, nil, nil)
	if d := time.Until(s.until); d < 29*time.Minute || d > 30*time.Minute {
		t.Errorf("it may take %v", d)
	}
	if s.spent() {
		t.Error("no time at all")
	}
	if s.until = time.Now().Add(-1); !s.spent() {
		t.Error("it goes on for ever")
	}
}

func TestSeries(t *testing.T) {
	f := func(want string, names ...string) {
		t.Helper()
		if got := series(batch(1, names...)); got != want {
			t.Errorf("series %v are told as %q", names, got)
		}
	}
	f("a", "a", "a")
	f("a, b", "a", "b")
	f("a, b, c, d, e, 2 more", "a", "b", "c", "d", "e", "f", "g")
}

// Each point has a line, whatever is in it.
func TestLineEnds(t *testing.T) {
	f := func(points ...telemetry.Point) {
		t.Helper()
		var b telemetry.Batch
		var want []int
		var text []byte
		for _, p := range points {
			var one telemetry.Batch
			one.Append(p)
			text = one.AppendLines(text)
			want = append(want, len(text))
			b.Append(p)
		}
		if got := lineEnds(text); !slices.Equal(got, want) {
			t.Errorf("lines of %q end at %v, want %v", text, got, want)
		}
	}
	point := func(series, tag, field string, v any) telemetry.Point {
		return telemetry.Point{Series: series, Time: time.Unix(1, 0), Tags: telemetry.Tags{tag: tag}, Fields: telemetry.Fields{field: v}}
	}
	f(point("a", "t", "f", "one\ntwo\n\nthree"), point("a", "t", "f", 1))
	f(point(`a"b c`, `"t`, `f"`, `"`), point("a", "t", "f", 1))
	f(point(`"`, `="`, `="`, "\n"), point("a", `"`, `"`, 1))
	f(point(`a\`, `b\ c`, `d\`, `\`), point("a", "t", "f", "\\\n\""))
	f(point("a,b=c d", "e f,g=h", `i="j`, "k=\"l\n\" 1\n"), point("a", "t", "f", true))
	f()

	if got := lineEnds([]byte("a b=1\nc d=\"open\n")); !slices.Equal(got, []int{6, 16}) {
		t.Errorf("a quote without an end: %v", got)
	}
	if got := lineEnds([]byte("no blank")); !slices.Equal(got, []int{8}) {
		t.Errorf("no fields: %v", got)
	}
}
