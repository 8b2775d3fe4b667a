package e2e

import (
	"testing"
)

// A hub and an agent that are told where the bus is need no config: what the README says of a fleet.
func TestBusIsEnough(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	hub := newPlace(t).start("hub", "--bus", e.bus.URL)
	e.awaitHub(hub)
	agent := newPlace(t).start("agent", "--bus", e.bus.URL)
	agent.awaitRunning()
	if has := agent.plugins(); len(has) != 1 || has["host"].Reason != "" {
		t.Errorf("it runs %+v, want the collector of the machine", has)
	}
	agent.do("status", "--wait", (2 * readyWithin).String())
}
