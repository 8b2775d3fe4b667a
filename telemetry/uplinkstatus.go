package telemetry

// States of an UplinkStatus.
const (
	UplinkOK      = "connected"    // what is stored here goes on
	UplinkAway    = "away"         // the bus of the fleet is not there
	UplinkFull    = "storage_full" // it has no room
	UplinkNowhere = "no_stream"    // nobody stores there: it has no streams, or they have no leader
	UplinkDenied  = "denied"       // it does not take what comes from this host
	UplinkHalted  = "halted"       // the bus of this machine is not well
)

// UplinkStatus is how an agent with a spool gets on with sending it to the bus of the fleet.
type UplinkStatus struct {
	State    string  `json:"state"`
	Reason   string  `json:"reason,omitzero"` // why it is not connected
	Bus      string  `json:"bus,omitzero"`    // of the fleet
	Order    string  `json:"order,omitzero"`  // oldest or live
	AgeMS    int64   `json:"age_ms"`          // of the state
	Messages uint64  `json:"backlog"`         // that wait here
	Bytes    uint64  `json:"backlog_bytes"`   // of these, about
	Filled   float64 `json:"filled"`          // share of what a stream may hold that waits, in bytes or in time; at 1 the limits take the oldest
	Lags     bool    `json:"lags,omitzero"`   // that is much: there is time to do something yet
	Rate     float64 `json:"rate"`            // messages a second that went on lately
	ByteRate float64 `json:"byte_rate"`
	Sent     uint64  `json:"sent"`               // messages, since the agent was started
	Known    uint64  `json:"known,omitzero"`     // that the fleet's bus turned out to have already
	Lost     uint64  `json:"lost_spool"`         // messages that the limits of the spool took before they went on
	SetAside uint64  `json:"set_aside,omitzero"` // messages that the fleet's bus refused for good: they are dead letters here

	LostAt int64 `json:"lost_at,omitzero"` // when messages were lost last, ns

	// Cut says that there is no connection.
	Cut bool `json:"cut,omitzero"`

	// ForeignDuplicate counts messages whose ids somebody else had used on the fleet's bus: they went on by others.
	ForeignDuplicate uint64 `json:"foreign_duplicate,omitzero"`
}
