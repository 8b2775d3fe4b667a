package lines

import (
	"context"
	"net"

	"github.com/pacewire/pacewire/collector"
)

// maxDatagram is the largest datagram there is, with a newline for its last line.
const maxDatagram = 1 << 16

// receive reads the datagrams of conn until ctx ends, and closes it.
func (l *listener) receive(ctx context.Context, conn *net.UDPConn, out collector.Emitter) {
	d := &datagrams{UDPConn: conn, l: l, out: out, control: make([]byte, lostSize)}
	defer conn.Close()
	s := &stream{intake: l.intake(out, "udp://"+conn.LocalAddr().String()), src: d, room: maxDatagram}
	s.apart = true
	s.run(ctx)
}

// datagrams are a source of text: each of them ends with a newline.
type datagrams struct {
	*net.UDPConn
	l       *listener
	out     collector.Emitter
	control []byte
	lost    uint32
}

// Read reads one datagram; p has room for the largest.
func (d *datagrams) Read(p []byte) (int, error) {
	n, c, _, _, err := d.ReadMsgUDPAddrPort(p[:len(p)-1], d.control)
	if err != nil {
		return 0, err // n may be -1
	}
	if lost, ok := lostCount(d.control[:c]); ok && lost != d.lost {
		d.overflow(int(lost - d.lost))
		d.lost = lost
	}
	if n > 0 && p[n-1] != '\n' {
		p[n] = '\n'
		n++
	}
	return n, nil
}

// overflow counts datagrams that the kernel had no room for.
func (d *datagrams) overflow(n int) {
	d.out.Drop("udp_overflow", n)
	if more, ok := d.l.reports.datagrams.pass(); ok {
		d.l.log.Warn("datagrams lost: more came than were taken; use TCP, or raise net.core.rmem_max",
			"listen", "udp://"+d.LocalAddr().String(), "datagrams", n, "unreported", more)
	}
}
