package scrape

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// An emitter keeps what is sent.
type emitter struct {
	mu     sync.Mutex
	points []telemetry.Point
	drops  map[string]int
}

func (e *emitter) Emit(b *telemetry.Batch) error {
	var got telemetry.Batch
	if err := got.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for p := range got.Points() {
		e.points = append(e.points, p)
	}
	return nil
}

func (e *emitter) Post(b *telemetry.Batch, _ time.Duration) error { return e.Emit(b) }

func (e *emitter) Batch() *telemetry.Batch { return &telemetry.Batch{} }

func (e *emitter) Drop(reason string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.drops == nil {
		e.drops = map[string]int{}
	}
	e.drops[reason] += n
}

// take returns what has come of the series, and forgets all: lines with all but their times, sorted.
func (e *emitter) take(series ...string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines []string
	for _, p := range e.points {
		if len(series) == 0 || slices.Contains(series, p.Series) {
			lines = append(lines, line(p))
		}
	}
	e.points = nil
	slices.Sort(lines)
	return lines
}

func line(p telemetry.Point) string {
	var b telemetry.Batch
	b.Append(p)
	text := strings.TrimSuffix(string(b.AppendLines(nil)), "\n")
	return text[:strings.LastIndexByte(text, ' ')]
}

// A page is a target that answers with what it is told.
type page struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request)
}

func newPage(t *testing.T, text string) *page {
	p := &page{}
	p.say(text)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// say makes the target answer with a text.
func (p *page) say(text string) {
	p.does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, text)
	})
}

func (p *page) does(answer func(w http.ResponseWriter, r *http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *page) address() string { return strings.TrimPrefix(p.URL, "http://") }

// scrapes returns a worker of the only target that a config for p has.
func (p *page) worker(t *testing.T, change func(*Config)) (*worker, *emitter) {
	t.Helper()
	cfg := defaults()
	cfg.Groups = []Group{{Targets: plugin.Strings{p.URL}, Labels: map[string]string{"instance": "i"}}}
	cfg.Job, cfg.Families = "j", false
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	c, err := New(t.Context(), cfg, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	s := c.(*scraper)
	t.Cleanup(s.client.CloseIdleConnections)
	targets := s.list.targets()
	if len(targets) != 1 {
		t.Fatalf("targets %v", targets)
	}
	e := &emitter{}
	return newWorker(s, targets[0], e), e
}

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// The samples of a page, those of the target beside them.
func TestScrape(t *testing.T) {
	p := newPage(t, "# TYPE a counter\na{l=\"v\"} 1\nb 2.5\nc NaN\nd{\n")
	w, e := p.worker(t, nil)
	w.scrape(t.Context())
	check(t, e.take("a", "b", "c", "up", "scrape_samples"),
		"a,instance=i,job=j,l=v value=1",
		"b,instance=i,job=j value=2.5",
		"scrape_samples,instance=i,job=j gone=0i,kept=2i,refused=2i,value=3",
		"up,instance=i,job=j value=1")
	if e.drops["not_finite"] != 1 || e.drops["syntax"] != 1 {
		t.Errorf("counted %v", e.drops)
	}
}

// TestStream scrapes two targets at an interval, each at its place in it, until it is ended.
func TestStream(t *testing.T) {
	p := newPage(t, "a 1\n")
	cfg := defaults()
	cfg.Targets = plugin.Strings{p.address(), p.URL + "/other"}
	env := plugintest.Env(t)
	env.Every = 50 * time.Millisecond
	s, err := New(t.Context(), cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := &emitter{}
	done := make(chan error)
	go func() { done <- s.Stream(ctx, e) }()
	until(t, "three scrapes", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.points) > 3*2*4
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	tags := "instance=" + p.address() + ",job=" + env.Name
	if got := slices.Compact(e.take("a")); !slices.Equal(got, []string{"a," + tags + " value=1"}) {
		t.Errorf("%q, job %q", got, env.Name)
	}
}

// until waits until cond holds.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
