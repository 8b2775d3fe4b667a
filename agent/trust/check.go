package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// A Checker checks programs. It remembers the sums of files that have not changed, and keeps the copies of scripts. Its
// methods may be called by several at a time.
type Checker struct {
	copies string

	mu   sync.Mutex
	sums map[Identity]string
}

// New returns a checker that keeps copies of scripts in a folder of its own, which it makes, and empties of what an
// earlier one left. With "" it has none, and refuses what would need a copy.
func New(copies string) (*Checker, error) {
	if copies != "" {
		if err := prepare(copies); err != nil {
			return nil, fmt.Errorf("folder for copies of scripts: %w", err)
		}
	}
	return &Checker{copies: copies, sums: make(map[Identity]string)}, nil
}

// Check checks the program at path. Only without an error it may be executed, as the Args of the verdict, which
// is there in any case and is to be closed. The error is a *Refusal, or matches ErrBusy, or tells what could not be read.
func (c *Checker) Check(path string, want Policy) (*Verdict, error) {
	v := &Verdict{Path: path, Args: []string{path}}
	return v, c.check(v, want, 0)
}

// check checks the file of v, which stands in v.Args at the place: the first is executed, another one read by what is.
func (c *Checker) check(v *Verdict, want Policy, place int) error {
	way, err := follow(v.Path)
	v.Real = way.dir
	if err != nil {
		return want.notThere(v, err)
	}
	if fault := executable(v.Path, way.here, place); fault != nil {
		v.Findings = []Finding{*fault}
		return want.judge(v.Path, v.Findings)
	}
	if want.blind() {
		return nil
	}
	f, err := open(v.Real)
	if err != nil {
		return want.unreadable(v, way.found, err)
	}
	defer func() {
		if v.File != f {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("check program: %w", err)
	}
	if !os.SameFile(info, way.here) || openForWriting(f) {
		return fmt.Errorf("program %s %w", v.Path, ErrBusy)
	}
	v.Findings = slices.Concat(way.found, ownership(v.Real, info), want.inside(v))
	secure := len(v.Findings) == 0
	if err := c.bytes(v, f, want); err != nil || !want.holds() {
		return err
	}
	return c.hold(v, f, place, secure)
}

// bytes looks at what is in the file, and judges.
func (c *Checker) bytes(v *Verdict, f *os.File, want Policy) (err error) {
	if v.SHA256, err = c.sum(f); err != nil {
		return fmt.Errorf("program %s: %w", v.Path, err)
	}
	if want.Level == Off {
		v.Findings = nil
	} else {
		var found []Finding
		if v.SignedBy, found, err = signature(v.Real, f, want); err != nil {
			return fmt.Errorf("signature of %s: %w", v.Path, err)
		}
		v.Findings = append(v.Findings, found...)
	}
	if want.SHA256 != "" && !strings.EqualFold(want.SHA256, v.SHA256) {
		v.Findings = append(v.Findings, finding(Checksum, "SHA-256 of %s is %s, the config says %s: if this is the program that is meant, write that one there",
			v.Path, v.SHA256, strings.ToLower(want.SHA256)))
	}
	return want.judge(v.Path, v.Findings)
}

// hold sees to it that the bytes that were checked are those that run.
func (c *Checker) hold(v *Verdict, f *os.File, place int, secure bool) error {
	// An open file cannot be exchanged for another one, but written to: who may do that is kept off by a copy. What an
	// interpreter reads needs a name that is there when it looks.
	if place == 0 && secure && runsByDescriptor(f) {
		v.File = f
		v.Args[0] = descriptor(f)
		return nil
	}
	name, err := c.copy(f, v.SHA256, filepath.Base(v.Path))
	if err != nil {
		return fmt.Errorf("copy of %s: %w", v.Path, err)
	}
	v.Args[place] = name
	return nil
}

// open opens a regular file for reading; a FIFO that came in its place must not make us wait.
func open(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// executable says why a file is no program. What an interpreter reads needs no permission to be executed.
func executable(path string, info fs.FileInfo, place int) *Finding {
	var f Finding
	switch {
	case !info.Mode().IsRegular():
		f = finding(NotExecutable, "%s is no regular file", path)
	case place == 0 && info.Mode()&0o111 == 0:
		f = finding(NotExecutable, "%s has no permission to be executed: chmod +x %[1]s", path)
	default:
		return nil
	}
	return &f
}

func (p Policy) notThere(v *Verdict, err error) error {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("check program: %w", err)
	}
	v.Findings = []Finding{finding(NotFound, "there is no program %s: %v", v.Path, err)}
	return p.judge(v.Path, v.Findings)
}

// unreadable is for a file that may be executed and not read: nothing can vouch for it then.
func (p Policy) unreadable(v *Verdict, found []Finding, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist): // it went after it was followed
		return p.notThere(v, err)
	case !errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("check program: %w", err)
	}
	code := Unsigned
	if p.SHA256 != "" {
		code = Checksum
	}
	v.Findings = append(found, finding(code, "the agent may not read %s, and so cannot check what is in it", v.Path))
	return p.judge(v.Path, v.Findings)
}

// inside says whether the file is within the plugin directory.
func (p Policy) inside(v *Verdict) []Finding {
	if p.Dir == "" {
		return nil
	}
	dir, err := filepath.Abs(p.Dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err == nil && strings.HasPrefix(v.Real, strings.TrimSuffix(dir, "/")+"/") {
		return nil
	}
	return []Finding{finding(Insecure, "%s leads out of the plugin directory, to %s: put the program itself there", v.Path, v.Real)}
}
