// Package hardware collects what a machine is made of.
package hardware

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	Proc machine.Dir `json:"proc" jsonschema:"where procfs is mounted"`
	Sys  machine.Dir `json:"sys" jsonschema:"where sysfs is mounted"`
	Root machine.Dir `json:"root" jsonschema:"where the root of the machine is mounted; a container that watches its machine sets it together with proc and sys"`
}

// Define describes the hardware collector.
func Define() plugin.Definition {
	return collector.DefineInventory(collector.InventorySpec[Config]{
		Program: "hardware",
		Summary: "Inventory: CPU, memory, disks, NICs, GPUs, firmware and virtualisation of this machine.",
		Config:  Config{Proc: "/proc", Sys: "/sys", Root: "/"},
		New:     New,
	})
}

// Validate reports missing paths.
func (c Config) Validate() error {
	return errors.Join(c.Proc.Check("proc", "/proc"), c.Sys.Check("sys", "/sys"), c.Root.Check("root", "/"))
}

// New returns a collector of the facts about the hardware.
func New(_ context.Context, cfg Config, _ plugin.Env) (collector.Inventory, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("hardware on %s: %w", runtime.GOOS, plugin.ErrNoData)
	}
	return hardware{cfg}, nil
}

type hardware struct{ Config }

// most is how many disks, NICs or GPUs are told: a machine with more of them gets its facts truncated.
const most = 1024

// A survey is one look at the machine.
type survey struct {
	Config
	machine.Reader
	facts telemetry.Facts
}

// Survey puts the facts into out. What a machine does not have is left out.
func (h hardware) Survey(ctx context.Context, out telemetry.Facts) error {
	s := &survey{Config: h.Config, facts: out}
	_, err := s.Sys.Names(".") // its files may be missing, it may not
	s.Fault(err)
	for _, part := range []func(){s.cpu, s.memory, s.disks, s.nics, s.buses, s.firmware, s.virtual} {
		if ctx.Err() != nil {
			break
		}
		part()
	}
	return s.Err(ctx)
}

// full reports whether no more has room in a list, and says so in the facts.
func full[T any](s *survey, list []T) bool {
	if len(list) < most {
		return false
	}
	s.facts["truncated"] = true
	return true
}

// put adds a list that is not empty.
func put[T any](out telemetry.Facts, key string, list []T) {
	if len(list) > 0 {
		out[key] = list
	}
}
