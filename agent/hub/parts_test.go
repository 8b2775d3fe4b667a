package hub

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// What has come in part is counted for as long as it waits, whatever becomes of its host.
func TestPartsAreCounted(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	a := agentOf(t, b, "web", "i1", 1)
	a.beat()
	parts, err := telemetry.PluginData{Version: 1, Host: "web", Inst: "i1", Plugin: "os", Type: telemetry.DataInfo, Time: 1,
		Data: telemetry.Facts{"text": strings.Repeat("x", 600<<10)}}.Split(telemetry.MsgPack)
	if err != nil || len(parts) != 3 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	tell := func(i int) {
		t.Helper()
		send(t, b, bus.HeartbeatSubject("web", bus.Agent, bus.PLG), parts[i])
	}
	wait := func(what string, most, least int) {
		t.Helper()
		bustest.Wait(t, limit, what, func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			n := 0
			for _, x := range r.fleet {
				n += x.inParts()
			}
			return n == r.parts && n <= most && n >= least
		})
	}
	tell(0)
	tell(1)
	wait("two parts", 600<<10, 400<<10)
	if err := r.Forget(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	wait("nothing of a host that was forgotten", 0, 0)
	a.beat()
	for i := range parts {
		tell(i)
	}
	bustest.Wait(t, limit, "the entry", func() bool { return r.counted("inventory_stored") == 1 })
	wait("nothing of an entry that is whole", 0, 0)
}

// Only so many refreshes are under way; of those that have ended the newest are remembered.
func TestJobsAreBounded(t *testing.T) {
	var all jobs
	begin := func() *job {
		t.Helper()
		j := &job{RefreshJob: telemetry.RefreshJob{ID: newID()}}
		if err := all.add(j); err != nil {
			t.Fatal(err)
		}
		return j
	}
	var alive []*job
	for range mostAlive {
		alive = append(alive, begin())
	}
	if err := all.add(&job{}); !errors.Is(err, ErrBusy) || faultOf(err).Code != telemetry.FaultDependency {
		t.Errorf("one more: %v", err)
	}
	alive[0].Ended = 1
	for range 3 * mostJobs {
		begin().Ended = 1
	}
	if len(all.list) != mostJobs || slices.Contains(all.list, alive[0]) {
		t.Errorf("%d are remembered", len(all.list))
	}
	for _, j := range alive[1:] {
		if !slices.Contains(all.list, j) {
			t.Errorf("job %s is under way, and forgotten", j.ID)
		}
	}
}
