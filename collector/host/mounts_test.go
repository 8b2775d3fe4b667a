package host

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseMount(t *testing.T) {
	f := func(line string, want mount) {
		t.Helper()
		if got, err := parseMount([]byte(line)); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", line, got, err, want)
		}
	}
	f("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue", mount{"98:0", "/mnt2", "ext3", "root"})
	f("22 29 0:21 / /sys rw - sysfs sysfs rw", mount{"0:21", "/sys", "sysfs", "sysfs"})
	f("22 29 0:21 / / rw shared:1 master:2 propagate_from:3 - btrfs /dev/mapper/vg0-a rw", mount{"0:21", "/", "btrfs", "mapper/vg0-a"})
	f(`94 29 8:1 / /srv/a\040b\011c\134d rw - fuse.sshfs me@example:/a\040b rw`, mount{"8:1", "/srv/a b\tc\\d", "fuse.sshfs", "me@example:/a b"})
	f(`1 1 8:1 / /a\04 rw - xfs none rw`, mount{"8:1", `/a\04`, "xfs", "none"})
	f("1 1 8:1 / /a - xfs", mount{id: "8:1", path: "/a", fstype: "xfs"})
	for line, want := range map[string]string{
		"":                            `want fields, " - " and fields`,
		"1 1 8:1 / /a rw":             `want fields, " - " and fields`,
		"1 1 8:1 / - xfs a b":         "want a path and a type",
		"1 1 8:1 / a rw - xfs a b":    "want a path and a type",
		"1 1 8:1 / /a rw shared:1 - ": "want a path and a type",
	} {
		if got, err := parseMount([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want %s", line, got, err, want)
		}
	}
}

func TestParseMounts(t *testing.T) {
	got, err := parseMounts([]byte("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /a rw - ext4 /dev/sda2 rw\n3 2 0:9 / /a rw - tmpfs tmpfs rw\n"))
	want := []mount{{"8:1", "/", "ext4", "sda1"}, {"0:9", "/a", "tmpfs", "tmpfs"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("mounts = %v, %v; want %v: what is hidden cannot be asked", got, err, want)
	}
	if _, err := parseMounts([]byte("1 0 8:1 / / rw - ext4 /dev/sda1 rw\nx\n")); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
		t.Errorf("faulty second line: %v", err)
	}
}

func TestMountFilter(t *testing.T) {
	all := []mount{
		{"0:1", "/", "overlay", "overlay"},
		{"8:1", "/etc/hosts", "ext4", "vda1"},
		{"8:1", "/data", "ext4", "vda1"},
		{"8:1", "/var/log/data", "ext4", "vda1"},
		{"0:2", "/run", "tmpfs", "tmpfs"},
		{"7:0", "/snap/core/1", "squashfs", "loop0"},
		{"0:3", "/mnt/a", "nfs4", "nas:/a"},
	}
	f := func(filter mountFilter, want ...string) {
		t.Helper()
		var got []string
		for _, m := range filter.choose(all) {
			got = append(got, m.path)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v chooses %q, want %q", filter, got, want)
		}
	}
	f(mountFilter{}, "/", "/data", "/run", "/snap/core/1", "/mnt/a")
	f(mountFilter{types: defaults().FSSkip}, "/", "/data", "/mnt/a")
	f(mountFilter{types: []string{"nfs*", "ext4"}}, "/", "/run", "/snap/core/1")
	f(mountFilter{only: []string{"/var/log/*", "/mnt/*"}}, "/var/log/data", "/mnt/a")
	f(mountFilter{only: []string{"/data"}, types: []string{"ext4"}})
	f(mountFilter{types: defaults().FSSkip, skip: []string{"/", "/mnt/*"}}, "/data")
}

// Thousands of containers mount thousands of overlays.
func BenchmarkParseMounts(b *testing.B) {
	var text strings.Builder
	text.WriteString("29 1 254:0 / / rw,relatime shared:1 - ext4 /dev/mapper/vg0-root rw,errors=remount-ro\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "%d 29 0:%d / /var/lib/docker/overlay2/%064x/merged rw,relatime shared:70 - overlay overlay rw,lowerdir=/a:/b\n", 100+i, 100+i, i)
	}
	filter := mountFilter{types: defaults().FSSkip}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		mounts, err := parseMounts([]byte(text.String()))
		if err != nil || len(filter.choose(mounts)) != 1 {
			b.Fatal(len(mounts), err)
		}
	}
}

func FuzzMounts(f *testing.F) {
	seeds(f, "*/proc/self/mountinfo", `1 1 8:1 / /\1 - x`, `1 1 8:1 / /\777\1 - x`)
	filter := mountFilter{types: defaults().FSSkip}
	f.Fuzz(func(t *testing.T, text []byte) {
		mounts, err := parseMounts(text)
		checkPlaced(t, err)
		paths := map[string]bool{}
		for _, m := range mounts {
			if paths[m.path] || !strings.HasPrefix(m.path, "/") {
				t.Errorf("mount at %q, twice %v", m.path, paths[m.path])
			}
			paths[m.path] = true
		}
		ids := map[string]bool{}
		for _, m := range filter.choose(mounts) {
			if ids[m.id] {
				t.Errorf("file system %q is chosen twice", m.id)
			}
			ids[m.id] = true
		}
	})
}
