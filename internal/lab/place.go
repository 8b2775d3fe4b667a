// Package lab runs the built program and a bare bus as processes of their own, for tests and measurements of the whole.
package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// A Place is a folder in which the program runs, apart from all others on this machine.
type Place struct {
	Dir    string
	Binary string
	Env    []string // more than every command gets
}

// Prepare returns the whole path of the program under test, and a folder for its places: dir, or without one a temporary folder,
// which clean removes.
func Prepare(program, dir, pattern string) (binary, folder string, clean func(), err error) {
	if binary, err = filepath.Abs(program); err != nil {
		return "", "", nil, err
	}
	if _, err := os.Stat(binary); err != nil {
		return "", "", nil, fmt.Errorf("%w: make build makes it", err)
	}
	if dir != "" {
		return binary, dir, func() {}, nil
	}
	if dir, err = os.MkdirTemp("", pattern); err != nil {
		return "", "", nil, err
	}
	return binary, dir, func() { _ = os.RemoveAll(dir) }, nil // what is left of a temporary folder harms nobody
}

// NewPlace empties a folder, or makes it. What is mounted below it was left by a run that was killed.
func NewPlace(dir, binary string) (Place, error) {
	if err := errors.Join(unmountBelow(dir), os.RemoveAll(dir)); err != nil {
		return Place{}, err
	}
	return Place{Dir: dir, Binary: binary}, os.MkdirAll(dir, 0o755)
}

// Path returns the path of a file of the place.
func (p Place) Path(name string) string { return filepath.Join(p.Dir, name) }

// Write makes a file and returns its path.
func (p Place) Write(name, text string) (string, error) {
	return p.Path(name), os.WriteFile(p.Path(name), []byte(text), 0o600)
}

// Command is the program with args, in this place and with nothing of our environment that it could trip over.
func (p Place) Command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, p.Binary, args...)
	c.Dir = p.Dir
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.Dir, "PACEWIRE_STATE=" + p.Path("state"), "PACEWIRE_RUN=" + p.Path("run")}, p.Env...)
	return c
}

// Verb runs a verb of the program to its end, and returns what it prints. What it says on the way to a failure is in the error.
func (p Place) Verb(ctx context.Context, args ...string) ([]byte, error) {
	c := p.Command(ctx, args...)
	out, err := c.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("pacewire %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(e.Stderr))
	}
	return out, err
}

// A Plugin is one as plugin list shows it.
type Plugin struct {
	Name, State, Reason string
	PID                 int
	Restarts            int
}

// Plugins asks the agent for them, by name.
func (p Place) Plugins(ctx context.Context) (map[string]Plugin, error) {
	out, err := p.Verb(ctx, "plugin", "list", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list []Plugin
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("plugin list: %w", err)
	}
	byName := map[string]Plugin{}
	for _, one := range list {
		byName[one.Name] = one
	}
	return byName, nil
}

// AllRunning says which plugin does not work, nil when all do.
func AllRunning(plugins map[string]Plugin, err error) error {
	for _, one := range plugins {
		if one.State != "running" {
			return fmt.Errorf("plugin %s is %s: %s", one.Name, one.State, one.Reason)
		}
	}
	if err == nil && len(plugins) == 0 {
		return errors.New("no plugin runs")
	}
	return err
}

// A Note is what a running agent leaves in its run folder.
type Note struct {
	URL, Creds, Host string
	PID              int
}

// Note reads it.
func (p Place) Note() (n Note, err error) {
	text, err := os.ReadFile(p.Path("run/agent.json"))
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		return n, fmt.Errorf("note of the agent: %w", err)
	}
	return n, nil
}

// Connect dials the bus of the agent as an operator, and returns the name of its host too.
func (p Place) Connect(ctx context.Context) (conn *bus.Conn, host string, err error) {
	n, err := p.Note()
	if err != nil {
		return nil, "", err
	}
	conn, err = bus.Dial(ctx, bus.Options{URL: n.URL, CredsFile: n.Creds, User: "operator", Wait: 10 * time.Second})
	return conn, n.Host, err
}
