package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk is complained of when it is nearly full, not because it is small.
func TestDoctorRoom(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("needs the right to mount a tmpfs (root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f := func(used int, parts ...string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(disk, "used"), make([]byte, used), 0o600); err != nil {
			t.Fatal(err)
		}
		d := new(doctor)
		d.room("store", disk)
		if len(d.findings) != len(parts) {
			t.Fatalf("%d bytes used: %+v", used, d.findings)
		}
		for i, part := range parts {
			if !strings.Contains(d.findings[i].Problem, part) {
				t.Errorf("%d bytes used: %+v", used, d.findings[i])
			}
		}
	}
	f(0)
	f(4 << 20)
	f(12<<20, "the disk has 4.0 MiB left (25.0%)")
}

func TestMoreStore(t *testing.T) {
	f := func(metrics int64, want string) {
		t.Helper()
		if got := moreStore(metrics); got != want {
			t.Errorf("for METRICS of %d: %s; want %s", metrics, got, want)
		}
	}
	f(8<<20, "4GiB")
	f(1<<30, "4GiB")
	f(7<<30, "16GiB")
}
