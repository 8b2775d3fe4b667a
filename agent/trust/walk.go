package trust

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// maxLinks is how many links a path may have, as for the kernel.
const maxLinks = 40

// A walk follows a path as the kernel does, and looks at all who could change where it leads.
type walk struct {
	dir   string      // where we are, without links
	here  fs.FileInfo // what that is; nil: not looked at yet
	rest  []string    // what is still to go
	links int
	found []Finding
	seen  map[string]bool // folders that were found fault with
}

// follow goes to the file that path leads to, and finds what is wrong with the folders on the way, those of links too.
func follow(path string) (*walk, error) {
	w := &walk{dir: "/", seen: make(map[string]bool)}
	path, err := filepath.Abs(path)
	w.rest = strings.Split(path, "/")
	for len(w.rest) > 0 && err == nil {
		err = w.step()
	}
	if err == nil && w.here == nil {
		w.here, err = os.Lstat(w.dir)
	}
	return w, err
}

// Way returns where path leads to, and who besides root and the agent's user may change that, or what is there.
func Way(path string) (real string, found []Finding, err error) {
	w, err := follow(path)
	if err != nil {
		return "", nil, err
	}
	return w.dir, append(w.found, ownership(w.dir, w.here)...), nil
}

// step goes one name further.
func (w *walk) step() error {
	name := w.rest[0]
	w.rest = w.rest[1:]
	switch name {
	case "", ".":
		return nil
	case "..":
		w.dir, w.here = filepath.Dir(w.dir), nil
		return nil
	}
	next := filepath.Join(w.dir, name)
	entry, err := os.Lstat(next)
	if err != nil {
		return err
	}
	if err := w.look(entry); err != nil {
		return err
	}
	if entry.Mode()&fs.ModeSymlink == 0 {
		w.dir, w.here = next, entry
		return nil
	}
	return w.link(next)
}

// link goes on where a link says.
func (w *walk) link(name string) error {
	target, err := os.Readlink(name)
	if err != nil {
		return err
	}
	if w.links++; w.links > maxLinks {
		return &fs.PathError{Op: "follow", Path: name, Err: syscall.ELOOP}
	}
	if filepath.IsAbs(target) {
		w.dir, w.here = "/", nil
	}
	w.rest = slices.Concat(strings.Split(target, "/"), w.rest)
	return nil
}

// look finds out who besides us may change what the entry of this folder is. In a sticky folder, such as /tmp, entries
// belong to their owners; but where everybody may put programs, none is to be run.
func (w *walk) look(entry fs.FileInfo) (err error) {
	if w.here == nil {
		if w.here, err = os.Lstat(w.dir); err != nil {
			return err
		}
	}
	sticky := w.here.Mode()&fs.ModeSticky != 0 && trusted(owner(w.here)) && trusted(owner(entry))
	if w.seen[w.dir] || sticky && !entry.Mode().IsRegular() {
		return nil
	}
	if faults := ownership(w.dir, w.here); len(faults) > 0 {
		w.seen[w.dir] = true
		w.found = append(w.found, faults...)
	}
	return nil
}

// ownership says who besides root and the agent's user may change a file or folder.
func ownership(name string, info fs.FileInfo) (found []Finding) {
	if uid := owner(info); !trusted(uid) {
		found = append(found, finding(Insecure, "%s belongs to user %s, neither root nor the agent's: chown root %[1]s", name, userName(uid)))
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		found = append(found, finding(Insecure, "%s is writable by %s (mode %#o): chmod go-w %[1]s", name, writers(mode), mode))
	}
	return found
}

func writers(mode fs.FileMode) string {
	switch mode & 0o022 {
	case 0o020:
		return "its group"
	case 0o002:
		return "others"
	}
	return "its group and others"
}

func trusted(uid int) bool { return uid == 0 || uid == os.Geteuid() }

// owner returns the user of a file, one that nobody trusts if the system does not say.
func owner(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// userName is the number: looking up the name may ask the network.
func userName(uid int) string { return strconv.Itoa(uid) }
