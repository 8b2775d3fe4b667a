package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

func openUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeStale(path, "unix"); err != nil {
		return nil, err
	}
	s, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	s.SetUnlinkOnClose(false)
	file, err := openFile(path, mode)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &unixListener{s, file}, nil
}

func openUnixgram(path string, mode fs.FileMode) (*Packets, error) {
	if err := removeStale(path, "unixgram"); err != nil {
		return nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	file, err := openFile(path, mode)
	if err == nil {
		err = conn.SetReadBuffer(receiveBuffer)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Packets{socket: &unixPackets{conn, file}}, nil
}

// removeStale removes the file of a socket that nobody listens on any more.
func removeStale(path, network string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file that is no socket: remove it, or set listen to another path")
	}
	c, err := net.DialTimeout(network, path, time.Second)
	switch {
	case err == nil:
		return errors.Join(syscall.EADDRINUSE, c.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return err
}

// A socketFile is the file of a Unix socket.
type socketFile struct {
	path string
	info fs.FileInfo
}

// openFile says who may use the file of a socket that has just been opened.
func openFile(path string, mode fs.FileMode) (socketFile, error) {
	err := os.Chmod(path, mode)
	info, statErr := os.Lstat(path)
	if err = errors.Join(err, statErr); err != nil {
		return socketFile{}, errors.Join(err, os.Remove(path))
	}
	return socketFile{path, info}, nil
}

// remove removes the file when its socket has been closed, unless another one has taken its place. closed is what that came to.
func (f socketFile) remove(closed error) error {
	if closed != nil {
		return closed
	}
	if now, err := os.Lstat(f.path); err == nil && os.SameFile(now, f.info) {
		return os.Remove(f.path)
	}
	return nil
}

// A unixListener removes its file when it is closed.
type unixListener struct {
	*net.UnixListener
	file socketFile
}

func (u *unixListener) Close() error { return u.file.remove(u.UnixListener.Close()) }

// unixPackets removes its file when it is closed.
type unixPackets struct {
	*net.UnixConn
	file socketFile
}

func (u *unixPackets) Close() error { return u.file.remove(u.UnixConn.Close()) }
