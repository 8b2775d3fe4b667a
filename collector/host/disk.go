package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func diskSeries() series {
	return series{"disk", "Room on the mounted file systems.",
		[]tag{
			{"device", "what is mounted, without /dev/"},
			{"path", "where it is mounted"},
			{"fstype", "type of the file system"},
		},
		[]field{
			{"total", number, "bytes"},
			{"free", number, "bytes"}, // for users other than root
			{"used", number, "bytes"},
			{"used_percent", float, "percent"}, // of what users can use, as df tells it
			{"inodes_total", number, "inodes"}, // not of file systems that have no such limit
			{"inodes_free", number, "inodes"},
			{"inodes_used", number, "inodes"},
			{"inodes_used_percent", float, "percent"},
		}}
}

// usage is what a file system tells about itself.
type usage struct {
	total, free, available uint64 // bytes; free counts what is kept for root
	inodes, inodesFree     uint64
}

// disk asks the file systems for their usage, all at the same time and each in a goroutine of its own: a file server that is
// away holds statfs for ever.
type disk struct {
	table
	mountinfo *file
	root      string
	filter    mountFilter
	timeout   time.Duration
	statfs    func(path string) (usage, error)
	log       *slog.Logger

	text   []byte // mountinfo as it was when probes were made
	probes []*probe
}

func (d *disk) collect(ctx context.Context, out *telemetry.Batch) error {
	if err := d.update(); err != nil {
		return err
	}
	patience := d.patience(ctx)
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, p := range d.probes {
		p.start(d.statfs)
	}
	var faults []error
	for _, p := range d.probes {
		if err := d.await(limit, patience, p, out); err != nil {
			faults = append(faults, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err // who cut us short, not the file systems, is why some did not answer
	}
	return errors.Join(faults...)
}

// patience returns how long the file systems may take: half of what is left at most, the other half is for other sections.
func (d *disk) patience(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return min(d.timeout, time.Until(end)/2)
	}
	return d.timeout
}

// await waits for the answer of p until ctx ends, and adds it to out.
func (d *disk) await(ctx context.Context, patience time.Duration, p *probe, out *telemetry.Batch) error {
	a, ok := p.wait(ctx)
	switch {
	case !ok:
		return fmt.Errorf("statfs %s: no answer within %s: left out until it answers; name it in mounts_skip to leave it out for good",
			p.path, patience.Round(time.Millisecond))
	case errors.Is(a.err, fs.ErrNotExist):
		return nil // unmounted meanwhile, or hidden by a mount above it
	case errors.Is(a.err, fs.ErrPermission):
		if !p.denied {
			d.log.Info("mount left out: not allowed", "path", p.path, "error", a.err)
		}
		p.denied = true
		return nil
	case a.err != nil:
		return &fs.PathError{Op: "statfs", Path: p.path, Err: a.err}
	}
	if a.usage.total > 0 {
		d.add(out, p.mount, a.usage)
	}
	return nil
}

func (d *disk) add(out *telemetry.Batch, m mount, u usage) {
	used := less(u.total, u.free)
	var inodes [4]telemetry.Value
	if u.inodes > 0 {
		taken := less(u.inodes, u.inodesFree)
		inodes = [...]telemetry.Value{telemetry.Uint(u.inodes), telemetry.Uint(u.inodesFree), telemetry.Uint(taken),
			telemetry.Float(percent(taken, u.inodes))}
	}
	d.in(out).Row(out.Time(), []string{m.device, m.path, m.fstype},
		telemetry.Uint(u.total), telemetry.Uint(u.available), telemetry.Uint(used),
		telemetry.Float(percent(used, used+u.available)), inodes[0], inodes[1], inodes[2], inodes[3])
}

// update makes the probes anew when the mounts have changed.
func (d *disk) update() error {
	text, err := d.mountinfo.text()
	if err != nil {
		return err
	}
	if d.text != nil && bytes.Equal(text, d.text) {
		return nil
	}
	mounts, err := parseMounts(text)
	if err != nil {
		return d.mountinfo.fault(err)
	}
	d.text = append(d.text[:0], text...)
	old := d.probes
	d.probes = nil
	for _, m := range d.filter.choose(mounts) {
		d.probes = append(d.probes, d.probe(old, m))
	}
	return nil
}

// probe returns the probe of m: one of old if there is one, which may still wait for its answer, else a new one.
func (d *disk) probe(old []*probe, m mount) *probe {
	for _, p := range old {
		if p.mount == m {
			return p
		}
	}
	return &probe{mount: m, at: filepath.Join(d.root, m.path), answers: make(chan answer, 1)}
}
