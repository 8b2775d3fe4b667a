package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/loadtest"
	"github.com/pacewire/pacewire/internal/oracle"
)

const (
	swapRate   = 100_000          // points/s
	swapWithin = 30 * time.Second // of which one may take no more
)

// swaps puts new processes in the places of a processor and a publisher while points pass, and measures how long the output
// pauses meanwhile, and how long in the times between, which are as long.
func swaps(ctx context.Context, s settings) ([]row, error) {
	limit := 3 * s.swaps * int(swapWithin.Seconds()) * swapRate
	var p pauses
	sink, err := loadtest.NewSink(limit, func(int) { p.came(time.Now()) })
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	listen := fmt.Sprintf("127.0.0.1:%d", lab.FreePort())
	sys, err := start(ctx, s, "swap", swapConfig(listen, sink.URL))
	if err != nil {
		return nil, err
	}
	defer sys.stop()
	stop := send(ctx, listen, loadtest.Load{Points: limit, Rate: swapRate})
	begin := time.Now()
	found, fault := sys.swapEach(ctx, s.swaps, &p)
	took := time.Since(begin)
	sent, err := stop()
	if err := errors.Join(fault, err); err != nil {
		return nil, err
	}
	if rate := float64(sent) / took.Seconds(); sent == limit || rate < 0.9*swapRate {
		return nil, fmt.Errorf("INVALID: %d points were sent in %v, which is not %d points/s", sent, took, swapRate)
	}
	count, err := sink.Settle(ctx, sent, patience)
	if err != nil {
		return nil, err
	}
	rows := found.rows(2*s.swaps, sent, count)
	if count.Lost+count.Invented+count.Bad > 0 {
		return rows, fmt.Errorf("%d points sent: %s", sent, count)
	}
	return rows, nil
}

// swapConfig is the measured pipeline with one processor.
func swapConfig(listen, url string) string {
	return linesToHTTP("always", listen, url, `  mid: { use: filter, from: in, drop: 'tags.keep == "no"' }`, "mid")
}

// send sends points until it is stopped; then it returns how many.
func send(ctx context.Context, listen string, l loadtest.Load) (stop func() (int, error)) {
	ctx, cancel := context.WithCancel(ctx)
	var sent int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		sent, err = loadtest.Send(ctx, listen, l)
	}()
	return func() (int, error) {
		cancel()
		<-done
		return sent, err
	}
}

// swapped are what was measured: the time a swap took, in s, and the longest pause of the output in each, in ms.
type swapped struct {
	took, paused map[string][]float64 // by plugin
	quiet        []float64            // the pauses with no swap
}

// swapEach swaps the processor and the publisher n times.
func (sys *system) swapEach(ctx context.Context, n int, p *pauses) (swapped, error) {
	all := swapped{took: map[string][]float64{}, paused: map[string][]float64{}}
	rest := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := rest(2 * time.Second); err != nil { // for the load to flow
		return all, err
	}
	for range n {
		var took time.Duration
		for _, name := range []string{"mid", "out"} {
			d, err := sys.upgrade(ctx, name, p)
			if err != nil {
				return all, fmt.Errorf("%w\n%s", err, sys.agent.Log)
			}
			took = d
			all.took[name] = append(all.took[name], d.Seconds())
			all.paused[name] = append(all.paused[name], ms(p.longest(time.Now())))
		}
		if err := rest(took); err != nil {
			return all, err
		}
		all.quiet = append(all.quiet, ms(p.longest(time.Now())))
	}
	return all, nil
}

// upgrade puts a new process in the place of a plugin's, and returns how long that took. Pauses count from its beginning.
func (sys *system) upgrade(ctx context.Context, name string, p *pauses) (time.Duration, error) {
	if err := sys.look(ctx); err != nil {
		return 0, err
	}
	before := sys.pids[name]
	begin := time.Now()
	p.longest(begin)
	if _, err := sys.Verb(ctx, "plugin", "upgrade", name); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	if took > swapWithin {
		return 0, fmt.Errorf("upgrade of %s took %v", name, took)
	}
	if err := sys.look(ctx); err != nil {
		return 0, err
	}
	if sys.pids[name] == before {
		return 0, fmt.Errorf("INVALID: after the upgrade of %s process %d works still", name, before)
	}
	return took, nil
}

func (all swapped) rows(swaps, sent int, c loadtest.Count) []row {
	quiet, quietMost := spread(all.quiet)
	pause := func(kind, name string) row {
		p50, most := spread(all.paused[name])
		return row{fmt.Sprintf("swap of a %s at %d points/s, longest pause of the output, ms p50 / max", kind, swapRate), fmt.Sprintf("%.0f / %.0f", p50, most),
			fmt.Sprintf("with no swap, in as long: %.0f / %.0f (x %.1f / x %.1f)", quiet, quietMost, p50/quiet, most/quietMost),
			"250", "50", judge(most, 250, 50, true)}
	}
	mid, midMost := spread(all.took["mid"])
	out, outMost := spread(all.took["out"])
	return []row{
		pause("processor", "mid"),
		pause("publisher", "out"),
		{"   a swap takes, s p50 / max: processor, publisher", fmt.Sprintf("%.1f / %.1f, %.1f / %.1f", mid, midMost, out, outMost),
			"the new process is on probation for 3 s of it", "", "", noBar},
		{fmt.Sprintf("   %d swaps: points lost / invented / doubled", swaps), fmt.Sprintf("%d / %d / %d", c.Lost, c.Invented+c.Bad, c.Doubled),
			fmt.Sprintf("of %d", sent), "0 / 0 / 0", "0 / 0 / 0", judge(float64(c.Lost+c.Invented+c.Bad+c.Doubled), 0, 0, true)},
	}
}

// pauses is the time between arrivals, for several goroutines.
type pauses struct {
	mu  sync.Mutex
	gap oracle.Gap
}

// came notes an arrival.
func (p *pauses) came(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gap.Came(at)
}

// longest returns the longest pause since it was called last; one that has not ended counts too.
func (p *pauses) longest(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.gap.Restart()
	return p.gap.Longest(now)
}
