// Package lines receives points as lines over TCP, UDP, Unix sockets and HTTP.
package lines

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/listen"
	"github.com/pacewire/pacewire/plugin"
)

// Config is what an operator may set.
type Config struct {
	Listen plugin.Strings `json:"listen" jsonschema:"where to listen, one or several of tcp://host:port, udp://host:port, unix:///path, http://host:port; port 0 is a free one, which the log tells"`
	decode.Settings
	listen.TLS
	listen.Access
	Flush          plugin.Duration `json:"flush" jsonschema:"how long points of TCP, UDP and Unix sockets may wait for others to travel with"`
	MaxLine        int             `json:"max_line_bytes" jsonschema:"a line longer than this is left out and counted"`
	MaxBody        int             `json:"max_body_bytes" jsonschema:"HTTP: the largest body, decompressed"`
	MaxConnections int             `json:"max_connections" jsonschema:"how many connections may be open at once"`
	IdleTimeout    plugin.Duration `json:"idle_timeout" jsonschema:"close a connection that sends nothing for so long; 0s: never"`
	UnixMode       string          `json:"unix_mode" jsonschema:"permissions of the file of a Unix socket, in octal"`
}

// Define describes the lines collector.
func Define() plugin.Definition {
	return collector.DefineStream(collector.StreamSpec[Config]{
		Program: "lines",
		Summary: "Receives line protocol, and what is sent to Graphite, OpenTSDB and collectd, over TCP, UDP, Unix sockets and HTTP.",
		Config:  defaults(),
		Enum:    decode.Enum(formats()),
		Proxy:   true,
		New:     New,
	})
}

func defaults() Config {
	return Config{
		Listen:         plugin.Strings{"tcp://127.0.0.1:0"}, // disturbs nobody
		Flush:          plugin.Duration(10 * time.Millisecond),
		Settings:       decode.DefaultSettings(influx),
		MaxLine:        64 << 10,
		MaxBody:        32 << 20,
		MaxConnections: 1024,
		UnixMode:       "0660",
	}
}

// A listener takes points from whoever sends to its sockets.
type listener struct {
	cfg     Config
	unit    time.Duration // of times that come without one
	options decode.Options
	log     *slog.Logger
	reports reports
	gate    *listen.Gate
	stall   time.Duration // after so long without an answer from the bus requests over HTTP are turned away
	sockets []listen.Socket
}

var _ collector.Stream = (*listener)(nil)

const stallTime = 2 * time.Second

// New opens the sockets that cfg names and returns the stream of what comes in.
func New(ctx context.Context, cfg Config, env plugin.Env) (collector.Stream, error) {
	l := &listener{
		cfg: cfg, unit: units[cfg.Precision], log: env.Log,
		gate: listen.NewGate(cfg.MaxConnections, env.Log), stall: stallTime,
	}
	mode, err := listen.Mode(cfg.UnixMode)
	if err != nil {
		return nil, fmt.Errorf("unix_mode %w", err)
	}
	if l.options, err = cfg.Options(env.Name); err != nil {
		return nil, err
	}
	door := listen.Door{Schemes: schemes, Mode: mode, TLS: cfg.TLS, Access: cfg.Access, Log: env.Log}
	if l.sockets, err = door.Open(ctx, cfg.Listen); err != nil {
		return nil, err
	}
	return l, nil
}

// Stream takes points until ctx ends. What the machine has received by then is taken too, as far as that is quick.
func (l *listener) Stream(ctx context.Context, out collector.Emitter) error {
	var wg sync.WaitGroup
	for _, s := range l.sockets {
		switch s.Scheme {
		case "udp":
			wg.Go(func() { l.receive(ctx, s, out) })
		case "http":
			wg.Go(func() { l.web(ctx, s.Streams, out) })
		default:
			wg.Go(func() { l.accept(ctx, s.Streams, out) })
		}
	}
	wg.Wait()
	return nil
}

// Close closes the sockets, unless Stream has done so.
func (l *listener) Close() error { return listen.Close(l.sockets) }

// linger is how long text waits for more, and how long the batch made of it waits then: together not longer than flush.
func (l *listener) linger() time.Duration { return l.cfg.Flush.Std() / 2 }
