package host

import (
	"context"

	"github.com/pacewire/pacewire/telemetry"
)

func swapSeries() series {
	return series{"swap", "Swap space of the machine.", nil, []field{
		{"total", number, "bytes"},
		{"used", number, "bytes"},
		{"free", number, "bytes"},
		{"used_percent", float, "percent"},
		{"in", number, "bytes"},  // read back since boot
		{"out", number, "bytes"}, // swapped out since boot
	}}
}

type swap struct {
	table
	meminfo, vmstat *file
	pageSize        uint64
	sizeKeys        []string
	sizes           [2]count
	pageKeys        []string
	pages           [2]count
}

func newSwap(meminfo, vmstat *file, pageSize int) *swap {
	return &swap{
		table: swapSeries().table(), meminfo: meminfo, vmstat: vmstat, pageSize: uint64(pageSize),
		sizeKeys: []string{"SwapTotal", "SwapFree"}, pageKeys: []string{"pswpin", "pswpout"},
	}
}

func (s *swap) collect(_ context.Context, out *telemetry.Batch) error {
	text, err := s.meminfo.text()
	if err != nil {
		return err
	}
	if err := parseMeminfo(text, s.sizeKeys, s.sizes[:]); err != nil {
		return s.meminfo.fault(err)
	}
	if err := readOptional(s.vmstat, s.pageKeys, s.pages[:]); err != nil {
		return err
	}
	for i := range s.pages {
		s.pages[i].n *= s.pageSize
	}
	total, free := s.sizes[0].n, s.sizes[1].n
	used := less(total, free)
	s.in(out).Row(out.Time(), nil, telemetry.Uint(total), telemetry.Uint(used), telemetry.Uint(free),
		telemetry.Float(percent(used, total)), s.pages[0].value(), s.pages[1].value())
	return nil
}
