package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// testMounts is a root, and a file server at /mnt/nas.
const testMounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / /mnt/nas rw - nfs4 nas:/a rw\n"

// newTestDisk returns a disk section over mounts, and what it logs.
func newTestDisk(t *testing.T, mounts string, statfs func(string) (usage, error)) (*disk, *bytes.Buffer) {
	t.Helper()
	f := &file{path: filepath.Join(t.TempDir(), "mountinfo")}
	if err := os.WriteFile(f.path, []byte(mounts), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	var log bytes.Buffer
	return &disk{
		table: diskSeries().table(), mountinfo: f, root: "/", timeout: 2 * time.Second,
		statfs: statfs, log: slog.New(slog.NewTextHandler(&log, nil)),
	}, &log
}

// collected returns the mounts that one collection of d finds.
func collected(ctx context.Context, d *disk) (paths string, err error) {
	d.mountinfo.fresh = false
	var b telemetry.Batch
	err = d.collect(ctx, &b)
	for p := range b.Points() {
		paths += p.Tags["path"] + " "
	}
	return paths, err
}

// A file server that is away costs one wait and one goroutine, and comes back by itself.
func TestHungMount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		back := make(chan struct{})
		d, _ := newTestDisk(t, testMounts, func(path string) (usage, error) {
			if path == "/mnt/nas" {
				asked.Add(1)
				<-back
			}
			return usage{total: 100, free: 50, available: 40}, nil
		})
		f := func(wantPaths string, wantWait time.Duration, wantAsked int64) {
			t.Helper()
			from := time.Now()
			paths, err := collected(t.Context(), d)
			if paths != wantPaths || time.Since(from) != wantWait || asked.Load() != wantAsked {
				t.Errorf("found %q after %v, asked %d times; want %q after %v, %d times",
					paths, time.Since(from), asked.Load(), wantPaths, wantWait, wantAsked)
			}
			if hung := !strings.Contains(wantPaths, "nas"); hung != (err != nil && strings.Contains(err.Error(), "statfs /mnt/nas: no answer within 2s")) {
				t.Errorf("error %v, want one about /mnt/nas: %v", err, hung)
			}
		}
		f("/ ", 2*time.Second, 1)
		f("/ ", 0, 1)
		f("/ ", 0, 1)
		close(back)
		synctest.Wait()
		f("/ /mnt/nas ", 0, 2)
		f("/ /mnt/nas ", 0, 3)
	})
}

// Twenty file servers that are away cost one wait, not twenty.
func TestManyHungMounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mounts := testMounts
		for i := range 20 {
			mounts += fmt.Sprintf("9 1 0:1%d / /mnt/%d rw - nfs4 nas:/%d rw\n", i, i, i)
		}
		back := make(chan struct{})
		d, _ := newTestDisk(t, mounts, func(path string) (usage, error) {
			if path != "/" {
				<-back
			}
			return usage{total: 100}, nil
		})
		from := time.Now()
		paths, err := collected(t.Context(), d)
		if paths != "/ " || strings.Count(fmt.Sprint(err), "no answer") != 21 || time.Since(from) != d.timeout {
			t.Errorf("found %q after %v, %v", paths, time.Since(from), err)
		}
		close(back)
	})
}

// A file server that is away leaves half of a short collection to other sections.
func TestHungMountLeavesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		d, _ := newTestDisk(t, testMounts, func(string) (usage, error) {
			<-back
			return usage{}, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		from := time.Now()
		_, err := collected(ctx, d)
		if err == nil || !strings.Contains(err.Error(), "statfs /mnt/nas: no answer within 500ms") || time.Since(from) != time.Second/2 {
			t.Errorf("after %v: %v; want a word about /mnt/nas after 500ms", time.Since(from), err)
		}
		close(back)
	})
}

// The end of a collection is not the fault of a file system.
func TestHungMountCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		d, _ := newTestDisk(t, testMounts, func(string) (usage, error) {
			<-back
			return usage{}, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		from := time.Now()
		if _, err := collected(ctx, d); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "nas") || time.Since(from) != time.Second {
			t.Errorf("after %v: %v; want cancelled after 1s", time.Since(from), err)
		}
		close(back)
	})
}

func TestStatfsErrors(t *testing.T) {
	answer := error(nil)
	d, log := newTestDisk(t, testMounts, func(path string) (usage, error) {
		if path == "/mnt/nas" {
			return usage{}, answer
		}
		return usage{total: 100}, nil
	})
	f := func(err error, want string, wantLog int) {
		t.Helper()
		answer = err
		paths, got := collected(t.Context(), d)
		if text := fmt.Sprint(got); paths != "/ " || text != want {
			t.Errorf("%v: found %q, %s; want %s", err, paths, text, want)
		}
		if n := strings.Count(log.String(), "\n"); n != wantLog {
			t.Errorf("%v: %d lines in the log, want %d:\n%s", err, n, wantLog, log)
		}
	}
	f(nil, "<nil>", 0) // total 0: nothing to tell
	f(syscall.ENOENT, "<nil>", 0)
	f(syscall.EIO, "statfs /mnt/nas: input/output error", 0)
	f(syscall.EACCES, "<nil>", 1)
	f(syscall.EPERM, "<nil>", 1)
}

// A probe outlives a change of the other mounts: what hangs is not asked again.
func TestMountsChange(t *testing.T) {
	d, _ := newTestDisk(t, testMounts, func(string) (usage, error) { return usage{total: 100}, nil })
	f := func(mounts, want string) {
		t.Helper()
		if err := os.WriteFile(d.mountinfo.path, []byte(mounts), 0o600); err != nil {
			t.Fatal(err)
		}
		if paths, err := collected(t.Context(), d); err != nil || paths != want {
			t.Errorf("found %q, %v; want %q", paths, err, want)
		}
	}
	f(testMounts, "/ /mnt/nas ")
	nas := d.probes[1]
	f("3 1 8:2 / /new rw - xfs /dev/sdb rw\n"+testMounts, "/new / /mnt/nas ")
	if d.probes[2] != nas {
		t.Error("the probe of /mnt/nas is another one")
	}
	f("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n", "/ ")
	f("", "")
}
