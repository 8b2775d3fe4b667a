package telemetry

// PluginStatus is what an agent knows of one of its plugins.
type PluginStatus struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Program  string `json:"program"`
	Version  string `json:"version,omitzero"`
	Host     string `json:"host"`
	State    string `json:"state"`             // starting, running, idle, draining, backing_off, failed, stopped
	Reason   string `json:"reason,omitzero"`   // why it is not simply running
	Since    int64  `json:"since,omitzero"`    // when the state began, ns
	PID      int64  `json:"pid,omitzero"`      // 0: no process
	Restarts uint64 `json:"restarts,omitzero"` // starts after the first
	RSS      uint64 `json:"rss,omitzero"`      // bytes
	CPUMS    uint64 `json:"cpu_ms,omitzero"`   // of this process
	Config   uint64 `json:"cfg_rev,omitzero"`  // revision in force
	Beat     int64  `json:"beat,omitzero"`     // when the last heartbeat came, ns

	Stats    *Stats    `json:"stats,omitzero"`
	Manifest *Manifest `json:"manifest,omitzero"` // info only
	Inputs   []Input   `json:"inputs,omitzero"`   // info only
	Stderr   []string  `json:"stderr,omitzero"`   // info only: the last lines
}

// PluginList is the payload of the reply to list and info.
type PluginList struct {
	Plugins []PluginStatus `json:"plugins"`
}

func (PluginList) bounds() bounds { return beatBounds }

func (PluginList) check() error { return nil }

// DecodePluginList decodes and checks the payload of a reply to list or info.
func DecodePluginList(body []byte) (PluginList, Encoding, error) {
	return decodeControl[PluginList](body)
}
