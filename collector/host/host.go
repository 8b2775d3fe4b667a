// Package host collects the basics of the machine it runs on.
package host

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
)

// Config is what an operator may set.
type Config struct {
	Only []string `json:"only" jsonschema:"sections to collect; empty: all of them"`
	Skip []string `json:"skip" jsonschema:"sections to leave out"`

	Proc string `json:"proc" jsonschema:"where procfs is mounted"`
	Sys  string `json:"sys" jsonschema:"where sysfs is mounted"`
	Root string `json:"root" jsonschema:"where the root of the machine is mounted; a container that watches its machine sets it together with proc"`

	PerCPU bool `json:"per_cpu" jsonschema:"cpu: report each CPU beside cpu-total"`

	FSSkip       []string        `json:"fs_skip" jsonschema:"disk: types of file systems to leave out, as globs; the root file system always stays"`
	Mounts       []string        `json:"mounts" jsonschema:"disk: mount points to report, as globs; empty: all of them"`
	MountsSkip   []string        `json:"mounts_skip" jsonschema:"disk: mount points to leave out, as globs"`
	MountTimeout plugin.Duration `json:"mount_timeout" jsonschema:"disk: how long a file system may take to answer before it is left out"`

	DevicesSkip    []string `json:"devices_skip" jsonschema:"diskio: devices to leave out, as globs"`
	Partitions     bool     `json:"partitions" jsonschema:"diskio: report partitions beside whole disks"`
	InterfacesSkip []string `json:"interfaces_skip" jsonschema:"net: interfaces to leave out, as globs"`
}

func defaults() Config {
	return Config{
		Only: []string{}, Skip: []string{},
		Proc: "/proc", Sys: "/sys", Root: "/",
		PerCPU: true,
		// Kernel interfaces, memory, and images that are full by nature.
		FSSkip: strings.Fields(`autofs binfmt_misc bpf cgroup cgroup2 configfs cramfs debugfs devpts devtmpfs efivarfs erofs
			fuse.gvfsd-fuse fuse.lxcfs fuse.portal fuse.snapfuse fuse.squashfuse fusectl hugetlbfs iso9660 mqueue nsfs overlay
			proc pstore ramfs romfs rpc_pipefs securityfs selinuxfs squashfs sysfs tmpfs tracefs`),
		Mounts: []string{}, MountsSkip: []string{},
		MountTimeout: plugin.Duration(2 * time.Second),
		DevicesSkip:  strings.Fields("fd* loop* ram* sr* zram*"),
		// The machine's own ends of the networks of containers and virtual machines, and devices that lead nowhere.
		InterfacesSkip: strings.Fields("lo br-* cali* cni* docker* dummy* flannel* ifb* ip6tnl0 lxc* sit0 tunl0 veth* virbr* vnet*"),
	}
}

// Define describes the host collector.
func Define() plugin.Definition {
	return collector.Define(collector.Spec[Config]{
		Program: "host",
		Summary: "CPU, memory, load, disks, network, processes and kernel of this machine.",
		Config:  defaults(),
		Catalog: catalog(),
		New:     New,
	})
}

// Validate reports sections that do not exist, globs that cannot be read, and missing paths.
func (c Config) Validate() error {
	faults := []error{
		c.checkSections("only", c.Only),
		c.checkSections("skip", c.Skip),
		checkGlobs("fs_skip", c.FSSkip),
		checkGlobs("mounts", c.Mounts),
		checkGlobs("mounts_skip", c.MountsSkip),
		checkGlobs("devices_skip", c.DevicesSkip),
		checkGlobs("interfaces_skip", c.InterfacesSkip),
	}
	if len(c.sections()) == 0 {
		faults = append(faults, errors.New("only and skip leave no section: take one out of skip"))
	}
	for _, p := range []struct{ key, value, usual string }{{"proc", c.Proc, "/proc"}, {"sys", c.Sys, "/sys"}, {"root", c.Root, "/"}} {
		if p.value == "" {
			faults = append(faults, fmt.Errorf("%s %q: want a folder, such as %s", p.key, p.value, p.usual))
		}
	}
	if c.MountTimeout <= 0 {
		faults = append(faults, fmt.Errorf("mount_timeout %s: want more than nothing, such as 2s", c.MountTimeout))
	}
	return errors.Join(faults...)
}

func (c Config) checkSections(key string, names []string) error {
	var faults []error
	for _, name := range names {
		if all := sectionNames(); !slices.Contains(all, name) {
			faults = append(faults, fmt.Errorf("%s %q: no such section: want some of %s", key, name, strings.Join(all, ", ")))
		}
	}
	return errors.Join(faults...)
}

func checkGlobs(key string, globs []string) error {
	var faults []error
	for _, glob := range globs {
		if _, err := path.Match(glob, ""); err != nil {
			faults = append(faults, fmt.Errorf("%s %q: %w: close the bracket, or put \\ before it", key, glob, err))
		}
	}
	return errors.Join(faults...)
}

// sections returns the names of the sections to collect, in the order of the catalog.
func (c Config) sections() []string {
	return slices.DeleteFunc(sectionNames(), func(name string) bool {
		return len(c.Only) > 0 && !slices.Contains(c.Only, name) || slices.Contains(c.Skip, name)
	})
}
