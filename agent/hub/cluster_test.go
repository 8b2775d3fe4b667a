package hub

import (
	"errors"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/cluster"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// A server of the cluster dies that keeps the voice: the hub has it still, or again, and tells what happens and nothing else.
func TestHubOnCluster(t *testing.T) {
	t.Parallel()
	c := bustest.NewCluster(t, cluster.Options{})
	b := &bustest.Bus{URL: c.URL()}
	patient := func(o *Options) {
		o.Interval = 500 * time.Millisecond
		o.Rules.OverdueLeast, o.Rules.DownLeast = 3*time.Second, 6*time.Second // a connection takes a second to find another server
	}
	h := start(t, b, patient)
	f := crowd(t, b, fleet.Options{Hosts: 10, Plugins: 1, Inventory: 500, Interval: 500 * time.Millisecond})
	h.allUp(t, 10)
	reader := c.Conn(t, "reader")
	for _, name := range []string{bus.BucketHosts, bus.BucketHub} {
		if s, err := reader.StreamInfo(t.Context(), "KV_"+name); err != nil || s.Replicas != 3 {
			t.Errorf("bucket %s: %+v, %v", name, s, err)
		}
	}
	leader := c.Leader(t, reader, "KV_"+bus.BucketHub)
	leader.Kill()
	dead := f.Names()[0]
	f.Kill(dead)
	bustest.Wait(t, 2*limit, "DOWN of a host", func() bool { return h.state(dead) == telemetry.HostDown && h.Speaks() })
	if err := leader.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, limit, "all servers", func() bool {
		hubs, err1 := reader.StreamInfo(t.Context(), "KV_"+bus.BucketHub)
		events, err2 := reader.StreamInfo(t.Context(), bus.StreamEvents)
		return errors.Join(err1, err2) == nil && hubs.Leader != "" && len(hubs.Behind) == 0 && events.Leader != "" && len(events.Behind) == 0
	})
	bustest.Wait(t, limit, "a hub that speaks", func() bool { return h.Status().Ready && h.Speaks() })
	all := told(t, b, "DOWN of a host", is(1, "down", dead))
	each(t, all, 1, "down", dead)
	each(t, all, 0, "flapping")
	if n := h.states(telemetry.HostUp); n != 9 {
		t.Errorf("%d hosts are UP; told were %s", n, summary(all))
	}
	t.Logf("told were %s", summary(all))
}
