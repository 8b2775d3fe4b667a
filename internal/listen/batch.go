package listen

import (
	"errors"
	"os"
	"time"
)

const (
	maxDatagram = 64 << 10               // bytes; UDP has no larger ones
	silence     = 200 * time.Millisecond // how long a batch waits for its first datagram
)

// A Batcher reads the datagrams of a socket, many at a time where the system can do that. It is for one reader.
type Batcher struct {
	p    *Packets
	many *many  // nil: one at a time
	text []byte // of that one
	one  [1][]byte
}

// Batcher returns a Batcher, by which alone p is to be used from then on.
func (p *Packets) Batcher() (b *Batcher, err error) {
	b = &Batcher{p: p}
	if p.udp != nil { // who sends to a Unix socket waits while a few datagrams are there: it is to be read at once
		if b.many, err = newMany(p.udp); err != nil {
			return nil, err
		}
	}
	if b.many == nil {
		b.text = make([]byte, maxDatagram+1)
	}
	return b, nil
}

// Next waits for a datagram, and returns it and those that have come besides. They are to be used before the next call. Those that
// are larger than 64 KiB, which a Unix socket may bring, are left out and counted. When nothing comes for a while it returns
// nothing.
func (b *Batcher) Next() (datagrams [][]byte, long int, err error) {
	if b.many != nil {
		datagrams, err = b.many.next(b.p.heed)
		return datagrams, 0, err
	}
	err = b.p.SetReadDeadline(time.Now().Add(silence))
	n := 0
	if err == nil {
		n, err = b.p.Read(b.text)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	case n > maxDatagram:
		return nil, 1, nil
	}
	b.one[0] = b.text[:n]
	return b.one[:], 0, nil
}

// Lost returns how many datagrams the kernel has thrown away since the last call. It tells of them with the next that is read, on
// Linux alone.
func (b *Batcher) Lost() int { return b.p.Lost() }

// Close closes the socket.
func (b *Batcher) Close() error {
	if b.many != nil {
		return b.many.close()
	}
	return b.p.Close()
}
