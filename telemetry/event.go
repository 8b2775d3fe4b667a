package telemetry

// EventSeries is the series of events: each event is one point of it.
const EventSeries = "event"

// Event is something that happened to a host or a plugin. On the bus it is a batch of one point of EventSeries, on
// pw.events.<host>.<plugin>.<type>.
type Event struct {
	ID      string `json:"id,omitzero"`     // the same for every copy of it
	Time    int64  `json:"time"`            // when it happened, ns
	Host    string `json:"host"`            // stable id
	Plugin  string `json:"plugin"`          // AgentName for what happened to a host
	Type    string `json:"type"`            // up, overdue, down, left, restarted ...
	Message string `json:"message"`         // one sentence for people
	Name    string `json:"name,omitzero"`   // display name of the host
	Owner   string `json:"owner,omitzero"`  // who is asked about it
	Site    string `json:"site,omitzero"`   // where it stands
	From    string `json:"from,omitzero"`   // state before
	To      string `json:"to,omitzero"`     // state after
	Reason  string `json:"reason,omitzero"` // of the state after

	Incident   string `json:"incident,omitzero"`     // joins the events of one cause
	LastSeenMS int64  `json:"last_seen_ms,omitzero"` // age of the last beat
	Missed     uint64 `json:"missed,omitzero"`       // beats missed
	Count      uint64 `json:"count,omitzero"`        // of hosts, where it is about several
	Term       uint64 `json:"term,omitzero"`         // of the hub that says so
	Silenced   bool   `json:"silenced,omitzero"`     // nobody needs to be told: flapping, or maintenance
}
