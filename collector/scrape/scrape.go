// Package scrape asks programs that speak Prometheus' text, or OpenMetrics, for their samples.
package scrape

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	Targets          plugin.Strings  `json:"targets" jsonschema:"what to scrape: host:port, or a URL"`
	Groups           []Group         `json:"groups" jsonschema:"targets that have labels in common"`
	TargetFiles      plugin.Strings  `json:"target_files" jsonschema:"files with lists of such groups, JSON or YAML; globs"`
	TargetFilesEvery plugin.Duration `json:"target_files_every" jsonschema:"how often is looked whether those have changed"`

	Job           string                    `json:"job" jsonschema:"the tag job of the targets that do not say theirs; empty: the name of the plugin"`
	Scheme        string                    `json:"scheme" jsonschema:"of targets that are no URL"`
	Path          string                    `json:"metrics_path" jsonschema:"of targets that do not say one"`
	Params        map[string]plugin.Strings `json:"params" jsonschema:"parameters of the request, each with one value or several"`
	ScrapeTimeout plugin.Duration           `json:"scrape_timeout" jsonschema:"how long a target has for its whole answer; at most the interval"`
	MaxSamples    int                       `json:"max_samples" jsonschema:"of one target; more fail the scrape"`
	MaxBody       int                       `json:"max_body_bytes" jsonschema:"of an answer, decompressed; more fail the scrape"`

	Relabel       []Rule `json:"relabel" jsonschema:"rules that change the labels of targets, or drop targets, before they are scraped"`
	MetricRelabel []Rule `json:"metric_relabel" jsonschema:"rules that change or drop samples"`
	HonorLabels   bool   `json:"honor_labels" jsonschema:"where a sample and its target have the same label, that of the sample stands; else it becomes exported_..."`
	HonorTimes    bool   `json:"honor_timestamps" jsonschema:"samples that say their time keep it"`
	Native        bool   `json:"native_histograms" jsonschema:"ask for the protobuf format, in which targets tell native histograms: each becomes buckets with bounds, in place of its classic ones"`
	Stale         string `json:"stale" jsonschema:"series that a target no longer has: counted only, or marked by a last point with the field stale=true"`
	Families      bool   `json:"families" jsonschema:"tell type, unit and help of each family of samples, in the series scrape_family"`

	Redirects   bool              `json:"follow_redirects" jsonschema:"ask where an answer says that the page is now"`
	Proxy       string            `json:"proxy_url" jsonschema:"the proxy to ask through, such as http://proxy:3128, or socks5://; empty: none"`
	Headers     map[string]string `json:"headers" jsonschema:"of the request, beside or in place of ours"`
	Username    string            `json:"username" jsonschema:"for basic authentication"`
	Password    plugin.Secret     `json:"password" jsonschema:"for basic authentication"`
	BearerToken plugin.Secret     `json:"bearer_token" jsonschema:"for authentication by a token"`
	RenewedFile string            `json:"renewed_token_file" jsonschema:"a file with a token that is renewed now and then: it is read for each scrape"`
	CAFile      string            `json:"ca_file" jsonschema:"certificates, PEM, that may have signed those of the targets; empty: those that the system trusts"`
	CertFile    string            `json:"cert_file" jsonschema:"our certificate, PEM, for targets that want one"`
	KeyFile     string            `json:"key_file" jsonschema:"the key of cert_file, PEM"`
	ServerName  string            `json:"server_name" jsonschema:"the name that certificates of targets have to be for; empty: that of the address"`
	Insecure    bool              `json:"insecure_skip_verify" jsonschema:"take any certificate, which lets anybody answer for a target"`
}

// A Group is targets that have labels in common.
type Group struct {
	Targets plugin.Strings    `json:"targets" yaml:"targets" jsonschema:"host:port, or a URL"`
	Labels  map[string]string `json:"labels" yaml:"labels" jsonschema:"tags of their points"`
}

// Values of Config.Stale.
const (
	staleCount = "count"
	staleMark  = "mark"
)

// usualSeries is max_series unless the config says otherwise: a thousand exporters. What bounds each of them is max_samples.
const usualSeries = 1_000_000

// Define describes the scrape collector.
func Define() plugin.Definition {
	return collector.DefineRounds(collector.RoundsSpec[Config]{
		Program: "scrape",
		Summary: "Scrapes Prometheus and OpenMetrics targets, many in one process.",
		Config:  defaults(),
		Enum:    map[string][]any{"stale": {staleCount, staleMark}, "scheme": {"http", "https"}},
		Catalog: catalog(),
		Proxy:   true, // a target may have a tag host
		Series:  usualSeries,
		New:     New,
	})
}

func defaults() Config {
	return Config{
		Targets: plugin.Strings{}, Groups: []Group{}, TargetFiles: plugin.Strings{}, TargetFilesEvery: plugin.Duration(30 * time.Second),
		Scheme: "http", Path: "/metrics", Params: map[string]plugin.Strings{}, Headers: map[string]string{},
		ScrapeTimeout: plugin.Duration(10 * time.Second),
		MaxSamples:    100_000, MaxBody: 64 << 20,
		Relabel: []Rule{}, MetricRelabel: []Rule{},
		HonorTimes: true, Redirects: true, Stale: staleCount, Families: true,
	}
}

func catalog() []telemetry.Desc {
	tags := map[string]string{"job": "the kind of target", "instance": "its host and port"}
	return []telemetry.Desc{
		{Series: "up", Help: "Whether a target has answered.", Tags: tags,
			Fields: map[string]string{"value": "1: it has", "error": "why it has not"}, Types: map[string]string{"error": "s"}},
		{Series: "scrape_duration_seconds", Help: "How long an answer took.", Tags: tags, Fields: map[string]string{"value": "s"}},
		{Series: "scrape_samples", Help: "What an answer had.", Tags: tags,
			Fields: map[string]string{"value": "samples", "kept": "samples", "refused": "samples", "gone": "series"},
			Types:  map[string]string{"kept": "i", "refused": "i", "gone": "i"}},
		{Series: "scrape_family", Help: "What targets say of their families, once an hour and where it is new.",
			Tags:   map[string]string{"job": "the kind of target", "family": "its name", "type": "counter, gauge, histogram, summary ...", "unit": "of its values"},
			Fields: map[string]string{"help": "text", "samples": "samples"}, Types: map[string]string{"help": "s", "samples": "i"}},
	}
}

// A scraper scrapes all targets of a config.
type scraper struct {
	cfg      Config
	env      plugin.Env
	log      *slog.Logger
	every    time.Duration // 0: once
	timeout  time.Duration
	client   *http.Client
	list     *list
	metric   []rule
	families families
	spaces   sync.Pool     // of *space
	large    chan struct{} // one for each large page that is there
}

// New returns the scraper of what cfg names. Nothing is asked before Stream.
func New(_ context.Context, cfg Config, env plugin.Env) (collector.Rounds, error) {
	if len(cfg.Targets)+len(cfg.Groups)+len(cfg.TargetFiles) == 0 {
		return nil, fmt.Errorf("there is nothing to scrape: name targets, such as [\"127.0.0.1:9100\"], groups or target_files: %w", plugin.ErrNoData)
	}
	client, err := newClient(cfg, env.Every)
	if err != nil {
		return nil, err
	}
	metric, err := compile("metric_relabel", cfg.MetricRelabel)
	if err != nil {
		return nil, err
	}
	list, err := newList(cfg, env)
	if err != nil {
		return nil, err
	}
	if cfg.Insecure {
		env.Log.Warn("certificates of targets are not verified: anybody may answer for them", "setting", "insecure_skip_verify")
	}
	s := &scraper{
		cfg: cfg, env: env, log: env.Log, every: env.Every, timeout: cfg.ScrapeTimeout.Std(), client: client, list: list, metric: metric,
		large: make(chan struct{}, largePages),
	}
	if s.every > 0 {
		s.timeout = min(s.timeout, s.every)
	}
	return s, nil
}

// Stream scrapes each target at each interval, until ctx ends; or once, where there is no interval.
func (s *scraper) Stream(ctx context.Context, out collector.Emitter) error {
	if s.every == 0 {
		return s.Round(ctx, out)
	}
	defer s.client.CloseIdleConnections()
	c := crew{scraper: s, out: out, at: map[string]*worker{}}
	defer c.end()
	for {
		c.follow(ctx, s.list.targets())
		if !sleep(ctx, s.cfg.TargetFilesEvery.Std()) {
			return nil
		}
	}
}

// Round scrapes each target once.
func (s *scraper) Round(ctx context.Context, out collector.Emitter) error {
	defer s.client.CloseIdleConnections()
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, t := range s.list.targets() {
		g.Go(func() error {
			newWorker(s, t, out).scrape(ctx)
			return nil
		})
	}
	return g.Wait()
}

// atOnce is how many targets are asked at a time where there is no interval to spread them over.
const atOnce = 16

// sleep waits for d and reports whether it passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
