package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/collector/collectortest"
	"github.com/pacewire/pacewire/internal/golden"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

var _ collector.Collector = (*host)(nil)

func TestMachines(t *testing.T) {
	f := func(name string, absent ...string) {
		t.Helper()
		m := newMachine(t, name, nil)
		got, err := m.points(t)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Equal(t, filepath.Join("testdata", name+".golden"), []byte(got))
		if n := strings.Count(m.log.String(), "\n"); n != len(absent) {
			t.Errorf("%s: want a line for each of %v in the log, got\n%s", name, absent, m.log)
		}
		for _, section := range absent {
			if !strings.Contains(m.log.String(), "level=INFO msg=\"section not on this machine\" section="+section) {
				t.Errorf("%s: want section %s missed in the log, got\n%s", name, section, m.log)
			}
		}
	}
	f("server")
	f("old", "pressure")
	f("container", "diskio", "pressure")
}

// A machine whose root is mounted elsewhere is seen through the eyes of its first process.
func TestRoot(t *testing.T) {
	m := newMachine(t, "server", func(c *Config) {
		c.Only, c.Root = []string{"disk", "net"}, "/host"
	})
	if err := os.Rename(filepath.Join(m.dir, "proc/self/net"), filepath.Join(m.dir, "proc/1/net")); err != nil {
		t.Fatal(err)
	}
	m.write(t, "proc/1/mountinfo", "29 1 254:0 / / rw - ext4 /dev/vda1 rw\n94 29 8:1 / /srv rw - xfs /dev/sda1 rw\n")
	asked := make(chan string, 2)
	m.disk().statfs = func(path string) (usage, error) {
		asked <- path
		return usage{total: 100, free: 50, available: 40}, nil
	}
	got, err := m.points(t)
	if err != nil || !strings.Contains(got, `path="/srv"`) || !strings.Contains(got, `interface="bond0"`) {
		t.Errorf("points = %s, %v; want path /srv and interface bond0", got, err)
	}
	paths := []string{<-asked, <-asked}
	if slices.Sort(paths); !slices.Equal(paths, []string{"/host", "/host/srv"}) {
		t.Errorf("asked %q, want /host and /host/srv", paths)
	}
}

func TestAbsentSectionIsSaidOnce(t *testing.T) {
	m := newMachine(t, "server", func(c *Config) { c.Only = []string{"load", "pressure"} })
	collect := func(wantPressure bool, wantLines int) {
		t.Helper()
		got, err := m.points(t)
		if has := strings.Contains(got, "pressure"); err != nil || has != wantPressure || !strings.Contains(got, "load") {
			t.Errorf("points = %s, %v; want pressure %v and load", got, err, wantPressure)
		}
		if n := strings.Count(m.log.String(), "\n"); n != wantLines {
			t.Errorf("log has %d lines, want %d:\n%s", n, wantLines, m.log)
		}
	}
	collect(true, 0)
	_ = m.Close() // files of procfs cannot be deleted while they are open
	m.remove(t, "proc/pressure")
	collect(false, 1)
	collect(false, 1)
	if err := os.CopyFS(filepath.Join(m.dir, "proc/pressure"), os.DirFS("testdata/server/proc/pressure")); err != nil {
		t.Fatal(err)
	}
	collect(true, 1)
	_ = m.Close()
	m.remove(t, "proc/pressure")
	collect(false, 2)
}

// A kernel started with psi=0 has the files and refuses to read them.
func TestUnsupportedIsAbsent(t *testing.T) {
	for _, err := range []error{syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.ENOENT} {
		if !isAbsent(&fs.PathError{Op: "read", Path: "pressure/cpu", Err: err}) || ignoreAbsent(err) != nil {
			t.Errorf("%v is not taken as absent", err)
		}
	}
	for _, err := range []error{syscall.EACCES, syscall.EIO} {
		if isAbsent(err) || ignoreAbsent(err) == nil {
			t.Errorf("%v is taken as absent", err)
		}
	}
}

// What is wrong in one file is told with its name and line, and costs no section that does not need it.
func TestOneFaultyFile(t *testing.T) {
	f := func(file, text, want string, lost ...string) {
		t.Helper()
		m := newMachine(t, "server", nil)
		m.write(t, file, text)
		got, err := m.points(t)
		if err == nil || !strings.Contains(err.Error(), "parse "+filepath.Join(m.dir, file)+": "+want) {
			t.Errorf("%s: error %v, want parse %s: %s", file, err, file, want)
		}
		for _, name := range sectionNames() {
			has := strings.Contains("\n"+got, "\n"+name+" ") || strings.Contains("\n"+got, "\n"+name+"\n")
			if want := !slices.Contains(lost, name); has != want {
				t.Errorf("%s: section %s there %v, want %v", file, name, has, want)
			}
		}
	}
	f("proc/stat", "cpu 1 2 x 4\n", `line 1: cpu: want a number, got "x"`, "cpu")
	f("proc/stat", "cpu 99999999 2 3 4\nctxt -1\n", `line 2: ctxt: want a number, got "-1"`)
	f("proc/meminfo", "MemTotal: 12 kB\nMemFree: many kB\n", `line 2: MemFree: want a number, got "many"`, "mem", "swap")
	f("proc/meminfo", "MemFree: 12 kB\n", `no line MemTotal`, "mem", "swap")
	f("proc/vmstat", "pswpin\n", `line 1: pswpin: want a number, got ""`, "swap")
	f("proc/loadavg", "0.1 nan 0.2\n", `line 1: average 2: want a number, got "nan"`, "load")
	f("sys/devices/system/cpu/online", "0-3,x\n", `line 1: want a number, got "x"`)
	f("proc/self/mountinfo", "1 2 3 4 5\n", `line 1: want fields, " - " and fields, got "1 2 3 4 5"`, "disk")
	f("proc/diskstats", "8 0 sda 1 2 3\n", `line 1: sda: want 11 numbers behind the name, got 3`, "diskio")
	f("proc/self/net/dev", "a\nb\neth0: 1 2\n", `line 3: eth0: want 16 numbers, got 2`, "net")
	f("proc/812/stat", "812 (a) S 1\n", `line 1: threads: want a number, got ""`, "processes")
	f("proc/sys/kernel/random/entropy_avail", "lots\n", `line 1: number 1: want a number, got "lots"`)
	f("proc/uptime", "-3 4\n", `line 1: uptime: want a number, got "-3"`, "system")
	f("proc/sys/fs/file-nr", "1\n", `line 1: number 2: want a number, got ""`)
	f("proc/pressure/io", "some avg10=0.1\n", `line 1: avg60= want a number, got ""`)
}

// A section that cannot be read at all is named, and costs no other one.
func TestOneFailingSection(t *testing.T) {
	f := func(section, broken string, also ...string) {
		t.Helper()
		m := newMachine(t, "server", nil)
		_ = m.Close() // what was read before stands there no more
		m.remove(t, broken)
		if err := os.Mkdir(filepath.Join(m.dir, broken), 0o700); err != nil { // which opens, and cannot be read
			t.Fatal(err)
		}
		got, err := m.points(t)
		lost := append([]string{section}, also...)
		for _, name := range sectionNames() {
			has := strings.Contains("\n"+got, "\n"+name+" ") || strings.Contains("\n"+got, "\n"+name+"\n")
			named := strings.Contains("\n"+fmt.Sprint(err), "\n"+name+": ")
			if fails := slices.Contains(lost, name); named != fails || !fails && !has { // a part of one that fails may be there
				t.Errorf("%s: section %s named %v, there %v; want failing %v\n%v", broken, name, named, has, fails, err)
			}
		}
		if err != nil && !strings.Contains(err.Error(), filepath.Join(m.dir, broken)) {
			t.Errorf("%s is not named: %v", broken, err)
		}
	}
	f("cpu", "proc/stat", "kernel")
	f("mem", "proc/meminfo", "swap")
	f("swap", "proc/vmstat", "kernel")
	f("load", "proc/loadavg")
	f("disk", "proc/self/mountinfo")
	f("diskio", "proc/diskstats")
	f("net", "proc/self/net/dev")
	f("processes", "proc/812/stat")
	f("system", "proc/uptime")
	f("pressure", "proc/pressure/cpu")
}

func TestNewNeedsProc(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, proc := range []string{file, filepath.Join(t.TempDir(), "missing")} {
		cfg := defaults()
		cfg.Proc = proc
		_, err := New(t.Context(), cfg, plugin.Env{})
		if err == nil || !strings.Contains(err.Error(), proc) || !strings.Contains(err.Error(), "name the folder") {
			t.Errorf("New with proc %s: %v, want an error that says so", proc, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	h := realHost(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Collect(ctx, &telemetry.Batch{}); !errors.Is(err, context.Canceled) {
		t.Errorf("collect after the end of its context: %v, want cancelled", err)
	}
}

// The machine that runs the test has to make sense.
func TestRealMachine(t *testing.T) {
	points := collectortest.Collect(t, realHost(t, nil), nil)
	f := func(series string, fields ...string) {
		t.Helper()
		for _, p := range points {
			if p.Series != series {
				continue
			}
			for _, name := range fields {
				if v := telemetry.ValueOf(p.Fields[name]).Float(); !(v > 0) {
					t.Errorf("%s: %s = %v, want more than 0", series, name, p.Fields[name])
				}
			}
			return
		}
		t.Errorf("no points of %s among %d", series, len(points))
	}
	f("cpu")
	f("mem", "total", "used", "free", "available", "used_percent")
	f("swap")
	f("load")
	f("processes", "total", "threads")
	f("kernel", "boot_time", "context_switches", "interrupts", "processes_forked", "procs_running")
	f("system", "uptime", "files", "files_max")
	checkPercents(t, points)
	checkCatalog(t, points)
}

func checkPercents(t *testing.T, points []telemetry.Point) {
	t.Helper()
	for _, p := range points {
		for name, v := range p.Fields {
			percent := strings.HasPrefix(name, "usage") || strings.HasSuffix(name, "percent")
			if f := telemetry.ValueOf(v).Float(); percent && !(f >= 0 && f <= 100.0001) {
				t.Errorf("%s %v: %s = %v, want 0 to 100", p.Series, p.Tags, name, v)
			}
		}
	}
}

func checkCatalog(t *testing.T, points []telemetry.Point) {
	t.Helper()
	known := map[string]telemetry.Desc{}
	for _, d := range Define().Catalog {
		known[d.Series] = d
	}
	for _, p := range points {
		d := known[p.Series]
		for name, v := range p.Fields {
			if got := string(telemetry.ValueOf(v).Type()); d.Types[name] != got || d.Fields[name] == "" {
				t.Errorf("%s.%s has type %s; the catalog says %q, unit %q", p.Series, name, got, d.Types[name], d.Fields[name])
			}
		}
		for key := range p.Tags {
			if d.Tags[key] == "" {
				t.Errorf("%s has tag %s, which is not in the catalog", p.Series, key)
			}
		}
	}
}

func TestStatfs(t *testing.T) {
	u, err := statfs(t.TempDir())
	if err != nil || u.total < u.free || u.free < u.available {
		t.Errorf("statfs = %+v, %v", u, err)
	}
	if _, err := statfs(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("statfs of nothing: %v, want not exist", err)
	}
}

// A collection makes next to no garbage: what remains is of the groups of the batch, the paths of the processes and the
// goroutines of statfs.
func TestAllocs(t *testing.T) {
	f := func(limit float64, sections ...string) {
		t.Helper()
		m := newMachine(t, "server", func(c *Config) { c.Only = sections })
		var b telemetry.Batch
		collect := func() {
			rewind(m.host)
			b.Reset()
			b.At(time.Unix(1763559525, 0))
			if err := m.Collect(t.Context(), &b); err != nil || b.Len() == 0 {
				t.Errorf("%v: %d points, %v", sections, b.Len(), err)
			}
		}
		for range 3 { // the groups of the batch swap their memory for a while
			collect()
		}
		if n := testing.AllocsPerRun(20, collect); n > limit {
			t.Errorf("%v: %v allocations, want %v at most", sections, n, limit)
		}
	}
	f(2, "cpu")
	f(2, "mem")
	f(2, "swap")
	f(2, "load")
	f(2, "diskio")
	f(2, "net")
	f(2, "kernel")
	f(2, "system")
	f(3, "pressure")
	f(12, "processes") // there are 8
	f(20, "disk")      // there are 6
	f(45)
}

// rewind makes the next collection find that the CPUs have worked, and that the processes are to be counted.
func rewind(h *host) {
	for _, p := range h.parts {
		switch s := p.section.(type) {
		case *cpu:
			for _, core := range s.before {
				core.ticks = ticks{}
			}
		case *processes:
			s.pace = pace{}
		}
	}
}
