package process

import (
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"strings"
	"time"
)

// Mark is the environment variable by which the descendants of a process are
// known even after they have left its group. A process that is itself marked
// marks its own processes below its mark, so that ending it ends theirs too.
const Mark = "PACEWIRE_MARK"

// keepDirName is the environment variable that tells who finds a kept process, or a descendant of it, where its folder is.
const keepDirName = "PACEWIRE_KEEP"

// Below the id of who owns the processes, one part says which life of it a process belongs to. Two parts are no life: what
// survives each of them, and who looks after that.
const (
	keptPart  = "kept"
	guardPart = "guard"
)

// Own gives this process a mark of its own, and returns it: what Start starts
// from now on is marked below it. Before, it sweeps what earlier processes with
// the same id, started by the same, have left behind, and returns how many it met.
// Those that an earlier one has kept in one of keepDirs are spared: they are to be resumed.
//
// The id has letters, digits and "-", and belongs to one process at a time.
func Own(id string, grace time.Duration, keepDirs ...string) (mark string, met int, err error) {
	same := below(os.Getenv(Mark), id)
	spare := []string{below(same, guardPart)} // it ends when nobody needs it
	for _, dir := range keepDirs {
		if r, err := ReadRecord(dir); err == nil && r.Alive() {
			spare = append(spare, r.Mark)
		}
	}
	met, err = sweepMark(same, spare, grace)
	// A part of its own for each life: who still sweeps the one before misses us.
	mark = below(same, rand.Text())
	// /proc goes on showing the environment we began with: we are not swept.
	return mark, met, errors.Join(err, os.Setenv(Mark, mark))
}

// newMark is an environment entry that no other process has. Who is kept is not of our life.
func newMark(kept bool) string {
	above := os.Getenv(Mark)
	if kept {
		above = beside(above, keptPart)
	}
	return Mark + "=" + below(above, rand.Text())
}

// beside is a mark in the place of the last part of another.
func beside(mark, part string) string {
	if i := strings.LastIndexByte(mark, '.'); i >= 0 {
		return below(mark[:i], part)
	}
	return part
}

func below(mark, id string) string {
	if mark == "" {
		return id
	}
	return mark + "." + id
}

// marked reports whether an environment, as in /proc/PID/environ, carries the
// mark or one below it.
func marked(environ, mark string) bool {
	for entry := range strings.SplitSeq(environ, "\x00") {
		if rest, ok := strings.CutPrefix(entry, mark); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

func withoutMark(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		return strings.HasPrefix(entry, Mark+"=") || strings.HasPrefix(entry, keepDirName+"=")
	})
}
