package host

import (
	"context"
	"fmt"
	"math"

	"github.com/pacewire/pacewire/telemetry"
)

func systemSeries() series {
	return series{"system", "How long the machine has been up, and its open files.", nil, []field{
		{"uptime", number, "seconds"},
		{"files", number, "files"},     // open, of all programs
		{"files_max", number, "files"}, // that may be open
	}}
}

type system struct {
	table
	uptime, files *file
	counts        [3]count // of file-nr: open, a zero, most
}

func newSystem(up, files *file) *system {
	return &system{table: systemSeries().table(), uptime: up, files: files}
}

func (s *system) collect(_ context.Context, out *telemetry.Batch) error {
	text, err := s.uptime.text()
	if err != nil {
		return err
	}
	seconds, err := parseUptime(text)
	if err != nil {
		return s.uptime.fault(err)
	}
	err = readNumbers(s.files, s.counts[:])
	s.in(out).Row(out.Time(), nil, telemetry.Uint(seconds), s.counts[0].value(), s.counts[2].value())
	return err
}

// parseUptime returns the seconds since boot, rounded down.
func parseUptime(text []byte) (uint64, error) {
	w, _ := word(text)
	v, err := parseFloat(w)
	if err != nil || v >= math.MaxInt64 {
		return 0, fmt.Errorf("line 1: uptime: %w", notNumber(w))
	}
	return uint64(v), nil
}
