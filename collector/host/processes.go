package host

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func processesSeries() series {
	return series{"processes", "Processes by state. On a machine with very many they are counted less often than every time.", nil,
		[]field{
			{"total", number, "processes"},
			{"running", number, "processes"},
			{"sleeping", number, "processes"},
			{"blocked", number, "processes"}, // by a disk, as a rule
			{"zombies", number, "processes"},
			{"stopped", number, "processes"},
			{"idle", number, "processes"}, // threads of the kernel with nothing to do
			{"unknown", number, "processes"},
			{"threads", number, "threads"},
		}}
}

// tally counts processes by the fields of the series, in their order.
type tally [9]uint64

const (
	counted = iota
	running
	sleeping
	blocked
	zombies
	stopped
	idling
	unknown
	threads
)

type processes struct {
	table
	scan func(ctx context.Context) (tally, error)
	pace pace
}

func newProcesses(scan func(ctx context.Context) (tally, error)) *processes {
	return &processes{table: processesSeries().table(), scan: scan}
}

func (p *processes) collect(ctx context.Context, out *telemetry.Batch) error {
	from := time.Now()
	if from.Before(p.pace.due) {
		return nil
	}
	counts, err := p.scan(ctx)
	p.pace.spent(from, time.Now())
	if err != nil {
		return err
	}
	var values [len(counts)]telemetry.Value
	for i, n := range counts {
		values[i] = telemetry.Uint(n)
	}
	p.in(out).Row(out.Time(), nil, values[:]...)
	return nil
}

// A pace bounds what a costly thing takes of a CPU. Every process has a file of its own to read, a few microseconds each.
type pace struct{ due time.Time }

// share is how many times as long as it took a thing is left alone: it takes a thousandth of a CPU.
const share = 1000

func (p *pace) spent(from, to time.Time) { p.due = to.Add(share * to.Sub(from)) }

// add counts the process that text, its stat, is about: 42 (name) S and numbers. A name may hold blanks and brackets.
func (t *tally) add(text []byte) error {
	i := bytes.LastIndexByte(text, ')')
	if i < 0 {
		return fmt.Errorf("line 1: want a name in brackets, got %.40q", text)
	}
	state, rest := word(text[i+1:])
	if len(state) != 1 {
		return fmt.Errorf("line 1: want the letter of a state, got %.40q", state)
	}
	for range 16 { // from the parent to the nice value; some are negative
		_, rest = word(rest)
	}
	w, _ := word(rest)
	n, err := parseUint(w)
	if err != nil {
		return fmt.Errorf("line 1: threads: %w", err)
	}
	t[counted]++
	t[kindOf(state[0])]++
	t[threads] += n
	return nil
}

// kindOf returns what a process in a state is counted as.
func kindOf(state byte) int {
	switch state {
	case 'R':
		return running
	case 'S':
		return sleeping
	case 'D':
		return blocked
	case 'Z':
		return zombies
	case 'T', 't':
		return stopped
	case 'I':
		return idling
	}
	return unknown // dead, parked and what is to come
}
