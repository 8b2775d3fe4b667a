// Package influxdb writes points to InfluxDB 1, 2 or 3, or to what takes line protocol as they do.
package influxdb

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// Define describes the influxdb publisher.
func Define() plugin.Definition {
	return publisher.Define(publisher.Spec[Config]{
		Program: "influxdb",
		Summary: "Writes points to InfluxDB 1, 2 or 3, VictoriaMetrics and others that take line protocol over HTTP.",
		Config:  Config{URL: "http://127.0.0.1:8086", Version: 1, Database: "metrics", Compression: auto},
		Enum:    map[string][]any{"version": {1, 2, 3}, "compression": {auto, gzipped, none}},
		New:     New,
	})
}

// A sink writes to one database. It is for any number of goroutines.
type sink struct {
	*client
	create  bool // the database, where it is missing
	signed  bool // the server knows no unsigned integers
	log     *slog.Logger
	cutOnce sync.Once
}

// New returns a publisher that writes where cfg says. It does not ask whether anybody is there: that shows at the first
// batch, which waits until somebody is.
func New(_ context.Context, cfg Config, env plugin.Env) (publisher.Publisher, error) {
	c, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.InsecureSkipVerify {
		env.Log.Warn("certificate of the server is not verified: anybody in between can read and change what is sent",
			"setting", "insecure_skip_verify", "url", c.at.where)
	}
	if c.at.leaks() {
		env.Log.Warn("password or token travels unencrypted: use https", "url", c.at.where)
	}
	return &sink{client: c, create: cfg.CreateDatabase, signed: cfg.Version == 1, log: env.Log}, nil
}

// Publish writes in, and returns nil when the server has stored all of it. Points that the server will never take are
// found, and those that it takes are stored in spite of them.
func (p *sink) Publish(ctx context.Context, in *telemetry.Batch) error {
	if err := publisher.FitsText(in); err != nil {
		return err
	}
	if p.signed {
		p.sign(in)
	}
	m := p.message()
	defer p.release(m)
	m.text = in.AppendLines(m.text[:0])
	if len(m.text) == 0 {
		return nil
	}
	err := p.send(ctx, m)
	if p.create && errors.Is(err, errNoDatabase) {
		if err := p.createDatabase(ctx); err != nil {
			return err
		}
		err = p.send(ctx, m)
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return p.sift(ctx, in, m.text, r)
	}
	return err
}

// Close lets the connections go.
func (p *sink) Close() error {
	p.transport.CloseIdleConnections()
	return nil
}

// sign makes signed integers of the unsigned ones in b.
func (p *sink) sign(b *telemetry.Batch) {
	for g := range b.Groups() {
		if cut := g.SignFields(); cut > 0 {
			p.cutOnce.Do(func() {
				p.log.Warn("integers above 9223372036854775807 are written as that: InfluxDB 1 knows no larger ones", "series", g.Series)
			})
		}
	}
}
