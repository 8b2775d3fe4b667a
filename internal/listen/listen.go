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

// A Socket is open. It has streams or packets.
type Socket struct {
	Address
	Streams net.Listener
	Packets *Packets
}

// Open opens a socket at a, and tells so in the log. mode is the permissions of the file of a Unix socket.
func Open(ctx context.Context, a Address, mode fs.FileMode, log *slog.Logger) (s Socket, err error) {
	s.Address = a
	switch a.Scheme {
	case "udp":
		s.Packets, err = openUDP(ctx, a.At)
	case "unixgram":
		s.Packets, err = openUnixgram(a.At, mode)
	case "unix":
		s.Streams, err = openUnix(a.At, mode)
	default:
		s.Streams, err = new(net.ListenConfig).Listen(ctx, "tcp", a.At)
	}
	if err != nil {
		return Socket{}, fmt.Errorf("listen %q: %w%s", a.Scheme+"://"+a.At, err, wayOut(err))
	}
	log.Info("listening", "listen", s.Name())
	if public(s.Addr()) {
		log.Warn("whoever reaches this address can send points: nobody is asked for a password", "listen", s.Name())
	}
	return s, nil
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
