package hardware

import (
	"strconv"
	"strings"
)

// memory is how much a machine has, not how much of it is free.
type memory struct {
	NUMA  int    `json:"numa_nodes,omitzero"`
	Swap  uint64 `json:"swap,omitzero"`  // bytes
	Total uint64 `json:"total,omitzero"` // bytes that the kernel can give
}

func (s *survey) memory() {
	m := memory{NUMA: s.nodes()}
	for line := range s.MustLines(s.Proc, "meminfo") {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "MemTotal":
			m.Total = kibibytes(value)
		case "SwapTotal":
			m.Swap = kibibytes(value)
		}
	}
	if m != (memory{}) {
		s.facts["memory"] = m
	}
}

// kibibytes returns the bytes in a text such as "16384 kB", 0 for another text.
func kibibytes(text string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(text, "kB")), 10, 54)
	if err != nil {
		return 0
	}
	return n << 10
}

// nodes counts the parts of the memory that are near to some of the CPUs.
func (s *survey) nodes() int {
	n := 0
	for _, name := range s.Names(s.Sys, "devices/system/node") {
		if number, ok := strings.CutPrefix(name, "node"); ok && number != "" && strings.Trim(number, "0123456789") == "" {
			n++
		}
	}
	return n
}
