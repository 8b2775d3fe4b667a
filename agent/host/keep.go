package host

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/supervise"
	"github.com/pacewire/pacewire/internal/process"
	"github.com/pacewire/pacewire/telemetry"
)

// A note is what the agent tells the next one of a process that is kept.
type note struct {
	ID      string `json:"id"`      // that the process was given
	Process string `json:"process"` // fingerprint of its plan
}

func (n note) text() string {
	text, _ := json.Marshal(n) // texts can be encoded
	return string(text)
}

// fingerprint tells the process that p wants from others, whatever it works on.
func (p plan) fingerprint() string {
	c := p.conf
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %v %q %q %q", p.command, p.env, c.Limits, c.RunAs, c.SHA256, c.Kind))
	return hex.EncodeToString(sum[:8])
}

// KeepDirs returns, for each plugin of s that is kept, the folder of the process that an earlier agent has left in run. What
// else was kept there is not wanted any more.
func KeepDirs(run string, s *config.Settings) []string {
	var dirs []string
	for _, p := range s.Plugins {
		for n := 1; n <= p.Replicas; n++ {
			if dir := kept(run, p, telemetry.ProcessName(p.Name, n)); dir != "" {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// KeptIn is the folder of run with what is kept there.
func KeptIn(run string) string { return filepath.Join(run, keptDir) }

// kept returns the folder of the youngest process of p called name that was kept and lives, "" when there is none.
func kept(run string, p config.Plugin, name string) (dir string) {
	if !p.Keep || !p.Enabled {
		return ""
	}
	var youngest time.Time
	folders, _ := filepath.Glob(filepath.Join(run, keptDir, name+".*")) // the pattern is a good one
	for _, folder := range folders {
		if strings.TrimSuffix(folder, filepath.Ext(folder)) != filepath.Join(run, keptDir, name) {
			continue // hot.2 is not hot
		}
		if r, err := process.ReadRecord(folder); err == nil && r.Alive() && r.Started.After(youngest) {
			dir, youngest = folder, r.Started
		}
	}
	return dir
}

const keptDir = "kept"

// keepDir returns the folder of the next process of p that is to be kept: that of one which is there, for the first.
func (h *Host) keepDir(p plan, first bool) string {
	if !p.conf.Keep {
		return ""
	}
	if dir := kept(h.o.RunDir, p.conf, p.name); first && dir != "" {
		return dir
	}
	return filepath.Join(h.o.RunDir, keptDir, p.name+"."+newID())
}

// resumed takes over a process that was kept, with the credentials it has.
func (i *instance) resumed(r supervise.Record) (supervise.Start, error) {
	e := i.entry
	e.mu.Lock()
	p := i.plan
	e.mu.Unlock()
	var n note
	if err := json.Unmarshal([]byte(r.Note), &n); err != nil {
		return supervise.Start{}, fmt.Errorf("note of the process that was kept: %w", err)
	}
	if n.Process != p.fingerprint() {
		return supervise.Start{}, errors.New("the process that was kept is not what the config wants by now")
	}
	e.mu.Lock()
	i.id, i.back = n.ID, true
	e.mu.Unlock()
	return supervise.Start{}, nil
}
