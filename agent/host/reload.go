package host

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is where settings come from while the host runs.
type Config struct {
	// Read reads the files of the operator.
	Read func() ([]config.Source, error)
	// Join checks sources together; those that replace come last.
	Join func([]config.Source) (*config.Settings, error)
	// Loaded is a folder for the pieces that are loaded while the host runs, so that they outlive it.
	Loaded string
}

// errFixed is why a host without Options.Config does not change what it runs.
var errFixed = refuse(telemetry.FaultDenied, "this agent runs a config that cannot be changed while it runs")

// take waits until nobody else changes which plugins there are.
func (h *Host) take(ctx context.Context) (release func(), err error) {
	if h.o.Config.Join == nil {
		return nil, errFixed
	}
	if err := h.open(ctx); err != nil {
		return nil, err
	}
	select {
	case h.changing <- struct{}{}:
		return func() { <-h.changing }, nil
	case <-h.until.Done():
		return nil, errEnds
	case <-ctx.Done():
		return nil, refuse(telemetry.FaultTimeout, "the config is being changed by somebody else: try again")
	}
}

// Reload reads the config again and brings the plugins to it. A config with faults changes nothing. With dry it only tells
// what would be done.
func (h *Host) Reload(ctx context.Context, dry bool) (telemetry.ChangeList, error) {
	release, err := h.take(ctx)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	defer release()
	files, err := h.o.Config.Read()
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	s, err := h.o.Config.Join(slices.Concat(files, h.sources(h.pieces)))
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	list := telemetry.ChangeList{Warnings: h.unchangeable(s), DryRun: dry}
	if dry {
		list.Changes = planned(h.steps(s))
		return list, nil
	}
	list.Changes, err = h.apply(ctx, s)
	if err == nil {
		h.files, h.dropped = files, nil
		h.noteSources()
	}
	return list, err
}

// Rescan brings the plugins to the config as it was read last: what it rests on, such as the programs there are, may be
// other than it was.
func (h *Host) Rescan(ctx context.Context) (telemetry.ChangeList, error) {
	release, err := h.take(ctx)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	defer release()
	s, err := h.joined(h.pieces)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	list := telemetry.ChangeList{}
	list.Changes, err = h.apply(ctx, s)
	return list, err
}

// unchangeable warns of what a running agent cannot follow.
func (h *Host) unchangeable(s *config.Settings) []string {
	var list []string
	for _, w := range s.Warnings {
		list = append(list, w.Error())
	}
	was := h.o.Settings // those it was started with
	for _, c := range []struct {
		key     string
		changed bool
	}{
		{"bus", !reflect.DeepEqual(was.Bus, s.Bus)},
		{"host", was.Host != s.Host},
		{"log", was.Log != s.Log},
	} {
		if c.changed {
			list = append(list, c.key+": the change takes effect when the agent is started again")
		}
	}
	for _, p := range s.Plugins {
		if e := h.find(p.Name); e != nil && p.Kind != config.Collector && e.plan().conf.Start != p.Start {
			list = append(list, fmt.Sprintf("start of %s: it counts for a new reader, and this one has its place in the stream: pacewire replay %s --since 2h gives it the past again", p.Name, p.Name))
		}
	}
	return list
}
