// Command bench measures pacewire, each figure beside a reference of the same run.
//
// It runs the built program as processes of their own, on this machine alone, and compares what was sent with what arrived
// by identity: a run that lost, invented or doubled a point prints FAIL and ends with 1. Only while a process takes over from
// another one may points come twice: these are counted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
)

// settings are the flags.
type settings struct {
	binary   string
	points   int
	idle     time.Duration
	runs     int
	starts   int
	swaps    int
	hosts    int
	only     string
	telegraf string
	dir      string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if was, err := lab.ServeRawBus(ctx, os.Args[1:]); was {
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: raw bus:", err)
			os.Exit(1)
		}
		return
	}
	var s settings
	flag.StringVar(&s.binary, "binary", "bin/pacewire", "the program to measure")
	flag.IntVar(&s.points, "points", 8_000_000, "points of a run at full speed")
	flag.DurationVar(&s.idle, "idle", time.Minute, "how long idle is measured")
	flag.IntVar(&s.runs, "runs", 3, "runs at full speed, of which the median counts")
	flag.IntVar(&s.starts, "starts", 20, "starts of each plugin, of which the median counts")
	flag.IntVar(&s.swaps, "swaps", 10, "swaps of each plugin under load")
	flag.IntVar(&s.hosts, "hosts", 10_000, "simulated hosts that beat to a hub")
	flag.StringVar(&s.only, "only", "", "measure only: "+strings.Join(sectionNames(), ", "))
	flag.StringVar(&s.telegraf, "telegraf", "", "a Telegraf binary that does the same work beside us")
	flag.StringVar(&s.dir, "dir", "", "where the store is kept meanwhile; by default a temporary folder")
	flag.Parse()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		os.Exit(1)
	}
}

// A row is one line of the table.
type row struct {
	what, figure string
	reference    string // what the same run measured beside it
	bar, aim     string
	met          verdict
}

// verdict says whether a figure reached its first bar and its aim.
type verdict string

const (
	aimMet verdict = "aim"
	barMet verdict = "bar"
	missed verdict = "MISSED"
	noBar  verdict = ""
)

// judge compares a figure with its bar and aim. lower: the smaller, the better.
func judge(v, bar, aim float64, lower bool) verdict {
	if !lower {
		v, bar, aim = -v, -bar, -aim
	}
	switch {
	case v <= aim:
		return aimMet
	case v <= bar:
		return barMet
	}
	return missed
}

// A section measures one thing and returns its rows.
type section struct {
	name string
	run  func(ctx context.Context, s settings) ([]row, error)
}

func sections() []section {
	return []section{
		{"codec", codec},
		{"pipeline", pipelines},
		{"latency", latency},
		{"memory", memory},
		{"idle", idle},
		{"idle50", idleMany},
		{"start", starts},
		{"swap", swaps},
		{"hub", hubs},
		{"refresh", refreshes},
		{"registry", registry},
		{"node", nodes},
		{"python", pythons},
		{"shim", shims},
		{"statsd", statsds},
		{"otlp", otlps},
		{"scrape", scrapes},
		{"telegraf", telegrafBeside},
	}
}

func sectionNames() []string {
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return names
}

func run(ctx context.Context, s settings) error {
	binary, dir, clean, err := lab.Prepare(s.binary, s.dir, "pacewire-bench-")
	if err != nil {
		return err
	}
	defer clean()
	s.binary, s.dir = binary, dir
	chosen := strings.FieldsFunc(s.only, func(r rune) bool { return r == ',' || r == ' ' })
	var rows []row
	for _, sec := range sections() {
		if len(chosen) > 0 && !slices.Contains(chosen, sec.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s ...\n", sec.name)
		more, err := sec.run(ctx, s)
		rows = append(rows, more...)
		if err != nil {
			print(rows)
			return fmt.Errorf("%s: %w", sec.name, err)
		}
	}
	print(rows)
	return nil
}

// print writes the table.
func print(rows []row) {
	fmt.Println(lab.Machine())
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tFIGURE\tBESIDE IT\tFIRST BAR\tAIM\tREACHED")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.what, r.figure, r.reference, r.bar, r.aim, r.met)
	}
	_ = w.Flush()
}
