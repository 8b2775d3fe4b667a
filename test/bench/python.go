package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/pacewire/pacewire/internal/loadtest"
)

// pythons measures processors in Python, beside the filter that is built in.
func pythons(ctx context.Context, s settings) ([]row, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return nil, fmt.Errorf("python3: %w: install it", err)
	}
	plugin, err := filepath.Abs("test/bench/testdata/pass.py")
	if err != nil {
		return nil, err
	}
	n := min(s.points, 2_000_000)
	filter := hop{name: "filter", process: `use: filter, drop: 'tags.keep == "no"'`, points: n, keeps: func(i int) bool { return !loadtest.Dropped(i) }}
	beside, err := filter.bestOf(ctx, s)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, way := range []string{"columns", "metrics"} {
		h := hop{name: "python", points: n, keeps: all, process: fmt.Sprintf("run: [%q, %q, %s]", python, plugin, way)}
		l, err := h.bestOf(ctx, s)
		if err != nil {
			return rows, err
		}
		title := "python, a field halved by " + way + ": "
		rows = append(rows,
			row{title + "points/s", fmt.Sprintf("%.0f", l.rate), fmt.Sprintf("filter: %.0f", beside.rate), "100000", "200000", judge(l.rate, 1e5, 2e5, false)},
			row{title + "CPU µs a point", fmt.Sprintf("%.3f", l.micros), fmt.Sprintf("filter: %.3f", beside.micros), "", "", noBar},
			row{title + "peak MB", fmt.Sprintf("%.0f", l.peak), fmt.Sprintf("filter: %.0f", beside.peak), "", "", noBar})
	}
	return rows, nil
}
