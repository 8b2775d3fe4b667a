package plugin

import "sync"

// buffers are the memory of messages on their way. They are used again, but not more of them than were ever under way at
// once, and none that has grown large.
type buffers struct {
	mu   sync.Mutex
	free [][]byte
}

const (
	keptBuffers   = 64
	largestBuffer = 320 << 10
)

// take returns an empty buffer with room for about size bytes.
func (b *buffers) take(size int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.free) - 1; i >= 0; i-- {
		if buf := b.free[i]; cap(buf) >= size {
			b.free[i] = b.free[len(b.free)-1]
			b.free = b.free[:len(b.free)-1]
			return buf
		}
	}
	return make([]byte, 0, size)
}

// give takes buf back; nil is none.
func (b *buffers) give(buf []byte) {
	if buf == nil || cap(buf) > largestBuffer {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) < keptBuffers {
		b.free = append(b.free, buf[:0])
	}
}
