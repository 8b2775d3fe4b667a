//go:build !linux

package listen

const maxDatagram = 64 << 10 // bytes; UDP has no larger ones

type many struct {
	text  []byte
	found [1][]byte
}

// ReadMany waits for a datagram. It is to be used before the next call. One that is larger than 64 KiB, which a Unix socket may
// bring, is left out and counted.
func (p *Packets) ReadMany() (datagrams [][]byte, long int, err error) {
	if p.many == nil {
		p.many = &many{text: make([]byte, maxDatagram+1)}
	}
	n, err := p.Read(p.many.text)
	if err != nil {
		return nil, 0, err
	}
	if n > maxDatagram {
		return nil, 1, nil
	}
	p.many.found[0] = p.many.text[:n]
	return p.many.found[:], 0, nil
}
