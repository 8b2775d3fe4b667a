package discovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/agent/trust"
)

const (
	// atOnce is how many programs are asked at a time.
	atOnce = 2
	// maxPrograms is of one directory: who names /usr/bin does not mean that all in it be executed.
	maxPrograms = 256
	// Programs that hang are asked again, since it may have been the machine, after a pause that doubles.
	firstPause, longestPause = time.Minute, time.Hour
)

// An entry is a file that may be a program.
type entry struct {
	path    string
	rank    int // of its directory
	stamp   stamp
	settled bool // the file had been left alone for a while at that time
	seen    bool // in this scan
	program Program

	again time.Time     // when to ask again though nothing has changed; zero: never
	pause time.Duration // before that
}

// A stamp is all that an answer depends on: as long as it is the same nobody is asked again.
type stamp struct {
	file, sig trust.Identity
	around    string
}

// look goes through the directories. It returns the entries to be asked, and whether some are gone.
func (f *Finder) look() (due []*entry, gone bool) {
	keys := f.keys()
	for _, e := range f.entries {
		e.seen = false
	}
	for rank, dir := range f.o.Dirs {
		names, err := candidates(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // what is there cannot be seen: as it was
			f.log.Debug("plugin directory cannot be read", "dir", dir, "error", err)
			f.keep(rank)
			continue
		}
		due = append(due, f.visitAll(dir, names, rank, keys+f.around(dir))...)
	}
	before := len(f.entries)
	for path, e := range f.entries {
		if !e.seen {
			delete(f.entries, path)
		}
	}
	return due, len(f.entries) < before
}

// visitAll returns the entries of a directory that have to be asked.
func (f *Finder) visitAll(dir string, names []string, rank int, around string) (due []*entry) {
	programs := 0
	for _, name := range names {
		isProgram, e := f.visit(filepath.Join(dir, name), rank, around)
		if e != nil {
			due = append(due, e)
		}
		if isProgram {
			programs++
		}
		if programs == maxPrograms {
			f.crowded(dir, len(due) > 0)
			break
		}
	}
	return due
}

// crowded warns of a directory whose programs are not all looked at, while there is something new in it.
func (f *Finder) crowded(dir string, news bool) {
	if news {
		f.log.Warn("plugin directory is full, no further programs are looked at", "dir", dir, "limit", maxPrograms)
	}
}

func (f *Finder) keep(rank int) {
	for _, e := range f.entries {
		e.seen = e.seen || e.rank == rank
	}
}

// visit reports whether a file may be a program, and returns its entry if it has to be asked.
func (f *Finder) visit(path string, rank int, around string) (isProgram bool, due *entry) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return false, nil
	}
	now := stamp{around: around}
	if now.file, err = trust.Identify(path); err != nil {
		return false, nil
	}
	now.sig, _ = trust.Identify(path + ".sig") // zero without one
	e := f.entries[path]
	if e == nil {
		e = &entry{path: path, rank: rank}
		f.entries[path] = e
	}
	e.seen = true
	if e.stamp != now {
		e.stamp, e.settled, e.pause = now, now.file.Settled(), 0
		return true, e
	}
	if !e.again.IsZero() && !time.Now().Before(e.again) {
		return true, e
	}
	return true, nil
}

// candidates returns the names in a directory that may be those of programs.
func candidates(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && !skipped(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// skipped are the names of what lies beside programs.
func skipped(name string) bool {
	beside := []string{".json", ".yaml", ".yml", ".asc", ".sig", ".pem", ".so", ".md"}
	return name[0] == '.' || name[0] == '_' || strings.HasSuffix(name, "~") || slices.Contains(beside, strings.ToLower(filepath.Ext(name)))
}

// around says what matters beside the files of a directory: where it leads, and who else may write to it.
func (f *Finder) around(dir string) string {
	if f.o.Trust.Level == trust.Off {
		return ""
	}
	real, found, _ := trust.Way(dir) // where it cannot be followed, nothing is found
	return fmt.Sprint(real, found)
}

// keys says which keys there are: with another one another answer may be right.
func (f *Finder) keys() string {
	dir := f.o.Trust.Keys
	if dir == "" || f.o.Trust.Level == trust.Off {
		return ""
	}
	list, _ := filepath.Glob(filepath.Join(dir, "*.pem"))
	var b strings.Builder
	for _, name := range append(list, dir) {
		id, _ := trust.Identify(name)
		fmt.Fprintln(&b, name, id)
	}
	return b.String()
}

// ask finds out what the programs are.
func (f *Finder) ask(ctx context.Context, due []*entry) {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, e := range due {
		g.Go(func() error {
			f.settle(ctx, e)
			return nil
		})
	}
	_ = g.Wait() // there are no errors
}

// settle asks one program, and says when to ask it again.
func (f *Finder) settle(ctx context.Context, e *entry) {
	p, passing := f.examine(ctx, e.path, f.o.Dirs[e.rank])
	if ctx.Err() != nil { // the answer says nothing then
		e.stamp = stamp{}
		if e.program.Path == "" {
			e.program = Program{Name: filepath.Base(e.path), Path: e.path, State: Busy, Reason: "was not asked yet"}
		}
		return
	}
	e.program, e.again = p, time.Time{}
	switch {
	case p.State == Busy || !e.settled: // what is written within the same tick of the clock would not be seen
		e.again, e.settled = time.Now(), true
	case passing:
		e.pause = min(max(2*e.pause, firstPause), longestPause)
		e.again = time.Now().Add(e.pause)
	}
}

// examine finds out whether the file may be executed, and what it is. What is passing may be otherwise the next time.
func (f *Finder) examine(ctx context.Context, path, dir string) (p Program, passing bool) {
	want := f.o.Trust
	want.Dir = dir
	v, err := f.o.Checker.Check(path, want)
	defer func() { v.Close() }() // there is one also with an error
	p = Program{Name: filepath.Base(path), Path: path, SHA256: v.SHA256, SignedBy: v.SignedBy, Findings: v.Findings}
	_, refused := errors.AsType[*trust.Refusal](err)
	if err == nil {
		p.Manifest, passing, err = f.describe(ctx, v.Args)
	} else {
		passing = !refused
	}
	switch {
	case err == nil:
		p.State, p.Name, p.Kind, p.Version = Available, p.Manifest.Program, p.Manifest.Kind, p.Manifest.Version
		return p, false
	case refused:
		p.State = Refused
	case isBusy(err):
		p.State = Busy
	default:
		p.State = Unusable
	}
	p.Reason = err.Error()
	return p, passing
}
