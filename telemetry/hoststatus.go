package telemetry

// States of a watched host, as a hub tells them.
const (
	HostUnknown = "UNKNOWN" // not heard yet, or the hub itself is cut off
	HostUp      = "UP"
	HostOverdue = "OVERDUE" // silent for longer than it should be; nobody is alerted
	HostDown    = "DOWN"    // with the reason disconnected, silent or not_seen_since_restart
	HostLeft    = "LEFT"    // said goodbye
)

// HostStatus is what a hub knows of one host.
type HostStatus struct {
	Host   string            `json:"host"`          // stable id
	Name   string            `json:"name,omitzero"` // display name
	State  string            `json:"state"`         // HostUp ...
	Reason string            `json:"reason,omitzero"`
	Since  int64             `json:"since,omitzero"` // when the state began, ns
	Stable bool              `json:"stable"`         // UP for three beats at least
	Flags  []string          `json:"flags,omitzero"` // flapping, conflict, maintenance, ephemeral, slow, no_inventory, warmup
	Owner  string            `json:"owner,omitzero"`
	Site   string            `json:"site,omitzero"`
	Labels map[string]string `json:"labels,omitzero"`

	Version    string `json:"version,omitzero"` // of the agent
	OS         string `json:"os,omitzero"`      // as linux
	Arch       string `json:"arch,omitzero"`    // as amd64
	Beat       int64  `json:"beat,omitzero"`    // when the last beat came, ns; 0: none since the hub started
	AgeMS      int64  `json:"age_ms,omitzero"`  // since then
	IntervalMS int64  `json:"int_ms,omitzero"`  // of its beats
	Boot       string `json:"boot,omitzero"`    // kernel boot id
	Inst       string `json:"inst,omitzero"`    // of the agent's process
	Gen        uint64 `json:"gen,omitzero"`     // its start counter
	HostUpMS   int64  `json:"host_up_ms,omitzero"`
	Received   uint64 `json:"received,omitzero"` // beats of this process
	Lost       uint64 `json:"lost,omitzero"`     // on the way here
	AckLost    uint64 `json:"ack_lost,omitzero"` // on the way back, since this hub heard it first
	Late       uint64 `json:"late,omitzero"`     // out of order
	Duplicate  uint64 `json:"duplicate,omitzero"`
	Saved      uint64 `json:"probe_saved,omitzero"` // times that a probe found it alive
	RTTUS      int64  `json:"rtt_us,omitzero"`      // filtered round trip
	OffsetUS   int64  `json:"off_us,omitzero"`      // its clock against the hub's

	ConfigRev uint64             `json:"cfg_rev,omitzero"`
	Plugins   *PluginCounts      `json:"np,omitzero"`
	Load      map[string]float64 `json:"load,omitzero"`
	Items     uint64             `json:"inv_n,omitzero"`    // inventory entries that the host has
	Held      uint64             `json:"inv_held,omitzero"` // of them, held here
	Aliases   []string           `json:"aliases,omitzero"`  // earlier names
	Incident  string             `json:"incident,omitzero"`
	Until     int64              `json:"until,omitzero"` // end of maintenance, ns
}

// HostList is the payload of the reply to the hub's verbs hosts and host.
type HostList struct {
	Hosts []HostStatus `json:"hosts"`

	// More says that the list goes on: ask again with the last host as args.after.
	More bool `json:"more,omitzero"`
}

func (HostList) bounds() bounds { return ctlBounds }

func (HostList) check() error { return nil }

// DecodeHostList decodes and checks the payload of a reply to hosts or host.
func DecodeHostList(body []byte) (HostList, Encoding, error) { return decodeControl[HostList](body) }

// HostRecord is what hubs remember of a host, under its token in the bucket HOSTS. Each change of State is one
// compare-and-swap of it, and the hub that wins publishes the event.
type HostRecord struct {
	Version uint64 `json:"v"`
	Host    string `json:"host"`
	Name    string `json:"name,omitzero"`
	State   string `json:"state"`
	From    string `json:"from,omitzero"` // state before
	Reason  string `json:"reason,omitzero"`
	Since   int64  `json:"since"`          // ns
	Seen    int64  `json:"seen,omitzero"`  // last beat when this was written, ns
	Term    uint64 `json:"term,omitzero"`  // of the hub that wrote it
	Change  uint64 `json:"change"`         // counts the changes of State
	Event   *Event `json:"event,omitzero"` // of the last change, which a successor publishes again: its id makes it one

	Boot       string   `json:"boot,omitzero"`
	Inst       string   `json:"inst,omitzero"`
	Gen        uint64   `json:"gen,omitzero"`
	Retired    []string `json:"retired,omitzero"` // instances before, at most 8
	IntervalMS int64    `json:"int_ms,omitzero"`

	Owner     string            `json:"owner,omitzero"`
	Labels    map[string]string `json:"labels,omitzero"` // site too
	Agent     string            `json:"agent,omitzero"`  // version of the agent
	OS        string            `json:"os,omitzero"`
	Arch      string            `json:"arch,omitzero"`
	Flags     []string          `json:"flags,omitzero"`
	Aliases   []string          `json:"aliases,omitzero"`
	Incident  string            `json:"incident,omitzero"`
	Until     int64             `json:"until,omitzero"`   // end of maintenance, ns
	Penalty   float64           `json:"penalty,omitzero"` // of flapping, at PenaltyAt
	PenaltyAt int64             `json:"penalty_at,omitzero"`
	Damped    bool              `json:"damped,omitzero"`   // notifications are held back
	Items     []InventoryItem   `json:"inv_list,omitzero"` // inventory held in the bucket INVENTORY, as much of it as there is room for
}

func (HostRecord) bounds() bounds { return hostBounds }

func (r HostRecord) check() error { return checkVersion(r.Version) }

// DecodeHostRecord decodes and checks a value of the bucket HOSTS.
func DecodeHostRecord(body []byte) (HostRecord, Encoding, error) {
	return decodeControl[HostRecord](body)
}

// RefreshJob is how far a refresh of many hosts has come: the payload of the reply to the hub's verbs refresh and job.
type RefreshJob struct {
	ID    string `json:"id"`
	Mode  string `json:"mode"` // ModeCached or ModeCollect
	Total uint64 `json:"total"`
	Done  uint64 `json:"done"`           // hosts that have answered, or will not
	Begun int64  `json:"begun"`          // ns
	Ended int64  `json:"ended,omitzero"` // ns; 0: under way

	NotConnected []string `json:"not_connected,omitzero"` // hosts, sorted; the first few hundred
	TimedOut     []string `json:"timeout,omitzero"`
	Failed       []string `json:"failed,omitzero"`  // host: what it said
	Missing      uint64   `json:"missing,omitzero"` // all that did not answer, listed or not
	Bytes        uint64   `json:"bytes,omitzero"`
}

func (RefreshJob) bounds() bounds { return ctlBounds }

func (RefreshJob) check() error { return nil }

// DecodeRefreshJob decodes and checks the payload of a reply to refresh or job.
func DecodeRefreshJob(body []byte) (RefreshJob, Encoding, error) {
	return decodeControl[RefreshJob](body)
}

// InventoryPage is the payload of the reply to the hub's verb inventory: what there is of a host, or a piece of one entry.
type InventoryPage struct {
	Items []RefreshItem `json:"inv_list,omitzero"`
	Size  int64         `json:"size,omitzero"` // bytes of the entry, as JSON
	Text  string        `json:"text,omitzero"` // of the entry, from args.offset on

	// More says that the items go on: ask again with the last one, as plugin/type, as args.after.
	More bool `json:"more,omitzero"`
}

func (InventoryPage) bounds() bounds { return ctlBounds }

func (InventoryPage) check() error { return nil }

// DecodeInventoryPage decodes and checks the payload of a reply to inventory.
func DecodeInventoryPage(body []byte) (InventoryPage, Encoding, error) {
	return decodeControl[InventoryPage](body)
}

// HubStatus is how a hub is: the payload of the reply to the hub's verb status.
type HubStatus struct {
	ID      string            `json:"id"`
	Version string            `json:"version,omitzero"`
	Term    uint64            `json:"term,omitzero"`
	Voice   bool              `json:"voice"`            // it is the one that speaks
	Speaker string            `json:"speaker,omitzero"` // id of the one that does
	Ready   bool              `json:"ready"`
	Waits   []string          `json:"waits,omitzero"`  // for what it is not ready yet
	WarmUp  int64             `json:"warmup,omitzero"` // when it ends, ns
	Begun   int64             `json:"begun"`           // ns
	Listen  string            `json:"listen,omitzero"` // of the API
	States  map[string]uint64 `json:"states,omitzero"` // hosts by state
	Counts  map[string]uint64 `json:"counts,omitzero"` // beats, refusals by reason, drops ...
}

func (HubStatus) bounds() bounds { return ctlBounds }

func (HubStatus) check() error { return nil }

// DecodeHubStatus decodes and checks the payload of a reply to the hub's verb status.
func DecodeHubStatus(body []byte) (HubStatus, Encoding, error) { return decodeControl[HubStatus](body) }
