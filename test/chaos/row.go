package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// A row is one fault of the table, and what is promised under it.
//
// How a row is written: it is a function of a trial that reads like the fault's description. It starts what it needs (t.up for
// one machine, t.apart for a bus, an agent and a hub of their own), starts a load (t.load), lets it run (t.hold), does the harm
// to processes by their pids (t.kill, t.halt), to the way between them (t.proxy) or to the sink (t.sink.Behave), says what it saw
// of the harm (t.bite: without a bite the row is INVALID) and when it was over (t.healed, which measures how long all that was
// acknowledged until then takes to arrive), and ends with t.settle, which stops the load, waits until nothing is owed any
// more, and sends a fresh event through. What else is worth publishing is a t.note. A method that cannot do what it says ends the
// row, as t.Fatal ends a test; t.errorf marks it as failed and goes on. What is started ends with the row.
//
// The oracle judges afterwards: a loss, an invented or an altered point fails a row, as do more duplicates than its windows allow,
// which it names by t.mayDouble as it opens them.
type row struct {
	name    string              // F5
	title   string              // kill -9 of the bus, and a restart
	promise string              // what is published beside the figures: which window is named, what else was checked
	short   bool                // runs on every change
	loses   bool                // what was acknowledged may be lost: the row shows how much
	limited bool                // limits take from the stream what was acknowledged
	part    func(settings) bool // of the whole table; nil: always. Else the row runs only by its name
	quiet   bool                // no points are under way, so none must have been acknowledged
	within  time.Duration       // what it may take; 0: rowWithin
	needs   []need
	run     func(t *trial)
}

// A need is what a machine must have for a row.
type need struct {
	what  string // and the way out
	there func() bool
}

var (
	needsRoot = need{"root: run it as root", func() bool { return os.Geteuid() == 0 }}
	needsGo   = need{"the go command on PATH: the row builds a program with failpoints", func() bool {
		_, err := exec.LookPath("go")
		return err == nil
	}}
)

// missing says what of its needs a row does not have, "" if nothing.
func (r row) missing() string {
	var all []string
	for _, n := range r.needs {
		if !n.there() {
			all = append(all, n.what)
		}
	}
	return strings.Join(all, "; ")
}

// rows are the table, in its order. A file of rows gives its part by a function.
func rows() []row {
	return slices.Concat(rowsOfProcesses(), rowsOfCluster(), rowsOfNetwork(), rowsOfDisk(), rowsOfLimits(), rowsOfSinks(), rowsOfLetters(), rowsOfInput(),
		rowsOfTime(), rowsOfConfig(), rowsOfFleet(), rowsOfEdge(), rowsOfCrews(), rowsOfMixes())
}
