package otlp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

var (
	errTooLarge = errors.New("the request is too large")
	errEncoding = errors.New("unsupported Content-Encoding")
	errNoRoom   = errors.New("too many large requests at once")
)

// Memory of requests.
const (
	heldBytes = 256 << 20 // of all together
	piece     = 1 << 20   // of one, which it may keep for the next
	bite      = 64 << 10  // of one, at first: more is for what has come, not for what a sender says will
)

// A body is the memory that the body of a request takes.
type body struct {
	l     *listener
	raw   []byte // as it was sent
	plain []byte // decompressed
	gzip  gzip.Reader
	taken int64 // of l.held
}

// read returns the body of r, decompressed. It lives until release.
func (b *body) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := b.l.cfg.MaxBody
	encoding := strings.ToLower(r.Header.Get("Content-Encoding"))
	if encoding != "" && encoding != "identity" && encoding != "gzip" {
		return nil, fmt.Errorf("%w %q: send plain text or gzip", errEncoding, encoding)
	}
	err := errTooLarge
	if r.ContentLength <= int64(limit) {
		src := http.MaxBytesReader(w, r.Body, int64(limit)+1) // closes the connection when there is more
		b.raw, err = b.fill(b.raw, int(r.ContentLength), src, limit)
	}
	switch {
	case errors.Is(err, errTooLarge):
		return nil, overLimit(limit)
	case err != nil:
		return nil, fmt.Errorf("read the body: %w", err)
	case encoding == "gzip":
		return b.inflate()
	}
	return b.raw, nil
}

func overLimit(limit int) error {
	return fmt.Errorf("%w: it has more than max_body_bytes (%d): send less at once", errTooLarge, limit)
}

// inflate decompresses the body.
func (b *body) inflate() ([]byte, error) {
	limit := b.l.cfg.MaxInflated
	err := b.gzip.Reset(bytes.NewReader(b.raw))
	if err == nil {
		b.plain, err = b.fill(b.plain, 4*len(b.raw), &b.gzip, limit)
	}
	switch {
	case errors.Is(err, errTooLarge):
		return nil, fmt.Errorf("%w: it has more than max_inflated_bytes (%d) when decompressed: send less at once", err, limit)
	case err != nil:
		return nil, fmt.Errorf("decompress the body: %w", err)
	}
	return b.plain, nil
}

// fill reads src, of which expected bytes or so may come, into the memory of buf. More than limit is an error.
func (b *body) fill(buf []byte, expected int, src io.Reader, limit int) ([]byte, error) {
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			size := max(2*cap(buf), min(max(expected, 0), bite)) + 512
			if !b.take(size) {
				return buf, errNoRoom
			}
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := src.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return buf, errTooLarge
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}

// take takes n bytes of the memory for requests.
func (b *body) take(n int) bool {
	if b.l.held.Add(int64(n)) > heldBytes {
		b.l.held.Add(int64(-n))
		return false
	}
	b.taken += int64(n)
	return true
}

// release gives the memory back, but for what the next request will want.
func (b *body) release() {
	b.l.held.Add(-b.taken)
	b.taken = 0
	if cap(b.raw) > 2*piece {
		b.raw = nil
	}
	if cap(b.plain) > 2*piece {
		b.plain = nil
	}
}
