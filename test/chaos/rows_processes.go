package main

import (
	"time"
)

// rowsOfProcesses are the faults of processes: killed, halted, started twice.
func rowsOfProcesses() []row {
	return []row{
		{name: "F5", title: "kill -9 of the bus and a restart", short: true, run: busKilled, doubles: true,
			promise: "the bus is in the agent here, so all plugins die with it and are started again; the publisher may die between the sink's answer and its acknowledgement"},
	}
}

// F5
func busKilled(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	for range t.times(2, 5) {
		t.hold(t.span(2*time.Second, 8*time.Second))
		killed, old := time.Now(), t.system.agent
		old.Kill()
		t.startAgent("up", "--plain")
		ready := t.awaitRunning()
		t.bite("process %d instead of %d, all plugins work after %v", t.system.agent.PID(), old.PID(), ready)
		t.healed(killed, time.Minute)
	}
	t.hold(time.Second)
	t.settle()
}
