package lines

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"
)

// gunzip is a reader that is used again.
type gunzip = gzip.Reader

var (
	errTooLarge = errors.New("the body is larger than max_body_bytes: send less at once")
	errEncoding = errors.New("unsupported content encoding")
	errGzip     = errors.New("the body cannot be decompressed")
)

// statusOf returns the status of the answer to a body that err is wrong with.
func statusOf(err error) int {
	switch {
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errEncoding):
		return http.StatusUnsupportedMediaType
	}
	return http.StatusBadRequest
}

// open returns the text in the body of r, of which limit bytes may be read.
func (p *body) open(w http.ResponseWriter, r *http.Request, limit int64) (io.Reader, error) {
	if r.ContentLength > limit {
		return nil, errTooLarge
	}
	raw := &limited{src: http.MaxBytesReader(w, r.Body, limit), left: limit}
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return raw, nil
	case "gzip":
		if p.gzip == nil {
			p.gzip = new(gunzip)
		}
		if err := p.gzip.Reset(raw); err != nil {
			return nil, fmt.Errorf("%w: %w", errGzip, err)
		}
		return &limited{src: unpacked{p.gzip}, left: limit}, nil
	default:
		return nil, fmt.Errorf("%w %q: send plain text or gzip", errEncoding, encoding)
	}
}

// unpacked says what an error of decompressing is about.
type unpacked struct{ *gunzip }

func (u unpacked) Read(p []byte) (int, error) {
	n, err := u.gunzip.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", errGzip, err)
	}
	return n, err
}

// limited is a text that fails when it is longer than it may be.
type limited struct {
	src  io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.src.Read(p[:min(int64(len(p)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLarge
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = errTooLarge
	}
	return n, err
}
