package listen

import (
	"errors"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	manyAtOnce = 64 // datagrams of one system call

	// gather is how long datagrams may come together when there are few: to be woken for each takes longer than to read it.
	gather = time.Millisecond
)

// A many reads many datagrams with one system call, outside of the poller of Go: that is woken for each datagram, also while
// nobody asks for it, which takes more than all the rest.
type many struct {
	fd      int // it blocks
	few     bool
	heads   [manyAtOnce]head
	vectors [manyAtOnce]unix.Iovec
	control []byte
	text    []byte
	found   [][]byte
}

// A head is what the kernel calls struct mmsghdr.
type head struct {
	unix.Msghdr
	length uint32
}

// newMany takes the socket of conn, which is closed, out of the poller.
func newMany(conn *net.UDPConn) (*many, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	m := &many{}
	var dupErr error
	if err := raw.Control(func(fd uintptr) { m.fd, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, dupErr
	}
	wait := unix.NsecToTimeval(int64(silence))
	err = errors.Join(conn.Close(), unix.SetNonblock(m.fd, false), unix.SetsockoptTimeval(m.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait))
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	m.prepare()
	return m, nil
}

// prepare tells where the kernel is to put datagrams. Of the memory for them only what they fill becomes real.
func (m *many) prepare() {
	m.control, m.text = make([]byte, manyAtOnce*lostSize), make([]byte, manyAtOnce*maxDatagram)
	for i := range m.heads {
		h, v := &m.heads[i], &m.vectors[i]
		v.Base = &m.text[i*maxDatagram]
		v.SetLen(maxDatagram)
		h.Iov = v
		h.SetIovlen(1)
		h.Control = &m.control[i*lostSize]
	}
}

// next waits for a datagram, and returns those that are there; heed hears what the kernel tells besides.
func (m *many) next(heed func(control []byte)) ([][]byte, error) {
	if m.few {
		time.Sleep(gather)
	}
	n, err := m.receive()
	if err != nil {
		return nil, err
	}
	m.few = n > 0 && n < manyAtOnce
	m.found = m.found[:0]
	for i := range n {
		h := &m.heads[i]
		heed(m.control[i*lostSize:][:h.Controllen])
		m.found = append(m.found, m.text[i*maxDatagram:][:h.length])
	}
	return m.found, nil
}

// receive has the kernel fill the memory, and returns how many datagrams there are.
func (m *many) receive() (int, error) {
	for i := range m.heads {
		m.heads[i].SetControllen(lostSize)
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(m.fd), uintptr(unsafe.Pointer(&m.heads)), manyAtOnce, unix.MSG_WAITFORONE, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR, unix.EAGAIN: // nothing has come
		return 0, nil
	}
	return 0, errno
}

func (m *many) close() error { return unix.Close(m.fd) }
