package lines

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A rotation says when a file has had enough, and how many such files are kept.
type rotation struct {
	size  int64         // bytes; 0: any
	every time.Duration // 0: for ever
	keep  int           // 0: all
}

// due reports whether a file of size bytes, written last at wrote, is to be set aside before n bytes are added. Times are
// compared by the clock and not by the age of the file, which nothing tells after a restart.
func (r rotation) due(size, n int64, wrote, now time.Time) bool {
	if size == 0 {
		return false
	}
	return r.size > 0 && size+n > r.size ||
		r.every > 0 && !wrote.Truncate(r.every).Equal(now.Truncate(r.every))
}

// stamp is the layout of what a rotated file has behind its name. It sorts by time.
const stamp = "20060102T150405.000000000Z"

// rotate sets the file aside under a name with the time, and removes the oldest of those that are too many.
func (j *journal) rotate() error {
	aside := j.path + "." + j.now().UTC().Format(stamp)
	if _, err := os.Lstat(aside); err == nil {
		return fmt.Errorf("rotate %s: %s exists already: did the clock go back?", j.path, aside)
	}
	if err := os.Rename(j.path, aside); err != nil {
		return fmt.Errorf("rotate %s: %w", j.path, err)
	}
	if err := j.Close(); err != nil {
		return fmt.Errorf("close %s: %w", aside, err)
	}
	j.prune()
	return nil
}

// prune removes rotated files but the newest. One that stays in spite of it costs space, not points.
func (j *journal) prune() {
	if j.rotation.keep == 0 {
		return
	}
	old, err := rotated(j.path)
	if err != nil {
		j.log.Warn("rotated files cannot be listed", "path", j.path, "error", err)
		return
	}
	for _, path := range old[:max(0, len(old)-j.rotation.keep)] {
		if err := os.Remove(path); err != nil {
			j.log.Warn("rotated file cannot be removed", "error", err)
		}
	}
}

// rotated returns the files that rotate has made of path, oldest first.
func rotated(path string) ([]string, error) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		at, ours := strings.CutPrefix(e.Name(), base+".")
		if _, err := time.Parse(stamp, at); ours && err == nil {
			found = append(found, dir+e.Name())
		}
	}
	slices.Sort(found)
	return found, nil
}
