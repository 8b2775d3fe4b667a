package munin

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/servertest"
	"github.com/pacewire/pacewire/telemetry"
)

// debian is where munin-plugins-core has its plugins.
const debian = "/usr/share/munin/plugins/"

// Debian's plugins, shell and Perl, with their state, several graphs, and a name that is an argument, run as they are.
func TestDebian(t *testing.T) {
	servertest.Program(t, debian+"load", "munin-plugins-core")
	b := newBench(t, nil)
	links := map[string]string{"if_lo": "if_"}
	for _, name := range []string{"load", "cpu", "df", "memory", "uptime", "forks", "irqstats", "open_files", "users", "diskstats"} {
		links[name] = name
	}
	for name, to := range links {
		if err := os.Symlink(debian+to, filepath.Join(b.dir, "plugins", name)); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 2 { // diskstats has nothing to say at first
		if round > 0 { // and divides by the whole seconds since
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
		}
		var out telemetry.Batch
		if err := b.Collect(t.Context(), &out); err != nil {
			t.Fatalf("%v: %s", err, b.said.String())
		}
		well, fields := map[string]bool{}, map[string]any{}
		for p := range out.Points() {
			if check := p.Tags["check"]; links[check] != "" {
				well[check] = p.Fields["state"] == int64(0)
			}
			for name, v := range p.Fields {
				fields[p.Series+"."+name] = v
			}
		}
		for name := range links {
			if !well[name] {
				t.Errorf("%s has not run well: %v", name, well)
			}
		}
		for name, want := range map[string]any{
			"munin_load.load": 0.0, "munin_cpu.user": int64(0), "munin_memory.free": 0.0, "munin_forks.forks": int64(0), "munin_if_lo.down": int64(0),
			"munin_uptime.uptime": 0.0, "munin_open_files.used": 0.0,
		} {
			if got, ok := fields[name]; !ok || reflect.TypeOf(got) != reflect.TypeOf(want) {
				t.Errorf("%s is %v (%T), want a %T", name, got, got, want)
			}
		}
	}
}
