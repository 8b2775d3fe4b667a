package lines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// receiveBuffer is what the kernel may keep of datagrams that have not been read, as far as it allows.
const receiveBuffer = 8 << 20

// open opens the socket that an entry of listen names.
func (l *listener) open(ctx context.Context, entry string) error {
	e, err := parseEndpoint(entry)
	if err != nil {
		return fmt.Errorf("listen %q: %w", entry, err)
	}
	var addr net.Addr
	switch e.scheme {
	case "udp":
		addr, err = l.openPacket(ctx, e.address)
	case "unix":
		addr, err = l.openUnix(e.address)
	default:
		addr, err = l.openTCP(ctx, e)
	}
	if err != nil {
		return fmt.Errorf("listen %q: %w%s", entry, err, wayOut(err))
	}
	l.log.Info("listening", "listen", e.scheme+"://"+addr.String())
	if public(addr) {
		l.log.Warn("whoever reaches this address can send points: nobody is asked for a password",
			"listen", e.scheme+"://"+addr.String())
	}
	return nil
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

func (l *listener) openTCP(ctx context.Context, e endpoint) (net.Addr, error) {
	var lc net.ListenConfig
	s, err := lc.Listen(ctx, "tcp", e.address)
	if err != nil {
		return nil, err
	}
	if e.scheme == "http" {
		l.webs = append(l.webs, s)
	} else {
		l.streams = append(l.streams, s)
	}
	return s.Addr(), nil
}

func (l *listener) openPacket(ctx context.Context, address string) (net.Addr, error) {
	var lc net.ListenConfig
	p, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	conn := p.(*net.UDPConn) // a network of udp gives nothing else
	if err := errors.Join(conn.SetReadBuffer(receiveBuffer), countLost(conn)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	l.packets = append(l.packets, conn)
	return conn.LocalAddr(), nil
}

func (l *listener) openUnix(path string) (net.Addr, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	s, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	s.SetUnlinkOnClose(false)
	mode, err := l.cfg.unixMode()
	if err == nil {
		err = os.Chmod(path, mode)
	}
	info, statErr := os.Lstat(path)
	if err = errors.Join(err, statErr); err != nil {
		return nil, errors.Join(err, s.Close(), os.Remove(path))
	}
	l.streams = append(l.streams, &unixSocket{s, path, info})
	return s.Addr(), nil
}

// removeStale removes the file of a socket that nobody listens on any more.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file that is no socket: remove it, or set listen to another path")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		return errors.Join(syscall.EADDRINUSE, c.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return err
}

// A unixSocket removes its file when it is closed, unless another one has taken its place.
type unixSocket struct {
	*net.UnixListener
	path string
	file fs.FileInfo
}

func (u *unixSocket) Close() error {
	err := u.UnixListener.Close()
	if err != nil {
		return err
	}
	if now, err := os.Lstat(u.path); err == nil && os.SameFile(now, u.file) {
		return os.Remove(u.path)
	}
	return nil
}
