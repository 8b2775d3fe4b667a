// Package statsd receives what programs count and measure, as StatsD and DogStatsD do.
package statsd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/listen"
	"github.com/pacewire/pacewire/plugin"
)

// Define describes the statsd collector.
func Define() plugin.Definition {
	return collector.DefineStream(collector.StreamSpec[Config]{
		Program: "statsd",
		Summary: "Receives counters, gauges, timers, sets, events and checks as StatsD and DogStatsD clients send them.",
		Config:  defaults(),
		Proxy:   true,
		New:     New,
	})
}

// A listener adds up what is sent to its sockets.
type listener struct {
	cfg   Config
	log   *slog.Logger
	gate  *listen.Gate
	table *table
	wake  chan struct{} // something does not wait for the flush

	lines     listen.Throttle // for the log of those that cannot be read
	datagrams listen.Throttle // and of those that the kernel has thrown away
	twins     listen.Throttle // and of names that have two types
}

var _ collector.Stream = (*listener)(nil)

// New returns the stream of what comes in. What was added up is kept over the calls of Stream.
func New(_ context.Context, cfg Config, env plugin.Env) (collector.Stream, error) {
	return &listener{
		cfg: cfg, log: env.Log, gate: listen.NewGate(cfg.MaxConnections, env.Log),
		table: newTable(env.Host, env.Name, cfg.MaxMetrics, cfg.TypeTag), wake: make(chan struct{}, 1),
	}, nil
}

// Stream opens the sockets and takes what is sent there until ctx ends. Then the running flush is told.
func (l *listener) Stream(ctx context.Context, out collector.Emitter) error {
	sockets, err := l.open(ctx)
	if err != nil {
		return err
	}
	receivers, ctx := errgroup.WithContext(ctx)
	for _, s := range sockets {
		receivers.Go(func() error {
			if s.Packets != nil {
				return l.receive(ctx, s, out)
			}
			l.gate.Visits(ctx, s.Streams, func(c net.Conn) { l.visit(ctx, c, s, out) })
			return nil
		})
	}
	over, flushed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(flushed)
		l.flushes(over, out)
	}()
	err = receivers.Wait()
	close(over)
	<-flushed
	return err
}

// open opens all sockets, or none.
func (l *listener) open(ctx context.Context) ([]listen.Socket, error) {
	mode, err := listen.Mode(l.cfg.UnixMode)
	if err != nil {
		return nil, fmt.Errorf("unix_mode %w", err)
	}
	return listen.Door{Schemes: schemes, Mode: mode, TLS: l.cfg.TLS, Log: l.log}.Open(ctx, l.cfg.Listen)
}

// postWait is how long points may wait for others to travel with.
const postWait = 100 * time.Millisecond

// flushes tells what has come at each multiple of flush, and at the end.
func (l *listener) flushes(over <-chan struct{}, out collector.Emitter) {
	every, keep := l.cfg.Flush.Std(), l.cfg.Keep.Std()
	next := aligned(time.Now(), every)
	for {
		due := time.NewTimer(time.Until(next))
		select {
		case <-due.C:
			l.table.flush(next, keep, out)
			next = aligned(time.Now(), every)
		case <-l.wake:
			l.forward(out)
		case <-over:
			due.Stop()
			l.forward(out)
			l.table.flush(time.Now().Truncate(time.Microsecond), keep, out)
			return
		}
		due.Stop()
	}
}

// aligned returns the next multiple of every after now, since 1970.
func aligned(now time.Time, every time.Duration) time.Time {
	ns := now.UnixNano()
	return time.Unix(0, ns-ns%int64(every)+int64(every))
}

// forward hands over what does not wait for the flush.
func (l *listener) forward(out collector.Emitter) {
	if b := l.table.takeDirect(); b != nil {
		hand(b, b.Len(), out)
	}
}
