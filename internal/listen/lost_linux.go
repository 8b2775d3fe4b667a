package listen

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// countLost makes the kernel tell with each datagram how many it has thrown away.
func countLost(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1) }); e != nil {
		return e
	}
	return err
}

// lostSize is how many bytes the news of lost datagrams takes.
var lostSize = unix.CmsgSpace(4)

// lostCount returns how many datagrams the kernel has thrown away since the socket was opened; ok is false when it says
// nothing, which means none.
func lostCount(control []byte) (n uint32, ok bool) {
	if head := unix.CmsgLen(0); len(control) >= head+4 {
		return binary.NativeEndian.Uint32(control[head:]), true
	}
	return 0, false
}
