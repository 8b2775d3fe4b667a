package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/telemetry"
)

// raw is what NATS alone needs for the bytes of the pipeline: published, stored, consumed and acknowledged twice, as the two
// hops of the pipeline do.
type raw struct {
	rate   float64 // points/s
	micros float64 // CPU of bus, publisher and consumer, a point
	peak   float64 // MB of the bus
}

// pointBytes is about what a point takes on the wire.
const pointBytes = 36

// startRawBus starts a bus with nothing in its store in a process of its own, and returns its URL.
func startRawBus(ctx context.Context, s settings, sync string) (server *lab.Process, url string, err error) {
	if err := os.RemoveAll(rawStore(s)); err != nil {
		return nil, "", err
	}
	return lab.RawBus{Dir: rawStore(s), Sync: sync}.Start(ctx)
}

func rawStore(s settings) string { return filepath.Join(s.dir, "raw") }

func stopRawBus(server *lab.Process) { _ = server.Stop(stopWithin) }

// rawIdle returns what a bus with empty streams and no client uses of a core, in percent.
func rawIdle(ctx context.Context, s settings) (float64, error) {
	server, url, err := startRawBus(ctx, s, "always")
	if err != nil {
		return 0, err
	}
	defer stopRawBus(server)
	conn, err := bus.Dial(ctx, bus.Options{URL: url, User: "bench", Wait: 10 * time.Second})
	if err != nil {
		return 0, err
	}
	err = conn.EnsureStreams(ctx, bus.DefaultStreams())
	conn.Close()
	if err != nil {
		return 0, err
	}
	time.Sleep(2 * time.Second) // for the start to be over
	before, err := lab.CPU(server.PID())
	if err != nil {
		return 0, err
	}
	time.Sleep(s.idle / 2)
	after, err := lab.CPU(server.PID())
	return (after - before).Seconds() / (s.idle / 2).Seconds() * 100, err
}

// rawNATS moves the bytes of s.points points over two hops of a bus in a process of its own.
func rawNATS(ctx context.Context, s settings, sync string) (raw, error) {
	server, url, err := startRawBus(ctx, s, sync)
	if err != nil {
		return raw{}, err
	}
	defer stopRawBus(server)
	us, err := lab.CPU(os.Getpid())
	if err != nil {
		return raw{}, err
	}
	begin := time.Now()
	if err := moveTwice(ctx, url, s.points*pointBytes/telemetry.TargetFrame); err != nil {
		return raw{}, err
	}
	took := time.Since(begin)
	after, err1 := lab.CPU(os.Getpid())
	theirs, err2 := lab.CPU(server.PID())
	if err1 != nil || err2 != nil {
		return raw{}, fmt.Errorf("%w, %w", err1, err2)
	}
	n := float64(s.points)
	return raw{rate: n / took.Seconds(), micros: float64((after - us + theirs).Nanoseconds()) / 1e3 / n,
		peak: float64(lab.Memory(server.PID(), "status", "VmHWM:")) / 1e6}, nil
}

// moveTwice publishes messages of the size of a frame, and moves each on from one consumer to the next.
func moveTwice(ctx context.Context, url string, messages int) error {
	conn, err := bus.Dial(ctx, bus.Options{URL: url, User: "bench", Wait: 10 * time.Second})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.EnsureStreams(ctx, bus.DefaultStreams()); err != nil {
		return err
	}
	hops := []string{"first", "second"}
	for _, name := range hops {
		in := bus.Input{Stream: bus.StreamMetrics, Durable: name, Filters: []string{bus.MetricsFilter(name)}}
		if err := conn.EnsureConsumer(ctx, in); err != nil {
			return err
		}
	}
	ends := make(chan error, 3)
	go func() { ends <- publish(ctx, conn, "first", messages) }()
	go func() { ends <- relay(ctx, conn, "first", "second", messages) }()
	go func() { ends <- relay(ctx, conn, "second", "", messages) }()
	for range 3 {
		if err := <-ends; err != nil {
			return err
		}
	}
	return nil
}

func publish(ctx context.Context, conn *bus.Conn, as string, messages int) error {
	p, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: "bench", Plugin: as})
	if err != nil {
		return err
	}
	defer p.Close()
	body := make([]byte, telemetry.TargetFrame)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	for range messages {
		if err := p.Send(ctx, bus.Message{Subject: bus.MetricsSubject("bench", as), Body: body}, func(error) {}); err != nil {
			return err
		}
	}
	return p.Flush(ctx)
}

// relay reads messages from a consumer, and publishes each again as to, if that is not empty.
func relay(ctx context.Context, conn *bus.Conn, from, to string, messages int) error {
	k, err := conn.Consume(ctx, bus.StreamMetrics, from, bus.ConsumeOptions{})
	if err != nil {
		return err
	}
	defer k.Stop()
	p, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: "bench", Plugin: from})
	if err != nil {
		return err
	}
	defer p.Close()
	for range messages {
		d, err := k.Next(ctx)
		if err != nil {
			return err
		}
		if to == "" {
			_ = d.Ack()
			continue
		}
		m := bus.Message{Subject: bus.MetricsSubject("bench", to), ID: bus.DerivedID(d.ID, to, 1), Body: d.Body}
		if err := p.Send(ctx, m, func(error) { _ = d.Ack() }); err != nil {
			return err
		}
	}
	if err := p.Flush(ctx); err != nil {
		return err
	}
	return k.Flush(ctx)
}

// syncTime returns p50 and p99 of writing 4 KiB and bringing it to disk, in ms: what sync: always waits for.
func syncTime(dir string) ([2]float64, error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return [2]float64{}, err
	}
	defer f.Close()
	var all []float64
	block := make([]byte, 4096)
	for range 300 {
		begin := time.Now()
		if _, err := f.Write(block); err != nil {
			return [2]float64{}, err
		}
		if err := f.Sync(); err != nil {
			return [2]float64{}, err
		}
		all = append(all, time.Since(begin).Seconds()*1e3)
	}
	slices.Sort(all)
	return [2]float64{all[150], all[297]}, nil
}
