package hub

import (
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// What the bucket has of plugins that no inventory lists, and of hosts that nobody knows, is not shown, and makes no host.
func TestPluginsOfNobody(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, swift)
	k := keeperOf(t, b, "web")
	odd := "of a name with = and . "
	k.set("disk/status", telemetry.Facts{"kind": "collector", "state": "running"})
	k.set(odd+"/status", telemetry.Facts{"kind": "collector", "state": "running"})
	k.steady()
	k.held(r)
	shown := func(want ...string) {
		t.Helper()
		var got []string
		bustest.Wait(t, limit, "the plugins", func() bool {
			got = nil
			list, _ := r.Plugins(Filter{}, Page{})
			for _, s := range list {
				got = append(got, s.Host+"/"+s.Name)
			}
			return len(got) == len(want)
		})
		same(t, "plugins", got, want)
	}
	shown("web/disk", "web/"+odd)
	inventory, err := b.Conn(t, bus.Hub).Bucket(t.Context(), bus.BucketInventory)
	if err != nil {
		t.Fatal(err)
	}
	orphan := func(host, plugin string) {
		t.Helper()
		d := telemetry.PluginData{Version: 1, Host: host, Plugin: plugin, Type: telemetry.DataStatus, Time: 1, Data: telemetry.Facts{"kind": "collector", "state": "running"}}
		body, err := telemetry.EncodeControl(d, telemetry.MsgPack)
		if err == nil {
			_, err = inventory.Put(t.Context(), bus.Key(host, plugin, telemetry.DataStatus), body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	arrived := func(host string, n int) {
		t.Helper()
		bustest.Wait(t, limit, "what is of nobody", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.status[bus.Key(host)]) == n
		})
	}
	orphan("web", "gone")
	orphan("ghost", "disk")
	arrived("web", 3)
	arrived("ghost", 1)
	shown("web/disk", "web/"+odd)
	r.stop()
	r = start(t, b, swift)
	arrived("web", 3)
	shown("web/disk", "web/"+odd)
	r.mu.Lock()
	if len(r.fleet) != 1 {
		t.Errorf("%d hosts", len(r.fleet))
	}
	r.mu.Unlock()
	if err := inventory.Delete(t.Context(), bus.Key("web", odd, telemetry.DataStatus), 0); err != nil {
		t.Fatal(err)
	}
	arrived("web", 2)
	shown("web/disk")
}
