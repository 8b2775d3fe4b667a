package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"

	"github.com/pacewire/pacewire/telemetry"
)

// Another reader of procfs finds the same on the same machines.
func TestAgainstProcfs(t *testing.T) {
	for _, name := range []string{"server", "old"} {
		m := newMachine(t, name, func(c *Config) {
			c.Partitions, c.DevicesSkip, c.InterfacesSkip = true, nil, nil
		})
		if err := os.Symlink("self/net", filepath.Join(m.dir, "proc/net")); err != nil {
			t.Fatal(err)
		}
		var b telemetry.Batch
		if err := m.Collect(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		got := map[string]map[string]any{}
		for p := range b.Points() {
			got[p.Series+p.Tags["device"]+p.Tags["interface"]] = p.Fields
		}
		f := func(series, field string, want any) {
			t.Helper()
			if v := got[series][field]; v != want {
				t.Errorf("%s: %s.%s = %v, procfs has %v", name, series, field, v, want)
			}
		}
		disks, err := blockdevice.NewFS(filepath.Join(m.dir, "proc"), filepath.Join(m.dir, "sys"))
		if err != nil {
			t.Fatal(err)
		}
		compareDisks(t, disks, f)
		other, err := procfs.NewFS(filepath.Join(m.dir, "proc"))
		if err != nil {
			t.Fatal(err)
		}
		compareRest(t, other, f)
	}
}

func compareDisks(t *testing.T, other blockdevice.FS, f func(series, field string, want any)) {
	t.Helper()
	disks, err := other.ProcDiskstats()
	if err != nil || len(disks) == 0 {
		t.Fatal(len(disks), err)
	}
	for _, d := range disks {
		f("diskio"+d.DeviceName, "reads", d.ReadIOs)
		f("diskio"+d.DeviceName, "read_bytes", d.ReadSectors*512)
		f("diskio"+d.DeviceName, "write_time", d.WriteTicks)
		f("diskio"+d.DeviceName, "io_time", d.IOsTotalTicks)
		f("diskio"+d.DeviceName, "weighted_io_time", d.WeightedIOTicks)
	}
}

func compareRest(t *testing.T, other procfs.FS, f func(series, field string, want any)) {
	t.Helper()
	interfaces, err := other.NetDev()
	if err != nil || len(interfaces) == 0 {
		t.Fatal(len(interfaces), err)
	}
	for _, n := range interfaces {
		f("net"+n.Name, "bytes_recv", n.RxBytes)
		f("net"+n.Name, "packets_sent", n.TxPackets)
		f("net"+n.Name, "err_in", n.RxErrors)
		f("net"+n.Name, "drop_out", n.TxDropped)
	}
	memory, err := other.Meminfo()
	if err != nil {
		t.Fatal(err)
	}
	f("mem", "total", *memory.MemTotal*1024)
	f("mem", "cached", *memory.Cached*1024)
	f("mem", "committed_as", *memory.CommittedAS*1024)
	f("swap", "free", *memory.SwapFree*1024)
	load, err := other.LoadAvg()
	if err != nil {
		t.Fatal(err)
	}
	f("load", "load1", load.Load1)
	f("load", "load15", load.Load15)
	stat, err := other.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f("kernel", "boot_time", stat.BootTime)
	f("kernel", "interrupts", stat.IRQTotal)
	f("kernel", "context_switches", stat.ContextSwitches)
	f("kernel", "processes_forked", stat.ProcessCreated)
}
