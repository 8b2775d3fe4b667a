package host

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

// crewed is a config with a processor of n processes.
func crewed(n int, more ...string) string {
	return fmt.Sprintf("collect: { numbers: { every: 10ms } }\nprocess: { hot: { use: pass, from: numbers, journal: $J, replicas: %d%s } }\npublish: { sink: { from: hot } }\n",
		n, strings.Join(append([]string{""}, more...), ", "))
}

func (r *rig) names() []string { return slices.Sorted(maps.Keys(r.pids())) }

// A plugin grows from one process to four and shrinks again: only those that are to come or go start and stop.
func TestCrewScales(t *testing.T) {
	r := rigged(t, crewed(1))
	before := r.pids()
	r.write(crewed(4))
	dry, err := r.h.Reload(t.Context(), true)
	if c := byName(dry)["hot.3"]; err != nil || c.Action != telemetry.ChangeStart || len(r.names()) != 3 {
		t.Errorf("dry run: %+v, %v, %v", c, err, r.names())
	}
	for name, c := range r.reloaded(crewed(4)) {
		want := telemetry.ChangeNone
		if _, was := before[name]; !was {
			want = telemetry.ChangeStart
		}
		if c.Action != want {
			t.Errorf("up: %+v, want %s", c, want)
		}
	}
	if names := r.names(); !slices.Equal(names, []string{"hot", "hot.2", "hot.3", "hot.4", "numbers", "sink"}) {
		t.Fatal(names)
	}
	for _, name := range []string{"hot", "hot.2", "hot.3", "hot.4"} {
		r.inForce(name)
	}
	four := r.pids()
	for name, pid := range before {
		if four[name] != pid {
			t.Errorf("up: %s is another process", name)
		}
	}
	for name, c := range r.reloaded(crewed(1)) {
		want := telemetry.ChangeNone
		if _, stays := before[name]; !stays {
			want = telemetry.ChangeStop
		}
		if c.Action != want {
			t.Errorf("down: %+v, want %s", c, want)
		}
	}
	if !maps.Equal(r.pids(), before) {
		t.Errorf("down: %v, was %v", r.pids(), before)
	}
	r.settled(3)
}
