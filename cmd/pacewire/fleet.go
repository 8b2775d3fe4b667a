package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

// A fleet is all hosts of a bus, as its hub knows them.
type fleet struct{ *link }

// fleet connects to the hub.
func (a *app) fleet(ctx context.Context) (fleet, error) {
	f := fleet{&link{}}
	var err error
	f.conn, err = a.dialHubs(ctx, f.denied)
	return f, err
}

// askHub asks the hub and decodes what its answer carries.
func askHub[T any](ctx context.Context, f fleet, verb string, args map[string]any, decode func([]byte) (T, telemetry.Encoding, error)) (T, error) {
	return sendHub(ctx, f, verb, telemetry.CtlRequest{Args: args}, decode)
}

func sendHub[T any](ctx context.Context, f fleet, verb string, q telemetry.CtlRequest, decode func([]byte) (T, telemetry.Encoding, error)) (v T, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	payload, err := f.send(ctx, verb, q)
	if err != nil {
		return v, err
	}
	if v, _, err = decode(payload); err != nil {
		return v, fmt.Errorf("answer of the hub to %s: %w", verb, err)
	}
	return v, nil
}

// hosts returns the hosts that args select, of all pages.
func (f fleet) hosts(ctx context.Context, args map[string]any) ([]telemetry.HostStatus, error) {
	var all []telemetry.HostStatus
	for {
		page, err := askHub(ctx, f, "hosts", args, telemetry.DecodeHostList)
		if err != nil {
			return nil, err
		}
		if all, err = further(all, page.Hosts, placeOf); err != nil {
			return nil, err
		}
		if !page.More || len(page.Hosts) == 0 {
			return all, nil
		}
		args = after(args, all[len(all)-1].Host)
	}
}

// further adds a page to a list that is ordered by name: one that does not go on would never end.
func further[T any](all, page []T, name func(T) string) ([]T, error) {
	if len(all) > 0 && len(page) > 0 && name(page[0]) <= name(all[len(all)-1]) {
		return nil, fmt.Errorf("the hub repeats itself: after %q it lists %q", name(all[len(all)-1]), name(page[0]))
	}
	return append(all, page...), nil
}

// after returns args for the page behind name.
func after(args map[string]any, name string) map[string]any {
	next := map[string]any{"after": name}
	for key, v := range args {
		if key != "after" {
			next[key] = v
		}
	}
	return next
}

// host returns one host, by its id or name.
func (f fleet) host(ctx context.Context, name string) (telemetry.HostStatus, error) {
	return f.one(ctx, "host", name, map[string]any{"host": name})
}

// one asks for something that is answered with one host.
func (f fleet) one(ctx context.Context, verb, name string, args map[string]any) (telemetry.HostStatus, error) {
	list, err := askHub(ctx, f, verb, args, telemetry.DecodeHostList)
	if err == nil && len(list.Hosts) != 1 {
		err = fmt.Errorf("the hub told of %d hosts %q", len(list.Hosts), name)
	}
	if err != nil {
		return telemetry.HostStatus{}, f.near(ctx, name, err)
	}
	return list.Hosts[0], nil
}

// plugins returns the plugins of a host, by its id, as the hub knows them.
func (f fleet) plugins(ctx context.Context, host string) ([]telemetry.PluginStatus, error) {
	args := map[string]any{"host": host}
	var all []telemetry.PluginStatus
	for {
		page, err := askHub(ctx, f, "plugins", args, telemetry.DecodePluginList)
		if err != nil {
			return nil, err
		}
		if all, err = further(all, page.Plugins, func(p telemetry.PluginStatus) string { return p.Name }); err != nil {
			return nil, err
		}
		if !page.More || len(page.Plugins) == 0 {
			return all, nil
		}
		args = after(args, host+"/"+all[len(all)-1].Name)
	}
}

// placeOf returns what hosts are ordered by: the rivals of each, by their instances, follow it.
func placeOf(h telemetry.HostStatus) string {
	id, inst, _ := strings.Cut(h.Host, "~")
	return id + "\x00" + inst
}

// inventory returns what there is of a host, without the facts.
func (f fleet) inventory(ctx context.Context, host string) ([]telemetry.RefreshItem, error) {
	args := map[string]any{"host": host}
	var all []telemetry.RefreshItem
	for {
		page, err := askHub(ctx, f, "inventory", args, telemetry.DecodeInventoryPage)
		if err != nil {
			return nil, err
		}
		if all, err = further(all, page.Items, func(it telemetry.RefreshItem) string { return it.Plugin + "\x00" + it.Type }); err != nil {
			return nil, err
		}
		if !page.More || len(page.Items) == 0 {
			return all, nil
		}
		last := all[len(all)-1]
		args = after(args, last.Plugin+"/"+last.Type)
	}
}

const (
	mostFacts = 64 << 20 // bytes of one entry as JSON
	mostTries = 3        // at an entry that is collected anew while it is read
)

// facts returns the JSON of one entry of the inventory, plugin/type, which comes in pieces.
func (f fleet) facts(ctx context.Context, host, entry string) ([]byte, error) {
	for range mostTries {
		text, whole, err := f.read(ctx, host, entry)
		if err != nil || whole {
			return text, f.nearEntry(ctx, host, entry, err)
		}
	}
	return nil, exitWith(exitTryAgain, fmt.Errorf("%s of %s changes while it is read: try again", entry, host))
}

// read reads an entry once; whole is false when it was another one in the end.
func (f fleet) read(ctx context.Context, host, entry string) (text []byte, whole bool, err error) {
	size := int64(-1)
	for {
		args := map[string]any{"host": host, "entry": entry, "offset": int64(len(text))}
		page, err := askHub(ctx, f, "inventory", args, telemetry.DecodeInventoryPage)
		switch {
		case err != nil:
			return nil, false, err
		case page.Size > mostFacts:
			return nil, false, fmt.Errorf("%s of %s has %d bytes, and %d are shown at most", entry, host, page.Size, mostFacts)
		case size >= 0 && page.Size != size:
			return nil, false, nil
		}
		size = page.Size
		text = append(text, page.Text...)
		if int64(len(text)) >= size {
			return text, int64(len(text)) == size, nil
		}
		if len(page.Text) == 0 {
			return nil, false, fmt.Errorf("%s of %s ends after %d of %d bytes", entry, host, len(text), size)
		}
	}
}

// near adds to the error of a host that is not there the name that may have been meant.
func (f fleet) near(ctx context.Context, name string, err error) error {
	if !notFound(err) {
		return err
	}
	list, failed := f.hosts(ctx, nil)
	if failed != nil {
		return err
	}
	if id, _, _ := strings.Cut(name, "~"); id != name && slices.Contains(namesOf(list), name) {
		return exitWith(exitUsage, fmt.Errorf("%s is a second agent under the id of %s, and no host by itself: %s", printable(name), printable(id), conflictWay))
	}
	return meant(err, name, namesOf(list))
}

// nearEntry adds to the error of an entry that is not there the one that may have been meant, or the host.
func (f fleet) nearEntry(ctx context.Context, host, entry string, err error) error {
	if !notFound(err) {
		return err
	}
	items, failed := f.inventory(ctx, host)
	if failed != nil {
		return f.near(ctx, host, err)
	}
	var names []string
	for _, it := range items {
		names = append(names, it.Plugin+"/"+it.Type)
	}
	return meant(err, entry, names)
}

// meant adds to an error the name that may have been meant, unless it tells one already.
func meant(err error, word string, names []string) error {
	near := config.Suggest(word, names)
	if near == "" || slices.Contains(names, word) || strings.Contains(err.Error(), "did you mean") {
		return err
	}
	return fmt.Errorf("%w: did you mean %s?", err, printable(near))
}

// namesOf returns what hosts go by: their ids, and their names where these differ.
func namesOf(list []telemetry.HostStatus) []string {
	var names []string
	for _, h := range list {
		names = append(names, h.Host)
		if h.Name != "" && h.Name != h.Host {
			names = append(names, h.Name)
		}
	}
	return names
}

// silent reports whether err says that nobody has answered, for a reason that may pass.
func silent(err error) bool {
	_, is := errors.AsType[*unanswered](err)
	return is && codeOf(err) != exitConfig && !errors.Is(err, context.Canceled)
}
