package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/supervise"
	"github.com/pacewire/pacewire/agent/trust"
	"github.com/pacewire/pacewire/internal/process"
)

// each gives the process that is about to start what it has of its own: the bytes that were checked, an id, and credentials
// until it has ended.
func (i *instance) each() (supervise.Start, error) {
	e, h := i.entry, i.entry.host
	e.mu.Lock()
	p := i.plan
	e.mu.Unlock()
	if err := h.room(p); err != nil {
		return supervise.Start{}, err
	}
	s := supervise.Start{File: i.held()}
	if s.File == nil {
		var err error
		if s, err = i.judged(p); err != nil {
			return s, err
		}
	}
	e.refresh()
	creds, revoke, err := h.credentials(p)
	if err != nil {
		return s, errors.Join(err, closed(s.File))
	}
	id := newID()
	i.expect(id)
	s.Env, s.Done = []string{"PACEWIRE_INST=" + id}, revoke
	if creds != "" {
		s.Env = append(s.Env, "PACEWIRE_CREDS="+creds)
	}
	s.Note = note{ID: id, Process: p.fingerprint()}.text()
	return s, nil
}

// refresh lets the consumers know where the stream begins now, and looks what their readers have missed before there is one.
// Without the bus there are no points either.
func (e *entry) refresh() {
	ctx, cancel := context.WithTimeout(e.host.life, pingTime)
	defer cancel()
	if err := errors.Join(e.give(ctx, same), e.firstLook(ctx)); err != nil {
		e.host.log.Warn("consumer not looked after", "plugin", e.name, "error", err)
	}
}

func closed(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// room makes the folder for the state of the process, which its user can reach.
func (h *Host) room(p plan) error {
	dir := h.dir(p.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder for state: %w", err)
	}
	if p.conf.RunAs == "" {
		return nil
	}
	for _, above := range []string{h.o.Dir, filepath.Dir(h.o.Dir)} {
		if info, err := os.Stat(above); err == nil {
			_ = os.Chmod(above, info.Mode()|0o111) // to pass, not to look around
		}
	}
	return process.GiveTo(dir, p.conf.RunAs)
}

// trusted checks the program of p, and returns what starts the bytes that were checked, and what was found about them though
// they may run. An error that matches supervise.ErrNoStart says why it must not run before its file or the config has changed.
func (h *Host) trusted(p plan) (s supervise.Start, found string, err error) {
	if why := p.conf.Missing; why != "" { // a reload or the finder tells when it is there
		return s, "", fmt.Errorf("%w: %s", supervise.ErrNoStart, why)
	}
	if h.o.Trust == nil || len(p.conf.Run) == 0 {
		return s, "", nil
	}
	v, err := h.o.Trust.Command(p.conf.Run, nil, policy(h.inForce().Discovery, p.conf))
	if refusal, ok := errors.AsType[*trust.Refusal](err); ok {
		return s, "", fmt.Errorf("%w: %s", supervise.ErrNoStart, strings.TrimPrefix(refusal.Error(), "refused: ")) // which the state says
	}
	if err != nil {
		return s, "", err
	}
	var all []string
	for _, f := range v.Findings {
		all = append(all, f.String())
	}
	s.Command, s.File = v.Args, v.File
	if v.File != nil { // what it is called stays, for ps and for programs that go by it
		s.Command = append([]string{p.conf.Run[0]}, v.Args[1:]...)
	}
	return s, strings.Join(all, "; "), nil
}

// judged is trusted for the process that is about to start: what comes of it shows.
func (i *instance) judged(p plan) (supervise.Start, error) {
	s, found, err := i.entry.host.trusted(p)
	i.entry.mu.Lock()
	defer i.entry.mu.Unlock()
	i.refused = ""
	if errors.Is(err, supervise.ErrNoStart) {
		i.refused = strings.TrimPrefix(err.Error(), supervise.ErrNoStart.Error()+": ")
	}
	if err != nil {
		return s, err
	}
	if found != i.warned && found != "" {
		i.entry.say(slog.LevelWarn, "program is run although", "finding", found)
	}
	i.warned = found
	return s, nil
}

// mayStart reports whether the program could be started now. The process that runs is not judged by it.
func (i *instance) mayStart() error {
	s, _, err := i.entry.host.trusted(i.entry.plan())
	return errors.Join(err, closed(s.File))
}

// policy returns what the program of p has to show.
func policy(d config.Discovery, p config.Plugin) trust.Policy {
	for _, dir := range d.Dirs {
		if p.Program != "" && filepath.Dir(p.Run[0]) == filepath.Clean(dir) {
			want := DirPolicy(d)
			want.SHA256, want.Dir = p.SHA256, dir
			return want
		}
	}
	return trust.Policy{Level: trust.Level(cmp.Or(d.Trust, config.TrustWarn)), SHA256: p.SHA256, Keys: d.Keys}
}

// DirPolicy returns what the programs of plugin directories have to show: more than one that the operator has named himself.
func DirPolicy(d config.Discovery) trust.Policy {
	return trust.Policy{Level: trust.Level(cmp.Or(d.Trust, config.TrustEnforce)), Keys: d.Keys, Unsigned: d.Trust == ""}
}
