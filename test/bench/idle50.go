package main

import (
	"context"
	"fmt"
	"strings"
)

const idlePlugins = 50

// idleMany measures up with many plugins that have nothing to do, and with one.
func idleMany(ctx context.Context, s settings) ([]row, error) {
	one, cpu1, err := s.rest(ctx, "idle1", idleFilters(1))
	if err != nil {
		return nil, err
	}
	many, cpu, err := s.rest(ctx, "idle50", idleFilters(idlePlugins))
	if err != nil {
		return nil, err
	}
	const more = idlePlugins - 1
	adds := (total(many.pss) - total(one.pss)) / more
	mb := func(bytes int64) float64 { return float64(bytes) / 1e6 }
	mean := (total(many.pss) - mb(many.pss["agent"])) / idlePlugins
	title := fmt.Sprintf("%d idle built-ins: ", idlePlugins)
	return []row{
		{title + "% of a core, agent / all processes", fmt.Sprintf("%.2f / %.2f", cpu.agent, cpu.all),
			fmt.Sprintf("with 1: %.2f / %.2f; one more: %.3f / %.3f", cpu1.agent, cpu1.all, (cpu.agent-cpu1.agent)/more, (cpu.all-cpu1.all)/more), "", "", noBar},
		{title + "agent, MB (PSS)", fmt.Sprintf("%.1f", mb(many.pss["agent"])), fmt.Sprintf("with 1: %.1f; resident %.1f, with 1: %.1f",
			mb(one.pss["agent"]), mb(many.rss["agent"]), mb(one.rss["agent"])), "", "", noBar},
		{title + "what one more adds, MB (PSS)", fmt.Sprintf("%.1f", adds), fmt.Sprintf("their mean with its part of what is shared: %.1f; of 1 alone: %.1f",
			mean, mb(one.pss["t0"])), "4", "2", judge(adds, 4, 2, true)},
	}, nil
}

// idleFilters returns a config with n processors to which nothing comes.
func idleFilters(n int) string {
	var text strings.Builder
	text.WriteString("host: bench\nprocess:\n")
	for i := range n {
		fmt.Fprintf(&text, "  t%d: { use: filter, from: send, drop: 'tags.keep == \"no\"' }\n", i)
	}
	return text.String()
}
