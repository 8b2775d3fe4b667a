package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
)

// config checks the config that the agent here runs, or would run.
func (d *doctor) config() {
	c, err := d.app.configure(configured{options: config.Options{Lenient: true}, named: d.app.filesOfAgent(), starter: true}, false)
	if faults, ok := errors.AsType[config.Faults](err); ok {
		for _, f := range faults {
			d.find("config", "pacewire validate", "%s: %s", f.Position, strings.TrimSuffix(f.Message+": "+f.Hint, ": "))
		}
		return
	}
	if err != nil {
		d.find("config", "pacewire validate", "%v", err)
		return
	}
	d.settings = c.Settings
	for _, p := range c.Plugins {
		if p.Missing != "" {
			d.findAt(p.Name, "pacewire plugin list --programs", "its program cannot be run: %s (%s)", p.Missing, p.Position)
		}
	}
	d.looked = append(d.looked, fmt.Sprintf("config %s, %s", c.from, amount.Of(len(c.Plugins), "plugin", "plugins")))
}

const (
	leastFree  = 256 << 20 // bytes of a disk
	leastShare = 0.03
	emptyShare = 0.5 // a disk that is small is not full
)

// folders checks the run and the state folder.
func (d *doctor) folders() {
	d.folder("run folder", runDir)
	d.folder("state folder", stateDir)
	if s := d.settings; s != nil && s.Bus.Own() && s.Bus.Store != "" {
		d.folder("store of the bus", func() (string, error) { return s.Bus.Store, nil })
	}
}

func (d *doctor) folder(what string, of func() (string, error)) {
	dir, err := of()
	if err != nil {
		d.find(what, "pacewire up", "%v", err)
		return
	}
	if d.usable(what, dir) {
		d.room(what, dir)
		d.looked = append(d.looked, what+" "+dir)
	}
}

// usable checks the rights of a folder; false says that there is none.
func (d *doctor) usable(what, dir string) bool {
	var st unix.Stat_t
	switch err := unix.Stat(dir, &st); {
	case errors.Is(err, fs.ErrNotExist):
		if d.note.PID != 0 {
			d.find(what, "pacewire up", "%s is gone, and the agent needs it", dir)
		}
		return false // the agent makes it
	case err != nil:
		d.find(what, "ls -ld "+dir, "%s: %v", dir, err)
		return false
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		d.find(what, "ls -ld "+dir, "%s is no folder", dir)
		return false
	case st.Mode&0o002 != 0 && st.Mode&unix.S_ISVTX == 0:
		d.find(what, "chmod o-w "+dir, "%s: every user of this machine may change what is in it", dir)
	case int(st.Uid) == os.Geteuid() && unix.Access(dir, unix.W_OK|unix.X_OK) != nil:
		d.find(what, "chmod u+rwx "+dir, "%s cannot be written", dir)
	}
	return true
}

// room looks how much of a disk is left.
func (d *doctor) room(what, dir string) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil || disk.Blocks == 0 {
		return
	}
	free, share := uint64(disk.Bsize)*disk.Bavail, float64(disk.Bavail)/float64(disk.Blocks)
	if (free < leastFree || share < leastShare) && share < emptyShare {
		d.find(what, "df -h "+dir, "%s: the disk has %s left (%.1f%%): when it is full nothing new is stored", dir, bytesText(free), share*100)
	}
}

// noBus says why nobody could be asked.
func (d *doctor) noBus(err error) {
	fix := "pacewire up"
	lost, is := errors.AsType[*lostAgent](err)
	switch {
	case is:
		d.find("run folder", fmt.Sprintf("kill %d; pacewire up", lost.pid), "%v", lost)
		return
	case errors.Is(err, errNoAgent):
		d.find("agent", fix, "no agent runs here: nothing is collected")
		return
	case codeOf(err) == exitUsage || strings.Contains(err.Error(), "credentials"):
		fix = "pacewire status --creds FILE"
	case strings.Contains(err.Error(), "not yours to read"):
		fix = "sudo pacewire doctor"
	case !d.note.Embedded:
		fix = "pacewire status --bus URL"
	}
	d.find("bus", fix, "%v", err)
}

const (
	fullShare  = 0.9
	shortStore = time.Hour // a full stream that goes back no further may lose what a reader has not read
)

// bus checks the streams of a bus that can be reached.
func (d *doctor) bus(ctx context.Context, conn *bus.Conn) {
	d.looked = append(d.looked, "bus "+cmp.Or(d.app.busURL(), "of the agent")+", NATS "+conn.ServerVersion())
	var missing []string
	for _, name := range []string{bus.StreamMetrics, bus.StreamEvents, bus.StreamDead} {
		s, err := conn.StreamInfo(ctx, name)
		switch {
		case errors.Is(err, bus.ErrNoStream):
			missing = append(missing, name)
			continue
		case err != nil:
			d.find("bus", "pacewire status", "%v", err)
			continue
		}
		st := standingOf(name, s)
		if fault := st.fault(); fault != "" {
			d.find("bus", "pacewire status", "%s", fault)
		}
		d.behind(ctx, conn, st)
		full := s.MaxBytes > 0 && float64(s.Bytes) > fullShare*float64(s.MaxBytes)
		reach := time.Since(s.FirstTime)
		switch {
		case full && name != bus.StreamMetrics:
			d.find("bus", "pacewire status", "%s is nearly full (%s of %s): the oldest are dropped", name, bytesText(s.Bytes), bytesText(uint64(s.MaxBytes)))
		case full && reach < shortStore:
			d.short(ctx, conn, fmt.Sprintf("bus: { max_store: %s } in the config, and start the agent again", moreStore(s.MaxBytes)), name, s)
		}
	}
	if len(missing) > 0 {
		d.find("bus", "pacewire hub", "%s", noStreams(missing))
	}
}

// catchUp is how long a server may lack what the others of a cluster have just taken.
const catchUp = 3 * time.Second

// behind looks whether servers of a cluster that lack some of a stream go on lacking it.
func (d *doctor) behind(ctx context.Context, conn *bus.Conn, st streamStanding) {
	if len(st.Behind) == 0 {
		return
	}
	select {
	case <-time.After(catchUp):
	case <-ctx.Done():
		return
	}
	s, err := conn.StreamInfo(ctx, st.Name)
	if err != nil {
		return // it was just there: told elsewhere
	}
	for _, server := range standingOf(st.Name, s).Behind {
		if slices.Contains(st.Behind, server) {
			d.find("bus", "pacewire status", "stream %s: server %s lacks some of it: until it has caught up one server less may fail", st.Name, printable(server))
		}
	}
}

// moreStore is a max_store with which METRICS is at least twice as large: see bus.StreamsWithin.
func moreStore(metrics int64) string { return fmt.Sprintf("%dGiB", max(4, 2*metrics>>30+2)) }
