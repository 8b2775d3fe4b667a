package main

import (
	"context"
	"fmt"

	"github.com/pacewire/pacewire/internal/loadtest"
)

// shims measures a processor whose work is a program of the system, beside the filter that is built in.
func shims(ctx context.Context, s settings) ([]row, error) {
	n := min(s.points, 4_000_000)
	filter := hop{name: "filter", process: `use: filter, drop: 'tags.keep == "no"'`, points: n, keeps: func(i int) bool { return !loadtest.Dropped(i) }}
	beside, err := filter.bestOf(ctx, s)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, format := range []string{"lines", "json"} {
		h := hop{name: "shim", points: n, keeps: all, process: fmt.Sprintf("run: [%q, plugin, shim, --kind, processor, --format, %s, --, cat]", s.binary, format)}
		l, err := h.bestOf(ctx, s)
		if err != nil {
			return rows, err
		}
		bar, aim, met := "300000", "600000", judge(l.rate, 3e5, 6e5, false)
		if format == "json" { // what it costs, and no promise
			bar, aim, met = "", "", noBar
		}
		title := "shim, cat as a processor, " + format + ": "
		rows = append(rows,
			row{title + "points/s", fmt.Sprintf("%.0f", l.rate), fmt.Sprintf("filter: %.0f", beside.rate), bar, aim, met},
			row{title + "CPU µs a point", fmt.Sprintf("%.3f", l.micros), fmt.Sprintf("filter: %.3f", beside.micros), "", "", noBar},
			row{title + "peak MB with its program", fmt.Sprintf("%.0f", l.peak), fmt.Sprintf("filter: %.0f", beside.peak), "", "", noBar})
	}
	return rows, nil
}
