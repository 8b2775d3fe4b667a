package nagios

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sync"

	"github.com/pacewire/pacewire/internal/atomicfile"
)

// A memory keeps the status of each check in a file, for the process after this one: a restart is no change of state.
type memory struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	checks map[string]status
	deaf   bool // it was said that the file cannot be written
}

// remember reads what is known of checks. Without it they begin anew.
func remember(dir string, log *slog.Logger) *memory {
	m := &memory{path: filepath.Join(dir, "checks.json"), log: log, checks: map[string]status{}}
	text, err := os.ReadFile(m.path)
	if err == nil {
		if err = json.Unmarshal(text, &m.checks); err != nil {
			err = fmt.Errorf("parse %s: %w", m.path, err)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("states of checks not read, they begin anew", "error", err)
	}
	if err != nil || m.checks == nil { // of a file with a fault, or null
		m.checks = map[string]status{}
	}
	return m
}

// others returns the names of the known checks that are none of those.
func (m *memory) others(checks map[string]Check) (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.checks {
		if _, ok := checks[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// of returns what is known of a check.
func (m *memory) of(name string) status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.checks[name]
}

// change changes what is known of a check, and returns that; nothing is kept of one of which nothing is known. When it returns, the status
// outlasts us; if the disk does not let it, that is told once.
func (m *memory) change(name string, how func(*status)) status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.checks[name]
	how(&s)
	if reflect.DeepEqual(m.checks[name], s) {
		return s
	}
	m.checks[name] = s
	if reflect.DeepEqual(s, status{}) {
		delete(m.checks, name)
	}
	err := m.write()
	if err != nil && !m.deaf {
		m.log.Warn("states of checks not kept: a restart will tell changes again", "error", err)
	}
	m.deaf = err != nil
	return s
}

func (m *memory) write() error {
	text, err := json.Marshal(m.checks)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(m.path, text, 0o600)
}
