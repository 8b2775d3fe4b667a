package host

import (
	"fmt"

	"github.com/pacewire/pacewire/telemetry"
)

// noteSources notes what the config is made of now, for selfInfo. The caller changes which plugins there are, or nobody does yet.
func (h *Host) noteSources() {
	list := []any{}
	add := func(name string, text []byte, loaded bool) {
		f := map[string]any{"name": name, "digest": telemetry.DigestOf(text).String()}
		if loaded {
			f["loaded"] = true
		}
		list = append(list, f)
	}
	for _, s := range h.files {
		add(s.Name, s.Text, false)
	}
	for _, p := range h.pieces {
		add(p.Plugin, p.Text, true)
	}
	h.sourced.Store(&list)
	nudge(h.inventory.wake)
}

// selfInfo are the facts of the agent's own entry: what it runs by, and since when.
func (h *Host) selfInfo() telemetry.Facts {
	f := telemetry.Facts{
		"config_rev": fmt.Sprintf("%x", h.revision()), "config_files": *h.sourced.Load(), "plugins": len(h.entries()), "started": h.begun.Unix(),
	}
	with(f, "state_dir", h.o.State)
	return f
}
