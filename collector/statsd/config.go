package statsd

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pacewire/pacewire/internal/listen"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	Listen         plugin.Strings  `json:"listen" jsonschema:"where to listen, one or several of udp://host:port, tcp://host:port, unixgram:///path, unix:///path (lines), unixstream:///path (lengths, as DogStatsD has it); port 0 is a free one, which the log tells"`
	Flush          plugin.Duration `json:"flush" jsonschema:"how often points are made of what has come, at whole multiples of it since 1970"`
	Keep           plugin.Duration `json:"keep" jsonschema:"how long a metric is kept of which nothing is heard: until then a gauge is told at each flush, and a counter goes on with its total"`
	MaxMetrics     int             `json:"max_metrics" jsonschema:"how many metrics may be known at once: names with their tags and kind. Of others nothing is taken, and that is counted"`
	MaxLine        int             `json:"max_line_bytes" jsonschema:"TCP and Unix streams: a line longer than this is left out and counted"`
	MaxConnections int             `json:"max_connections" jsonschema:"TCP and Unix streams: how many connections may be open at once"`
	IdleTimeout    plugin.Duration `json:"idle_timeout" jsonschema:"TCP and Unix streams: close a connection that sends nothing for so long; 0s: never"`
	UnixMode       string          `json:"unix_mode" jsonschema:"permissions of the file of a Unix socket, in octal"`
	TypeTag        string          `json:"type_tag" jsonschema:"a tag that tells the type of each metric: counter, gauge, timing or set. One name of two types is two series then; empty: none, and such points take each other's place in most databases"`
	listen.TLS
}

func defaults() Config {
	return Config{
		Listen:         plugin.Strings{"udp://127.0.0.1:8125"},
		Flush:          plugin.Duration(10 * time.Second),
		Keep:           plugin.Duration(time.Hour),
		MaxMetrics:     100_000,
		MaxLine:        64 << 10,
		MaxConnections: 256,
		UnixMode:       "0660",
	}
}

// schemes are those of the addresses to listen at.
var schemes = []string{"udp", "tcp", "unixgram", "unix", "unixstream"}

const (
	minFlush = 100 * time.Millisecond
	minLine  = 64
	maxLine  = 1 << 20
)

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	faults := slices.Concat(listen.Check(c.Listen, schemes...), c.TLS.Check(c.Listen))
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Flush.Std() < minFlush {
		fault("flush %v: want %v or more, such as 10s", c.Flush, minFlush)
	}
	if c.Keep < c.Flush {
		fault("keep %v: want flush (%v) or more, such as 1h", c.Keep, c.Flush)
	}
	if c.MaxMetrics < 1 {
		fault("max_metrics %d: want 1 or more", c.MaxMetrics)
	}
	if c.MaxLine < minLine || c.MaxLine > maxLine {
		fault("max_line_bytes %d: want %d to %d", c.MaxLine, minLine, maxLine)
	}
	if c.MaxConnections < 1 {
		fault("max_connections %d: want 1 or more", c.MaxConnections)
	}
	if c.IdleTimeout < 0 {
		fault("idle_timeout %v: want 0s (never) or more", c.IdleTimeout)
	}
	if c.TypeTag == "host" || len(c.TypeTag) > telemetry.MaxName {
		fault("type_tag %q: want another name of a tag, such as metric_type", c.TypeTag)
	}
	if _, err := listen.Mode(c.UnixMode); err != nil {
		fault("unix_mode %w", err)
	}
	return errors.Join(faults...)
}

// Alone says that an address is listened at by one process.
func (c Config) Alone() error {
	for _, entry := range c.Listen {
		if a, err := listen.Parse(entry, schemes...); err == nil && !a.AnyPort() {
			return fmt.Errorf("one process alone can listen at %s", entry)
		}
	}
	return nil
}
