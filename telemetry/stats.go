package telemetry

// Stats is what package plugin counts for every plugin, since its start. It travels in a Heartbeat and answers a ping.
type Stats struct {
	PointsIn    uint64            `json:"points_in,omitzero"`
	PointsOut   uint64            `json:"points_out,omitzero"`
	BatchesIn   uint64            `json:"batches_in,omitzero"`
	BatchesOut  uint64            `json:"batches_out,omitzero"`
	BytesIn     uint64            `json:"bytes_in,omitzero"`
	BytesOut    uint64            `json:"bytes_out,omitzero"`
	Errors      map[string]uint64 `json:"errors,omitzero"`      // by class
	Redelivered uint64            `json:"redelivered,omitzero"` // batches given again
	Dead        uint64            `json:"dead,omitzero"`        // batches set aside
	Dropped     map[string]uint64 `json:"dropped,omitzero"`     // points that are lost, by reason
	Refused     map[string]uint64 `json:"refused,omitzero"`     // points that their senders were told to keep, by reason; each time they come
	Resent      uint64            `json:"resent,omitzero"`      // messages sent to the bus again, as it had not answered
	LateResent  uint64            `json:"resent_late,omitzero"` // of these, so late that the stream may have stored them twice
	Ticks       uint64            `json:"ticks,omitzero"`
	Missed      uint64            `json:"missed,omitzero"` // ticks
	Queue       uint64            `json:"queue,omitzero"`  // batches waiting now
	QueueBytes  uint64            `json:"queue_bytes,omitzero"`
	Calls       uint64            `json:"calls,omitzero"`
	CallP50US   uint64            `json:"call_p50_us,omitzero"`
	CallP99US   uint64            `json:"call_p99_us,omitzero"`
	CallMaxUS   uint64            `json:"call_max_us,omitzero"`
	LastError   *Fault            `json:"last_error,omitzero"`
}

func (Stats) bounds() bounds { return ctlBounds }

func (Stats) check() error { return nil }

// DecodeStats decodes and checks the payload of a reply to ping.
func DecodeStats(body []byte) (Stats, Encoding, error) { return decodeControl[Stats](body) }
