package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	statsdMetrics = 1000 // counters with two tags, and a timer for each fourth
	statsdWithin  = 5 * time.Minute
)

// statsds measures how many messages the statsd collector takes in a second of CPU, by UDP from a sender that never waits. Each
// message must be found in a point, or be among those that the kernel is said to have thrown away.
func statsds(ctx context.Context, s settings) (rows []row, err error) {
	for _, load := range []struct{ lines, messages int }{{30, s.points}, {1, s.points / 4}} {
		var runs []float64
		var last dose
		for range s.runs {
			if last, err = statsdRun(ctx, s, load.lines, load.messages); err != nil {
				return rows, fmt.Errorf("%s to a datagram: %w", amount.Of(load.lines, "message", "messages"), err)
			}
			runs = append(runs, last.rate())
		}
		p50, _ := spread(runs)
		rows = append(rows, row{
			fmt.Sprintf("statsd: messages/s of CPU, %s to a datagram", amount.Of(load.lines, "message", "messages")), fmt.Sprintf("%.0f", p50),
			fmt.Sprintf("last run: %d sent in %.1f s, %.1f %% thrown away by the kernel and counted", last.sent, last.took.Seconds(), 100*float64(last.lost)/float64(last.sent)),
			"500000", "1000000", judge(p50, 500_000, 1_000_000, false),
		})
	}
	return rows, nil
}

// A dose is what was sent, and what became of it.
type dose struct {
	sent, taken, lost int // messages
	took, cpu         time.Duration
}

func (d dose) rate() float64 { return float64(d.taken) / d.cpu.Seconds() }

func statsdRun(ctx context.Context, s settings, lines, messages int) (d dose, err error) {
	ctx, cancel := context.WithTimeout(ctx, statsdWithin)
	defer cancel()
	listen := fmt.Sprintf("127.0.0.1:%d", lab.FreePort())
	sys, err := start(ctx, s, "statsd", fmt.Sprintf("host: bench\nbus: { sync: 1s }\ncollect:\n  in: { use: statsd, listen: \"udp://%s\", flush: 1s }\n", listen))
	if err != nil {
		return d, err
	}
	defer sys.stop()
	c, err := net.Dial("udp", listen)
	if err != nil {
		return d, err
	}
	defer c.Close()
	before, err := lab.CPU(sys.pids["in"])
	if err != nil {
		return d, err
	}
	begun := time.Now()
	texts := statsdTexts(lines)
	for ; d.sent < messages; d.sent += lines {
		if _, err := c.Write(texts[d.sent/lines%len(texts)]); err != nil {
			return d, err
		}
	}
	d.took = time.Since(begun)
	err = sys.statsdSettle(ctx, &d, lines, func() error {
		d.sent += lines
		_, err := c.Write(texts[0])
		return err
	})
	after, cpuErr := lab.CPU(sys.pids["in"])
	d.cpu = after - before
	return d, errors.Join(err, cpuErr)
}

// statsdTexts returns datagrams of so many lines.
func statsdTexts(lines int) (texts [][]byte) {
	for at := 0; at < statsdMetrics; {
		var text []byte
		for range lines {
			if at%4 == 3 {
				text = fmt.Appendf(text, "app.latency:%d.5|ms|#route:r%d\n", at%320, at%statsdMetrics)
			} else {
				text = fmt.Appendf(text, "app.requests:1|c|#route:r%d,status:200\n", at%statsdMetrics)
			}
			at++
		}
		texts = append(texts, text[:len(text)-1])
	}
	return texts
}

// statsdSettle waits until what was sent is stored or counted as lost. The kernel tells of its losses with the next datagram:
// more sends one.
func (sys *system) statsdSettle(ctx context.Context, d *dose, lines int, more func() error) error {
	conn, _, err := sys.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bus.Input{Stream: bus.StreamMetrics, Durable: "oracle", Filters: []string{bus.MetricsFilter("in")}, Start: "all"}
	if err := conn.EnsureConsumer(ctx, in); err != nil {
		return err
	}
	stored, err := conn.Consume(ctx, in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		return err
	}
	defer stored.Stop()
	for tries := 0; ; tries++ {
		n, err := takenSoFar(ctx, stored)
		d.taken += n
		if err != nil {
			return err
		}
		if d.lost, err = sys.statsdLost(ctx, lines); err != nil {
			return err
		}
		switch left := d.sent - d.taken - d.lost; {
		case left == 0:
			return nil
		case left < 0 || tries == 60:
			return fmt.Errorf("of %d messages %d were counted and %d thrown away: %d are missing", d.sent, d.taken, d.lost, left)
		case tries%3 == 2:
			if err := more(); err != nil {
				return err
			}
		}
	}
}

// takenSoFar returns how many messages the points tell of that come within the time of a flush.
func takenSoFar(ctx context.Context, stored *bus.Consumer) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var b telemetry.Batch
	for {
		d, err := stored.Next(ctx)
		if ctx.Err() != nil {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if err := b.Decode(d.ContentType, "", d.Body, d.Stored); err != nil {
			return n, err
		}
		n += messagesIn(&b)
		if err := d.Ack(); err != nil {
			return n, err
		}
	}
}

// messagesIn returns how many messages the points of a batch are made of.
func messagesIn(b *telemetry.Batch) (n int) {
	for p := range b.Points() {
		for _, name := range []string{"value", "count"} {
			if v, ok := p.Fields[name].(float64); ok {
				n += int(math.Round(v))
			}
		}
	}
	return n
}

// statsdLost returns how many messages the kernel has thrown away, as the collector says.
func (sys *system) statsdLost(ctx context.Context, lines int) (int, error) {
	out, err := sys.Verb(ctx, "plugin", "info", "in", "-o", "json")
	if err != nil {
		return 0, err
	}
	var info struct{ Stats telemetry.Stats }
	if err := json.Unmarshal(out, &info); err != nil {
		return 0, fmt.Errorf("plugin info: %w", err)
	}
	lost := 0
	for reason, n := range info.Stats.Dropped {
		if reason != "udp_overflow" {
			return 0, fmt.Errorf("%d were lost: %s", n, reason)
		}
		lost += int(n) * lines
	}
	return lost, nil
}
