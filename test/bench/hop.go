package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/loadtest"
	"github.com/pacewire/pacewire/telemetry"
)

// A hop is one processor between two streams: what it reads is stored before it starts, in batches as a collector sends them.
type hop struct {
	name    string // of the run
	process string // the processor's config, behind "from: send"
	keeps   func(i int) bool
	points  int
}

// A leap is what a hop has come to.
type leap struct {
	rate   float64 // points/s
	micros float64 // CPU a point, of the processor and all that it has started
	peak   float64 // MB of the same
}

const (
	hopBatch  = 500 // points of 4 tags and 5 fields
	hopPlugin = "mid"
	hopWithin = 5 * time.Minute // which nothing takes that is worth measuring
)

// all is for processors that drop nothing.
func all(int) bool { return true }

// bestOf returns the median by CPU of as many runs as the settings want.
func (h hop) bestOf(ctx context.Context, s settings) (leap, error) {
	var leaps []leap
	for range s.runs {
		l, err := h.run(ctx, s)
		if err != nil {
			return leap{}, fmt.Errorf("%s: %w", h.name, err)
		}
		leaps = append(leaps, l)
	}
	slices.SortFunc(leaps, func(a, b leap) int { return int(1e6 * (a.micros - b.micros)) })
	return leaps[len(leaps)/2], nil
}

// run fills the stream, starts the processor, and waits until it has settled all; then it looks for each point.
func (h hop) run(ctx context.Context, s settings) (l leap, err error) {
	ctx, cancel := context.WithTimeout(ctx, hopWithin)
	defer cancel()
	sys, err := start(ctx, s, "hop", "host: bench\nbus: { sync: 1s }\nprocess:\n  "+hopPlugin+": { from: send, "+h.process+" }\n")
	if err != nil {
		return l, err
	}
	defer sys.stop()
	conn, host, err := sys.Connect(ctx)
	if err != nil {
		return l, err
	}
	defer conn.Close()
	if _, err := sys.Verb(ctx, "plugin", "stop", hopPlugin); err != nil {
		return l, err
	}
	if err := h.fill(ctx, conn, host); err != nil {
		return l, err
	}
	if _, err := sys.Verb(ctx, "plugin", "start", hopPlugin); err != nil {
		return l, err
	}
	if l, err = h.measure(ctx, sys, conn); err != nil {
		return l, fmt.Errorf("%w\n%s", err, sys.agent.Log.Tail())
	}
	return l, h.check(ctx, conn)
}

// fill stores the points for the processor.
func (h hop) fill(ctx context.Context, conn *bus.Conn, host string) error {
	out, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: host, Plugin: "send"})
	if err != nil {
		return err
	}
	defer out.Close()
	var b telemetry.Batch
	for text := range loadtest.Texts(h.points, hopBatch) {
		if err := b.DecodeLines(bytes.Clone(text), time.Now()); err != nil {
			return err
		}
		m := bus.Message{Subject: bus.MetricsSubject(host, "send"), ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
		failed := make(chan error, 1)
		if err := out.Send(ctx, m, func(err error) { failed <- err }); err != nil {
			return err
		}
	}
	return out.Flush(ctx)
}

// measure follows the processor from its first batch to its last.
func (h hop) measure(ctx context.Context, sys *system, conn *bus.Conn) (l leap, err error) {
	left, err := h.left(ctx, conn, h.points-1)
	if err != nil {
		return l, err
	}
	if err := sys.look(ctx); err != nil {
		return l, err
	}
	if left, err = h.left(ctx, conn, left); err != nil {
		return l, err
	}
	begun := time.Now()
	used, _, err := sys.family()
	if err != nil {
		return l, err
	}
	if left < h.points/2 {
		return l, errors.New("it was through before it could be measured: give it more -points")
	}
	if _, err := h.left(ctx, conn, 0); err != nil {
		return l, err
	}
	took := time.Since(begun)
	cpu, peak, err := sys.family()
	n := float64(left)
	return leap{n / took.Seconds(), float64((cpu - used).Nanoseconds()) / 1e3 / n, peak}, err
}

// left waits until no more points than those are left to be settled, and returns how many are.
func (h hop) left(ctx context.Context, conn *bus.Conn, most int) (int, error) {
	for {
		state, err := conn.ConsumerInfo(ctx, bus.StreamMetrics, hopPlugin)
		if err != nil {
			return 0, err
		}
		if left := (int(state.Pending) + state.AckPending) * hopBatch; left <= most {
			return left, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// family returns the CPU and the peak memory of the processor with all that it has started.
func (sys *system) family() (cpu time.Duration, peak float64, err error) {
	pid := sys.pids[hopPlugin]
	for _, pid := range append([]int{pid}, lab.Below(pid)...) {
		used, err := lab.CPU(pid)
		if err != nil {
			return 0, 0, err
		}
		cpu += used
		peak += float64(lab.Memory(pid, "status", "VmHWM:")) / 1e6
	}
	return cpu, peak, nil
}

// check reads what the processor has stored: each point that it keeps must be there once.
func (h hop) check(ctx context.Context, conn *bus.Conn) error {
	in := bus.Input{Stream: bus.StreamMetrics, Durable: "oracle", Filters: []string{bus.MetricsFilter(hopPlugin)}, Start: "all"}
	if err := conn.EnsureConsumer(ctx, in); err != nil {
		return err
	}
	c, err := conn.Consume(ctx, in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		return err
	}
	defer c.Stop()
	times, invented := make([]uint8, h.points), 0
	var b telemetry.Batch
	for pending := uint64(1); pending > 0; {
		d, err := c.Next(ctx)
		if err != nil {
			return err
		}
		pending = d.Pending
		if err := b.Decode(d.ContentType, "", d.Body, d.Stored); err != nil {
			return err
		}
		for g := range b.Groups() {
			for _, ns := range g.Times() {
				if i, ok := loadtest.Number(ns); ok && i < h.points && h.keeps(i) {
					times[i] = min(times[i], math.MaxUint8-1) + 1
				} else {
					invented++
				}
			}
		}
		if err := d.Ack(); err != nil {
			return err
		}
	}
	lost, doubled := 0, 0
	for i, n := range times {
		if n == 0 && h.keeps(i) {
			lost++
		} else if n > 1 {
			doubled++
		}
	}
	if lost+doubled+invented > 0 {
		return fmt.Errorf("of %d points %d were lost, %d came twice, %d were invented", h.points, lost, doubled, invented)
	}
	return nil
}
