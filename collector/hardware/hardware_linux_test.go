package hardware

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/internal/golden"
	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/internal/machinetest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// at returns the collector of the machine in dir.
func at(dir string) hardware {
	below := func(name string) machine.Dir { return machine.Dir(filepath.Join(dir, name)) }
	return hardware{Config{Proc: below("proc"), Sys: below("sys"), Root: machine.Dir(dir)}}
}

// look returns the facts of the machine in dir.
func look(t *testing.T, dir string) (telemetry.Facts, error) {
	t.Helper()
	facts := telemetry.Facts{}
	err := at(dir).Survey(t.Context(), facts)
	return facts, err
}

func TestMachines(t *testing.T) {
	f := func(name string) {
		t.Helper()
		facts, err := look(t, machinetest.New(t, "testdata/"+name+".txt"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Equal(t, "testdata/"+name+".golden", machinetest.Show(t, facts))
	}
	f("server")
	f("vm")
	f("container")
}

// Two surveys of the same machine give the same bytes, whatever has changed that is no fact.
func TestEqualFacts(t *testing.T) {
	dir := machinetest.New(t, "testdata/server.txt")
	before, err := look(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	machinetest.Put(t, dir, "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "800000\n")
	machinetest.Put(t, dir, "proc/meminfo", "MemTotal: 263974040 kB\nMemFree: 1 kB\nSwapTotal: 8388604 kB\nSwapFree: 2 kB\n")
	machinetest.Put(t, dir, "sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host7/target7:0:0/7:0:0:0/block/sdb/size", "0\n")
	for range 5 {
		after, err := look(t, dir)
		if a, b := machinetest.Show(t, after), machinetest.Show(t, before); err != nil || string(a) != string(b) {
			t.Fatalf("facts have changed: %v\n%s\n%s", err, a, b)
		}
	}
}

// The numbers of a machine are root's to read: it is no fault that another user has none.
func TestUnprivileged(t *testing.T) {
	dir := machinetest.New(t, "testdata/server.txt")
	for _, name := range []string{"sys/class/dmi/id/product_serial", "sys/class/dmi/id/product_uuid",
		"sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/vpd_pg80"} {
		machinetest.Forbid(t, dir, name)
	}
	machinetest.Unprivileged(t, dir, func() {
		facts, err := look(t, dir)
		dmi, _ := facts["dmi"].(map[string]string)
		if err != nil || dmi["serial"] != "" || dmi["uuid"] != "" || dmi["product"] != "PowerEdge R650" {
			t.Errorf("dmi = %v, %v", dmi, err)
		}
	})
}

// What cannot be read is told with its class, and costs no other fact.
func TestFaults(t *testing.T) {
	f := func(want error, lost, file string, change func(dir, file string)) {
		t.Helper()
		dir := machinetest.New(t, "testdata/server.txt")
		change(dir, file)
		machinetest.Unprivileged(t, dir, func() {
			facts, err := look(t, dir)
			if !errors.Is(err, want) || !strings.Contains(err.Error(), file) {
				t.Errorf("%s: %v, want %v", file, err, want)
			}
			for _, key := range []string{"memory", "disks", "nics", "gpus", "dmi"} {
				if _, ok := facts[key]; ok == (key == lost) {
					t.Errorf("without %s: fact %s there %v", file, key, ok)
				}
			}
		})
	}
	forbid := func(dir, file string) { machinetest.Forbid(t, dir, file) }
	away := func(dir, file string) { machinetest.Link(t, dir, file, "away") }
	f(fs.ErrPermission, "", "proc/cpuinfo", forbid)
	f(fs.ErrNotExist, "", "proc/cpuinfo", away)
	f(fs.ErrPermission, "disks", "sys/block", forbid)
	f(fs.ErrPermission, "nics", "sys/class/net", forbid)
	f(fs.ErrPermission, "gpus", "sys/bus/pci/devices", forbid)
}

func TestNoSys(t *testing.T) {
	dir := machinetest.New(t, "testdata/server.txt")
	machinetest.Link(t, dir, "sys", "away")
	facts, err := look(t, dir)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "sys") || facts["memory"] == nil {
		t.Errorf("facts = %v, %v", facts, err)
	}
}

// Files that are not what they should be give facts of a bounded size, and are never waited for.
func TestHostile(t *testing.T) {
	dir := machinetest.New(t, "testdata/server.txt")
	machinetest.Put(t, dir, "proc/cpuinfo", strings.Repeat("a:", 1<<20))
	machinetest.Put(t, dir, "proc/meminfo", "MemTotal: 99999999999999999999 kB\nSwapTotal: -1 kB\n"+strings.Repeat("x\n", 1<<20))
	machinetest.Put(t, dir, "sys/class/dmi/id/product_name", strings.Repeat("\xff", 1<<20))
	machinetest.Put(t, dir, "sys/class/net/enp5s0f0/speed", strings.Repeat("9", 100))
	machinetest.Pipe(t, dir, "sys/class/net/enp5s0f0/address")
	machinetest.Link(t, dir, "sys/class/net/loop", "loop")
	for i := range most + 3 {
		machinetest.Put(t, dir, fmt.Sprintf("sys/block/x%d/device/model", i), strings.Repeat("m", 1000))
	}
	facts, err := look(t, dir)
	for _, want := range []string{"meminfo: too long", "address: not a regular file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	if text := machinetest.Show(t, facts); len(text) > 1<<20 || facts["truncated"] != true || len(facts["disks"].([]disk)) != most {
		t.Errorf("facts are %d bytes, truncated %v", len(text), facts["truncated"])
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := at(t.TempDir()).Survey(ctx, telemetry.Facts{}); !errors.Is(err, context.Canceled) {
		t.Errorf("survey after the end of its context: %v", err)
	}
}

func TestThisMachine(t *testing.T) {
	d := Define()
	made, err := d.Build(t.Context(), d.Defaults(), plugin.Env{})
	if err != nil {
		t.Fatal(err)
	}
	facts := telemetry.Facts{}
	if err := made.(hardware).Survey(t.Context(), facts); err != nil {
		t.Errorf("survey: %v", err)
	}
	if m, _ := facts["memory"].(memory); m.Total == 0 {
		t.Errorf("memory = %+v", m)
	}
	if c, _ := facts["cpu"].(cpu); c == (cpu{}) {
		t.Error("no CPU")
	}
}

func TestValidate(t *testing.T) {
	err := Config{}.Validate()
	for _, want := range []string{`proc "": want a folder, such as /proc`, `sys ""`, `root ""`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func TestVirtualMachine(t *testing.T) {
	f := func(want virtual, files ...string) {
		t.Helper()
		dir := t.TempDir()
		for i := 0; i < len(files); i += 2 {
			machinetest.Put(t, dir, files[i], files[i+1])
		}
		facts, _ := look(t, dir)
		if facts["virtual_machine"] != want {
			t.Errorf("%q: %+v, want %+v", files, facts["virtual_machine"], want)
		}
	}
	clock := "sys/devices/system/clocksource/clocksource0/available_clocksource"
	f(virtual{Kind: "none"})
	f(virtual{"hypervisor/type", "xen"}, "sys/hypervisor/type", "xen\n")
	f(virtual{"xen/capabilities", "none"}, "sys/hypervisor/type", "xen\n", "proc/xen/capabilities", "control_d\n")
	f(virtual{"clocksource kvm-clock", "kvm"}, clock, "tsc kvm-clock\n")
	f(virtual{"clocksource hyperv_clocksource_tsc_page", "hyper-v"}, clock, "hyperv_clocksource_msr hyperv_clocksource_tsc_page\n")
	f(virtual{"dmi sys_vendor", "vmware"}, "sys/class/dmi/id/sys_vendor", "VMware, Inc.\n")
	f(virtual{"dmi product_name", "hyper-v"}, "sys/class/dmi/id/sys_vendor", "Microsoft Corporation\n", "sys/class/dmi/id/product_name", "Virtual Machine\n")
	f(virtual{Kind: "none"}, "sys/class/dmi/id/sys_vendor", "Amazon EC2\n", "sys/class/dmi/id/product_name", "m5.metal\n")
	f(virtual{"cpu flag hypervisor", "unknown"}, "proc/cpuinfo", "processor : 0\nflags : fpu hypervisor\n")
}

func TestContainer(t *testing.T) {
	f := func(want virtual, file, text string) {
		t.Helper()
		dir := t.TempDir()
		machinetest.Put(t, dir, file, text)
		facts, _ := look(t, dir)
		if facts["container"] != want {
			t.Errorf("%s %q: %+v, want %+v", file, text, facts["container"], want)
		}
	}
	f(virtual{Kind: "none"}, "proc/1/cgroup", "0::/init.scope\n")
	f(virtual{"run/systemd/container", "lxc"}, "run/systemd/container", "lxc\n")
	f(virtual{".dockerenv", "docker"}, ".dockerenv", "")
	f(virtual{"run/.containerenv", "podman"}, "run/.containerenv", "")
	f(virtual{"var/run/secrets/kubernetes.io", "kubernetes"}, "var/run/secrets/kubernetes.io/serviceaccount/token", "")
	f(virtual{"control group of process 1", "docker"}, "proc/1/cgroup", "2:cpu:/docker/0a1b\n")
	f(virtual{"control group of process 1", "podman"}, "proc/1/cgroup", "0::/machine.slice/libpod-0a.scope\n")
	f(virtual{"control group of process 1", "lxc"}, "proc/1/cgroup", "2:cpu:/lxc/web\n")
}

func TestTransport(t *testing.T) {
	f := func(name, path, want string) {
		t.Helper()
		if got := transport(name, path); got != want {
			t.Errorf("transport(%s, %s) = %s, want %s", name, path, got, want)
		}
	}
	f("sda", "../devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sda", "sata")
	f("sda", "../devices/pci0000:00/0000:00:10.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sda", "sas")
	f("sdc", "../devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdc", "usb")
	f("sdd", "../devices/platform/host8/session1/target8:0:0/8:0:0:1/block/sdd", "iscsi")
	f("sde", "../devices/pci0000:80/0000:82:00.0/host7/rport-7:0-2/target7:0:0/7:0:0:0/block/sde", "fc")
	f("sda", "../devices/LNXSYSTM:00/VMBUS:00/f8b3781b/host0/target0:0:0/0:0:0:0/block/sda", "hyper-v")
	f("sda", "../devices/pci0000:00/0000:00:10.0/host2/target2:0:0/2:0:0:0/block/sda", "scsi")
	f("nvme0n1", "../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "nvme")
	f("mmcblk0", "", "mmc")
	f("xvda", "../devices/vbd-768/block/xvda", "xen")
	f("ubda", "", "")
}

func TestTold(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		if got := told(value); got != want {
			t.Errorf("told(%q) = %q, want %q", value, got, want)
		}
	}
	f("PowerEdge R650", "PowerEdge R650")
	f("To Be Filled By O.E.M.", "")
	f("Default string", "")
	f("00000000", "")
	f("0.0.0", "")
	f("", "")
}

func TestSpeed(t *testing.T) {
	f := func(text string, want uint64) {
		t.Helper()
		if got := speed(text); got != want {
			t.Errorf("speed(%q) = %d, want %d", text, got, want)
		}
	}
	f("25000", 25000)
	f("-1", 0)
	f("4294967295", 0)
	f("99999999999999999999999", 0)
	f("", 0)
}
