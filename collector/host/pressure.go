package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/pacewire/pacewire/telemetry"
)

func pressureSeries() series {
	return series{"pressure", "Share of time in which tasks waited for a resource (PSI).",
		[]tag{{"resource", "cpu, memory, io or irq"}, {"type", "some: at least one task waited; full: no task could work"}},
		[]field{
			{"avg10", float, "percent"},
			{"avg60", float, "percent"},
			{"avg300", float, "percent"},
			{"total", number, "microseconds"},
		}}
}

type pressure struct {
	table
	resources []resource
}

type resource struct {
	name string
	file *file
}

// newPressure returns a section that reads the files that open gives for the resources.
func newPressure(open func(name string) *file) *pressure {
	p := &pressure{table: pressureSeries().table()}
	for _, name := range []string{"cpu", "memory", "io", "irq"} {
		p.resources = append(p.resources, resource{name, open(name)})
	}
	return p
}

// collect reads every resource. A kernel that has some of them has pressure: irq came late and may be compiled out.
func (p *pressure) collect(_ context.Context, out *telemetry.Batch) error {
	var faults []error
	var missing error
	found := false
	for _, r := range p.resources {
		err := p.read(r, out)
		if isAbsent(err) {
			missing = err
			continue
		}
		found = true
		if err != nil {
			faults = append(faults, err)
		}
	}
	if !found {
		return missing
	}
	return errors.Join(faults...)
}

func (p *pressure) read(r resource, out *telemetry.Batch) error {
	text, err := r.file.text()
	if err != nil {
		return err
	}
	return r.file.fault(parsePressure(text, func(s stall) {
		p.in(out).Row(out.Time(), []string{r.name, s.kind},
			telemetry.Float(s.avg[0]), telemetry.Float(s.avg[1]), telemetry.Float(s.avg[2]), telemetry.Uint(s.total))
	}))
}

// A stall is one line of a pressure file.
type stall struct {
	kind  string     // some or full
	avg   [3]float64 // percent over 10, 60 and 300 s
	total uint64     // microseconds since boot
}

func parsePressure(text []byte, each func(stall)) error {
	for i, line := range lines(text) {
		s, err := parseStall(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", i, err)
		}
		each(s)
	}
	return nil
}

func parseStall(line []byte) (s stall, err error) {
	w, rest := word(line)
	switch string(w) {
	case "some":
		s.kind = "some"
	case "full":
		s.kind = "full"
	default:
		return s, fmt.Errorf("want some or full, got %.40q", w)
	}
	for i, key := range [...]string{"avg10=", "avg60=", "avg300="} {
		w, rest = word(rest)
		if s.avg[i], err = parseFloat(bytes.TrimPrefix(w, []byte(key))); err != nil {
			return s, fmt.Errorf("%s %w", key, err)
		}
	}
	w, _ = word(rest)
	if s.total, err = parseUint(bytes.TrimPrefix(w, []byte("total="))); err != nil {
		return s, fmt.Errorf("total= %w", err)
	}
	return s, nil
}
