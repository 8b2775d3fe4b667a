package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Limits of what a program prints.
const (
	MaxLine   = 1 << 20  // bytes of a line; a longer one is thrown away
	MaxAnswer = 64 << 20 // bytes of the answer to one batch
	readRoom  = 64 << 10 // bytes that a read asks for at least
	keptRoom  = 4 << 20  // bytes that are kept for the next answer
)

// Why what a program prints is no answer that could be followed.
var (
	ErrTooMuch = fmt.Errorf("its answer has more than %d MiB", MaxAnswer>>20)
	ErrStray   = errors.New("it prints more behind the empty line that ends its answer")
)

// tooLong stands in the place of a line that is: nobody can read it, so it is counted and told as others are that are no points.
var tooLong = fmt.Appendf(nil, "!a line of more than %d bytes\n", MaxLine)

// A Reader cuts what a program prints into whole lines. It holds one answer, or one line, at most. In the place of a line that is
// too long stands one that begins with ! and says so.
type Reader struct {
	src io.Reader

	buf      []byte // what was read
	line     int    // where the line begins that has no end yet
	lines    int    // whole lines before it
	taken    int    // bytes of buf that were given away
	skipping bool   // within a line that is too long
}

// NewReader returns the reader of what src gives.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// Held returns how many bytes have come that make no whole answer yet.
func (r *Reader) Held() int { return len(r.buf) }

// Some returns the whole lines that have come, at least one, and the number of the first. They are valid until the next call. With an
// error come those that are left, with a last one that has no end.
func (r *Reader) Some() (text []byte, first int, err error) {
	r.forget()
	first = r.lines + 1
	for r.line == 0 {
		if err = r.fill(); err != nil {
			r.giveUp()
			r.taken = len(r.buf)
			return r.buf, first, err
		}
		for r.cut() {
		}
	}
	r.taken = r.line
	return r.buf[:r.line], first, nil
}

// giveUp ends a line that is too long, and whose end does not come any more.
func (r *Reader) giveUp() {
	if r.skipping {
		r.buf, r.skipping = append(r.buf, tooLong...), false
	}
}

// Answer returns the lines up to an empty one, which is not among them. They are valid until the next call.
func (r *Reader) Answer() ([]byte, error) {
	r.forget()
	for read := 0; ; {
		for from := r.line; r.cut(); from = r.line {
			if line := r.buf[from:r.line]; line[0] != '\n' && string(line) != "\r\n" {
				continue
			}
			if r.taken = len(r.buf); r.taken > r.line {
				return nil, ErrStray
			}
			return r.buf[:from], nil
		}
		n, err := r.read()
		if err != nil {
			return nil, err
		}
		if read += n; read > MaxAnswer {
			return nil, ErrTooMuch
		}
	}
}

// forget drops what was given away.
func (r *Reader) forget() {
	rest := copy(r.buf, r.buf[r.taken:])
	if r.buf = r.buf[:rest]; rest == 0 && cap(r.buf) > keptRoom {
		r.buf = nil
	}
	r.line, r.taken = 0, 0
}

// cut finds the end of the line, and reports whether it has one.
func (r *Reader) cut() bool {
	if r.skipping {
		return false
	}
	n := bytes.IndexByte(r.buf[r.line:], '\n') + 1
	switch {
	case n > MaxLine:
		r.buf = slices.Replace(r.buf, r.line, r.line+n, tooLong...)
		n = len(tooLong)
	case n == 0 && len(r.buf)-r.line >= MaxLine:
		r.buf, r.skipping = r.buf[:r.line], true
		return false
	case n == 0:
		return false
	}
	r.line += n
	r.lines++
	return true
}

func (r *Reader) fill() error {
	_, err := r.read()
	return err
}

// read reads once.
func (r *Reader) read() (int, error) {
	if cap(r.buf)-len(r.buf) < readRoom {
		r.buf = slices.Grow(r.buf, max(readRoom, len(r.buf)))
	}
	n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
	if n == 0 {
		return 0, err
	}
	fresh := r.buf[len(r.buf) : len(r.buf)+n]
	if r.skipping {
		end := bytes.IndexByte(fresh, '\n') + 1
		if end == 0 {
			return n, nil
		}
		r.skipping = false
		rest := slices.Concat(tooLong, fresh[end:])
		r.buf = append(r.buf, rest...)
		return n, nil
	}
	r.buf = r.buf[:len(r.buf)+n]
	return n, nil
}
