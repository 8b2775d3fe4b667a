package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestMountsBelow(t *testing.T) {
	const table = `22 1 8:1 / / rw - ext4 /dev/sda1 rw
40 22 0:30 / /run/a/F16/disk rw shared:1 - tmpfs tmpfs rw
41 22 7:0 / /run/a/F17/disk rw - ext4 /dev/loop0 rw
42 41 7:1 / /run/a/F17/disk/with\040space\134 rw - ext4 /dev/loop1 rw
43 22 0:31 / /run/ab rw - tmpfs tmpfs rw
44 22
`
	f := func(dir string, want ...string) {
		t.Helper()
		if got := mountsBelow(table, dir); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", dir, got, want)
		}
	}
	f("/run/a", `/run/a/F17/disk/with space\`, "/run/a/F17/disk", "/run/a/F16/disk")
	f("/run/a/F16", "/run/a/F16/disk")
	f("/run/a/F16/disk") // the folder itself is somebody else's
	f("/run/b")
}

// What a killed run has mounted does not stop the next one, and its files are not taken for those of the folder. Where nobody may
// mount, the folder is just a folder.
func TestNewPlaceUnmounts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "place")
	if err := os.MkdirAll(filepath.Join(dir, "disk"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", filepath.Join(dir, "disk")).CombinedOutput()
	t.Logf("mount: %v %s", err, out)
	if _, err := NewPlace(dir, "program"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
