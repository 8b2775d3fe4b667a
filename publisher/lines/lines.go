// Package lines appends points to a file, one a line.
package lines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	Path        string          `json:"path" jsonschema:"the file to append to; - is standard output"`
	Format      string          `json:"format" jsonschema:"influx: line protocol with times in nanoseconds; json: an object a line"`
	Sync        bool            `json:"sync" jsonschema:"have each batch on disk before it counts as delivered"`
	RotateSize  string          `json:"rotate_size" jsonschema:"begin a new file before one grows above this size, such as 64MiB; empty: never"`
	RotateEvery plugin.Duration `json:"rotate_every" jsonschema:"begin a new file at each whole multiple of this time, in UTC; 0s: never"`
	Keep        int             `json:"keep" jsonschema:"how many rotated files to keep, the newest; 0: all"`
}

const (
	influx = "influx"
	asJSON = "json"
	stdout = "-"
)

// Define describes the lines publisher.
func Define() plugin.Definition {
	return publisher.Define(publisher.Spec[Config]{
		Program: "lines",
		Summary: "Appends points to a file, or prints them, as line protocol or JSON.",
		Config:  Config{Path: stdout, Format: influx, Sync: true},
		Enum:    map[string][]any{"format": {influx, asJSON}},
		New:     New,
	})
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Path == "" {
		fault("path is empty: name a file, or - for standard output")
	}
	if c.Format != influx && c.Format != asJSON {
		fault("format %q: want influx or json", c.Format)
	}
	if _, err := parseSize(c.RotateSize); err != nil {
		fault("rotate_size %q: %w", c.RotateSize, err)
	}
	if c.RotateEvery < 0 {
		fault("rotate_every %v: want 0s (never) or more", c.RotateEvery)
	}
	if c.Keep < 0 {
		fault("keep %d: want 0 (all) or more", c.Keep)
	}
	if c.Path == stdout && (c.RotateSize != "" || c.RotateEvery != 0) {
		fault("path -: standard output cannot be rotated: name a file or leave rotate_size and rotate_every out")
	}
	return errors.Join(faults...)
}

// Alone says that a file is written by one process.
func (c Config) Alone() error {
	if c.Path == stdout {
		return nil
	}
	return fmt.Errorf("one process alone can append to %s", c.Path)
}

// A sink writes each batch as lines of text.
type sink struct {
	encode func(in *telemetry.Batch, dst []byte) []byte

	mu   sync.Mutex
	out  output
	text []byte
}

// An output takes the text of whole batches: all of one, or nothing and an error.
type output interface {
	append(text []byte) error
	io.Closer
}

// New returns a publisher that writes where cfg says. A file that cannot be appended to is told here, except one that
// another process writes: it may be the one this plugin is about to replace.
func New(_ context.Context, cfg Config, env plugin.Env) (publisher.Publisher, error) {
	p := &sink{encode: (*telemetry.Batch).AppendLines}
	if cfg.Format == asJSON {
		p.encode = (*telemetry.Batch).AppendPoints
	}
	if cfg.Path == stdout {
		p.out = stream{os.Stdout}
		return p, nil
	}
	size, err := parseSize(cfg.RotateSize)
	if err != nil {
		return nil, fmt.Errorf("rotate_size %q: %w", cfg.RotateSize, err)
	}
	j := newJournal(cfg.Path, env.Log)
	j.sync = cfg.Sync
	j.rotation = rotation{size: size, every: cfg.RotateEvery.Std(), keep: cfg.Keep}
	if err := j.open(); err != nil {
		return nil, err
	}
	p.out = j
	return p, nil
}

// Publish appends in and, with sync, returns when it is on disk.
func (p *sink) Publish(_ context.Context, in *telemetry.Batch) error {
	if err := publisher.FitsText(in); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = p.encode(in, p.text[:0])
	if len(p.text) == 0 {
		return nil
	}
	err := p.out.append(p.text)
	if cap(p.text) > keptText {
		p.text = nil
	}
	return err
}

// keptText is how much memory is kept for the next text.
const keptText = 4 << 20

// Close ends the writing.
func (p *sink) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Close()
}

// A stream is an output that is there already and stays.
type stream struct{ io.Writer }

func (s stream) append(text []byte) error {
	if _, err := s.Write(text); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

func (stream) Close() error { return nil }
