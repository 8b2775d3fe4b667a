package main

import (
	"fmt"
	"slices"

	"github.com/pacewire/pacewire/agent/config"
)

// joinPieces adds to the files what was loaded into an agent before. A piece that does not fit any more, because the files or
// its program are others by now, is left out and stays where it is: it must not keep the agent from its work.
func (c *configured) joinPieces() error {
	all, err := config.Pieces(loadedDir())
	if err != nil {
		return exitWith(exitConfig, fmt.Errorf("plugins that were loaded before: %w: make it readable, or name another folder by PACEWIRE_STATE", err))
	}
	if c.try(all) == nil {
		return nil
	}
	err = c.try(nil)
	left := c.add(all)
	if c.Settings == nil { // nor did a piece make the files good that read it
		return err
	}
	log := c.app.logger(c.app.err)
	for _, m := range left {
		log.Error("a loaded plugin does not fit any more and is left out", "plugin", m.Plugin, "file", m.Source(loadedDir()).Name, "error", m.fault,
			"hint", fmt.Sprintf("pacewire plugin unload %s forgets it; or mend it, or what it needs, and start the agent again", m.Plugin))
	}
	return nil
}

// A misfit is a piece with what is wrong with it.
type misfit struct {
	config.Piece
	fault error
}

// add takes up the pieces that fit, one by one until none does: one may read another. It returns the others.
func (c *configured) add(pieces []config.Piece) []misfit {
	for {
		var left []misfit
		var rest []config.Piece
		for _, p := range pieces {
			if err := c.try(append(slices.Clone(c.pieces), p)); err != nil {
				left, rest = append(left, misfit{p, err}), append(rest, p)
			}
		}
		if len(rest) == len(pieces) {
			return left
		}
		pieces = rest
	}
}

// try joins pieces to the files. If they fit they are those of c.
func (c *configured) try(pieces []config.Piece) error {
	sources := slices.Clone(c.files)
	for _, p := range pieces {
		sources = append(sources, p.Source(loadedDir()))
	}
	s, err := c.join(sources)
	if err == nil {
		c.Settings, c.pieces = s, pieces
	}
	return err
}
