package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/atomicfile"
	"github.com/pacewire/pacewire/telemetry"
)

// An entry of the inventory has a file: one line that tells what it is, and then the facts as they are. The digest in that line
// is the proof that the file is whole, so it need not be synced: what a power cut leaves of it is asked for again.

// fileEnding is what the files of entries end in.
const fileEnding = ".entry"

// mostFile is the longest file: facts, and the line before them.
const mostFile = telemetry.MaxPluginData + 64<<10

// label is the first line of a file.
type label struct {
	Version   int              `json:"v"`
	Plugin    string           `json:"plugin"`
	Type      string           `json:"type"`
	Program   string           `json:"version,omitzero"`
	Config    telemetry.Digest `json:"cfg,omitzero"`
	Digest    telemetry.Digest `json:"digest"`
	Own       telemetry.Digest `json:"own"`
	Told      bool             `json:"told"`
	Time      int64            `json:"t"`
	TookUS    int64            `json:"dur_us,omitzero"`
	Error     *telemetry.Fault `json:"error,omitzero"`
	Truncated bool             `json:"truncated,omitzero"`
	Data      bool             `json:"data"` // there are facts
}

// labelVersion is that of the files that are written and read here.
const labelVersion = 1

// format returns the file of r.
func format(r *record) ([]byte, error) {
	line, err := json.Marshal(label{
		Version: labelVersion, Plugin: r.item.Plugin, Type: r.item.Type, Program: r.item.Version, Config: r.item.Config, Digest: r.item.Digest,
		Own: r.own, Told: r.told, Time: r.at.UnixNano(), TookUS: r.took.Microseconds(), Error: r.fault, Truncated: r.truncated, Data: r.data != nil,
	})
	if err != nil {
		return nil, err
	}
	return append(append(line, '\n'), r.data...), nil
}

// parse reads the file of an entry.
func parse(text []byte) (slot, *record, error) {
	line, data, found := bytes.Cut(text, []byte("\n"))
	var l label
	if err := json.Unmarshal(line, &l); err != nil || !found {
		return slot{}, nil, errors.Join(errors.New("its first line is not whole"), err)
	}
	s := slot{l.Plugin, l.Type}
	r := &record{
		item: telemetry.InventoryItem{Plugin: l.Plugin, Type: l.Type, Version: l.Program, Config: l.Config, Digest: l.Digest},
		own:  l.Own, told: l.Told, at: time.Unix(0, l.Time), took: time.Duration(l.TookUS) * time.Microsecond, fault: l.Error, truncated: l.Truncated,
	}
	switch {
	case l.Version != labelVersion:
		return s, nil, fmt.Errorf("version %d, but only %d is read here", l.Version, labelVersion)
	case l.Data && (len(data) > telemetry.MaxPluginData || telemetry.DigestOf(data) != l.Digest), !l.Data && len(data) > 0:
		return s, nil, errors.New("its facts are not those of its first line")
	case l.Data:
		r.data = bytes.Clone(data)
	}
	return s, r, nil
}

// file returns the path of the file of an entry.
func (v *inventory) file(s slot) string {
	return filepath.Join(v.dir, bus.Token(s.plugin)+"."+bus.Token(s.typ)+fileEnding)
}

// load reads the entries that an earlier agent has left. Those of plugins that wanted does not name, and files that cannot be
// used, are removed: what they held is asked for again.
func (v *inventory) load(wanted func(plugin string) bool) error {
	if v.dir == "" {
		return nil
	}
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return fmt.Errorf("folder of the inventory: %w", err)
	}
	names, err := os.ReadDir(v.dir)
	if err != nil {
		return fmt.Errorf("folder of the inventory: %w", err)
	}
	for _, n := range names {
		path := filepath.Join(v.dir, n.Name())
		if strings.HasSuffix(path, fileEnding+atomicfile.Ending) { // an agent was killed while it wrote it
			_ = os.Remove(path)
		}
		if !strings.HasSuffix(path, fileEnding) {
			continue
		}
		s, r, err := read(path)
		if err == nil && v.file(s) != path {
			err = errors.New("it is called like another one")
		}
		if err != nil {
			v.log.Warn("file of the inventory cannot be used, and is removed", "file", path, "error", err)
		}
		if err != nil || !wanted(s.plugin) {
			_ = os.Remove(path)
			continue
		}
		v.adopt(s, r)
	}
	return nil
}

// read reads the file of an entry.
func read(path string) (slot, *record, error) {
	info, err := os.Stat(path)
	if err != nil {
		return slot{}, nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > mostFile {
		return slot{}, nil, fmt.Errorf("%v of %d bytes, at most %d are read", info.Mode().Type(), info.Size(), mostFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return slot{}, nil, err
	}
	return parse(text)
}

// adopt makes r the entry at s, which is no news.
func (v *inventory) adopt(s slot, r *record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.set(s, r)
	delete(v.unsent, s)
	delete(v.unsaved, s)
	v.told = v.changes
}

const (
	saveFirst = 10 * time.Second // after a save that did not succeed; twice as long after the next
	saveMost  = 10 * time.Minute
)

// saveDue is save, unless one that did not succeed was a moment ago.
func (v *inventory) saveDue(now time.Time) {
	v.mu.Lock()
	due := !now.Before(v.saveAt)
	v.mu.Unlock()
	if due {
		v.save()
	}
}

// save writes what has changed. What cannot be written is written with the next save.
func (v *inventory) save() {
	records := v.toSave()
	if v.dir == "" {
		return
	}
	var failed []slot
	var why error
	for s, r := range records {
		if err := v.write(s, r); err != nil {
			failed, why = append(failed, s), fmt.Errorf("%s: %w", s, err)
		}
	}
	v.saved(failed)
	if why != nil {
		v.log.Warn("inventory not kept: after a restart plugins are asked again, until then it is tried again", "entries", len(failed), "error", why)
	}
}

// toSave returns what has changed since the last save: the entries, nil for those that are gone.
func (v *inventory) toSave() map[slot]*record {
	v.mu.Lock()
	defer v.mu.Unlock()
	records := map[slot]*record{}
	for s, kept := range v.unsaved {
		if kept {
			records[s] = v.records[s]
		}
	}
	clear(v.unsaved)
	return records
}

// saved notes which entries a save could not write.
func (v *inventory) saved(failed []slot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(failed) == 0 {
		v.saveWait, v.saveAt = 0, time.Time{}
		return
	}
	for _, s := range failed {
		v.unsaved[s] = true
	}
	v.saveWait = min(max(2*v.saveWait, saveFirst), saveMost)
	v.saveAt = time.Now().Add(v.saveWait)
}

// write makes the file of s what r says.
func (v *inventory) write(s slot, r *record) error {
	path := v.file(s)
	if r == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := format(r)
	if err != nil {
		return err
	}
	return atomicfile.Swap(path, text, 0o600)
}
