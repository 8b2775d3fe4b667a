package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/oracle"
)

// verdict is how a row ended.
type verdict string

const (
	passed  verdict = "passed"
	failed  verdict = "FAILED"
	invalid verdict = "INVALID" // the fault did not bite, or nothing was under way
	skipped verdict = "skipped"
)

// A result is what came of a row.
type result struct {
	row        row
	verdict    verdict
	why        string
	count      oracle.Count
	ackGap     time.Duration // the longest time without an acknowledgement while the load went on
	gap        time.Duration // and without a new point at the sink
	recoveries []time.Duration
	peak       map[string]int64
	notes      []string
	faults     []string
	bites      int
	missed     []string // parts of the fault that met nobody
	windows    int      // points that may have come twice
	took       time.Duration
}

// leastPoints is how many must have been acknowledged, or a row has shown nothing.
const leastPoints = 1000

// judge takes the verdict when the row has ended.
func (t *trial) judge() {
	r := &t.result
	r.count = t.oracle.Count()
	c := r.count
	lost := c.Lost > 0 && !t.row.loses && len(r.faults) == 0 // a row that ended before its end was still owed what was under way
	if c.Invented+c.Altered > 0 || lost || c.Duplicated > r.windows {
		r.faults = append(r.faults, fmt.Sprintf("%v; %d may come twice", c, r.windows))
	}
	switch {
	case len(r.faults) > 0:
		r.verdict, r.why = failed, strings.Join(r.faults, "; ")
	case r.bites == 0:
		r.verdict, r.why = invalid, "nothing was seen of the fault"
	case len(r.missed) > 0:
		r.verdict, r.why = invalid, "nothing was seen of "+strings.Join(r.missed, ", ")
	case c.Acknowledged < leastPoints && !t.row.quiet:
		r.verdict, r.why = invalid, fmt.Sprintf("only %d points were acknowledged", c.Acknowledged)
	default:
		r.verdict = passed
	}
}

// String says in a line what came of it.
func (r result) String() string {
	text := fmt.Sprintf("%s after %v: %v; gap %v, recovery %s", r.verdict, r.took.Round(time.Second/10), r.count, round(r.ackGap), r.recovery())
	if r.why != "" {
		text += ": " + r.why
	}
	return text
}

// verdictOf names the rows that failed or were invalid.
func verdictOf(results []result) error {
	var all []error
	for _, r := range results {
		if r.verdict == failed || r.verdict == invalid {
			all = append(all, fmt.Errorf("%s %s: %s", r.row.name, r.verdict, r.why))
		}
	}
	return errors.Join(all...)
}
