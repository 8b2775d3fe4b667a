package telemetry

// States of a PulseStatus.
const (
	PulseWatched = "watched"    // the last ACK accepts the beats
	PulseRefused = "refused"    // it refuses them, see Reason
	PulseAlone   = "no_watcher" // none came for three intervals, or ever
)

// PulseStatus is what an agent knows of its own beat, and of the hub that watches it: the payload of the reply to pulse.
type PulseStatus struct {
	State      string   `json:"state"`
	Reason     string   `json:"reason,omitzero"` // of the refusal, or why no ACK comes
	Host       string   `json:"host"`            // stable id
	Inst       string   `json:"inst"`
	Gen        uint64   `json:"gen,omitzero"`
	Seq        uint64   `json:"seq,omitzero"`      // of the last beat
	IntervalMS int64    `json:"int_ms"`            // of the beats
	Server     string   `json:"srv,omitzero"`      // id of the hub that was obeyed last
	Term       uint64   `json:"term,omitzero"`     // its term
	Ack        uint64   `json:"ack,omitzero"`      // seq of the last beat with an ACK
	AgeMS      int64    `json:"age_ms,omitzero"`   // since that ACK came
	Received   uint64   `json:"rcv,omitzero"`      // beats that the hub has received, as it says
	Lost       uint64   `json:"lost,omitzero"`     // and those that it has missed
	AckLost    uint64   `json:"ack_lost,omitzero"` // beats without an ACK, since the first of that hub
	RTTUS      int64    `json:"rtt_us,omitzero"`   // filtered round trip
	OffsetUS   int64    `json:"off_us,omitzero"`   // the hub's clock against ours, filtered
	Steps      uint64   `json:"steps,omitzero"`    // times that our wall clock was set
	Flags      []string `json:"flags,omitzero"`    // of the last ACK: warmup, conflict, maintenance

	Uplink *UplinkStatus `json:"uplink,omitzero"` // of an agent with a spool
}

func (PulseStatus) bounds() bounds { return ctlBounds }

func (PulseStatus) check() error { return nil }

// DecodePulseStatus decodes and checks the payload of a reply to pulse.
func DecodePulseStatus(body []byte) (PulseStatus, Encoding, error) {
	return decodeControl[PulseStatus](body)
}
