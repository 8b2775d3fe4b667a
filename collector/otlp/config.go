package otlp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strconv"
	"syscall"
)

const minBody = 1 << 10

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(c.Listen) == 0 {
		fault("listen is empty: name an address, such as http://127.0.0.1:4318")
	}
	for i, entry := range c.Listen {
		_, port, err := address(entry)
		if err != nil {
			fault("listen %q: %w", entry, err)
		} else if port != 0 && slices.Contains(c.Listen[:i], entry) {
			fault("listen %q: is there twice: remove one", entry)
		}
	}
	if slices.Contains(c.Resource, "") {
		fault("resource_attributes: one is empty: name an attribute, such as service.name, or remove it")
	}
	if c.Delta != deltaAdd && c.Delta != deltaKeep {
		fault("delta %q: want %s or %s", c.Delta, deltaAdd, deltaKeep)
	}
	if c.MaxBody < minBody {
		fault("max_body_bytes %d: want %d or more", c.MaxBody, minBody)
	}
	if c.MaxInflated < c.MaxBody {
		fault("max_inflated_bytes %d: want max_body_bytes (%d) or more", c.MaxInflated, c.MaxBody)
	}
	if c.MaxConnections < 1 {
		fault("max_connections %d: want 1 or more", c.MaxConnections)
	}
	return errors.Join(faults...)
}

// address returns the host:port of an entry of listen, and the port.
func address(entry string) (hostPort string, port uint64, err error) {
	u, err := url.Parse(entry)
	if err != nil || u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", 0, errors.New("want http://host:port")
	}
	if u.Path != "" && u.Path != "/" {
		return "", 0, fmt.Errorf("has a path: want http://%s", u.Host)
	}
	_, text, err := net.SplitHostPort(u.Host)
	if err == nil {
		port, err = strconv.ParseUint(text, 10, 16)
	}
	if err != nil {
		return "", 0, errors.New("want a host and a port, such as http://127.0.0.1:4318")
	}
	return u.Host, port, nil
}

// open opens the socket that an entry of listen names.
func (l *listener) open(ctx context.Context, entry string) error {
	hostPort, _, err := address(entry)
	if err != nil {
		return fmt.Errorf("listen %q: %w", entry, err)
	}
	var lc net.ListenConfig
	s, err := lc.Listen(ctx, "tcp", hostPort)
	if err != nil {
		return fmt.Errorf("listen %q: %w%s", entry, err, wayOut(err))
	}
	l.sockets = append(l.sockets, s)
	at := "http://" + s.Addr().String()
	l.log.Info("listening", "listen", at)
	if a, ok := s.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		l.log.Warn("whoever reaches this address can send points: nobody is asked for a password", "listen", at)
	}
	return nil
}

// wayOut says what to do about an error of opening a socket, as far as it is known.
func wayOut(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ": another program listens there: stop it, or set listen to another address"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return ": this machine does not have that address: set listen to one it has"
	case errors.Is(err, fs.ErrPermission):
		return ": set listen to a port from 1024"
	}
	return ""
}
