package telemetry

// What an operation does to a plugin.
const (
	ChangeNone      = "none"      // it stays as it is
	ChangeStart     = "start"     // a new process
	ChangeStop      = "stop"      // its process drains and ends
	ChangeConfigure = "configure" // the running process gets a new config
	ChangeSwap      = "swap"      // a new process takes over from the old one
	ChangeUpgrade   = "upgrade"   // the same, of the same command
	ChangeRestart   = "restart"   // its process drains and ends, and a new one starts
	ChangeReplay    = "replay"    // it is given a part of the past again
	ChangeAgain     = "again"     // it is given dead letters again
)

// Change is what an operation did, or would do, to one plugin.
type Change struct {
	Plugin string `json:"plugin"`
	Action string `json:"action"`           // ChangeNone, ChangeStart ...
	Reason string `json:"reason,omitzero"`  // what makes it necessary: "run", "config", "new" ...
	Error  string `json:"error,omitzero"`   // why it came to nothing; the plugin is as it was
	OldPID int64  `json:"old_pid,omitzero"` // the process before
	PID    int64  `json:"pid,omitzero"`     // the process now
	TookMS int64  `json:"took_ms,omitzero"`
}

// ChangeList is the payload of the reply to start, stop, restart, load, unload, swap, upgrade, reload, replay and again.
type ChangeList struct {
	Changes  []Change `json:"changes"`
	Warnings []string `json:"warnings,omitzero"` // of the config
	DryRun   bool     `json:"dry_run,omitzero"`  // nothing was done
}

func (ChangeList) bounds() bounds { return ctlBounds }

func (ChangeList) check() error { return nil }

// DecodeChangeList decodes and checks the payload of a reply to an operation.
func DecodeChangeList(body []byte) (ChangeList, Encoding, error) {
	return decodeControl[ChangeList](body)
}
