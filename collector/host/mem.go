package host

import (
	"context"
	"errors"

	"github.com/pacewire/pacewire/telemetry"
)

func memSeries() series {
	return series{"mem", "Memory of the machine.", nil, []field{
		{"total", number, "bytes"},
		{"available", number, "bytes"}, // what programs can get without swapping
		{"free", number, "bytes"},      // what nothing uses, not even a cache
		{"buffered", number, "bytes"},
		{"cached", number, "bytes"},
		{"sreclaimable", number, "bytes"},
		{"shared", number, "bytes"},
		{"active", number, "bytes"},
		{"inactive", number, "bytes"},
		{"slab", number, "bytes"},
		{"dirty", number, "bytes"},
		{"write_back", number, "bytes"},
		{"mapped", number, "bytes"},
		{"page_tables", number, "bytes"},
		{"commit_limit", number, "bytes"},
		{"committed_as", number, "bytes"},
		{"used", number, "bytes"}, // total less available
		{"used_percent", float, "percent"},
		{"available_percent", float, "percent"},
	}}
}

// memKeys returns what meminfo calls the fields of mem, in the same order; the last three are computed.
func memKeys() []string {
	return []string{
		"MemTotal", "MemAvailable", "MemFree", "Buffers", "Cached", "SReclaimable", "Shmem", "Active", "Inactive", "Slab",
		"Dirty", "Writeback", "Mapped", "PageTables", "CommitLimit", "Committed_AS",
	}
}

const (
	memTotal = iota
	memAvailable
	memFree
	memBuffers
	memCached
	memReclaimable
	memShared
)

type mem struct {
	table
	meminfo *file
	keys    []string
	counts  []count
	values  []telemetry.Value
}

func newMem(meminfo *file) *mem {
	keys := memKeys()
	return &mem{table: memSeries().table(), meminfo: meminfo, keys: keys, counts: make([]count, len(keys))}
}

func (m *mem) collect(_ context.Context, out *telemetry.Batch) error {
	text, err := m.meminfo.text()
	if err != nil {
		return err
	}
	if err := parseMeminfo(text, m.keys, m.counts); err != nil {
		return m.meminfo.fault(err)
	}
	estimateAvailable(m.counts)
	m.values = m.values[:0]
	for _, c := range m.counts {
		m.values = append(m.values, c.value())
	}
	total, available := m.counts[memTotal].n, m.counts[memAvailable].n
	used := less(total, available)
	m.values = append(m.values, telemetry.Uint(used), telemetry.Float(percent(used, total)),
		telemetry.Float(percent(available, total)))
	m.in(out).Row(out.Time(), nil, m.values...)
	return nil
}

// parseMeminfo reads the sizes called keys, in bytes. The first of them is required.
func parseMeminfo(text []byte, keys []string, into []count) error {
	if err := parseKeys(text, keys, into); err != nil {
		return err
	}
	if !into[0].ok {
		return errors.New("no line " + keys[0])
	}
	for i := range into {
		into[i].n *= 1024 // "kB" means KiB there
	}
	return nil
}

// estimateAvailable fills in what kernels before 3.14 do not tell: free memory and caches, but not what is shared, which
// counts as cached and cannot be taken away.
func estimateAvailable(c []count) {
	if c[memAvailable].ok {
		return
	}
	caches := c[memBuffers].n + c[memCached].n + c[memReclaimable].n
	c[memAvailable] = count{min(c[memTotal].n, c[memFree].n+less(caches, c[memShared].n)), true}
}
