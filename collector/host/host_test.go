package host

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/plugin"
)

func TestDefine(t *testing.T) {
	d := Define()
	if d.Kind != plugin.Collector || d.Program != "host" {
		t.Errorf("%s %s, want collector host", d.Kind, d.Program)
	}
	if err := d.Check(d.Defaults()); err != nil {
		t.Errorf("defaults: %v", err)
	}
	var got []string
	for _, s := range d.Catalog {
		got = append(got, s.Series)
		for name := range s.Fields {
			if s.Fields[name] == "" || s.Types[name] == "" {
				t.Errorf("%s.%s has no unit or type", s.Series, name)
			}
		}
	}
	want := strings.Fields("cpu mem swap load disk diskio net processes kernel system pressure")
	if !slices.Equal(got, want) {
		t.Errorf("catalog has %v, want %v", got, want)
	}
}

func TestSections(t *testing.T) {
	f := func(only, skip, want string) {
		t.Helper()
		c := Config{Only: strings.Fields(only), Skip: strings.Fields(skip)}
		if got := strings.Join(c.sections(), " "); got != want {
			t.Errorf("only [%s] skip [%s]: %s, want %s", only, skip, got, want)
		}
	}
	f("", "", strings.Join(sectionNames(), " "))
	f("mem cpu", "", "cpu mem")
	f("", "disk diskio net processes kernel system pressure", "cpu mem swap load")
	f("cpu mem", "mem", "cpu")
	f("cpu", "cpu", "")
}

func TestValidate(t *testing.T) {
	f := func(settings string, want ...string) {
		t.Helper()
		err := Define().Check(json.RawMessage(settings))
		if (err == nil) != (len(want) == 0) {
			t.Errorf("%s: %v, want %q", settings, err, want)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %s in it", settings, err, w)
			}
		}
	}
	f(`{}`)
	f(`{"only": ["disk"], "mounts": ["/", "/srv/*"], "mount_timeout": "500ms", "proc": "/host/proc", "root": "/host"}`)
	f(`{"only": ["memory"]}`, `only "memory": no such section: want some of cpu, mem, swap, load, disk, diskio, net, processes, kernel, system, pressure`)
	f(`{"skip": ["cpus", "disks"]}`, `skip "cpus"`, `skip "disks"`)
	f(`{"only": ["cpu"], "skip": ["cpu"]}`, "only and skip leave no section")
	f(`{"fs_skip": ["[a"], "mounts": ["[b"], "mounts_skip": ["[c"], "devices_skip": ["[d"], "interfaces_skip": ["[e"]}`,
		`fs_skip "[a"`, `mounts "[b"`, `mounts_skip "[c"`, `devices_skip "[d"`, `interfaces_skip "[e"`)
	f(`{"proc": "", "sys": "", "root": ""}`, `proc "": want a folder, such as /proc`, `sys "": want`, `root "": want`)
	f(`{"mount_timeout": "0s"}`, `mount_timeout 0s: want more`)
	f(`{"mount_timeout": "-1s"}`, `mount_timeout -1s: want more`)
	f(`{"per_cpus": true}`, "per_cpus")
}
