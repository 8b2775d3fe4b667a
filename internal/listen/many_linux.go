package listen

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	manyAtOnce  = 64       // datagrams of one system call, which costs as much as what it does for one of them
	maxDatagram = 64 << 10 // bytes; UDP has no larger ones
)

// A many is the memory that the kernel puts datagrams into.
type many struct {
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

func newMany() *many {
	m := &many{control: make([]byte, manyAtOnce*lostSize), text: make([]byte, manyAtOnce*maxDatagram)}
	for i := range m.heads {
		h, v := &m.heads[i], &m.vectors[i]
		v.Base = &m.text[i*maxDatagram]
		v.SetLen(maxDatagram)
		h.Iov = v
		h.SetIovlen(1)
		h.Control = &m.control[i*lostSize]
	}
	return m
}

// ReadMany waits for a datagram, and returns it and those that have come besides. They are to be used before the next call. Those
// that are larger than 64 KiB, which a Unix socket may bring, are left out and counted.
func (p *Packets) ReadMany() (datagrams [][]byte, long int, err error) {
	if p.many == nil {
		p.many = newMany()
	}
	n, err := p.receive()
	if err != nil {
		return nil, 0, err
	}
	m := p.many
	m.found = m.found[:0]
	for i := range n {
		h := &m.heads[i]
		p.heed(m.control[i*lostSize:][:h.Controllen])
		if h.Flags&unix.MSG_TRUNC != 0 {
			long++
			continue
		}
		m.found = append(m.found, m.text[i*maxDatagram:][:h.length])
	}
	return m.found, long, nil
}

// receive has the kernel fill the memory, and returns how many datagrams there are.
func (p *Packets) receive() (n int, err error) {
	raw, err := p.SyscallConn()
	if err != nil {
		return 0, err
	}
	m := p.many
	for i := range m.heads {
		m.heads[i].SetControllen(lostSize)
	}
	var errno syscall.Errno
	err = raw.Read(func(fd uintptr) bool {
		var got uintptr
		got, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m.heads)), manyAtOnce, unix.MSG_DONTWAIT, 0, 0)
		n = int(got)
		return errno != unix.EAGAIN && errno != unix.EINTR
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return n, err
}
