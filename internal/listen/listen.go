// Package listen opens the sockets that others send to.
package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"syscall"
)

// A Door is how sockets are to be opened, and who may come in.
type Door struct {
	Schemes []string    // of the addresses
	Mode    fs.FileMode // permissions of the file of a Unix socket
	TLS     TLS         // of connections over TCP
	Access  Access      // of requests over HTTP: their handler is to be behind its Guard
	Log     *slog.Logger
}

// A Socket is open. It has streams or packets.
type Socket struct {
	Address
	Streams net.Listener
	Packets *Packets
}

// Open opens a socket at each of the entries of the setting listen, or none, and tells so in the log.
func (d Door) Open(ctx context.Context, entries []string) (sockets []Socket, err error) {
	for _, entry := range entries {
		s, err := d.open(ctx, entry)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen %q: %w%s", entry, err, wayOut(err)), Close(sockets))
		}
		d.Log.Info("listening", "listen", s.Name())
		d.warn(s)
		sockets = append(sockets, s)
	}
	return sockets, nil
}

func (d Door) open(ctx context.Context, entry string) (s Socket, err error) {
	if s.Address, err = Parse(entry, d.Schemes...); err != nil {
		return s, err
	}
	switch s.Scheme {
	case "udp":
		s.Packets, err = openUDP(ctx, s.At)
	case "unixgram":
		s.Packets, err = openUnixgram(s.At, d.Mode)
	case "unix", "unixstream":
		s.Streams, err = openUnix(s.At, d.Mode)
	default:
		s.Streams, err = d.openTCP(ctx, s.Address)
	}
	return s, err
}

func (d Door) openTCP(ctx context.Context, a Address) (net.Listener, error) {
	plain, err := new(net.ListenConfig).Listen(ctx, "tcp", a.At)
	if err != nil {
		return nil, err
	}
	l, err := d.TLS.over(plain, a.Scheme, d.Log)
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return l, nil
}

// warn tells of a socket that lets in whoever reaches it from elsewhere, or that passwords come to in the clear.
func (d Door) warn(s Socket) {
	const open = "anybody who reaches this address can send points"
	asked := overTCP(s.Scheme) && d.TLS.CAFile != "" || overHTTP(s.Scheme) && d.Access.isSet()
	switch {
	case !public(s.Addr()):
	case !overTCP(s.Scheme):
		d.Log.Warn(open, "listen", s.Name(), "hint", "datagrams carry no password: let a firewall choose who sends, or listen at 127.0.0.1")
	case !asked && overHTTP(s.Scheme):
		d.Log.Warn(open, "listen", s.Name(), "hint", "set bearer_token, username and password, or ca_file, or listen at 127.0.0.1")
	case !asked:
		d.Log.Warn(open, "listen", s.Name(), "hint", "set cert_file, key_file and ca_file, or listen at 127.0.0.1")
	case d.TLS.CertFile == "":
		d.Log.Warn("tokens and passwords come unencrypted", "listen", s.Name(), "hint", "set cert_file and key_file")
	}
}

// Close closes sockets, unless that has been done.
func Close(sockets []Socket) error {
	var errs []error
	for _, s := range sockets {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// Addr returns where s listens.
func (s Socket) Addr() net.Addr {
	if s.Packets != nil {
		return s.Packets.LocalAddr()
	}
	return s.Streams.Addr()
}

// Name returns where s listens, as an address that others can send to.
func (s Socket) Name() string { return s.Scheme + "://" + s.Addr().String() }

// Close closes the socket, unless that has been done.
func (s Socket) Close() (err error) {
	if s.Packets != nil {
		err = s.Packets.Close()
	} else {
		err = s.Streams.Close()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// wayOut says what to do about an error of opening a socket, as far as it is known.
func wayOut(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ": another program listens there: stop it, or set listen to another address"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return ": this machine does not have that address: set listen to one it has, or leave the host out for all of them"
	case errors.Is(err, fs.ErrNotExist):
		return ": make its folder first"
	case errors.Is(err, fs.ErrPermission):
		return ": set listen to an address this user may open: a port from 1024, a path in a folder of its own"
	}
	return ""
}

// public reports whether other machines may reach addr.
func public(addr net.Addr) bool {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return !a.IP.IsLoopback()
	case *net.UDPAddr:
		return !a.IP.IsLoopback()
	}
	return false
}
