// Package otlp receives metrics by the OpenTelemetry protocol over HTTP and gRPC.
package otlp

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/listen"
	"github.com/pacewire/pacewire/plugin"
)

// Config is what an operator may set.
type Config struct {
	Listen         plugin.Strings `json:"listen" jsonschema:"where to listen, one or several of http://host:port, grpc://host:port; port 0 is a free one, which the log tells"`
	Resource       plugin.Strings `json:"resource_attributes" jsonschema:"the attributes of a resource that become tags of its points; all: every one"`
	Delta          string         `json:"delta" jsonschema:"what becomes of sums and histograms that tell the change since the last time: add them up, or keep them as they are"`
	MaxBody        int            `json:"max_body_bytes" jsonschema:"the largest request, as it is sent"`
	MaxInflated    int            `json:"max_inflated_bytes" jsonschema:"the largest request, decompressed"`
	MaxConnections int            `json:"max_connections" jsonschema:"how many connections may be open at once"`
	listen.TLS
	listen.Access
}

// schemes are those of the addresses to listen at.
var schemes = []string{"http", "grpc"}

// Values of the setting delta.
const (
	deltaAdd  = "add"
	deltaKeep = "keep"
)

// allAttributes is the resource_attributes that chooses every one.
const allAttributes = "all"

// Define describes the otlp collector.
func Define() plugin.Definition {
	return collector.DefineStream(collector.StreamSpec[Config]{
		Program: "otlp",
		Summary: "Receives metrics by the OpenTelemetry protocol (OTLP) over HTTP and gRPC.",
		Config:  defaults(),
		Enum:    map[string][]any{"delta": {deltaAdd, deltaKeep}},
		Proxy:   true,
		New:     New,
	})
}

func defaults() Config {
	return Config{
		Listen:         plugin.Strings{"http://127.0.0.1:0"}, // disturbs nobody
		Resource:       plugin.Strings{"service.name", "service.namespace", "service.instance.id", "host.name"},
		Delta:          deltaAdd,
		MaxBody:        16 << 20,
		MaxInflated:    64 << 20,
		MaxConnections: 1024,
	}
}

// A listener takes metrics from whoever sends to its sockets.
type listener struct {
	cfg     Config
	log     *slog.Logger
	sockets []listen.Socket
	gate    *listen.Gate
	held    atomic.Int64 // bytes of requests in memory
	deltas  deltas
	stall   time.Duration // after so long without an answer from the bus requests are turned away
	giveUp  time.Duration // after so long a request that waits for the bus is answered all the same
}

var _ collector.Stream = (*listener)(nil)

const (
	stallTime  = 2 * time.Second
	giveUpTime = 8 * time.Second // clients wait for 10 s, and learn less from silence
)

// New opens the sockets that cfg names and returns the stream of what comes in.
func New(ctx context.Context, cfg Config, env plugin.Env) (collector.Stream, error) {
	sockets, err := listen.Door{Schemes: schemes, TLS: cfg.TLS, Access: cfg.Access, Log: env.Log}.Open(ctx, cfg.Listen)
	if err != nil {
		return nil, err
	}
	return &listener{
		cfg: cfg, log: env.Log, sockets: sockets, gate: listen.NewGate(cfg.MaxConnections, env.Log), stall: stallTime, giveUp: giveUpTime,
	}, nil
}

// Stream takes metrics until ctx ends.
func (l *listener) Stream(ctx context.Context, out collector.Emitter) error {
	var wg sync.WaitGroup
	w := &web{l: l, out: out}
	for _, s := range l.sockets {
		wg.Go(func() { w.serve(ctx, s) })
	}
	wg.Wait()
	w.busy.Lock() // for ever: nothing is being stored any more
	return nil
}

// Close closes the sockets, unless Stream has done so.
func (l *listener) Close() error { return listen.Close(l.sockets) }
