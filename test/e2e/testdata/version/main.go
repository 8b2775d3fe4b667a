// Command version is a version of the filter or of the publisher for InfluxDB that an operator may try: version KIND MODE.
// Instead of a MODE a file may be named in which it stands.
package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/processor/filter"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/publisher/influxdb"
	"github.com/pacewire/pacewire/telemetry"
)

// A mode is what is wrong with a version; of good ones nothing is.
type mode string

const (
	hangs   mode = "hangs"   // before it says hello
	crashes mode = "crashes" // when it has worked for two seconds
	refuses mode = "refuses" // its config
)

func main() {
	m := modeOf(os.Args[2])
	if m == hangs {
		time.Sleep(time.Hour)
	}
	d := publisherOf(m)
	if os.Args[1] == "processor" {
		d = processorOf(m)
	}
	os.Args = os.Args[:1]
	plugin.Main(d)
}

func modeOf(word string) mode {
	if filepath.IsAbs(word) {
		text, _ := os.ReadFile(word) // none: a good one
		return mode(text)
	}
	return mode(word)
}

// check is what New says of a config.
func (m mode) check() error {
	if m == refuses {
		return plugin.Permanent(errors.New("this version knows another config"))
	}
	return nil
}

// work returns what is to be called with each batch.
func (m mode) work() func() {
	if m != crashes {
		return func() {}
	}
	return sync.OnceFunc(func() { time.AfterFunc(2*time.Second, func() { os.Exit(3) }) })
}

func processorOf(m mode) plugin.Definition {
	return processor.Define(processor.Spec[filter.Config]{
		Program: "filter", Summary: "Filters.", Version: "2", Config: filter.Config{Series: []string{"*"}, SeriesDrop: []string{}},
		New: func(ctx context.Context, cfg filter.Config, env plugin.Env) (processor.Processor, error) {
			if err := m.check(); err != nil {
				return nil, err
			}
			p, err := filter.New(ctx, cfg, env)
			if err != nil {
				return nil, err
			}
			work := m.work()
			return processor.Func(func(ctx context.Context, in, out *telemetry.Batch) error {
				work()
				return p.Process(ctx, in, out)
			}), nil
		},
	})
}

// A sink is the publisher, and what is wrong with it.
type sink struct {
	publisher.Publisher
	work func()
}

// Publish publishes.
func (s sink) Publish(ctx context.Context, in *telemetry.Batch) error {
	s.work()
	return s.Publisher.Publish(ctx, in)
}

func publisherOf(m mode) plugin.Definition {
	return publisher.Define(publisher.Spec[influxdb.Config]{
		Program: "influxdb", Summary: "Publishes.", Version: "2", Config: influxdb.Config{Version: 1, Database: "metrics", Compression: "none"},
		New: func(ctx context.Context, cfg influxdb.Config, env plugin.Env) (publisher.Publisher, error) {
			if err := m.check(); err != nil {
				return nil, err
			}
			p, err := influxdb.New(ctx, cfg, env)
			return sink{p, m.work()}, err
		},
	})
}
