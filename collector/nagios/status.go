package nagios

import (
	"cmp"
	"slices"

	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/telemetry"
)

// A status is what is known of a check over its runs, as Nagios counts them. A problem is soft at first: it may pass. When it is found
// as often in a row as the check has attempts it is hard, and from then on each other state is hard at once.
type status struct {
	Hard     string            `json:"hard,omitzero"`     // the hard state; "": no run has told one yet
	Attempt  int               `json:"attempt,omitzero"`  // runs in a row that have found a problem, up to its being hard
	Incident string            `json:"incident,omitzero"` // joins what happens from the first hard problem to the end of the last
	Events   []telemetry.Event `json:"events,omitempty"`  // of hard changes, the oldest first, until they are known to be stored
}

// mostEvents is how many events of one check wait: an hour of a state that changes each minute.
const mostEvents = 60

// What is no state that a run can find.
const (
	pending = "PENDING" // before the first hard one
	removed = "REMOVED" // the check is no longer in the config
)

var well = nagios.OK.String()

// soft reports whether a problem is there that may still pass.
func (s status) soft() bool { return s.Attempt > 0 && (s.Hard == "" || s.Hard == well) }

// next returns the status after a run that has found a state, and whether the hard state is another one now.
func (s status) next(found nagios.State, attempts int) (status, bool) {
	before := s.Hard
	switch {
	case found == nagios.OK:
		s.Attempt, s.Hard = 0, well
		return s, before != "" && before != well
	case before == "" || before == well:
		s.Attempt++
		if s.Attempt < attempts {
			return s, false
		}
	}
	s.Hard = found.String()
	return s, s.Hard != before
}

// raise adds e to the events of s, and returns how many of the oldest are lost to its room. From the first problem to the end of the last
// all are one incident.
func (s *status) raise(e telemetry.Event) (lost int) {
	s.Incident = cmp.Or(s.Incident, e.ID)
	e.Incident = s.Incident
	if e.To == well || e.To == removed {
		s.Incident = ""
	}
	lost = max(len(s.Events)+1-mostEvents, 0)
	s.Events = append(slices.Clone(s.Events[lost:]), e) // whoever has read s has the list too
	return lost
}

// told takes an event that is stored out of s.
func (s *status) told(id string) {
	s.Events = slices.DeleteFunc(slices.Clone(s.Events), func(e telemetry.Event) bool { return e.ID == id })
	if len(s.Events) == 0 {
		s.Events = nil // as in a status that never had one
	}
}
