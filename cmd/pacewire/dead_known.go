package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// letterReasons returns why letters are set aside: by plugins, by the uplink, and by who decodes.
func letterReasons() []string {
	list := []string{"rejected", "too_large", "processor", "crash", "subject", "denied", "refused"}
	for c := telemetry.CodeEmpty; !strings.HasPrefix(c.String(), "code("); c++ {
		list = append(list, c.String())
	}
	return list
}

// known returns what is wrong with a wish that no letter fits: a plugin or a reason there is not. One that merely has no letters is
// none.
func (w *letterWish) known(ctx context.Context, conn *bus.Conn) error {
	if w.plugin == "" && w.reason == "" {
		return nil
	}
	plugins, why := map[string]bool{}, map[string]bool{}
	err := conn.Letters(ctx, "", 0, func(l bus.Letter) error {
		plugins[l.Plugin], why[l.Reason] = true, true
		return nil
	})
	if err != nil {
		return err
	}
	all := slices.Concat(letterReasons(), slices.Sorted(maps.Keys(why)))
	switch {
	case w.plugin != "" && !plugins[w.plugin] && !reads(ctx, conn, w.plugin):
		return exitWith(exitUsage, fmt.Errorf("no processor or publisher %q reads this bus, nor has one of that name dead letters%s",
			w.plugin, nearest(w.plugin, slices.Sorted(maps.Keys(plugins)), ": pacewire dead list names those that have")))
	case w.reason != "" && !slices.Contains(all, w.reason):
		return exitWith(exitUsage, fmt.Errorf("there is no reason %q%s", w.reason, nearest(w.reason, all, ": known are "+strings.Join(letterReasons(), ", "))))
	}
	return nil
}

// nearest asks whether the nearest of some words was meant, or says something else.
func nearest(word string, words []string, otherwise string) string {
	if near := config.Suggest(word, words); near != "" {
		return ": did you mean " + near + "?"
	}
	return otherwise
}

// reads reports whether a plugin has its place on the bus; where that is not known, it may.
func reads(ctx context.Context, conn *bus.Conn, plugin string) bool {
	for _, in := range append(bus.Errands(plugin, nil), bus.Input{Stream: bus.StreamMetrics, Durable: bus.Token(plugin)},
		bus.Input{Stream: bus.StreamEvents, Durable: bus.Token(plugin)}) {
		_, err := conn.ConsumerInfo(ctx, in.Stream, in.Durable)
		if !errors.Is(err, bus.ErrNoConsumer) && !errors.Is(err, bus.ErrNoStream) {
			return true
		}
	}
	return plugin == bus.Uplink
}

// tellUnderWay says of how many letters copies wait for a plugin, of all with an empty name: they are in no list.
func (a *app) tellUnderWay(ctx context.Context, conn *bus.Conn, plugin string) error {
	name := bus.Any
	if plugin != "" {
		name = bus.Name(plugin)
	}
	copies := map[string]int{}
	o := bus.TapOptions{Stream: bus.StreamDead, Filters: []string{bus.Pattern(bus.AreaAgain, name)}, From: 1, Once: true}
	if err := conn.Tap(ctx, o, func(t bus.Tapped) error {
		copies[t.Subject.Plugin]++
		return nil
	}); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(copies)) {
		if n := min(copies[name], unsettled(ctx, conn, bus.Errands(name, nil))); n > 0 {
			fmt.Fprintf(a.err, "%s being given to %s again: not settled yet\n", amount.Of(n, "letter is", "letters are"), printable(name))
		}
	}
	return nil
}
