// Package machine reads the files by which a system describes itself.
package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode"
)

const (
	maxText  = 1 << 20  // bytes of a file, unless its reader says otherwise
	maxLine  = 16 << 10 // bytes of a line; the rest of it is left out
	maxWord  = 256      // bytes of a fact
	maxNames = 1 << 16  // names in a folder
	maxLinks = 8        // absolute links one after the other
)

// ErrTooLong is told at the end of the lines that are taken of a file that has more.
var ErrTooLong = errors.New("too long for what it should be")

// errNotFile is the reason why what stands in the place of a file is not read: a pipe or a device may never answer.
var errNotFile = errors.New("not a regular file")

// A Dir is a folder whose files tell about a machine: procfs, sysfs, or the root of its file system. What is read from it
// is bounded, and reading never waits.
type Dir string

// follow returns the path of a file below d. A link to an absolute path means a file of the machine, whose root may be
// mounted at d.
func (d Dir) follow(name string) string {
	path := filepath.Join(string(d), name)
	for range maxLinks {
		target, err := os.Readlink(path)
		if err != nil || !filepath.IsAbs(target) {
			break
		}
		path = filepath.Join(string(d), target)
	}
	return path
}

func (d Dir) open(name string) (*os.File, error) {
	path := d.follow(name)
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: errNotFile}
	}
	if err != nil {
		_ = file.Close() // nothing was read
		return nil, err
	}
	return file, nil
}

// Head returns the first bytes of a file, at most n.
func (d Dir) Head(name string, n int64) ([]byte, error) {
	file, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, n))
}

// Word returns the first line of a file as a fact.
func (d Dir) Word(name string) (string, error) {
	text, err := d.Head(name, 2*maxWord)
	line, _, _ := strings.Cut(string(text), "\n")
	return Clean(line), err
}

// Lines returns the lines of a file without the blanks at their ends; the last pair may be an error. A file of more than
// most bytes is one, 0 means 1 MiB.
func (d Dir) Lines(name string, most int64) iter.Seq2[string, error] {
	if most <= 0 {
		most = maxText
	}
	return func(yield func(string, error) bool) {
		file, err := d.open(name)
		if err != nil {
			yield("", err)
			return
		}
		defer file.Close()
		text := io.LimitedReader{R: file, N: most + 1}
		err = eachLine(bufio.NewReaderSize(&text, maxLine), yield)
		if errors.Is(err, io.EOF) && text.N <= 0 {
			err = fmt.Errorf("read %s: %w: more than %d KiB", file.Name(), ErrTooLong, most>>10)
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, errStopped) {
			yield("", err)
		}
	}
}

// errStopped ends the reading of lines that nobody wants any more.
var errStopped = errors.New("stopped")

// eachLine yields the lines of in, and returns why it ended: io.EOF, errStopped, or what went wrong.
func eachLine(in *bufio.Reader, yield func(string, error) bool) error {
	for {
		line, cut, err := in.ReadLine()
		if err != nil {
			return err
		}
		if !yield(strings.TrimRight(string(line), " \t\r"), nil) {
			return errStopped
		}
		for cut && err == nil {
			_, cut, err = in.ReadLine()
		}
	}
}

// Names returns the sorted names of what is in a folder.
func (d Dir) Names(name string) ([]string, error) {
	path := filepath.Join(string(d), name)
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxNames)
	if errors.Is(err, io.EOF) { // it is empty
		return nil, nil
	}
	slices.Sort(names)
	if err == nil && len(names) == maxNames {
		err = fmt.Errorf("read %s: %d names or more", path, maxNames)
	}
	return names, err
}

// Link returns where a link points, "" if it is none.
func (d Dir) Link(name string) string {
	target, err := os.Readlink(filepath.Join(string(d), name))
	if err != nil || len(target) > 4*maxWord {
		return ""
	}
	return filepath.ToSlash(target)
}

// Base returns the last name of where a link points, "" if it is none.
func (d Dir) Base(name string) string {
	link := d.Link(name)
	return Clean(link[strings.LastIndexByte(link, '/')+1:])
}

// Has reports whether there is a file or folder.
func (d Dir) Has(name string) bool {
	_, err := os.Stat(d.follow(name))
	return err == nil
}

// Clean returns text as a fact: printable, on one line, without blanks around it, and of a bounded length.
func Clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), 2*maxWord)], "?"))
	text = strings.TrimSpace(text)
	if len(text) > maxWord {
		text = strings.TrimSpace(strings.ToValidUTF8(text[:maxWord], ""))
	}
	return text
}

// Check reports that a setting names no folder; usual is what it names as a rule.
func (d Dir) Check(setting, usual string) error {
	if d == "" {
		return fmt.Errorf("%s %q: want a folder, such as %s", setting, string(d), usual)
	}
	return nil
}

// Foreign reports whether d, the root of a machine, is not that of this process: it runs in a container and watches the machine.
func (d Dir) Foreign() bool { return filepath.Clean(string(d)) != "/" }
