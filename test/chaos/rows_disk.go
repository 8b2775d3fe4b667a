package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/telemetry"
)

// rowsOfDisk are the faults of the disk below the bus.
func rowsOfDisk() []row {
	needs := []need{needsRoot, needsProgram("mount", "mount"), needsProgram("mkfs.ext4", "e2fsprogs")}
	power := func(sync string, after time.Duration) func(*trial) { return func(t *trial) { t.powerCut(sync, after) } }
	return []row{
		{name: "F16", title: "the disk below the bus is full, and has room again", run: diskFull, needs: needs[:2],
			promise: "a real ENOSPC, on a tmpfs; told as storage_full, and acknowledged again within 30 s of the room"},
		{name: "F17", title: "power cut, `sync: always`", run: power("always", 45*time.Second), needs: needs,
			promise: "the image of the file system is copied while the bus runs, and a bus is started on the copy; what was acknowledged before the copy began counts"},
		{name: "F17-1s", title: "power cut, `sync: 1s`", run: power("1s", 20*time.Second), needs: needs, loses: true, promise: "what was acknowledged within about the interval may be lost"},
		{name: "F17-10s", title: "power cut, `sync: 10s`", run: power("10s", 45*time.Second), needs: needs, loses: true, promise: "the same"},
		{name: "F17-2m", title: "power cut, `sync: 2m`", run: power("2m", 45*time.Second), needs: needs, loses: true, promise: "the same: NATS's own default"},
	}
}

func needsProgram(name, debian string) need {
	return need{fmt.Sprintf("the program %s: install the Debian package %s", name, debian), func() bool {
		_, err := exec.LookPath(name)
		return err == nil
	}}
}

// command runs a command that must succeed.
func (t *trial) command(args ...string) {
	out, err := exec.CommandContext(t.ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// mount mounts something at a folder until the row ends, and returns the folder.
func (t *trial) mount(name string, args ...string) string {
	dir := t.place.Path(name)
	t.must(os.Mkdir(dir, 0o755), "make a mount point")
	t.command(append(append([]string{"mount"}, args...), dir)...)
	t.cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil { // the context may have ended
			t.errorf("umount %s: %v\n%s", dir, err, out)
		}
	})
	return dir
}

const (
	toldWithin = 10 * time.Second // from a full disk to word of it; each look starts a process
	roomWithin = 30 * time.Second // from room on the disk to service
)

// F16
func diskFull(t *trial) {
	disk := t.mount("disk", "-t", "tmpfs", "-o", "size=64m", "tmpfs")
	t.up(pipeline{store: disk + "/bus"})
	t.load(t.standard())
	t.hold(2 * time.Second)
	fill(disk + "/ballast")
	full := time.Now()
	p := t.awaitPlugin("in", toldWithin, "is told that the bus has no room", func(p lab.Plugin) bool { return strings.Contains(p.Reason, "no room") })
	t.bite("the collector is told %q", p.Reason)
	t.note("plugin list told %q within %s", p.Reason, round(time.Since(full)))
	acked := t.oracle.Acked()
	t.hold(t.span(4*time.Second, 20*time.Second))
	if n := t.oracle.Acked() - acked; n > 0 {
		t.note("%d points were acknowledged after that", n)
	}
	t.must(os.Remove(disk+"/ballast"), "make room")
	t.note("service was back %s after the room", round(t.healed(time.Now(), roomWithin)))
	t.hold(time.Second)
	t.settle()
}

// fill writes a file until the disk is full.
func fill(path string) {
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
}

// powerCut lets a bus work on a file system of its own, copies that after a time as a power cut would leave it, and looks what a bus
// finds there.
func (t *trial) powerCut(sync string, after time.Duration) {
	image, later := t.place.Path("image"), t.place.Path("copy")
	t.command("truncate", "-s", "2G", image)
	t.command("mkfs.ext4", "-q", image)
	disk := t.mount("disk", "-o", "loop", image)
	t.up(pipeline{store: disk + "/bus", sync: sync})
	t.sink.Behave(func(w http.ResponseWriter, _ *http.Request, _ []byte, _ func([]byte)) { // what is on the disk counts, and nothing else
		http.Error(w, "not now", http.StatusServiceUnavailable)
	})
	t.load(t.standard())
	begin := time.Now()
	t.sleep(t.span(5*time.Second, after))
	t.oracle.Freeze()
	wrote, acked := time.Since(begin), t.oracle.Acked()
	t.command("cp", "--sparse=always", image, later)
	t.source.stop()
	t.system.agent.Kill()

	copied := t.mount("copied", "-o", "loop", later)
	again, url, err := lab.RawBus{Dir: copied + "/bus", Sync: sync}.Start(t.ctx)
	t.must(err, "start a bus on the copy")
	t.cleanup(again.Kill)
	t.recover(url)
	t.bite("a bus was started on the copy")
	lost := float64(t.oracle.Count().Lost) / float64(max(acked, 1))
	t.note("of %s of writes the last %s were lost, %.0f %%", round(wrote), round(time.Duration(lost*float64(wrote))), 100*lost)
}

// recover gives the oracle what a bus has of the collector.
func (t *trial) recover(url string) {
	ctx, cancel := context.WithTimeout(t.ctx, time.Minute)
	defer cancel()
	conn, err := bus.Dial(ctx, bus.Options{URL: url, User: "chaos", Wait: 10 * time.Second})
	t.must(err, "connect to the bus on the copy")
	defer conn.Close()
	err = conn.Tap(ctx, bus.TapOptions{Stream: bus.StreamMetrics, Filters: []string{bus.MetricsFilter("in")}, From: 1, Once: true}, func(m bus.Tapped) error {
		var b telemetry.Batch
		if err := b.Decode(m.ContentType, "", m.Body, m.Stored); err != nil {
			return err
		}
		t.oracle.Delivered(b.AppendLines(nil))
		return nil
	})
	if err != nil {
		t.note("nothing can be read: %v", err)
	}
	t.must(ctx.Err(), "read all that is on the copy") // else a slow machine looks like a loss
}
