package trust

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Copies stay until the next checker begins: a shell reads its script as it goes. Each is named by what is in it, so that
// there are as many as there were versions, and nobody finds one who does not know its content.

// prepare makes the folder for copies. Others may pass through it, and not look: a plugin that runs as another user has
// to reach its script.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || owner(info) != os.Geteuid() {
		return fmt.Errorf("%s is not a folder of ours: remove it", dir)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	old, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range old {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// copy returns the name of a file with the bytes of f, whose sum is given.
func (c *Checker) copy(f *os.File, sum, base string) (string, error) {
	if c.copies == "" {
		return "", errors.New("there is no folder for copies of scripts")
	}
	dir := filepath.Join(c.copies, sum)
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	name := filepath.Join(dir, base)
	if c.isCopy(name, sum) {
		return name, nil
	}
	return name, c.write(f, sum, dir, name)
}

// isCopy reports whether the copy is there already.
func (c *Checker) isCopy(name, sum string) bool {
	f, err := open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	got, err := c.sum(f)
	return err == nil && got == sum
}

func (c *Checker) write(f *os.File, sum, dir, name string) error {
	part, err := c.fill(f, dir)
	if err != nil {
		return err
	}
	defer os.Remove(part) // after the rename it is not there
	if !c.isCopy(part, sum) {
		return ErrBusy
	}
	return os.Rename(part, name)
}

// fill writes the bytes of f to a new file and returns its name. A process that starts meanwhile would hold it open for
// writing until it has become its program, and nobody could execute it: so none starts.
func (c *Checker) fill(f *os.File, dir string) (name string, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := os.CreateTemp(dir, ".part-*")
	if err != nil {
		return "", err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = io.Copy(out, io.NewSectionReader(f, 0, info.Size()))
	}
	if err == nil {
		err = out.Chmod(info.Mode().Perm()&0o555 | 0o500)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return "", errors.Join(err, os.Remove(out.Name()))
	}
	return out.Name(), nil
}
