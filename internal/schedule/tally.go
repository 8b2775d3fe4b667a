package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pacewire/pacewire/internal/atomicfile"
	"github.com/pacewire/pacewire/telemetry"
)

// A Tally counts the ticks of a schedule that has a number of them, beyond the end of the process: a plugin that is
// started again goes on where it was. A schedule of other words begins anew, unless only the number is another.
type Tally struct {
	path string // "": the count lives as long as the process
	most int    // 0: no end, and nothing is kept
	note note
}

// note is what the file says.
type note struct {
	Schedule telemetry.Schedule `json:"schedule"` // without its count
	EveryMS  int64              `json:"every_ms,omitzero"`
	Ticks    int                `json:"ticks"`
}

// OpenTally returns the tally of s that is kept in dir, which may not exist yet. With an error it counts from nothing.
func OpenTally(dir string, s *Schedule) (*Tally, error) {
	t := &Tally{most: s.Count(), note: note{Schedule: s.words, EveryMS: s.Every().Milliseconds()}}
	t.note.Schedule.Count = 0
	if t.most == 0 || dir == "" {
		return t, nil
	}
	t.path = filepath.Join(dir, "ticks.json")
	text, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	var kept note
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil {
		return t, fmt.Errorf("count of ticks: %w: counting begins anew", err)
	}
	if n := kept.Ticks; n > 0 && kept == (note{t.note.Schedule, t.note.EveryMS, n}) {
		t.note.Ticks = n
	}
	return t, nil
}

// Left reports whether there is a tick left.
func (t *Tally) Left() bool { return t.most == 0 || t.note.Ticks < t.most }

// Take counts one tick. It is noted before the tick is worked on: one that kills its plugin is not given again. With an
// error it counts only until the process ends.
func (t *Tally) Take() error {
	if t.most == 0 {
		return nil
	}
	t.note.Ticks++
	if t.path == "" {
		return nil
	}
	if err := t.write(); err != nil {
		return fmt.Errorf("count of ticks: %w: after a restart counting begins anew", err)
	}
	return nil
}

// write replaces the file. It does not wait for the disk: a tick may come every few milliseconds.
func (t *Tally) write() error {
	text, err := json.Marshal(t.note)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(t.path), 0o700); err != nil {
		return err
	}
	return atomicfile.Swap(t.path, text, 0o600)
}
