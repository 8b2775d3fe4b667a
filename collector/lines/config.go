package lines

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/listen"
	"github.com/pacewire/pacewire/telemetry"
)

// schemes are those of the addresses to listen at.
var schemes = []string{"tcp", "udp", "http", "unix"}

// units are the units of a time by the names that clients have for them.
var units = map[string]time.Duration{
	"n": 1, "ns": 1,
	"u": time.Microsecond, "us": time.Microsecond, "µ": time.Microsecond, "µs": time.Microsecond,
	"ms": time.Millisecond,
	"s":  time.Second,
	"m":  time.Minute,
	"h":  time.Hour,
}

// influx is the format that has a way of its own through this package, since it has the most to carry.
const influx = "influx"

// The formats whose senders want to be answered.
const (
	collectd = "collectd" // each line
	opentsdb = "opentsdb" // when they ask for the version
)

// formats are those that programs send over sockets.
func formats() []string { return []string{influx, "graphite", opentsdb, "json", collectd} }

const (
	minLine  = 64
	maxLine  = 16 << 20
	minBody  = 1 << 10
	maxFlush = time.Minute
)

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	faults := listen.Check(c.Listen, schemes...)
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if f := c.Flush.Std(); f < 0 || f > maxFlush {
		fault("flush %v: want 0s to %v, such as 10ms", c.Flush, maxFlush)
	}
	faults = append(append(faults, c.TLS.Check(c.Listen)...), c.Access.Check(c.Listen)...)
	if err := c.Settings.Check(formats()); err != nil {
		faults = append(faults, err)
	}
	for _, entry := range c.Listen {
		if strings.HasPrefix(entry, "http://") && decode.Canonical(c.Format) != influx {
			fault("listen %q: what comes over HTTP is line protocol, and format is %s: set format: influx, or listen at tcp://, udp:// or unix://", entry, c.Format)
		}
	}
	if c.MaxLine < minLine || c.MaxLine > maxLine {
		fault("max_line_bytes %d: want %d to %d", c.MaxLine, minLine, maxLine)
	}
	if c.MaxBody < minBody {
		fault("max_body_bytes %d: want %d or more", c.MaxBody, minBody)
	}
	if c.MaxConnections < 1 {
		fault("max_connections %d: want 1 or more", c.MaxConnections)
	}
	if c.IdleTimeout < 0 {
		fault("idle_timeout %v: want 0s (never) or more", c.IdleTimeout)
	}
	if _, err := listen.Mode(c.UnixMode); err != nil {
		fault("unix_mode %w", err)
	}
	return errors.Join(faults...)
}

// pieces returns how much memory the text of a batch has: at first, and when a message is to be filled. There is room for
// the longest line behind it.
func (c Config) pieces() (first, largest int) {
	return bite + c.MaxLine, 4*telemetry.TargetFrame + c.MaxLine
}
