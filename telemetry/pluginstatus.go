package telemetry

import "time"

// PluginStatus is what an agent knows of one of its plugins.
type PluginStatus struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Program  string `json:"program,omitzero"` // "": who starts it has not told yet
	Version  string `json:"version,omitzero"`
	Host     string `json:"host"`
	State    string `json:"state"`             // see agent/host/DESIGN.md
	Reason   string `json:"reason,omitzero"`   // why it is not simply running
	Since    int64  `json:"since,omitzero"`    // when the state began, ns
	PID      int64  `json:"pid,omitzero"`      // 0: no process
	Restarts uint64 `json:"restarts,omitzero"` // starts that nobody asked for: after crashes and hangs
	RSS      uint64 `json:"rss,omitzero"`      // bytes
	CPUMS    uint64 `json:"cpu_ms,omitzero"`   // of this process
	Config   uint64 `json:"cfg_rev,omitzero"`  // revision in force
	Beat     int64  `json:"beat,omitzero"`     // when the last heartbeat came, ns
	Backlog  uint64 `json:"backlog,omitzero"`  // batches on the bus that it reads and has not settled yet; its processes share them

	Attached bool   `json:"attached,omitzero"`  // started by somebody else
	Next     int64  `json:"next,omitzero"`      // when the next start is due, if backing off, ns
	LastExit string `json:"last_exit,omitzero"` // how the last process ended, as "exit code 1"
	Schedule string `json:"schedule,omitzero"`  // when it is due, where that is no plain interval
	Due      int64  `json:"due,omitzero"`       // its next tick, ns; 0: by the interval, or never
	Denied   uint64 `json:"denied,omitzero"`    // attempts on the bus that it had no right to
	Trust    string `json:"trust,omitzero"`     // what is wrong with its program, though it runs
	LastEnd  int64  `json:"last_end,omitzero"`  // when it did, ns

	Flags []string `json:"flags,omitzero"` // why not all points get through, though it runs: FlagOverflow ..., FlagLag, FlagSinkDown, FlagLetter

	Losses map[string]uint64 `json:"losses,omitzero"` // when points were dropped or refused last, by the reasons of Stats, or sent again late (LossLate), ns; as far as the agent was there
	Sound  bool              `json:"sound,omitzero"`  // Reason says what it does: nothing is wrong

	Stats    *Stats    `json:"stats,omitzero"`
	Manifest *Manifest `json:"manifest,omitzero"` // info only
	Inputs   []Input   `json:"inputs,omitzero"`   // info only
	Stderr   []string  `json:"stderr,omitzero"`   // info only: the last lines
}

// LossLate is the reason in PluginStatus.Losses of what was sent to the bus again so late that it may be stored twice.
const LossLate = "resent_late"

// NoteLoss notes when points were lost last for a reason.
func (s *PluginStatus) NoteLoss(reason string, at time.Time) {
	if s.Losses == nil {
		s.Losses = map[string]uint64{}
	}
	s.Losses[reason] = max(s.Losses[reason], uint64(at.UnixNano()))
}

// PluginList is the payload of the reply to list and info.
type PluginList struct {
	Plugins []PluginStatus `json:"plugins"`

	// More says that the list goes on: ask again with the last name as args.after.
	More bool `json:"more,omitzero"`
}

func (PluginList) bounds() bounds { return beatBounds }

func (PluginList) check() error { return nil }

// DecodePluginList decodes and checks the payload of a reply to list or info.
func DecodePluginList(body []byte) (PluginList, Encoding, error) {
	return decodeControl[PluginList](body)
}
