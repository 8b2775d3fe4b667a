package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/loadtest"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	scrapeTargets = 200
	scrapeSeries  = 1000 // of each target
	scrapeEvery   = 10 * time.Second
)

// scrapes measures how many targets cost one process, and vmagent beside it, if that is installed. What vmagent writes goes to a
// server that throws it away; what the plugin writes is stored on the bus.
func scrapes(ctx context.Context, s settings) ([]row, error) {
	targets, err := serveTargets(scrapeTargets)
	if err != nil {
		return nil, err
	}
	defer targets.close()
	ours, agent, err := targets.pacewire(ctx, s)
	if err != nil {
		return nil, err
	}
	cpu, rss := "no vmagent: install victoria-metrics", ""
	if path, err := exec.LookPath("vmagent"); err == nil {
		a, err := targets.vmagent(ctx, s, path)
		if err != nil {
			return nil, fmt.Errorf("vmagent: %w", err)
		}
		cpu, rss = fmt.Sprintf("vmagent: %.2f", a.cpu), fmt.Sprintf("vmagent: %.0f", a.rss)
	}
	title := fmt.Sprintf("scrape of %d targets of %d series each %v: ", scrapeTargets, scrapeSeries, scrapeEvery)
	return []row{
		{title + "% of a core", fmt.Sprintf("%.2f; agent and bus: %.2f", ours.cpu, agent.cpu), cpu, "", "", noBar},
		{title + "MB resident", fmt.Sprintf("%.0f; agent and bus: %.0f", ours.rss, agent.rss), rss, "", "", noBar},
	}, nil
}

// targets are exporters, each with a port of its own.
type targets struct {
	servers []*loadtest.Server
	pages   [][]byte // compressed, taken in turn
	answers atomic.Int64
}

func serveTargets(n int) (*targets, error) {
	t := &targets{}
	for turn := range 7 { // each target gets another one each time: 200 is no multiple of it
		page, err := packedPage(turn)
		if err != nil {
			return nil, err
		}
		t.pages = append(t.pages, page)
	}
	for range n {
		s, err := loadtest.Serve(t)
		if err != nil {
			t.close()
			return nil, err
		}
		t.servers = append(t.servers, s)
	}
	return t, nil
}

func (t *targets) close() {
	for _, s := range t.servers {
		s.Close()
	}
}

func (t *targets) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	n := t.answers.Add(1)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Content-Encoding", "gzip") // both ask for it
	_, _ = w.Write(t.pages[n%int64(len(t.pages))])
}

// packedPage returns a page whose values differ by turn: families of ten series with a label or three.
func packedPage(turn int) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for i := range scrapeSeries {
		if i%10 == 0 {
			fmt.Fprintf(z, "# HELP app_metric_%d_total What the program has counted.\n# TYPE app_metric_%d_total counter\n", i/10, i/10)
		}
		fmt.Fprintf(z, "app_metric_%d_total{method=\"GET\",code=\"200\",route=\"/api/v1/things/%d\"} %d\n", i/10, i%10, 100_000*i+turn*(i%37))
	}
	err := z.Close()
	return b.Bytes(), err
}

func (t *targets) addresses() (all []string) {
	for _, s := range t.servers {
		all = append(all, strings.TrimPrefix(s.URL, "http://"))
	}
	return all
}

func (t *targets) config() string {
	return fmt.Sprintf("host: bench\ncollect: { scrape: { every: %v, max_series: 1000000, targets: [\"%s\"] } }\n",
		scrapeEvery, strings.Join(t.addresses(), `", "`))
}

// spent is what a process has used.
type spent struct {
	cpu float64 // % of a core
	rss float64 // MB
}

// pacewire does it with the plugin.
func (t *targets) pacewire(ctx context.Context, s settings) (plugin, agent spent, err error) {
	sys, err := start(ctx, s, "scrape", t.config())
	if err != nil {
		return plugin, agent, err
	}
	defer sys.stop()
	of, err := t.measure(ctx, s, sys.usage)
	if err != nil {
		return plugin, agent, fmt.Errorf("%w\n%s", err, sys.agent.Log.Tail())
	}
	return of["scrape"], of["agent"], sys.scrapedAll(ctx, s.idle)
}

// scrapedAll fails unless all samples of span have been stored.
func (sys *system) scrapedAll(ctx context.Context, span time.Duration) error {
	out, err := sys.Verb(ctx, "plugin", "info", "scrape", "-o", "json")
	if err != nil {
		return err
	}
	var info struct{ Stats telemetry.Stats }
	if err := json.Unmarshal(out, &info); err != nil {
		return fmt.Errorf("plugin info: %w", err)
	}
	want := uint64(span/scrapeEvery) * scrapeTargets * scrapeSeries
	if info.Stats.PointsOut < want || len(info.Stats.Dropped) > 0 {
		return fmt.Errorf("%d points are stored, want %d or more; dropped: %v", info.Stats.PointsOut, want, info.Stats.Dropped)
	}
	return nil
}

// measure returns what processes use while they scrape, once they are at it.
func (t *targets) measure(ctx context.Context, s settings, look func() (usage, error)) (map[string]spent, error) {
	if err := pause(ctx, scrapeEvery+scrapeEvery/2); err != nil {
		return nil, err
	}
	before, err := look()
	if err != nil {
		return nil, err
	}
	t.answers.Store(0)
	if err := pause(ctx, s.idle); err != nil {
		return nil, err
	}
	after, err := look()
	if err != nil {
		return nil, err
	}
	if n, want := t.answers.Load(), int64(s.idle/scrapeEvery-1)*int64(len(t.servers)); n < want {
		return nil, fmt.Errorf("%d answers in %v, want %d", n, s.idle, want)
	}
	of := map[string]spent{}
	each, _ := after.since(before)
	for name, cpu := range each {
		of[name] = spent{cpu.Seconds() / s.idle.Seconds() * 100, float64(after.rss[name]) / 1e6}
	}
	return of, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// vmagent does it with vmagent.
func (t *targets) vmagent(ctx context.Context, s settings, path string) (spent, error) {
	sink, err := loadtest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	if err != nil {
		return spent{}, err
	}
	defer sink.Close()
	config := fmt.Sprintf("global: { scrape_interval: %v }\nscrape_configs:\n- { job_name: scrape, static_configs: [ { targets: [\"%s\"] } ] }\n",
		scrapeEvery, strings.Join(t.addresses(), `", "`))
	file := filepath.Join(s.dir, "vmagent.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return spent{}, err
	}
	p, err := lab.Start(exec.CommandContext(ctx, path, "-promscrape.config="+file, "-remoteWrite.url="+sink.URL,
		"-remoteWrite.tmpDataPath="+filepath.Join(s.dir, "vmagent"), fmt.Sprintf("-httpListenAddr=127.0.0.1:%d", lab.FreePort())))
	if err != nil {
		return spent{}, err
	}
	sys := &system{agent: p, pids: map[string]int{"vmagent": p.PID()}}
	defer sys.stop()
	of, err := t.measure(ctx, s, sys.usage)
	if err != nil {
		return spent{}, fmt.Errorf("%w\n%s", err, p.Log.Tail())
	}
	return of["vmagent"], nil
}
