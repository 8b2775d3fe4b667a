// Package network collects how a machine is connected.
package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"strings"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	Proc           machine.Dir `json:"proc" jsonschema:"where procfs is mounted"`
	Sys            machine.Dir `json:"sys" jsonschema:"where sysfs is mounted"`
	Root           machine.Dir `json:"root" jsonschema:"where the root of the machine is mounted, for its resolv.conf"`
	InterfacesSkip []string    `json:"interfaces_skip" jsonschema:"interfaces to leave out with their routes, as globs"`
	Most           int         `json:"most" jsonschema:"how many interfaces, and how many routes of IPv4 and of IPv6, are told at most"`
}

func defaults() Config {
	return Config{
		Proc: "/proc", Sys: "/sys", Root: "/",
		// The machine's own ends of the networks of containers and virtual machines, which come and go.
		InterfacesSkip: strings.Fields("cali* cni* ifb* lxc* tap* veth* vnet*"),
		Most:           256,
	}
}

// maxMost keeps the facts of a router with many routes small enough to be sent.
const maxMost = 10_000

// Define describes the network collector.
func Define() plugin.Definition {
	return collector.DefineInventory(collector.InventorySpec[Config]{
		Program: "network",
		Summary: "Inventory: interfaces, addresses, routes and name servers of this machine.",
		Config:  defaults(),
		New:     New,
	})
}

// Validate reports missing paths, globs that cannot be read, and limits that cannot be kept.
func (c Config) Validate() error {
	faults := []error{c.Proc.Check("proc", "/proc"), c.Sys.Check("sys", "/sys"), c.Root.Check("root", "/")}
	for _, glob := range c.InterfacesSkip {
		if _, err := path.Match(glob, ""); err != nil {
			faults = append(faults, fmt.Errorf("interfaces_skip %q: %w: close the bracket, or put \\ before it", glob, err))
		}
	}
	if c.Most < 1 || c.Most > maxMost {
		faults = append(faults, fmt.Errorf("most %d: want 1 to %d", c.Most, maxMost))
	}
	return errors.Join(faults...)
}

// New returns a collector of the facts about the network.
func New(_ context.Context, cfg Config, _ plugin.Env) (collector.Inventory, error) {
	return network{cfg, net.Interfaces, (*net.Interface).Addrs}, nil
}

// network asks the kernel for interfaces and addresses, which no file tells, and reads the rest.
type network struct {
	Config
	interfaces func() ([]net.Interface, error)
	addresses  func(*net.Interface) ([]net.Addr, error)
}

// A survey is one look at the network.
type survey struct {
	network
	machine.Reader
	facts telemetry.Facts
}

// Survey puts the facts into out.
func (n network) Survey(ctx context.Context, out telemetry.Facts) error {
	s := &survey{network: n, facts: out}
	for _, part := range []func(){s.links, s.routes, s.resolver} {
		if ctx.Err() != nil {
			break
		}
		part()
	}
	return s.Err(ctx)
}

// skipped reports whether an interface is left out.
func (c Config) skipped(name string) bool {
	for _, glob := range c.InterfacesSkip {
		if ok, _ := path.Match(glob, name); ok {
			return true
		}
	}
	return false
}

// cut returns the first of list, and says in the facts if there are more.
func cut[T any](s *survey, list []T) []T {
	if len(list) > s.Most {
		s.facts["truncated"] = true
		list = list[:s.Most]
	}
	return list
}
