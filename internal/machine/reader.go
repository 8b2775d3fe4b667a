package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strconv"
	"syscall"

	"github.com/pacewire/pacewire/internal/amount"
)

// maxFaults is how many errors a Reader tells one by one.
const maxFaults = 8

// A Reader reads the facts of one survey and gathers what went wrong, so that a bad file costs only what is in it. What a
// machine does not have is nothing wrong, unless it is asked for by Must.
type Reader struct {
	faults []error
	more   int // faults that are only counted
}

// Fault notes what went wrong.
func (r *Reader) Fault(err error) {
	switch {
	case err == nil:
	case len(r.faults) < maxFaults:
		r.faults = append(r.faults, err)
	default:
		r.more++
	}
}

// absent notes err, unless it says that the machine does not have what was asked for.
func (r *Reader) absent(err error) {
	if !Absent(err) {
		r.Fault(err)
	}
}

// Err returns what went wrong in the survey: the end of ctx before all.
func (r *Reader) Err(ctx context.Context) error {
	faults := r.faults
	if err := ctx.Err(); err != nil {
		faults = append([]error{err}, faults...)
	}
	if r.more > 0 {
		faults = append(faults, fmt.Errorf("and %s more", amount.Of(r.more, "error", "errors")))
	}
	return errors.Join(faults...)
}

// Word returns the first line of a file.
func (r *Reader) Word(d Dir, name string) string {
	word, err := d.Word(name)
	r.absent(err)
	return word
}

// Must returns the first line of a file that every machine has.
func (r *Reader) Must(d Dir, name string) string {
	word, err := d.Word(name)
	r.Fault(err)
	return word
}

// Try returns the first line of a file that only some users may read, or only at some times.
func (r *Reader) Try(d Dir, name string) string {
	word, _ := d.Word(name)
	return word
}

// Number returns the number in a file, 0 if there is none.
func (r *Reader) Number(d Dir, name string) uint64 {
	n, _ := strconv.ParseUint(r.Word(d, name), 10, 64)
	return n
}

// Lines returns the lines of a file of at most 1 MiB.
func (r *Reader) Lines(d Dir, name string) iter.Seq[string] { return r.lines(d, name, r.absent) }

// MustLines returns the lines of a file that every machine has, of at most 1 MiB.
func (r *Reader) MustLines(d Dir, name string) iter.Seq[string] { return r.lines(d, name, r.Fault) }

func (r *Reader) lines(d Dir, name string, note func(error)) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line, err := range d.Lines(name, 0) {
			if err != nil {
				note(err)
				return
			}
			if !yield(line) {
				return
			}
		}
	}
}

// Names returns the sorted names of what is in a folder.
func (r *Reader) Names(d Dir, name string) []string {
	names, err := d.Names(name)
	r.absent(err)
	return names
}

// Absent reports whether err says that a machine does not have something: a file, or a device that has just gone.
func Absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) ||
		errors.Is(err, errors.ErrUnsupported)
}
