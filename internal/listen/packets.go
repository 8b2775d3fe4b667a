package listen

import (
	"context"
	"errors"
	"net"
	"time"
)

// receiveBuffer is what the kernel may keep of datagrams that have not been read, as far as it allows.
const receiveBuffer = 8 << 20

// Packets is a socket of datagrams. It is for one reader.
type Packets struct {
	socket
	udp     *net.UDPConn // nil for a Unix socket: whoever sends there waits, and nothing is lost
	control []byte
	thrown  uint32 // by the kernel, as it has told last
	lost    int    // and what of that nobody has asked for
}

// A socket is what those of all kinds can do.
type socket interface {
	Read(p []byte) (int, error)
	SetReadBuffer(bytes int) error
	SetReadDeadline(t time.Time) error
	LocalAddr() net.Addr
	Close() error
}

func openUDP(ctx context.Context, address string) (*Packets, error) {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	udp := conn.(*net.UDPConn) // a network of udp gives nothing else
	if err := errors.Join(udp.SetReadBuffer(receiveBuffer), countLost(udp)); err != nil {
		return nil, errors.Join(err, udp.Close())
	}
	return &Packets{socket: udp, udp: udp, control: make([]byte, lostSize)}, nil
}

// Read reads one datagram. What does not fit into buf is gone.
func (p *Packets) Read(buf []byte) (int, error) {
	if p.udp == nil {
		return p.socket.Read(buf)
	}
	n, c, _, _, err := p.udp.ReadMsgUDPAddrPort(buf, p.control)
	if err != nil {
		return 0, err // n may be -1
	}
	p.heed(p.control[:c])
	return n, nil
}

// heed notes how many datagrams the kernel has thrown away.
func (p *Packets) heed(control []byte) {
	if n, ok := lostCount(control); ok {
		p.lost += int(n - p.thrown) // it wraps around
		p.thrown = n
	}
}

// Lost returns how many datagrams the kernel has thrown away since the last call. It tells of them with the next that is read, on
// Linux alone.
func (p *Packets) Lost() int {
	n := p.lost
	p.lost = 0
	return n
}
