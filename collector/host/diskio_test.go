package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParseDiskstats(t *testing.T) {
	f := func(line, wantName string, wantFirst, wantLast uint64) {
		t.Helper()
		found := 0
		err := parseDiskstats([]byte(line+"\n"), func(name []byte, s blockStats) {
			found++
			if string(name) != wantName || s[0] != wantFirst || s[10] != wantLast {
				t.Errorf("%q: %q, %v", line, name, s)
			}
		})
		if err != nil || found != 1 {
			t.Errorf("%q: %d devices, %v", line, found, err)
		}
	}
	f("   8       0 sda 1 2 3 4 5 6 7 8 9 10 11", "sda", 1, 11)
	f(" 259 0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "nvme0n1", 1, 11)
	f(" 104 0 cciss/c0d0 1 2 3 4 5 6 7 8 9 10 11", "cciss/c0d0", 1, 11)
	for line, want := range map[string]string{
		"8 0":                           "line 1: : want 11 numbers behind the name, got 0",
		"8 1 sda1 1 2 3 4":              "line 1: sda1: want 11 numbers behind the name, got 4",
		"8 0 sda 1 2 3 4 5 6 7 8 9 a 1": `line 1: sda: want a number, got "a"`,
	} {
		if err := parseDiskstats([]byte(line), func([]byte, blockStats) {}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
}

func FuzzDiskstats(f *testing.F) {
	seeds(f, "*/proc/diskstats", "8 0 sda")
	f.Fuzz(func(t *testing.T, text []byte) {
		checkPlaced(t, parseDiskstats(text, func([]byte, blockStats) {}))
	})
}

func TestIsPartition(t *testing.T) {
	sys := t.TempDir()
	f := func(name string, want bool) {
		t.Helper()
		if got := isPartition(sys)(name); got != want {
			t.Errorf("isPartition(%q) = %v, want %v", name, got, want)
		}
	}
	f("sda1", false) // no sysfs: who knows
	for _, name := range []string{"sda", "cciss!c0d0"} {
		if err := os.MkdirAll(filepath.Join(sys, "block", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	f("sda", false)
	f("sda1", true)
	f("cciss/c0d0", false)
	f("cciss/c0d0p1", true)
}
