package scrape

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/atomicfile"
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

// worker returns a worker of the only target that a config for p has.
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

// stream runs the collector of cfg, scraping each 50 ms, until the test ends.
func stream(t *testing.T, cfg Config) *emitter {
	t.Helper()
	env := plugintest.Env(t)
	env.Every = 50 * time.Millisecond
	s, err := New(t.Context(), cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	e := &emitter{}
	done := make(chan error)
	go func() { done <- s.Stream(ctx, e) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return e
}

// Each target is scraped at each interval.
func TestStream(t *testing.T) {
	p := newPage(t, "a 1\n")
	cfg := defaults()
	cfg.Job = "j"
	cfg.Groups = []Group{
		{Targets: plugin.Strings{p.address()}, Labels: map[string]string{"instance": "x"}},
		{Targets: plugin.Strings{p.URL + "/other"}, Labels: map[string]string{"instance": "y"}},
	}
	e := stream(t, cfg)
	seen := map[string]int{}
	until(t, "three scrapes of each", func() bool {
		for _, line := range e.take("a") {
			seen[line]++
		}
		return seen["a,instance=x,job=j value=1"] > 2 && seen["a,instance=y,job=j value=1"] > 2
	})
}

// A file of targets that is written while the collector runs is followed.
func TestStreamFollowsFiles(t *testing.T) {
	p := newPage(t, "a 1\n")
	path := filepath.Join(t.TempDir(), "targets.yaml")
	cfg := defaults()
	cfg.Job, cfg.TargetFiles, cfg.TargetFilesEvery = "j", plugin.Strings{path}, plugin.Duration(20*time.Millisecond)
	e := stream(t, cfg)
	for _, instance := range []string{"x", "y"} {
		text := fmt.Sprintf("- targets: [%q]\n  labels: {instance: %s}\n", p.URL, instance)
		if err := atomicfile.Swap(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		until(t, "the target of the file is scraped", func() bool { return slices.Contains(e.take("a"), "a,instance="+instance+",job=j value=1") })
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
