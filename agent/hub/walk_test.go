package hub

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// populate has a hub hear of hosts, each with plugins whose every second one has failed. It returns the ids, and "host/plugin", in
// the order in which they are listed.
func (h *Hub) populate(t testing.TB, hosts, plugins int, more ...string) (ids, all []string) {
	t.Helper()
	for i := range hosts {
		ids = append(ids, fmt.Sprintf("h-%05d", i))
	}
	ids = append(ids, more...)
	slices.Sort(ids)
	for _, id := range ids {
		if err := h.hears(t.Context(), id, "i1", 1); err != nil {
			t.Fatal(err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		x := h.at(id)
		for n := range plugins {
			s := telemetry.PluginStatus{Host: id, Name: fmt.Sprintf("p%d", n), Kind: "collector", Program: "load", State: []string{"running", "failed"}[n%2]}
			h.status.put(bus.Key(id), bus.Token(s.Name), s)
			x.keep(telemetry.InventoryItem{Plugin: s.Name, Type: telemetry.DataStatus})
			all = append(all, id+"/"+s.Name)
		}
	}
	return ids, all
}

// hears has the hub hear a beat, without a bus between them.
func (h *Hub) hears(ctx context.Context, id, inst string, seq uint64) error {
	b := telemetry.Heartbeat{Version: telemetry.ProtocolVersion, Host: id, Plugin: bus.Agent, Name: "box", Boot: "boot-1", Inst: inst, Gen: 1, Seq: seq, IntervalMS: always}
	s, err := bus.ParseSubject(bus.HeartbeatSubject(id, bus.Agent, bus.HTB))
	if err == nil {
		_, err = h.hear(ctx, s, beat{b, telemetry.MsgPack})
	}
	return err
}

// vast are rules by which a whole fleet may come at once.
func vast(o *Options) { o.Rules.NewBurst = 1 << 20 }

// inPages returns the names of all elements of a list that comes in pages.
func inPages[T any](t testing.TB, name func(T) string, page func(after string) ([]T, bool)) (names []string, pages int) {
	t.Helper()
	after := ""
	for more := true; more; pages++ {
		var list []T
		if list, more = page(after); more && len(list) == 0 {
			t.Fatalf("an empty page after %q, and yet there are more", after)
		}
		for _, v := range list {
			after = name(v)
			names = append(names, after)
		}
		if len(names) > 100_000 {
			t.Fatalf("%d and still no end, at %q", len(names), after)
		}
	}
	return names, pages
}

func nameOfHost(s telemetry.HostStatus) string { return s.Host }

func nameOfPlugin(s telemetry.PluginStatus) string { return s.Host + "/" + s.Name }

// same checks a list, and names only where it begins to differ.
func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("%s: %d, want %d; after %d right ones comes %.80q, want %.80q", what, len(got), len(want), i, got[min(i, len(got)):], want[min(i, len(want)):])
			return
		}
	}
}

// Whatever the size of a page, each host and each plugin is listed once and in order: rivals after their host, and hosts whose ids
// look like those of others.
func TestListsByPages(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, vast)
	ids, plugins := r.populate(t, 2000, 10, "a", "a-1", "a~x", "a~", "a b", "z")
	if err := r.hears(t.Context(), "a", "i2", 1); err != nil { // another one beats under its id
		t.Fatal(err)
	}
	hosts := slices.Insert(slices.Clone(ids), slices.Index(ids, "a")+1, "a~i2")
	for _, most := range []int{0, 1, 7, 100, 256, 257, 5000} {
		got, pages := inPages(t, nameOfHost, func(after string) ([]telemetry.HostStatus, bool) { return r.Hosts(Filter{}, Page{after, most}) })
		same(t, fmt.Sprint("hosts by ", most), got, hosts)
		if want := (len(ids) + max(most, 1) - 1) / max(most, 1); most > 0 && pages != want || most == 0 && pages != 1 {
			t.Errorf("%d pages of %d", pages, most)
		}
	}
	for _, most := range []int{0, 7, 100, 5000} {
		got, _ := inPages(t, nameOfPlugin, func(after string) ([]telemetry.PluginStatus, bool) { return r.Plugins(Filter{}, Page{after, most}) })
		same(t, fmt.Sprint("plugins by ", most), got, plugins)
	}
	failed := slices.DeleteFunc(slices.Clone(plugins), func(name string) bool { return name[len(name)-1]%2 == 0 }) // p0, p2 ...
	got, _ := inPages(t, nameOfPlugin, func(after string) ([]telemetry.PluginStatus, bool) {
		return r.Plugins(Filter{State: "failed"}, Page{after, 100})
	})
	same(t, "plugins that failed", got, failed)
	failedOf := func(after string, most int, want ...string) {
		t.Helper()
		got, more := r.Plugins(Filter{Host: "a~x", State: "failed"}, Page{after, most})
		var names []string
		for _, s := range got {
			names = append(names, s.Name)
		}
		if !slices.Equal(names, want) || more != (len(want) > 0 && want[len(want)-1] != "p9") {
			t.Errorf("after %q: %q, more %v; want %q", after, names, more, want)
		}
	}
	failedOf("", 0, "p1", "p3", "p5", "p7", "p9")
	failedOf("a~x/p3", 2, "p5", "p7")
	failedOf("a~x/p4", 2, "p5", "p7") // which is not in the list
	failedOf("a~x/p8", 2, "p9")
	failedOf("a~x/p9", 2)

	c := caller{t, b.Conn(t, "operator"), telemetry.MsgPack} // whose pages have no more than fits
	got, _ = inPages(t, nameOfHost, func(after string) ([]telemetry.HostStatus, bool) {
		l := payload(c, telemetry.DecodeHostList, "hosts", map[string]any{"after": after})
		return l.Hosts, l.More
	})
	same(t, "hosts over the bus", got, hosts)
	got, _ = inPages(t, nameOfPlugin, func(after string) ([]telemetry.PluginStatus, bool) {
		l := payload(c, telemetry.DecodePluginList, "plugins", map[string]any{"after": after, "state": "failed"})
		return l.Plugins, l.More
	})
	same(t, "failed plugins over the bus", got, failed)
}

// Who reads the whole fleet, again and again, holds up nobody's beat: they are answered while a list is being made.
func TestBeatsAmongReaders(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, vast)
	ids, plugins := r.populate(t, 2000, 10)
	a := agentOf(t, b, ids[0], "i1", 1)
	a.Name, a.Seq = "box", 1
	stop := make(chan struct{})
	var readers sync.WaitGroup
	var loops [4]int
	for i := range loops {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				hosts, _ := inPages(t, nameOfHost, func(after string) ([]telemetry.HostStatus, bool) { return r.Hosts(Filter{}, Page{after, 100}) })
				all, _ := r.Plugins(Filter{}, Page{})
				if len(hosts) != len(ids) || len(all) != len(plugins) {
					t.Errorf("a reader found %d hosts and %d plugins", len(hosts), len(all))
				}
				loops[i]++
			}
		})
	}
	answered := 0
	for range 20 {
		if ack := a.beat(); ack.State == telemetry.Accepted {
			answered++
		}
	}
	close(stop)
	readers.Wait()
	if answered != 20 || slices.Min(loops[:]) == 0 {
		t.Errorf("%d beats were answered while lists were read %v times", answered, loops)
	}

	during, seq := 0, uint64(1000)
	beating, end := make(chan struct{}), make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() {
		close(beating)
		for {
			select {
			case <-end:
				return
			default:
			}
			if err := r.hears(t.Context(), ids[1], "i1", seq); err != nil {
				t.Error(err)
			}
			seq++
		}
	})
	<-beating
	for try := 0; during == 0 && try < 100; try++ { // on a busy machine nobody may beat during one walk
		from := uint64(0)
		r.walk("", func(_ *host, p liveness.Peer) bool {
			now, _ := r.watch.Peer(ids[1])
			if from == 0 {
				from = now.Received
			}
			during = int(now.Received - from)
			for range 20_000 { // long enough to be waited for
			}
			return true
		})
	}
	close(end)
	beats.Wait()
	if during == 0 {
		t.Error("no beat was taken while the fleet was walked through")
	}
}

// Rivals are listed with their host, wherever the page ends.
func TestRivalAtTheEndOfAPage(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, vast)
	ids, _ := r.populate(t, 150, 0)
	var hosts []string
	for _, id := range ids {
		hosts = append(hosts, id)
		for _, inst := range []string{"i2", "i3"} {
			if err := r.hears(t.Context(), id, inst, 1); err != nil {
				t.Fatal(err)
			}
			hosts = append(hosts, id+"~"+inst)
		}
	}
	for _, most := range []int{0, 1, 10} {
		got, _ := inPages(t, nameOfHost, func(after string) ([]telemetry.HostStatus, bool) { return r.Hosts(Filter{}, Page{after, most}) })
		same(t, fmt.Sprint("hosts by ", most), got, hosts)
	}
	c := caller{t, b.Conn(t, "operator"), telemetry.MsgPack}
	got, _ := inPages(t, nameOfHost, func(after string) ([]telemetry.HostStatus, bool) {
		l := payload(c, telemetry.DecodeHostList, "hosts", map[string]any{"after": after})
		return l.Hosts, l.More
	})
	same(t, "hosts over the bus", got, hosts)
}
