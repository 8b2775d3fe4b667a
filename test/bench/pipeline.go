package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/loadtest"
)

// config returns the config of the measured pipeline: line protocol over TCP, a filter and a tag, HTTP out.
func config(sync, listen, url string, apart bool) string {
	process := `  mid: { use: chain, from: in, steps: [ { use: filter, drop: 'tags.keep == "no"' }, { use: tag, add: { site: lab } } ] }`
	last := "mid"
	if apart {
		process = `  keep: { use: filter, from: in, drop: 'tags.keep == "no"' }
  site: { use: tag, from: keep, add: { site: lab } }`
		last = "site"
	}
	return linesToHTTP(sync, listen, url, process, last)
}

// linesToHTTP returns a config with processors between line protocol over TCP and HTTP.
func linesToHTTP(sync, listen, url, process, last string) string {
	return fmt.Sprintf(`host: bench
bus: { sync: %s }
collect:
  in: { use: lines, listen: "tcp://%s", flush: 10ms }
process:
%s
publish:
  out: { use: influxdb, from: %s, url: %q, database: bench, compression: none }
`, sync, listen, process, last, url)
}

// A result is one run of the pipeline.
type result struct {
	rate   float64 // points/s
	micros float64 // CPU a point
	each   map[string]float64
	peak   map[string]int64
	bytes  float64 // at the sink, a point
}

// pipeline runs the pipeline at full speed.
func pipeline(ctx context.Context, s settings, name, sync string, apart bool) (result, error) {
	var r result
	sink, err := loadtest.NewSink(s.points, nil)
	if err != nil {
		return r, err
	}
	defer sink.Close()
	listen := fmt.Sprintf("127.0.0.1:%d", lab.FreePort())
	sys, err := start(ctx, s, name, config(sync, listen, sink.URL, apart))
	if err != nil {
		return r, err
	}
	defer sys.stop()
	before, err := sys.usage()
	if err != nil {
		return r, err
	}
	begin := time.Now()
	if err := deliver(ctx, listen, sink, loadtest.Load{Points: s.points}); err != nil {
		return r, fmt.Errorf("%w\n%s", err, sys.agent.Log)
	}
	took := time.Since(begin)
	after, err := sys.usage()
	if err != nil {
		return r, err
	}
	each, sum := after.since(before)
	n := float64(s.points)
	r = result{rate: n / took.Seconds(), micros: float64(sum.Nanoseconds()) / 1e3 / n, each: map[string]float64{},
		peak: after.peak, bytes: float64(sink.Bytes()) / float64(loadtest.Arriving(s.points))}
	for name, cpu := range each {
		r.each[name] = float64(cpu.Nanoseconds()) / 1e3 / n
	}
	return r, nil
}

// patience is how long a point may be missing while no other comes, before it counts as lost.
const patience = 15 * time.Second

// deliver sends a load to a listener, waits for it at the sink, and compares both.
func deliver(ctx context.Context, listen string, sink *loadtest.Sink, l loadtest.Load) error {
	sent, err := loadtest.Send(ctx, listen, l)
	if err != nil {
		return err
	}
	count, err := sink.Settle(ctx, sent, patience)
	if err != nil {
		return err
	}
	if !count.OK() || sent != l.Points {
		return fmt.Errorf("%d points sent: %s", sent, count)
	}
	return nil
}

// pipelines measures full speed with each sync, and raw NATS beside it.
func pipelines(ctx context.Context, s settings) ([]row, error) {
	var rows []row
	for _, run := range []struct {
		sync  string
		apart bool
		title string
	}{
		{"always", false, "filter and tag in one process"},
		{"1s", false, "filter and tag in one process"},
		{"always", true, "filter and tag apart"},
	} {
		var results []result
		for i := range s.runs {
			r, err := pipeline(ctx, s, fmt.Sprintf("pipeline-%s-%v-%d", run.sync, run.apart, i), run.sync, run.apart)
			if err != nil {
				return rows, err
			}
			results = append(results, r)
		}
		slices.SortFunc(results, func(a, b result) int { return int(1e6 * (a.micros - b.micros)) })
		r := results[len(results)/2]
		raw, err := rawNATS(ctx, s, run.sync)
		if err != nil {
			return rows, err
		}
		title := "sync " + run.sync + ", " + run.title + ": "
		plugin, bus := peaks(r.peak)
		more := []row{
			{title + "points/s", fmt.Sprintf("%.0f", r.rate), fmt.Sprintf("raw NATS, same bytes: %.0f", raw.rate), "1000000", "1750000", judge(r.rate, 1e6, 1.75e6, false)},
			{title + "CPU µs a point", fmt.Sprintf("%.3f", r.micros), fmt.Sprintf("raw NATS: %.3f (x %.1f)", raw.micros, r.micros/raw.micros), "1.2", "0.6", judge(r.micros, 1.2, 0.6, true)},
			{"   by process", shares(r.each), "", "", "", noBar},
			{title + "peak MB plugin / bus", fmt.Sprintf("%.0f / %.0f", plugin, bus), fmt.Sprintf("raw NATS bus: %.0f", raw.peak), "80 / 600", "60 / 400", worse(judge(plugin, 80, 60, true), judge(bus, 600, 400, true))},
		}
		if run.apart { // a process and a hop more than the bars are for
			for i := range more {
				more[i].bar, more[i].aim, more[i].met = "", "", noBar
			}
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// peaks returns the largest plugin and the bus, in MB.
func peaks(bytes map[string]int64) (plugin, bus float64) {
	for name, n := range bytes {
		if mb := float64(n) / 1e6; name == "agent" {
			bus = mb
		} else {
			plugin = max(plugin, mb)
		}
	}
	return plugin, bus
}

func worse(a, b verdict) verdict {
	for _, v := range []verdict{missed, barMet} {
		if a == v || b == v {
			return v
		}
	}
	return a
}

func shares(each map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(each)) {
		parts = append(parts, fmt.Sprintf("%s %.3f", name, each[name]))
	}
	return strings.Join(parts, ", ")
}
