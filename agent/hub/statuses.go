package hub

import (
	"context"
	"errors"
	"strings"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// statuses are what the bucket has of the states of plugins, by the tokens of host and plugin. The bucket may have more than is
// true: what a hub that died has not come to remove, and what is of no host. Only what is held is shown. The lock of the hub guards
// them.
type statuses map[string]map[string]telemetry.PluginStatus

func (all *statuses) put(host, plugin string, s telemetry.PluginStatus) {
	if *all == nil {
		*all = statuses{}
	}
	if (*all)[host] == nil {
		(*all)[host] = map[string]telemetry.PluginStatus{}
	}
	(*all)[host][plugin] = s
}

func (all statuses) drop(host, plugin string) {
	delete(all[host], plugin)
	if len(all[host]) == 0 {
		delete(all, host)
	}
}

// of returns those of a host that are held, by name.
func (all statuses) of(x *host) []telemetry.PluginStatus {
	known := all[x.key()]
	if len(known) == 0 {
		return nil
	}
	list := make([]telemetry.PluginStatus, 0, len(known))
	for _, it := range x.held {
		if it.Type != telemetry.DataStatus {
			continue
		}
		if s, ok := known[bus.Token(it.Plugin)]; ok {
			list = append(list, s)
		}
	}
	return list
}

// followPlugins keeps up with what agents tell of their plugins, which is in the inventory.
func (h *Hub) followPlugins(ctx context.Context) error {
	for ctx.Err() == nil {
		err := h.kv.inventory.Load().Watch(ctx, "*.*."+telemetry.DataStatus, func(v bus.KV) error {
			h.tellPlugin(v)
			return nil
		}, func() {})
		if ctx.Err() != nil {
			return nil
		}
		h.log.Debug("plugins cannot be followed", "error", err)
		if errors.Is(err, bus.ErrNoStream) {
			h.refill(ctx)
		}
		sleep(ctx, retryEvery)
	}
	return nil
}

// tellPlugin takes a status entry.
func (h *Hub) tellPlugin(v bus.KV) {
	tokens := strings.Split(v.Key, ".")
	if len(tokens) != 3 {
		return
	}
	if v.Deleted {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.status.drop(tokens[0], tokens[1])
		return
	}
	d, _, err := telemetry.DecodePluginData(v.Value)
	if err != nil || bus.Key(d.Host, d.Plugin, d.Type) != v.Key {
		h.counts.add("records_unreadable", 1)
		return
	}
	if s, ok := statusOf(d); ok {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.status.put(tokens[0], tokens[1], s)
	}
}

// statusOf reads the facts of a status entry, which have the keys of a PluginStatus.
func statusOf(d telemetry.PluginData) (telemetry.PluginStatus, bool) {
	facts := map[string]any(d.Data)
	if facts == nil {
		return telemetry.PluginStatus{}, false
	}
	facts["name"], facts["host"] = d.Plugin, d.Host
	body, err := telemetry.Facts{"plugins": []any{facts}}.Encode(telemetry.MsgPack)
	if err != nil {
		return telemetry.PluginStatus{}, false
	}
	list, _, err := telemetry.DecodePluginList(body)
	if err != nil || len(list.Plugins) != 1 {
		return telemetry.PluginStatus{}, false
	}
	return list.Plugins[0], true
}
