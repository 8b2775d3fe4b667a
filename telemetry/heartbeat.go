package telemetry

import "fmt"

// ProtocolVersion is the version of the heartbeat protocol (HTB, ACK, PLG) that this program speaks.
const ProtocolVersion = 1

// MaxIntervalMS is the longest interval of heartbeats: a watcher waits several of them before it calls somebody dead.
const MaxIntervalMS = 3_600_000

// AgentName is the reserved plugin name under which an agent beats to the hub.
const AgentName = "agent"

// Heartbeat (HTB) is what a plugin says about itself to its agent, and an agent to the hub: what it is.
// The Ack that answers says what it should be; each repeats until the other agrees, so a lost one repairs itself.
// All of it together is sent only in a hello; a steady beat stays below 1 KiB.
type Heartbeat struct {
	Version    uint64 `json:"v"`
	Host       string `json:"host"`                // stable host id
	Plugin     string `json:"plugin"`              // plugin name, or AgentName
	Name       string `json:"name,omitzero"`       // display name of the host; may change
	Boot       string `json:"boot,omitzero"`       // kernel boot id: tells a reboot from a restart
	Inst       string `json:"inst"`                // random id of this process start
	Gen        uint64 `json:"gen,omitzero"`        // counts starts, orders instances without clocks; 0: unknown
	Seq        uint64 `json:"seq"`                 // 1, 2, 3 ... within Inst
	IntervalMS int64  `json:"int_ms"`              // interval really used; the watcher's limits follow it
	T1         int64  `json:"t1,omitzero"`         // wall clock at sending, ns
	Mono1      int64  `json:"mono1,omitzero"`      // monotonic clock at sending, ns
	UpMS       int64  `json:"up_ms,omitzero"`      // uptime of the process
	HostUpMS   int64  `json:"host_up_ms,omitzero"` // uptime of the host; agents only
	ResumedMS  int64  `json:"resumed_ms,omitzero"` // length of the suspend just left

	Hello     bool            `json:"hello,omitzero"`    // until the first Ack of this Inst
	Manifest  *Manifest       `json:"manifest,omitzero"` // with Hello
	Inventory []InventoryItem `json:"inv_list,omitzero"` // with Hello, and after a change until an Ack echoes Digest
	Digest    Digest          `json:"inv,omitzero"`      // InventoryDigest of all items
	Items     uint64          `json:"inv_n,omitzero"`    // number of items
	Bye       string          `json:"bye,omitzero"`      // why it leaves: shutdown, upgrade, suspend, maintenance
	Flags     []string        `json:"flags,omitzero"`    // ephemeral, refreshing, hung, failing, FlagExclusive, FlagOverflow ...
	Owner     string          `json:"owner,omitzero"`    // label from the config, not a proof

	ConfigRev uint64             `json:"cfg_rev,omitzero"` // config revision in force
	State     string             `json:"state,omitzero"`   // starting, ready, running, idle, draining, failed
	Error     *Fault             `json:"err,omitzero"`     // last error
	Stats     *Stats             `json:"stats,omitzero"`   // plugins only
	Plugins   *PluginCounts      `json:"np,omitzero"`      // agents only
	Load      map[string]float64 `json:"load,omitzero"`    // load1, rss, queue ...: tells slow from dead

	Ack      uint64 `json:"ack,omitzero"`      // seq of the last Ack seen
	AckLost  uint64 `json:"ack_lost,omitzero"` // Acks missed
	RTTUS    int64  `json:"rtt_us,omitzero"`   // last filtered round trip
	OffsetUS int64  `json:"off_us,omitzero"`   // last filtered clock offset
}

// FlagExclusive in a Heartbeat says that two processes of this plugin must not work at the same time: both would collect,
// or each would have a part of the window, or both would need the same port. A swap ends the old one first.
const FlagExclusive = "exclusive"

// FlagStandby in a Heartbeat says that another process of this plugin reads, here or on another host, and this one takes over when
// that one ends: the order of each source is kept so.
const FlagStandby = "standby"

// Flags in a Heartbeat of a plugin that works, and of whose points not all get through: within the last minute. Events have them
// as their types.
const (
	FlagOverflow    = "overflow"      // points were dropped: the bus did not take them, and the queue was full
	FlagFlood       = "dropped_flood" // points were dropped: more a second than max_rate
	FlagRefused     = "refused_flood" // points were refused, and their senders keep them: more a second than max_rate
	FlagSeries      = "series_limit"  // points were dropped: of more series than max_series
	FlagUnread      = "lost_unread"   // batches were dropped by the stream before they were read
	FlagStorageFull = "storage_full"  // the bus has no room, and points wait
)

// FlagLag in a PluginStatus says that the plugin is so far behind that the stream may soon drop what it has not read. Events have
// it as their type.
const FlagLag = "lag"

// Flags in a PluginStatus of a publisher, and types of events: its sink is away, and it tries on; it has set batches aside.
const (
	FlagSinkDown = "sink_down"
	FlagLetter   = "dead_letter"
)

// EventSinkUp is the type of the event that ends a FlagSinkDown.
const EventSinkUp = "sink_up"

// LostLetters is the type of an event, and the name of a count in the heartbeat of an agent: dead letters were dropped by the limits of
// their stream.
const LostLetters = "lost_letters"

// PluginCounts sums up the plugins of one agent.
type PluginCounts struct {
	OK    uint64            `json:"ok"`
	Fail  uint64            `json:"fail"`
	Late  uint64            `json:"late"`
	Worst map[string]string `json:"worst,omitzero"` // at most 8: name to state
}

func (Heartbeat) bounds() bounds { return beatBounds }

func (h Heartbeat) check() error {
	if err := checkVersion(h.Version); err != nil {
		return err
	}
	if h.Seq == 0 {
		return &ControlError{ControlRange, "seq", "0, but sequences begin at 1"}
	}
	if h.IntervalMS <= 0 || h.IntervalMS > MaxIntervalMS {
		return &ControlError{ControlRange, "int_ms", fmt.Sprintf("%d, expected 1 to %d", h.IntervalMS, int64(MaxIntervalMS))}
	}
	switch h.State {
	case "", "starting", "ready", "running", "idle", "draining", "failed":
		return nil
	}
	return &ControlError{ControlRange, "state", quote(h.State) + " is none of starting, ready, running, idle, draining, failed"}
}

// checkVersion refuses other versions before anything of the message is used: what follows may mean something else.
func checkVersion(v uint64) error {
	if v != ProtocolVersion {
		return &ControlError{ControlRange, "v", fmt.Sprintf("version %d, but only %d is spoken here", v, ProtocolVersion)}
	}
	return nil
}

// DecodeHeartbeat decodes and checks an HTB in either encoding.
func DecodeHeartbeat(body []byte) (Heartbeat, Encoding, error) { return decodeControl[Heartbeat](body) }
