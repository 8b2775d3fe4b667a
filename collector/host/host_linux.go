package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// host collects its parts one after the other.
type host struct {
	log   *slog.Logger
	files []*file
	parts []*part
}

// A part is a section at work.
type part struct {
	section
	name   string
	absent bool // it was said that this machine has no such part
}

// New returns a collector of the sections that cfg names.
func New(_ context.Context, cfg Config, env plugin.Env) (collector.Collector, error) {
	info, err := os.Stat(cfg.Proc)
	if err == nil && !info.IsDir() {
		err = errors.New("not a folder")
	}
	if err != nil {
		return nil, fmt.Errorf("proc %q: %w: name the folder where procfs is mounted", cfg.Proc, err)
	}
	h := &host{log: env.Log}
	for _, name := range cfg.sections() {
		h.parts = append(h.parts, &part{section: h.section(name, cfg), name: name})
	}
	return h, nil
}

// section returns the section called name.
func (h *host) section(name string, cfg Config) section {
	proc := func(name string) *file { return h.file(cfg.Proc, name) }
	self := "self"
	if filepath.Clean(cfg.Root) != "/" {
		self = "1" // our own mounts and interfaces are a container's
	}
	switch name {
	case "cpu":
		return newCPU(proc("stat"), cfg.PerCPU)
	case "mem":
		return newMem(proc("meminfo"))
	case "swap":
		return newSwap(proc("meminfo"), proc("vmstat"), os.Getpagesize())
	case "load":
		return newLoad(proc("loadavg"), h.file(cfg.Sys, "devices/system/cpu/online"))
	case "disk":
		return &disk{
			table: diskSeries().table(), mountinfo: proc(self + "/mountinfo"), root: cfg.Root,
			filter:  mountFilter{types: cfg.FSSkip, only: cfg.Mounts, skip: cfg.MountsSkip},
			timeout: cfg.MountTimeout.Std(), statfs: statfs, log: h.log,
		}
	case "diskio":
		omit := isPartition(cfg.Sys)
		if cfg.Partitions {
			omit = nil
		}
		return newDiskio(proc("diskstats"), cfg.DevicesSkip, omit)
	case "net":
		return newNet(proc(self+"/net/dev"), cfg.InterfacesSkip)
	case "processes":
		return newProcesses(newScanner(cfg.Proc).scan)
	case "kernel":
		return newKernel(proc("stat"), proc("vmstat"), proc("sys/kernel/random/entropy_avail"))
	case "system":
		return newSystem(proc("uptime"), proc("sys/fs/file-nr"))
	case "pressure":
		return newPressure(func(name string) *file { return proc("pressure/" + name) })
	}
	panic("host: no section " + name)
}

// file returns the file at name below dir. Sections that read the same file share it.
func (h *host) file(dir, name string) *file {
	path := filepath.Join(dir, name)
	for _, f := range h.files {
		if f.path == path {
			return f
		}
	}
	f := &file{path: path}
	h.files = append(h.files, f)
	return f
}

// Collect adds the points of every section. One that fails does not hold up the others.
func (h *host) Collect(ctx context.Context, out *telemetry.Batch) error {
	for _, f := range h.files {
		f.fresh = false
	}
	var faults []error
	for _, p := range h.parts {
		err := p.collect(ctx, out)
		switch {
		case err == nil:
			p.absent = false
		case isAbsent(err):
			h.sayAbsent(p, err)
		default:
			faults = append(faults, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return errors.Join(faults...)
}

// sayAbsent tells once that the machine lacks p.
func (h *host) sayAbsent(p *part, err error) {
	if !p.absent {
		h.log.Info("section not on this machine", "section", p.name, "reason", err)
	}
	p.absent = true
}

// Close closes the files.
func (h *host) Close() error {
	for _, f := range h.files {
		f.close()
	}
	return nil
}

// statfs asks the kernel for the usage of the file system at path. It may never return.
func statfs(path string) (usage, error) {
	var s syscall.Statfs_t
	for {
		err := syscall.Statfs(path, &s)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EINTR) {
			return usage{}, err
		}
	}
	block := uint64(s.Bsize)
	if s.Frsize > 0 { // the unit of the counts, where it is not the block
		block = uint64(s.Frsize)
	}
	return usage{
		total: s.Blocks * block, free: s.Bfree * block, available: s.Bavail * block,
		inodes: s.Files, inodesFree: s.Ffree,
	}, nil
}
