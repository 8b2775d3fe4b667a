package lines

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// units are the units of a time by the names that clients have for them.
var units = map[string]time.Duration{
	"n": 1, "ns": 1,
	"u": time.Microsecond, "us": time.Microsecond, "µ": time.Microsecond, "µs": time.Microsecond,
	"ms": time.Millisecond,
	"s":  time.Second,
	"m":  time.Minute,
	"h":  time.Hour,
}

const (
	minLine     = 64
	maxLine     = 16 << 20
	minBody     = 1 << 10
	maxUnixPath = 107 // of what the kernel takes, without the zero at the end
	maxFlush    = time.Minute
)

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(c.Listen) == 0 {
		fault("listen is empty: name an address, such as tcp://127.0.0.1:8094")
	}
	for i, entry := range c.Listen {
		if _, err := parseEndpoint(entry); err != nil {
			fault("listen %q: %w", entry, err)
		} else if slices.Contains(c.Listen[:i], entry) && !anyPort(entry) {
			fault("listen %q: is there twice: remove one", entry)
		}
	}
	if f := c.Flush.Std(); f < 0 || f > maxFlush {
		fault("flush %v: want 0s to %v, such as 10ms", c.Flush, maxFlush)
	}
	if !slices.Contains([]string{"ns", "us", "ms", "s"}, c.Precision) {
		fault("precision %q: want ns, us, ms or s", c.Precision)
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
	if _, err := c.unixMode(); err != nil {
		fault("unix_mode %q: want permissions in octal, such as 0660", c.UnixMode)
	}
	return errors.Join(faults...)
}

func (c Config) unixMode() (fs.FileMode, error) {
	mode, err := strconv.ParseUint(c.UnixMode, 8, 9)
	return fs.FileMode(mode), err
}

// pieces returns how much memory the text of a batch has: at first, and when a message is to be filled. There is room for
// the longest line behind it.
func (c Config) pieces() (first, largest int) {
	return bite + c.MaxLine, 4*telemetry.TargetFrame + c.MaxLine
}

// An endpoint is an entry of listen.
type endpoint struct {
	scheme  string
	address string // host:port or a path
}

func parseEndpoint(entry string) (endpoint, error) {
	const want = "want tcp://host:port, udp://host:port, http://host:port or unix:///path"
	u, err := url.Parse(entry)
	if err != nil || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return endpoint{}, errors.New(want)
	}
	switch u.Scheme {
	case "unix":
		switch {
		case u.Host != "" || len(u.Path) < 2:
			return endpoint{}, errors.New("want an absolute path, such as unix:///run/lines.sock")
		case len(u.Path) > maxUnixPath:
			return endpoint{}, fmt.Errorf("the path has %d bytes, a Unix socket takes %d: choose a shorter one", len(u.Path), maxUnixPath)
		}
		return endpoint{"unix", u.Path}, nil
	case "tcp", "udp", "http":
		_, port, err := net.SplitHostPort(u.Host)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 && port != "0" {
			return endpoint{}, fmt.Errorf("want a host and a port, such as %s://127.0.0.1:8094", u.Scheme)
		}
		if u.Path != "" && u.Path != "/" {
			return endpoint{}, fmt.Errorf("has a path: want %s://%s", u.Scheme, u.Host)
		}
		return endpoint{u.Scheme, u.Host}, nil
	}
	return endpoint{}, errors.New(want)
}

// anyPort reports whether the entry asks for a free port.
func anyPort(entry string) bool {
	e, err := parseEndpoint(entry)
	_, port, _ := net.SplitHostPort(e.address)
	return err == nil && port == "0"
}
