package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxText is the size above which a file is not what it should be. The mounts of ten thousand containers are 2 MB.
const maxText = 16 << 20

// A file is read at every collection. It stays open and keeps its buffer: a read from the start makes procfs write the
// text anew, which costs a third of opening the file again and allocates nothing.
type file struct {
	path  string
	open  *os.File
	buf   []byte
	fresh bool // buf was read in this collection, perhaps for another section
}

// text returns what is in the file now. It is valid until the next collection.
func (f *file) text() ([]byte, error) {
	if f.fresh {
		return f.buf, nil
	}
	if err := f.read(); err != nil {
		f.close() // a new file may stand there next time
		return nil, err
	}
	f.fresh = true
	return f.buf, nil
}

func (f *file) read() error {
	if f.open == nil {
		open, err := os.Open(f.path)
		if err != nil {
			return err
		}
		f.open = open
	}
	f.buf = f.buf[:0]
	for {
		if len(f.buf) == cap(f.buf) {
			f.buf = append(f.buf, make([]byte, max(1<<10, cap(f.buf)))...)[:len(f.buf)]
		}
		n, err := f.open.ReadAt(f.buf[len(f.buf):cap(f.buf)], int64(len(f.buf)))
		f.buf = f.buf[:len(f.buf)+n]
		switch {
		case len(f.buf) > maxText:
			return fmt.Errorf("read %s: more than %d MiB", f.path, maxText>>20)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// fault says that err is about the text of f.
func (f *file) fault(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("parse %s: %w", f.path, err)
}

func (f *file) close() {
	if f.open != nil {
		_ = f.open.Close() // it was only read
		f.open = nil
	}
	f.buf, f.fresh = nil, false
}

// isAbsent reports whether err says that this machine does not have a file, or that the kernel does not serve it.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported)
}

func ignoreAbsent(err error) error {
	if isAbsent(err) {
		return nil
	}
	return err
}
