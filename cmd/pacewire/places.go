package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/identity"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/atomicfile"
)

// stateDir returns where the program keeps its state.
func stateDir() (string, error) {
	if dir := os.Getenv("PACEWIRE_STATE"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" { // of systemd
		return dir, nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/pacewire", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "pacewire"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no place for state: %w: set PACEWIRE_STATE", err)
	}
	return filepath.Join(home, ".local", "state", "pacewire"), nil
}

// runDir returns where a running agent leaves word of itself.
func runDir() (string, error) {
	for _, name := range []string{"PACEWIRE_RUN", "RUNTIME_DIRECTORY"} {
		if dir := os.Getenv(name); dir != "" {
			return dir, nil
		}
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && os.Geteuid() != 0 {
		return filepath.Join(dir, "pacewire"), nil
	}
	if dir := os.Getenv("PACEWIRE_STATE"); dir == "" && os.Geteuid() == 0 {
		return "/run/pacewire", nil
	}
	dir, err := stateDir()
	return filepath.Join(dir, "run"), err
}

// A note is what a running agent leaves in its run folder, for verbs on the same machine.
type note struct {
	URL   string  `json:"url"`
	Creds string  `json:"creds,omitempty"`
	TLS   bus.TLS `json:"tls,omitzero"`
	Host  string  `json:"host"`
	PID   int     `json:"pid"`

	Embedded bool     `json:"embedded,omitempty"` // the bus is the agent's own
	Config   []string `json:"config,omitempty"`   // files and folders of its config; none: the starter config
	Fleet    *reach   `json:"fleet,omitempty"`    // of an agent with a spool: the bus of the hubs
}

// gone reports whether the agent has ended, and could not take its note away.
func (n note) gone() bool { return errors.Is(unix.Kill(n.PID, 0), unix.ESRCH) || zombie(n.PID) }

// zombie reports whether a process has ended, and its parent has not asked after it yet.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // 17 (a name) Z ...
	return err == nil && bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" Z "))
}

const noteName = "agent.json"

// errNoAgent is why a verb knows no bus.
var errNoAgent = errors.New("no agent runs here")

// leaveNote writes n, and returns a function that takes it away.
func leaveNote(n note) (gone func(), err error) {
	dir, err := runDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, noteName)
	text, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	if err := atomicfile.Swap(path, append(text, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	return func() { _ = os.Remove(path) }, nil
}

// claimRun makes the run folder and takes it for this process, until release: a second agent there would put its own note
// and credentials in the place of those that the first one's plugins need. The id is the folder's: nobody else on this
// machine has it, whatever he calls his folder, while we have the lock.
func claimRun() (id string, release func(), err error) {
	dir, err := runDir()
	if err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil { // what others must not read has a mode of its own
		return "", nil, exitWith(exitConfig, fmt.Errorf("run folder: %w: set PACEWIRE_RUN to a folder that can be written", err))
	}
	lock, err := os.OpenFile(filepath.Join(dir, "agent.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", nil, exitWith(exitConfig, fmt.Errorf("run folder: %w: set PACEWIRE_RUN to a folder that can be written", err))
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		n, _ := readNote() // it may have none yet
		return "", nil, exitWith(exitConfig, fmt.Errorf(
			"run folder %s is in use by another agent, process %d: stop that one, or set PACEWIRE_RUN to another folder", dir, n.PID))
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(lock.Fd()), &st); err != nil {
		lock.Close()
		return "", nil, fmt.Errorf("run folder %s: %w", dir, err)
	}
	return fmt.Sprintf("%x-%x", st.Dev, st.Ino), func() { lock.Close() }, nil
}

// readNote returns what the local agent has left.
func readNote() (note, error) {
	var n note
	dir, err := runDir()
	if err != nil {
		return n, err
	}
	text, err := os.ReadFile(filepath.Join(dir, noteName))
	if err != nil {
		return n, exitWith(exitNoBus, fmt.Errorf("%w (%w): start pacewire up, or name a bus by --bus", errNoAgent, err))
	}
	if err := json.Unmarshal(text, &n); err != nil {
		return n, fmt.Errorf("%s: %w", filepath.Join(dir, noteName), err)
	}
	return n, nil
}

// hostName returns the name of this machine in the config or, without one, the machine's.
func hostName(s *config.Settings) (string, error) {
	if s != nil && s.Host != "" {
		return strings.ToLower(s.Host), nil
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "", exitWith(exitConfig, fmt.Errorf("this machine has no name (%w): set host: in the config", err))
	}
	return strings.ToLower(name), nil
}

// identify returns who this machine is to the hubs, and what it is called now. The state folder is this process's until the
// identity is closed.
func identify(s *config.Settings, log *slog.Logger) (id *identity.Identity, name string, err error) {
	if name, err = hostName(s); err != nil {
		return nil, "", err
	}
	state, err := stateDir()
	if err != nil {
		return nil, "", err
	}
	open := identity.Open
	if s.Host != "" {
		open = identity.OpenAs
	}
	if id, err = open(state, name, identity.Probe("/")); err != nil {
		return nil, "", exitWith(exitConfig, err)
	}
	if id.Notice != "" {
		log.Warn("identity of this host", "says", id.Notice)
	}
	return id, name, nil
}

// above returns what keeps a count of starts above one that a hub has heard of.
func above(id *identity.Identity, log *slog.Logger) func(uint64) uint64 {
	return func(gen uint64) uint64 {
		if err := id.Raise(gen + 1); err != nil {
			log.Warn("count of starts not kept", "error", err)
		}
		return id.Gen()
	}
}
