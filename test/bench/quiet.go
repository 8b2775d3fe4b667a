package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/loadtest"
)

// latency sends 1,000 points a second and measures each from its leaving to its arrival.
func latency(ctx context.Context, s settings) ([]row, error) {
	const rate, seconds = 1000, 20
	n := rate * seconds
	left := make([]atomic.Int64, n)
	took := make([]atomic.Int64, n)
	sink, err := loadtest.NewSink(n, func(i int) { took[i].Store(time.Now().UnixNano() - left[i].Load()) })
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	listen := fmt.Sprintf("127.0.0.1:%d", lab.FreePort())
	sys, err := start(ctx, s, "latency", config("always", listen, sink.URL, false))
	if err != nil {
		return nil, err
	}
	defer sys.stop()
	leaves := func(i int, before time.Time) { left[i].Store(before.UnixNano()) }
	if err := deliver(ctx, listen, sink, loadtest.Load{Points: n, Rate: rate, Left: leaves}); err != nil {
		return nil, err
	}
	var all []float64
	for i := rate; i < n; i++ { // without the first second
		if !loadtest.Dropped(i) {
			all = append(all, float64(took[i].Load())/1e6)
		}
	}
	slices.Sort(all)
	p50, p99 := all[len(all)/2], all[len(all)*99/100]
	flush, err := syncTime(s.dir)
	if err != nil {
		return nil, err
	}
	return []row{{"latency at 1,000 points/s, flush 10 ms, ms p50 / p99", fmt.Sprintf("%.1f / %.1f", p50, p99),
		fmt.Sprintf("one fsync of 4 KiB: %.1f / %.1f", flush[0], flush[1]), "10 / 20", "8 / 14",
		worse(judge(p50, 10, 8, true), judge(p99, 20, 14, true))}}, nil
}

// memory sends 50,000 points a second and looks at the processes.
func memory(ctx context.Context, s settings) ([]row, error) {
	const rate, seconds = 50_000, 20
	n := rate * seconds
	sink, err := loadtest.NewSink(n, nil)
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	listen := fmt.Sprintf("127.0.0.1:%d", lab.FreePort())
	sys, err := start(ctx, s, "memory", config("always", listen, sink.URL, false))
	if err != nil {
		return nil, err
	}
	defer sys.stop()
	if err := deliver(ctx, listen, sink, loadtest.Load{Points: n, Rate: rate}); err != nil {
		return nil, err
	}
	u, err := sys.usage()
	if err != nil {
		return nil, err
	}
	plugin, bus := peaks(u.rss)
	plugin2, bus2 := peaks(u.pss)
	return []row{{"memory at 50,000 points/s, MB plugin / bus", fmt.Sprintf("%.0f / %.0f", plugin, bus),
		fmt.Sprintf("shared pages counted in parts: %.0f / %.0f", plugin2, bus2), "30 / 120", "25 / 70",
		worse(judge(plugin, 30, 25, true), judge(bus, 120, 70, true))}}, nil
}

// idle measures up with the host collector and one publisher, and then what each further plugin adds.
func idle(ctx context.Context, s settings) ([]row, error) {
	base := "every: 10s\ncollect:\n  host: {}\npublish:\n  file: { use: lines, from: host, path: points.lp }\n"
	u, cpu, err := s.rest(ctx, "idle", base)
	if err != nil {
		return nil, err
	}
	all := total(u.pss)
	const more = 8
	var extra strings.Builder
	extra.WriteString(base + "process:\n")
	for i := range more {
		extra.WriteString(fmt.Sprintf("  t%d: { use: tag, from: send, add: { k: v } }\n", i))
	}
	with, _, err := s.rest(ctx, "idle-more", extra.String())
	if err != nil {
		return nil, err
	}
	mean := 0.0
	for name, pss := range with.pss {
		if name[0] == 't' {
			mean += float64(pss) / 1e6 / more
		}
	}
	raw, err := rawIdle(ctx, s)
	if err != nil {
		return nil, err
	}
	further := (total(with.pss) - all) / more
	return []row{
		{"idle up, host at 10 s, one publisher: MB (PSS)", fmt.Sprintf("%.1f", all), byProcess(u.pss), "45", "35", judge(all, 45, 35, true)},
		{"idle up: % of a core", fmt.Sprintf("%.2f", cpu.all), fmt.Sprintf("raw NATS, empty streams, no client: %.2f", raw), "0.4", "0.2", judge(cpu.all, 0.4, 0.2, true)},
		{"a further idle built-in, MB (PSS)", fmt.Sprintf("%.1f", further),
			fmt.Sprintf("what %d more add, each; their mean with its part of what is shared: %.1f", more, mean), "4", "2", judge(further, 4, 2, true)},
	}, nil
}

// load is what a system uses of a core, in percent.
type load struct{ agent, all float64 }

// rest runs config for the idle time and returns the memory at its end and the CPU used in it.
func (s settings) rest(ctx context.Context, name, config string) (usage, load, error) {
	sys, err := start(ctx, s, name, config)
	if err != nil {
		return usage{}, load{}, err
	}
	defer sys.stop()
	select {
	case <-time.After(5 * time.Second): // for the start to be over
	case <-ctx.Done():
		return usage{}, load{}, ctx.Err()
	}
	before, err := sys.usage()
	if err != nil {
		return usage{}, load{}, err
	}
	select {
	case <-time.After(s.idle):
	case <-ctx.Done():
		return usage{}, load{}, ctx.Err()
	}
	after, err := sys.usage()
	each, sum := after.since(before)
	share := func(spent time.Duration) float64 { return spent.Seconds() / s.idle.Seconds() * 100 }
	return after, load{share(each["agent"]), share(sum)}, err
}

func total(bytes map[string]int64) (mb float64) {
	for _, n := range bytes {
		mb += float64(n) / 1e6
	}
	return mb
}

func byProcess(bytes map[string]int64) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(bytes)) {
		text.WriteString(fmt.Sprintf(" %s %.1f", name, float64(bytes[name])/1e6))
	}
	return text.String()[1:]
}
