package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/pacewire/pacewire/internal/loadtest"
)

// nodes measures processors in Node, beside the filter that is built in.
func nodes(ctx context.Context, s settings) ([]row, error) {
	if _, err := exec.LookPath("node"); err != nil {
		return nil, fmt.Errorf("node: %w: install nodejs", err)
	}
	plugin, err := filepath.Abs("test/bench/testdata/pass.mjs")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat("sdk/node/node_modules"); err != nil {
		return nil, errors.Join(err, errors.New("the packages of sdk/node are missing: run npm ci there"))
	}
	n := min(s.points, 8_000_000)
	filter := hop{name: "filter", process: `use: filter, drop: 'tags.keep == "no"'`, points: n, keeps: func(i int) bool { return !loadtest.Dropped(i) }}
	beside, err := filter.bestOf(ctx, s)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, run := range []struct{ title, config string }{
		{"node, pass-through: ", "{}"},
		{"node, a tag more: ", "{ tag: lab }"},
	} {
		h := hop{name: "node", points: n, keeps: all, process: fmt.Sprintf("run: [node, %q], config: %s", plugin, run.config)}
		l, err := h.bestOf(ctx, s)
		if err != nil {
			return rows, err
		}
		bar, aim, met := "150000", "300000", judge(l.rate, 1.5e5, 3e5, false)
		if run.config != "{}" { // what it costs, and no promise
			bar, aim, met = "", "", noBar
		}
		rows = append(rows,
			row{run.title + "points/s", fmt.Sprintf("%.0f", l.rate), fmt.Sprintf("filter: %.0f", beside.rate), bar, aim, met},
			row{run.title + "CPU µs a point", fmt.Sprintf("%.3f", l.micros), fmt.Sprintf("filter: %.3f", beside.micros), "", "", noBar},
			row{run.title + "peak MB", fmt.Sprintf("%.0f", l.peak), fmt.Sprintf("filter: %.0f", beside.peak), "", "", noBar})
	}
	return rows, nil
}
