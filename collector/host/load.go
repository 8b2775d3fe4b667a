package host

import (
	"bytes"
	"context"
	"fmt"

	"github.com/pacewire/pacewire/telemetry"
)

func loadSeries() series {
	return series{"load", "Tasks that run, want to run, or wait for a disk: averages over 1, 5 and 15 minutes.", nil, []field{
		{"load1", float, "tasks"},
		{"load5", float, "tasks"},
		{"load15", float, "tasks"},
		{"cpus", number, "CPUs"},
	}}
}

type load struct {
	table
	loadavg, online *file
}

func newLoad(loadavg, online *file) *load {
	return &load{loadSeries().table(), loadavg, online}
}

func (l *load) collect(_ context.Context, out *telemetry.Batch) error {
	text, err := l.loadavg.text()
	if err != nil {
		return err
	}
	averages, err := parseLoad(text)
	if err != nil {
		return l.loadavg.fault(err)
	}
	cpus, err := l.cpus()
	l.in(out).Row(out.Time(), nil, telemetry.Float(averages[0]), telemetry.Float(averages[1]), telemetry.Float(averages[2]),
		cpus.value())
	return err
}

// cpus returns the number of CPUs online; there is none where sysfs does not tell.
func (l *load) cpus() (count, error) {
	text, err := l.online.text()
	if err != nil {
		return count{}, ignoreAbsent(err)
	}
	n, err := parseCPUList(text)
	return count{n, err == nil}, l.online.fault(err)
}

func parseLoad(text []byte) (averages [3]float64, err error) {
	for i := range averages {
		var w []byte
		w, text = word(text)
		if averages[i], err = parseFloat(w); err != nil {
			return averages, fmt.Errorf("line 1: average %d: %w", i+1, err)
		}
	}
	return averages, nil
}

// parseCPUList returns how many CPUs a list such as 0-3,8 names.
func parseCPUList(text []byte) (uint64, error) {
	var total uint64
	rest, more := bytes.TrimSpace(text), true
	for more {
		var item []byte
		item, rest, more = bytes.Cut(rest, []byte{','})
		from, to, isRange := bytes.Cut(item, []byte{'-'})
		if !isRange {
			to = from
		}
		first, err := parseUint(from)
		if err != nil {
			return 0, fmt.Errorf("line 1: %w", err)
		}
		last, err := parseUint(to)
		if err != nil {
			return 0, fmt.Errorf("line 1: %w", err)
		}
		if last < first || last-first > 1<<20 {
			return 0, fmt.Errorf("line 1: want a range of CPUs, got %.40q", item)
		}
		total += last - first + 1
	}
	return total, nil
}
