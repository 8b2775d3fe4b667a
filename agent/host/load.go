package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

// pieceName stands for a text that is being loaded in messages about its faults.
const pieceName = "piece"

// Load adds a piece of config. With replace its plugins may be those that are there already: they are swapped.
func (h *Host) Load(ctx context.Context, text string, replace bool) (telemetry.ChangeList, error) {
	return h.loadFrom(ctx, "", text, replace)
}

// loadFrom is Load of what stands in a file, by whose name faults tell.
func (h *Host) loadFrom(ctx context.Context, file, text string, replace bool) (telemetry.ChangeList, error) {
	release, err := h.take(ctx)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	defer release()
	return h.load(ctx, config.Source{Name: cmp.Or(file, pieceName), Text: []byte(text), Loaded: true, Replaces: replace, Strict: true}, "")
}

// load adds a text. only is the plugin that it may define, "" for any.
func (h *Host) load(ctx context.Context, text config.Source, only string) (telemetry.ChangeList, error) {
	if _, err := h.joined(h.pieces, text); err != nil {
		return telemetry.ChangeList{}, err
	}
	fresh, err := config.Split(text)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	pieces := merged(h.pieces, fresh)
	s, err := h.joined(pieces)
	if err == nil {
		err = h.allowed(s, fresh, only)
	}
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	changes, err := h.apply(ctx, s)
	if err == nil {
		err = failures(changes)
	}
	if err == nil {
		err = h.keep(s, fresh)
	}
	if err != nil {
		return telemetry.ChangeList{}, errors.Join(err, h.back(ctx))
	}
	h.pieces = pieces
	h.noteSources()
	h.dropped = slices.DeleteFunc(h.dropped, func(name string) bool { return holds(fresh, name) })
	h.awaitWork(ctx, fresh, changes)
	return telemetry.ChangeList{Changes: changed(changes), Warnings: h.warnings(s, fresh)}, err
}

// keep writes pieces to their files, all or none, in the order of the plugins in s: whoever reads comes after what it reads, so
// that what a crash leaves is a config still.
func (h *Host) keep(s *config.Settings, pieces []config.Piece) error {
	place := func(p config.Piece) int {
		return slices.IndexFunc(s.Plugins, func(o config.Plugin) bool { return o.Name == p.Plugin })
	}
	pieces = slices.SortedStableFunc(slices.Values(pieces), func(a, b config.Piece) int { return cmp.Compare(place(a), place(b)) })
	for n, p := range pieces {
		if err := p.Write(h.o.Config.Loaded); err != nil {
			return errors.Join(err, h.unkeep(pieces[:n]))
		}
	}
	return nil
}

// unkeep makes the files of pieces what they were before: readers go first.
func (h *Host) unkeep(pieces []config.Piece) error {
	var all []error
	for _, p := range slices.Backward(pieces) {
		was := slices.IndexFunc(h.pieces, func(o config.Piece) bool { return o.Plugin == p.Plugin })
		if was < 0 {
			all = append(all, config.RemovePiece(h.o.Config.Loaded, p.Plugin))
		} else {
			all = append(all, h.pieces[was].Write(h.o.Config.Loaded))
		}
	}
	return errors.Join(all...)
}

// warnings returns what the config warns of in these pieces.
func (h *Host) warnings(s *config.Settings, pieces []config.Piece) []string {
	var list []string
	for _, w := range s.Warnings {
		for _, p := range h.sources(pieces) {
			if w.File == p.Name {
				list = append(list, w.Error())
			}
		}
	}
	return list
}

func holds(pieces []config.Piece, name string) bool {
	return slices.ContainsFunc(pieces, func(p config.Piece) bool { return p.Plugin == name })
}

// merged returns the pieces, with fresh ones in the place of those of the same plugins.
func merged(pieces, fresh []config.Piece) []config.Piece {
	left := slices.DeleteFunc(slices.Clone(pieces), func(p config.Piece) bool { return holds(fresh, p.Plugin) })
	return append(left, fresh...)
}

// joined checks the files as they were read last, with pieces.
func (h *Host) joined(pieces []config.Piece, more ...config.Source) (*config.Settings, error) {
	s, err := h.o.Config.Join(slices.Concat(h.files, h.sources(pieces), more))
	if err != nil {
		return nil, err
	}
	s.Plugins = slices.DeleteFunc(s.Plugins, func(p config.Plugin) bool {
		return slices.Contains(h.dropped, p.Name) && !holds(pieces, p.Name)
	})
	return s, nil
}

func (h *Host) sources(pieces []config.Piece) []config.Source {
	var list []config.Source
	for _, p := range pieces {
		list = append(list, p.Source(h.o.Config.Loaded))
	}
	return list
}

// allowed refuses what a request may not bring: another plugin than it names, and none at all over a bus of others, unless the
// config says so. Whoever may write there could run anything here, or have a built-in write to any file.
func (h *Host) allowed(s *config.Settings, fresh []config.Piece, only string) error {
	if h.o.InProcess == nil {
		if err := h.runsForOthers(); err != nil {
			return err
		}
	}
	if len(fresh) == 0 {
		return refuse(telemetry.FaultInvalid, "the piece has no plugin: write collect: { NAME: ... }, process: or publish:")
	}
	for _, p := range s.Plugins {
		if only != "" && p.Name != only && holds(fresh, p.Name) {
			return refuse(telemetry.FaultInvalid, "the new entry is of %s, but %s was to be swapped", p.Name, only)
		}
	}
	return nil
}

// runsForOthers returns an error unless the config lets programs be named over a bus that others have too.
func (h *Host) runsForOthers() error {
	if h.inForce().Discovery.RemoteRun {
		return nil
	}
	return refuse(telemetry.FaultDenied, "load and swap are not taken over an external bus, where others may write: "+
		"put the plugin into the config of %s and reload, or write discover: { remote_run: true } there", h.o.Host)
}

// back brings the plugins to the config before one that came to nothing.
func (h *Host) back(ctx context.Context) error {
	s, err := h.joined(h.pieces)
	if err != nil {
		return fmt.Errorf("back to the config before: %w", err)
	}
	changes, err := h.apply(context.WithoutCancel(ctx), s)
	return errors.Join(err, failures(changes))
}

// failures joins what went wrong.
func failures(changes []telemetry.Change) error {
	var all []error
	for _, c := range changes {
		if c.Error != "" {
			all = append(all, fmt.Errorf("%s %s: %s", c.Action, c.Plugin, c.Error))
		}
	}
	return errors.Join(all...)
}

// changed leaves out what stayed as it was.
func changed(changes []telemetry.Change) []telemetry.Change {
	return slices.DeleteFunc(changes, func(c telemetry.Change) bool { return c.Action == telemetry.ChangeNone })
}

// awaitWork waits until the plugins that were loaded work, and notes in changes why they do not.
func (h *Host) awaitWork(ctx context.Context, fresh []config.Piece, changes []telemetry.Change) {
	for n := range changes {
		c := &changes[n]
		e := h.find(c.Plugin)
		if e == nil || !holds(fresh, e.plugin) { // nil: it is not enabled
			continue
		}
		i := e.current()
		if i.attached() {
			continue
		}
		if err := i.awaitWork(ctx); err != nil {
			c.Error = "it is loaded, but does not work: " + err.Error()
		}
		c.PID = e.pid()
	}
}

// Swap gives a plugin another entry, or only another program, and lets a new process take over.
func (h *Host) Swap(ctx context.Context, name string, to Target) (telemetry.ChangeList, error) {
	release, err := h.take(ctx)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	defer release()
	if _, err := h.whole(name); err != nil {
		return telemetry.ChangeList{}, err
	}
	text := config.Source{Name: cmp.Or(to.File, pieceName), Text: []byte(to.Config), Loaded: true, Replaces: true, Strict: true}
	if to.Config == "" {
		piece, err := h.entryOf(name)
		if err == nil {
			piece, err = piece.Retarget(to.Use, to.Run, to.SHA256)
		}
		if err != nil {
			return telemetry.ChangeList{}, err
		}
		text.Text = piece.Text
	}
	return h.load(ctx, text, name)
}

// entryOf returns the entry of a plugin as it was written last.
func (h *Host) entryOf(name string) (config.Piece, error) {
	for _, p := range h.pieces {
		if p.Plugin == name {
			return p, nil
		}
	}
	for _, file := range h.files {
		pieces, err := config.Split(file)
		if err != nil {
			return config.Piece{}, err
		}
		if i := slices.IndexFunc(pieces, func(p config.Piece) bool { return p.Plugin == name }); i >= 0 {
			return pieces[i], nil
		}
	}
	return config.Piece{}, refuse(telemetry.FaultNotFound, "%s stands in no file: swap it by its whole entry", name)
}

// A Target is what a plugin is swapped to: a piece of config with its new entry, or what is to be another in the one it has.
type Target struct {
	Config string   // the piece; "": the entry it has, with
	File   string   // in which the piece stands, for messages
	Use    string   // another program
	Run    []string // or another command
	SHA256 string   // of the program; "": not pinned
}

// Unload drains a plugin and forgets it. What was loaded or swapped is taken back; one of the config files comes back when
// these are read again.
func (h *Host) Unload(ctx context.Context, name string) (telemetry.ChangeList, error) {
	release, err := h.take(ctx)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	defer release()
	if !holds(h.pieces, name) {
		return h.unloadOther(ctx, name)
	}
	if readers := h.readers(name); len(readers) > 0 {
		return telemetry.ChangeList{}, refuse(telemetry.FaultInvalid, "%s read %s: unload them too, or only stop it: pacewire plugin stop %[2]s",
			strings.Join(readers, ", "), name)
	}
	left := slices.DeleteFunc(slices.Clone(h.pieces), func(p config.Piece) bool { return p.Plugin == name })
	s, err := h.joined(left)
	if err == nil {
		err = config.RemovePiece(h.o.Config.Loaded, name)
	}
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	h.pieces = left
	h.noteSources()
	changes, err := h.apply(ctx, s, name)
	if err == nil {
		err = failures(changes)
	}
	return telemetry.ChangeList{Changes: changed(changes)}, err
}

// unloadOther unloads what was not loaded into this agent: a plugin of the files, or a piece that an earlier agent was given and
// that this one has left out, since it does not fit any more.
func (h *Host) unloadOther(ctx context.Context, name string) (telemetry.ChangeList, error) {
	kept, err := config.Pieces(h.o.Config.Loaded)
	if err == nil && holds(kept, name) {
		err = config.RemovePiece(h.o.Config.Loaded, name)
		return telemetry.ChangeList{Warnings: []string{"the loaded " + name + " did not run, and is forgotten"}}, err
	}
	e, err := h.whole(name)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	return h.drop(ctx, e)
}

// readers returns the plugins that read one called name, by its name.
func (h *Host) readers(name string) []string {
	var list []string
	for _, e := range h.entries() {
		if slices.Contains(e.plan().conf.From, name) {
			list = append(list, e.plugin)
		}
	}
	return slices.Compact(list)
}

// drop takes a plugin of the files out of the config in force. It keeps its place in the streams: it may come back.
func (h *Host) drop(ctx context.Context, e *entry) (telemetry.ChangeList, error) {
	list := telemetry.ChangeList{}
	if readers := h.readers(e.plugin); len(readers) > 0 {
		list.Warnings = append(list.Warnings, fmt.Sprintf("%s read %s, and get nothing from it any more", strings.Join(readers, ", "), e.plugin))
	}
	at := e.plan().conf.Position
	list.Warnings = append(list.Warnings,
		fmt.Sprintf("%s stands in %s: it comes back with the next reload or start; remove it there", e.plugin, at))
	was := h.dropped
	h.dropped = append(slices.Clone(was), e.plugin)
	s, err := h.joined(h.pieces)
	if err == nil {
		list.Changes, err = h.apply(ctx, s)
	}
	if err != nil {
		h.dropped = was
		return telemetry.ChangeList{}, err
	}
	list.Changes = changed(list.Changes)
	return list, failures(list.Changes)
}

// target reads the target of a swap from a request.
func target(r telemetry.CtlRequest) (Target, error) {
	text, err := json.Marshal(r.Args)
	if err != nil {
		return Target{}, err
	}
	var a struct {
		Config string   `json:"config"`
		File   string   `json:"file"`
		Use    string   `json:"use"`
		Run    []string `json:"run"`
		SHA256 string   `json:"sha256"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return Target{}, refuse(telemetry.FaultInvalid, "swap: %w", err)
	}
	return Target{a.Config, a.File, a.Use, a.Run, a.SHA256}, nil
}
