package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pacewire/pacewire/telemetry"
)

func diskioSeries() series {
	return series{"diskio", "Work of the block devices since boot.",
		[]tag{{"device", "name of the device, such as sda or nvme0n1"}},
		[]field{
			{"reads", number, "operations"},
			{"merged_reads", number, "operations"},
			{"read_bytes", number, "bytes"},
			{"read_time", number, "milliseconds"},
			{"writes", number, "operations"},
			{"merged_writes", number, "operations"},
			{"write_bytes", number, "bytes"},
			{"write_time", number, "milliseconds"},
			{"iops_in_progress", number, "operations"}, // now, not since boot
			{"io_time", number, "milliseconds"},        // in which at least one operation was under way
			{"weighted_io_time", number, "milliseconds"},
		}}
}

// sector is the unit of diskstats, whatever the device's own is.
const sector = 512

// blockStats is a line of diskstats behind the name: the numbers of the fields, but sectors for bytes.
type blockStats [11]uint64

type diskio struct {
	table
	diskstats *file
	devices   names
}

func newDiskio(diskstats *file, skip []string, omit func(string) bool) *diskio {
	return &diskio{diskioSeries().table(), diskstats, names{skip: skip, omit: omit}}
}

func (d *diskio) collect(_ context.Context, out *telemetry.Batch) error {
	text, err := d.diskstats.text()
	if err != nil {
		return err
	}
	return d.diskstats.fault(parseDiskstats(text, func(name []byte, s blockStats) {
		if name, ok := d.devices.keep(name); ok {
			d.add(out, name, s)
		}
	}))
}

func (d *diskio) add(out *telemetry.Batch, name string, s blockStats) {
	s[2] *= sector
	s[6] *= sector
	var values [len(s)]telemetry.Value
	for i, n := range s {
		values[i] = telemetry.Uint(n)
	}
	d.in(out).Row(out.Time(), []string{name}, values[:]...)
}

// isPartition returns a test for names that are not whole disks. Where sysfs does not tell, none is a partition.
func isPartition(sys string) func(name string) bool {
	block := filepath.Join(sys, "block")
	return func(name string) bool {
		if _, err := os.Stat(block); err != nil {
			return false
		}
		_, err := os.Stat(filepath.Join(block, strings.ReplaceAll(name, "/", "!")))
		return errors.Is(err, os.ErrNotExist)
	}
}

// parseDiskstats gives each device of text to each. Newer kernels have further numbers, about discards and flushes.
func parseDiskstats(text []byte, each func(name []byte, s blockStats)) error {
	for i, line := range lines(text) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		_, rest := word(line) // major
		_, rest = word(rest)  // minor
		name, rest := word(rest)
		var s blockStats
		n, err := parseUints(rest, s[:])
		if err == nil && n < len(s) {
			err = fmt.Errorf("want %d numbers behind the name, got %d", len(s), n)
		}
		if err != nil {
			return fmt.Errorf("line %d: %.40s: %w", i, name, err)
		}
		each(name, s)
	}
	return nil
}
