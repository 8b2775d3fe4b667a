package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/lab"
)

// rowsOfDisk are the faults of the disk below the bus.
func rowsOfDisk() []row {
	needs := []need{needsRoot, needsProgram("mount", "mount"), needsProgram("mkfs.ext4", "e2fsprogs")}
	cut := func(sync string) func(*trial) { return func(t *trial) { t.powerCut(sync) } }
	return []row{
		{name: "F16", title: "the disk below the bus is full, and has room again", run: diskFull, doubles: true, needs: needs[:2],
			promise: "a real ENOSPC, on a tmpfs; told as storage_full, and acknowledged again within 30 s of the room"},
		{name: "F17", title: "power cut, `sync: always`", run: cut("always"), needs: needs,
			promise: "the image of the file system is copied while the bus runs, and a bus is started on the copy; what was acknowledged before the copy began counts"},
		{name: "F17-1s", title: "power cut, `sync: 1s`", run: cut("1s"), needs: needs, loses: true, promise: "what was acknowledged within about the interval may be lost"},
		{name: "F17-10s", title: "power cut, `sync: 10s`", run: cut("10s"), needs: needs, loses: true, promise: "the same"},
		{name: "F17-2m", title: "power cut, `sync: 2m`", run: cut("2m"), needs: needs, loses: true, promise: "the same: NATS's own default"},
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

// roomWithin is how long the bus may need from room on its disk to service.
const roomWithin = 30 * time.Second

// F16
func diskFull(t *trial) {
	disk := t.mount("disk", "-t", "tmpfs", "-o", "size=64m", "tmpfs")
	t.up(pipeline{store: disk + "/bus"})
	t.load(t.standard())
	t.hold(2 * time.Second)
	full := time.Now()
	fill(disk + "/ballast")
	acked := 0
	t.await(readyWithin, "nothing is acknowledged any more", func() error {
		was := acked
		acked = t.oracle.Acked()
		t.sleep(2 * time.Second)
		return yet(was == acked)
	})
	t.bite("the last point was acknowledged %v after the disk was full", time.Since(full).Round(time.Second))
	told := t.await(5*time.Second, "it is told", func() error {
		out, err := t.place.Verb(t.ctx, "plugin", "list", "-o", "json")
		return errors.Join(err, yet(strings.Contains(string(out), "storage_full")))
	})
	t.note("plugin list told storage_full within %s", round(told+2*time.Second))
	t.hold(t.span(2*time.Second, 20*time.Second))
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

// powerCut publishes to a bus on a file system of its own, copies that as a power cut would have left it, and looks what a bus
// finds there.
func (t *trial) powerCut(sync string) {
	image, later := t.place.Path("image"), t.place.Path("copy")
	t.command("truncate", "-s", "1G", image)
	t.command("mkfs.ext4", "-q", image)
	disk := t.mount("disk", "-o", "loop", image)
	server, url, err := lab.RawBus{Dir: disk + "/bus", Sync: sync}.Start(t.ctx)
	t.must(err, "start the bus")
	t.cleanup(server.Kill)
	stop := t.publish(url)
	t.hold(t.span(5*time.Second, 45*time.Second))
	count := stop.owe()
	begin := time.Now()
	t.command("cp", "--sparse=always", image, later)
	took := time.Since(begin)
	stop.stop()
	server.Kill()

	copied := t.mount("copied", "-o", "loop", later)
	again, url, err := lab.RawBus{Dir: copied + "/bus", Sync: sync}.Start(t.ctx)
	t.must(err, "start a bus on the copy")
	t.cleanup(again.Kill)
	t.bite("a bus runs on a copy that took %v", took)
	t.recover(url)
	lost := t.oracle.Count().Lost
	t.note("%d of %d acknowledged points lost (%.0f %%): the last %.1f s of writes", lost, count, 100*float64(lost)/float64(max(count, 1)), stop.seconds(lost))
}

// writes are what is published to a bus until it is cut.
type writes struct {
	cancel context.CancelFunc
	done   chan struct{}
	cut    atomic.Bool
	begin  time.Time
	took   time.Duration
	acked  int
	t      *trial
}

// owe ends the obligations: what is acknowledged later does not count. It returns how many points there are.
func (w *writes) owe() int {
	w.cut.Store(true)
	w.took, w.acked = time.Since(w.begin), w.t.oracle.Acked()
	return w.acked
}

// seconds is how long it took to write so many points.
func (w *writes) seconds(points int) float64 {
	return w.took.Seconds() * float64(points) / float64(max(w.acked, 1))
}

func (w *writes) stop() {
	w.cancel()
	<-w.done
}

// publish publishes 1,000 batches a second, or as many as the bus takes, with nothing of pacewire between.
func (t *trial) publish(url string) *writes {
	ctx, cancel := context.WithCancel(t.ctx)
	conn, err := bus.Dial(ctx, bus.Options{URL: url, User: "chaos", Wait: 10 * time.Second})
	t.must(err, "connect to the bus")
	t.must(conn.EnsureStreams(ctx, bus.DefaultStreams()), "make the streams")
	p, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: "chaos", Plugin: "in"})
	t.must(err, "make a publisher")
	w := &writes{cancel: cancel, done: make(chan struct{}), t: t, begin: time.Now()}
	from := t.oracle.Source("h00", t.nextBoot())
	go func() {
		defer close(w.done)
		defer conn.Close()
		defer p.Close()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			b := from.Issue(20)
			_ = p.Send(ctx, bus.Message{Subject: bus.MetricsSubject("chaos", "in"), Body: b.Lines(nil)}, func(err error) {
				if err == nil && !w.cut.Load() {
					b.Acknowledged()
				}
			})
		}
	}()
	t.cleanup(cancel)
	return w
}

// recover gives the oracle what a bus has.
func (t *trial) recover(url string) {
	ctx, cancel := context.WithTimeout(t.ctx, time.Minute)
	defer cancel()
	conn, err := bus.Dial(ctx, bus.Options{URL: url, User: "chaos", Wait: 10 * time.Second})
	t.must(err, "connect to the bus on the copy")
	defer conn.Close()
	err = conn.Tap(ctx, bus.TapOptions{Stream: bus.StreamMetrics, From: 1, Once: true}, func(m bus.Tapped) error {
		t.oracle.Delivered(m.Body)
		return nil
	})
	if err != nil {
		t.note("nothing can be read: %v", err)
	}
}
