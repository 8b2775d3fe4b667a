package host

import (
	"cmp"
	"slices"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

// entries returns the processes of plugins there are, in the order of the config.
func (h *Host) entries() []*entry {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clone(h.plugins)
}

// find returns the process called name, nil when there is none. The first of a plugin is called as that.
func (h *Host) find(name string) *entry {
	h.mu.RLock()
	defer h.mu.RUnlock()
	i := slices.IndexFunc(h.plugins, func(e *entry) bool { return e.name == name })
	if i < 0 {
		return nil
	}
	return h.plugins[i]
}

// names returns those of the processes there are.
func (h *Host) names() []string {
	var list []string
	for _, e := range h.entries() {
		list = append(list, e.name)
	}
	return list
}

func (h *Host) add(e *entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.plugins = append(h.plugins, e)
}

// remove takes e away, and reports whether it was the last process of its plugin.
func (h *Host) remove(e *entry) (last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.plugins = slices.DeleteFunc(slices.Clone(h.plugins), func(o *entry) bool { return o == e })
	return !slices.ContainsFunc(h.plugins, func(o *entry) bool { return o.plugin == e.plugin })
}

// adopt makes s the config that is in force, and puts the processes in its order.
func (h *Host) adopt(s *config.Settings) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settings = s
	place := func(e *entry) int {
		i := slices.IndexFunc(s.Plugins, func(p config.Plugin) bool { return p.Name == e.plugin })
		if i < 0 {
			return len(s.Plugins)
		}
		return i
	}
	h.plugins = slices.Clone(h.plugins)
	number := func(e *entry) int {
		_, n := telemetry.PluginOf(e.name)
		return n
	}
	slices.SortStableFunc(h.plugins, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(number(a), number(b)))
	})
}

// inForce returns the config that is in force.
func (h *Host) inForce() *config.Settings {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.settings
}
