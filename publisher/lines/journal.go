package lines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pacewire/pacewire/internal/atomicfile"
	"github.com/pacewire/pacewire/plugin"
)

// errLocked says that another process, or another publisher of this one, writes the file.
var errLocked = fmt.Errorf("%w: give each publisher a path of its own", plugin.ErrTaken)

// A journal is a file that grows by whole batches of lines. What of a batch could not be written is cut off again, so that
// a second try leaves neither half lines nor lines twice; so is a torn line that a crash has left at the end. The file may
// be moved or deleted at any time: the next batch goes to a new one.
type journal struct {
	path     string
	sync     bool
	rotation rotation
	log      *slog.Logger
	now      func() time.Time
	write    func(file *os.File, text []byte) (int, error)

	file  *os.File  // nil: to be opened
	size  int64     // of file, up to the end of the last batch
	dirty bool      // there may be more in file than size says
	wrote time.Time // when file was written last
}

func newJournal(path string, log *slog.Logger) *journal {
	return &journal{path: path, log: log, now: time.Now, write: (*os.File).Write}
}

// append writes all of text, or nothing.
func (j *journal) append(text []byte) error {
	if err := j.prepare(int64(len(text))); err != nil {
		return err
	}
	if err := j.put(text); err != nil {
		j.dirty = true
		return errors.Join(fmt.Errorf("append to %s: %w", j.path, err), j.mend())
	}
	j.size += int64(len(text))
	j.wrote = j.now()
	return nil
}

func (j *journal) put(text []byte) error {
	if _, err := j.write(j.file, text); err != nil {
		return err
	}
	if j.sync {
		return j.file.Sync()
	}
	return nil
}

// prepare makes file the one at path, with room for n bytes before it is to be rotated, and without torn lines.
func (j *journal) prepare(n int64) error {
	if err := j.follow(); err != nil {
		return err
	}
	if err := j.mend(); err != nil {
		return err
	}
	if !j.rotation.due(j.size, n, j.wrote, j.now()) {
		return nil
	}
	if err := j.rotate(); err != nil {
		return err
	}
	return j.open()
}

// follow opens the file at path where file is another one, or none.
func (j *journal) follow() error {
	if j.file == nil {
		return j.open()
	}
	mine, err := j.file.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", j.path, err)
	}
	there, err := os.Stat(j.path)
	switch {
	case err == nil && os.SameFile(mine, there):
		if !j.dirty {
			j.size = mine.Size() // it may have been cut, or added to by hand
		}
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look at %s: %w", j.path, err)
	}
	j.log.Info("file was moved or deleted, beginning a new one", "path", j.path)
	if err := j.Close(); err != nil {
		j.log.Warn("end of the old file is not certain", "error", err)
	}
	return j.open()
}

// mend cuts off what a failed append has left.
func (j *journal) mend() error {
	if !j.dirty {
		return nil
	}
	if err := j.file.Truncate(j.size); err != nil {
		return fmt.Errorf("take half a batch back from %s: %w", j.path, err)
	}
	j.dirty = false
	return nil
}

// Close closes the file; append would open it again.
func (j *journal) Close() error {
	if j.file == nil {
		return nil
	}
	err := errors.Join(j.mend(), j.file.Close())
	j.file, j.dirty = nil, false
	return err
}

// open opens and locks the file at path, makes it if need be, and cuts a torn line off.
func (j *journal) open() error {
	file, err := os.OpenFile(j.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return explain(err, j.path)
	}
	if err := j.adopt(file); err != nil {
		return errors.Join(err, file.Close())
	}
	j.file = file
	return nil
}

// explain adds the way out to the reasons why a file cannot be opened.
func explain(err error, path string) error {
	dir := filepath.Dir(path)
	switch _, missing := os.Stat(dir); {
	case errors.Is(missing, fs.ErrNotExist):
		return fmt.Errorf("%w: directory %s does not exist: make it or change path", err, dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: let this user write to %s or change path", err, dir)
	}
	return err
}

func (j *journal) adopt(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", j.path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: change path", j.path)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%s: %w", j.path, errLocked)
		}
		return fmt.Errorf("lock %s: %w", j.path, err)
	}
	if info, err = file.Stat(); err != nil { // again: its last writer is gone only now
		return fmt.Errorf("look at %s: %w", j.path, err)
	}
	size, err := whole(file, info.Size())
	if err != nil {
		return fmt.Errorf("find the last line of %s: %w", j.path, err)
	}
	if size < info.Size() {
		if err := file.Truncate(size); err != nil {
			return fmt.Errorf("cut the torn last line of %s: %w", j.path, err)
		}
		j.log.Warn("torn last line cut off", "path", j.path, "bytes", info.Size()-size)
	}
	if j.sync {
		if err := atomicfile.SyncDir(filepath.Dir(j.path)); err != nil {
			return fmt.Errorf("sync the folder of %s: %w", j.path, err)
		}
	}
	j.size, j.dirty, j.wrote = size, false, info.ModTime()
	return nil
}

// lineMax is the most that is cut off as a torn line: a point is never longer than a message.
const lineMax = 1 << 20

// whole returns the length of file, size bytes long, up to the end of its last complete line.
func whole(file io.ReaderAt, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for end := size; end > 0 && size-end < lineMax; {
		from := max(0, end-int64(len(buf)))
		part := buf[:end-from]
		if _, err := file.ReadAt(part, from); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		end = from
	}
	if size == 0 {
		return 0, nil
	}
	return 0, errors.New("it does not end with a line, so it may be no file of points: move it away or change path")
}
