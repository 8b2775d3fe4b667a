package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// operator is the identity of somebody at a terminal.
const operator = "operator"

// askTime is how long a verb waits for an answer.
const askTime = 5 * time.Second

// connect dials the bus that the flags name, or that of the local agent, and returns the name of the local host.
func (a *app) connect(ctx context.Context) (*bus.Conn, string, error) { return a.dial(ctx, nil) }

// dial is connect; denied is told of what the bus refuses.
func (a *app) dial(ctx context.Context, denied func(error)) (*bus.Conn, string, error) {
	if err := readable(a.flags.creds); err != nil {
		return nil, "", err
	}
	o := bus.Options{URL: a.flags.bus, CredsFile: a.flags.creds, TLS: bus.TLSFrom(os.Getenv), User: operator, Name: "pacewire " + operator, Wait: askTime,
		OnDenied: denied}
	n, err := readNote()
	noted := o.URL == "" // where the bus is
	switch {
	case noted && err != nil:
		return nil, "", unread(err)
	case noted:
		o.URL, o.CredsFile, o.TLS = n.URL, cmp.Or(o.CredsFile, n.Creds), n.TLS
	}
	gone := noted && n.Embedded && n.gone()
	if gone {
		o.Wait = time.Second // its bus ended with it, unless we do not see its process
	}
	host := n.Host
	if host == "" {
		if host, err = hostName(nil); err != nil {
			return nil, "", err
		}
	}
	conn, err := bus.Dial(ctx, o)
	if err == nil {
		return conn, host, nil
	}
	switch {
	case gone:
		err = fmt.Errorf("the agent (process %d) is gone: start it, or name a bus by --bus", n.PID)
	case noted && n.gone():
		err = fmt.Errorf("%w; the agent (process %d) does not run either: start both, or name a bus by --bus", err, n.PID)
	case strings.Contains(err.Error(), "Authorization Violation"): // all that the server says
		err = fmt.Errorf("%w: the credentials are not, or no longer, those of a user there; --creds names others", err)
	}
	return nil, "", exitWith(exitNoBus, err)
}

// readable returns an error unless a file of credentials that somebody has named can be read.
func readable(creds string) error {
	if creds == "" {
		return nil
	}
	f, err := os.Open(creds)
	if err != nil {
		return exitWith(exitUsage, fmt.Errorf("credentials: %w: name a file that can be read by --creds or PACEWIRE_CREDS", err))
	}
	return f.Close()
}

// unread says why the agent of this machine was not found.
func unread(err error) error {
	if pid := homeless(); pid != 0 && errors.Is(err, errNoAgent) {
		return exitWith(exitNoBus, &lostAgent{pid})
	}
	file, ok := errors.AsType[*fs.PathError](err)
	if !ok || !errors.Is(file, fs.ErrPermission) {
		return err
	}
	return exitWith(exitNoBus, fmt.Errorf("an agent may run here, but %s is not yours to read: use the agent's user, or root", file.Path))
}

// A link leads to the agent of a host, or to the hub.
type link struct {
	conn *bus.Conn
	host string // empty: the hub
	own  bool   // the host is this one

	cancel atomic.Pointer[context.CancelCauseFunc] // of the request that is under way
}

// link connects to the agent of a host, by default of this one.
func (a *app) link(ctx context.Context, host string) (*link, error) {
	l := &link{}
	conn, here, err := a.dial(ctx, l.denied)
	if err != nil {
		return nil, err
	}
	l.conn, l.host = conn, cmp.Or(host, here)
	l.own = l.host == here
	return l, nil
}

func (l *link) close() { l.conn.Close() }

// denied ends the request that is under way: the bus answers none that it does not let through.
func (l *link) denied(err error) {
	if cancel := l.cancel.Load(); cancel != nil {
		(*cancel)(fmt.Errorf("%w: %w", bus.ErrDenied, err))
	}
}

// list asks for the plugins of the host.
func (l *link) list(ctx context.Context) ([]telemetry.PluginStatus, error) {
	return ask(ctx, l.conn, l.host, "list", nil)
}

// ask sends a request to the agent of a host and returns the plugins it answers with, of all pages.
func ask(ctx context.Context, conn *bus.Conn, host, verb string, args map[string]any) ([]telemetry.PluginStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	l := &link{conn: conn, host: host}
	var all []telemetry.PluginStatus
	for {
		payload, err := l.request(ctx, verb, args)
		if err != nil {
			return nil, err
		}
		page, _, err := telemetry.DecodePluginList(payload)
		if err != nil {
			return nil, fmt.Errorf("answer of the agent of %s: %w", host, err)
		}
		all = append(all, page.Plugins...)
		if !page.More || len(page.Plugins) == 0 {
			return all, nil
		}
		args = map[string]any{"after": all[len(all)-1].Name}
	}
}
