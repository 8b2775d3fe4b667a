package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/pacewire/pacewire/telemetry"
)

func kernelSeries() series {
	return series{"kernel", "What the kernel has done since boot.", nil, []field{
		{"interrupts", number, "interrupts"},
		{"context_switches", number, "switches"},
		{"boot_time", number, "seconds since 1970"},
		{"processes_forked", number, "processes"},
		{"procs_running", number, "tasks"}, // now
		{"procs_blocked", number, "tasks"}, // now
		{"pgmajfault", number, "page faults"},
		{"oom_kill", number, "processes"},
		{"entropy_avail", number, "bits"}, // now
	}}
}

type kernel struct {
	table
	stat, vmstat, entropy *file
	statKeys, vmKeys      []string
	counts                [9]count // the first behind statKeys, then vmKeys, then entropy
}

func newKernel(stat, vmstat, entropy *file) *kernel {
	return &kernel{
		table: kernelSeries().table(), stat: stat, vmstat: vmstat, entropy: entropy,
		statKeys: []string{"intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked"},
		vmKeys:   []string{"pgmajfault", "oom_kill"},
	}
}

func (k *kernel) collect(_ context.Context, out *telemetry.Batch) error {
	text, err := k.stat.text()
	if err != nil {
		return err
	}
	n, m := len(k.statKeys), len(k.statKeys)+len(k.vmKeys)
	err = errors.Join(
		k.stat.fault(parseKeys(text, k.statKeys, k.counts[:n])),
		readOptional(k.vmstat, k.vmKeys, k.counts[n:m]),
		readNumbers(k.entropy, k.counts[m:]))
	var values [len(k.counts)]telemetry.Value
	for i, c := range k.counts {
		values[i] = c.value()
	}
	k.in(out).Row(out.Time(), nil, values[:]...)
	return err
}

// readOptional reads the numbers that follow keys from a file that a machine may lack.
func readOptional(f *file, keys []string, into []count) error {
	clear(into)
	text, err := f.text()
	if err != nil {
		return ignoreAbsent(err)
	}
	return f.fault(parseKeys(text, keys, into))
}

// readNumbers reads the numbers at the start of a file that a machine may lack.
func readNumbers(f *file, into []count) error {
	clear(into)
	text, err := f.text()
	if err != nil {
		return ignoreAbsent(err)
	}
	return f.fault(parseNumbers(text, into))
}

// parseNumbers reads as many numbers from text as into holds.
func parseNumbers(text []byte, into []count) error {
	text = bytes.TrimSpace(text)
	for i := range into {
		var w []byte
		w, text = word(text)
		n, err := parseUint(w)
		if err != nil {
			return fmt.Errorf("line 1: number %d: %w", i+1, err)
		}
		into[i] = count{n, true}
	}
	return nil
}
