package lines

import (
	"context"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/listen"
)

// maxDatagram is the largest datagram there is, with a newline for its last line.
const maxDatagram = 1 << 16

// receive reads the datagrams of a socket until ctx ends, and closes it.
func (l *listener) receive(ctx context.Context, socket listen.Socket, out collector.Emitter) {
	d := &datagrams{Packets: socket.Packets, from: socket.Name(), l: l, out: out}
	defer socket.Close()
	s := &stream{intake: l.intake(out, d.from), src: d, room: maxDatagram}
	s.apart = true
	s.run(ctx)
}

// datagrams are a source of text: each of them ends with a newline.
type datagrams struct {
	*listen.Packets
	from string
	l    *listener
	out  collector.Emitter
}

// Read reads one datagram; p has room for the largest.
func (d *datagrams) Read(p []byte) (int, error) {
	n, err := d.Packets.Read(p[:len(p)-1])
	if err != nil {
		return 0, err
	}
	if lost := d.Lost(); lost > 0 {
		d.overflow(lost)
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
	if more, ok := d.l.reports.datagrams.Pass(); ok {
		d.l.log.Warn("datagrams lost: more came than were taken; use TCP, or raise net.core.rmem_max",
			"listen", d.from, "datagrams", n, "unreported", more)
	}
}
