package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/internal/process"
)

// A door is who may be on the embedded bus: the agent, operators of this machine, and each process of a plugin with
// credentials of its own, in a file that only its user can read. Nobody else gets in.
type door struct {
	users *embedded.Users
	host  string
	dir   string // of the files
}

// newDoor makes the folder of the files. What an earlier agent has left there opens nothing any more.
func newDoor(host string, users *embedded.Users) (*door, error) {
	run, err := runDir()
	if err != nil {
		return nil, err
	}
	d := &door{users: users, host: host, dir: filepath.Join(run, "creds")}
	if err := os.RemoveAll(d.dir); err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	if err := os.MkdirAll(d.dir, 0o711); err != nil { // a plugin that runs as another user must reach its own file
		return nil, fmt.Errorf("run folder: %w", err)
	}
	return d, nil
}

// close takes the files away.
func (d *door) close() { _ = os.RemoveAll(d.dir) }

// admit lets one process of p in, until revoke is called.
func (d *door) admit(p config.Plugin, process string, inputs []bus.Input) (file string, revoke func(), err error) {
	name, rights := bus.User(d.host, process), bus.RightsOfProcess(bus.Role(p.Kind), d.host, p.Name, process, inputs)
	if p.Attached { // somebody else was told the file, and reads it again when he connects again
		return d.let(name, rights, filepath.Join(d.dir, name+".json"), "")
	}
	return d.let(name, rights, d.file(name), p.RunAs)
}

// file returns a file for the credentials of a user, that no other process has.
func (d *door) file(name string) string {
	return filepath.Join(d.dir, name+"-"+rand.Text()[:8]+".json")
}

// let grants a user rights, and writes the file by which owner, or who runs the agent, is that user.
func (d *door) let(name string, rights bus.Rights, file, owner string) (_ string, revoke func(), err error) {
	all := embedded.Rights(rights)
	g := d.users.Grant(name, &all)
	revoke = func() {
		g.Revoke()
		_ = os.Remove(file)
	}
	text, err := json.Marshal(g)
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o600)
	}
	if err == nil {
		err = process.GiveTo(file, owner)
	}
	if err != nil {
		revoke()
		return "", nil, fmt.Errorf("credentials of %s: %w", name, err)
	}
	return file, revoke, nil
}

// insiders lets the agent, the operators of this machine and its hub in, and returns their files.
func (d *door) insiders() (agent, operators, hub string, err error) {
	// Until there is a hub the agent makes streams and consumers too: docs/decisions/0002.
	agent, _, err1 := d.let(bus.User(d.host, bus.Agent), bus.RightsOf(bus.RoleOperator, d.host, operator, nil), d.file(bus.Agent), "")
	operators, _, err2 := d.let(operator, bus.RightsOf(bus.RoleOperator, d.host, operator, nil), d.file(operator), "")
	hub, _, err3 := d.let(bus.Hub, bus.RightsOf(bus.RoleHub, d.host, bus.Hub, nil), d.file(bus.Hub), "")
	return agent, operators, hub, errors.Join(err1, err2, err3)
}
