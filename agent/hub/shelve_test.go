package hub

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

func sized(name string, size int) parcel {
	return parcel{InventoryItem: item(name), size: size}
}

// Who sends more than is stored loses of its own, and those of others have room, as far as there is room at all.
func TestShelves(t *testing.T) {
	var s shelves
	s.init()
	x, y := &host{id: "web"}, &host{id: "db"}
	put := func(x *host, name string, size int, want bool) {
		t.Helper()
		if got := s.put(x, sized(name, size)); got != want {
			t.Errorf("%s of %s with %d bytes: %v", name, x.id, size, got)
		}
	}
	next := func(want *host, n int) []parcel {
		t.Helper()
		x, some := s.next()
		if x != want || len(some) != n {
			t.Fatalf("%d of %s, want %d of %s", len(some), x.id, n, want.id)
		}
		return some
	}
	put(x, "a/info", mostWaiting, true)
	put(x, "b/info", 1, false)
	put(y, "a/info", 1, true)
	some := next(x, 1)
	put(x, "b/info", 1, false) // the first one has not left yet
	s.done(x, some)
	for i := range mostAtOnce + 2 {
		put(x, fmt.Sprint(i), 1, true)
	}
	next(y, 1) // has waited for longer, and is slow
	some = next(x, mostAtOnce)
	if some[0].Plugin != "0" || some[mostAtOnce-1].Plugin != fmt.Sprint(mostAtOnce-1) {
		t.Errorf("out of order: %v", some)
	}
	s.done(x, some)
	s.done(x, next(x, 2))
	for i := range mostEntries + 1 {
		put(x, fmt.Sprint(i), 0, i < mostEntries)
	}
	for i := range mostWaitAll / mostWaiting {
		put(&host{}, "all", mostWaiting, i < mostWaitAll/mostWaiting-1) // db has a byte
	}
	s.close()
	if x, _ := s.next(); x != nil || len(s.hosts) != mostWaitAll/mostWaiting+1 {
		t.Errorf("at the end %v of %d", x, len(s.hosts))
	}
}

// slow has the entries of a host wait to be stored until the function that it returns is called.
func (r *running) slow(host string) (end func()) {
	r.mu.Lock()
	x := r.fleet[host]
	r.mu.Unlock()
	x.shelf.Lock()
	return x.shelf.Unlock
}

// A host whose entries are stored slowly holds up no other one; what it sends too much is dropped and comes later.
func TestSlowHost(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	slow, good := keeperOf(t, b, "slow"), keeperOf(t, b, "good")
	slow.beat()
	good.beat()
	end := r.slow("slow")
	for i := range 60 {
		slow.set(entryName(i), telemetry.Facts{"text": strings.Repeat("x", 200<<10)})
	}
	j, err := r.Refresh([]string{"slow"}, telemetry.ModeCached)
	if err != nil {
		t.Fatal(err)
	}
	j = r.wait(t, j.ID)
	if len(j.Failed) != 1 || !strings.Contains(j.Failed[0], errDropped.Error()) { // not that time has run out
		t.Errorf("job %+v", j)
	}
	if n := r.counted("data_dropped"); n == 0 || n >= 60 {
		t.Errorf("%d of 60 dropped", n)
	}
	good.set("os/info", telemetry.Facts{"n": 1})
	good.steady()
	good.held(r)
	if n := r.counted("inventory_stored"); n != 1 {
		t.Errorf("%d stored", n)
	}
	end()
	bustest.Wait(t, limit, "what has waited", func() bool { return r.counted("inventory_stored")+r.counted("data_dropped") == 61 })
	if j, err = r.Refresh([]string{"slow"}, telemetry.ModeCached); err != nil {
		t.Fatal(err)
	}
	if j = r.wait(t, j.ID); j.Missing != 0 {
		t.Errorf("job %+v", j)
	}
	slow.held(r)
}

// Where the bucket is full, whoever waits for an entry hears of it at once, and no host is asked for more.
func TestInventoryFull(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	k := keeperOf(t, b, "web")
	k.beat()
	whole := r.kv.inventory.Load()
	small, err := b.Conn(t, bus.Hub).EnsureBucket(t.Context(), bus.BucketSettings{Name: "SMALL", MaxBytes: 256 << 10, Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	r.kv.inventory.Store(small)
	for i := range 4 {
		k.set(entryName(i), telemetry.Facts{"text": strings.Repeat("x", 100<<10)})
	}
	j, err := r.Refresh([]string{"web"}, telemetry.ModeCached)
	if err != nil {
		t.Fatal(err)
	}
	j = r.wait(t, j.ID)
	if len(j.Failed) != 1 || !strings.Contains(j.Failed[0], bus.ErrFull.Error()) { // not that time has run out
		t.Errorf("job %+v", j)
	}
	bustest.Wait(t, limit, "the refusals", func() bool { return r.counted("inventory_full") == 2 && r.counted("inventory_stored") == 2 })
	well := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.fleet["web"].patient.well()
	}
	well()
	k.asked()
	k.steady()
	if list := k.asked(); len(list) > 0 || r.busy() && r.counted("inventory_asked") > 0 {
		t.Errorf("asked for %v while there is no room", list)
	}
	r.kv.inventory.Store(whole)
	well()
	r.mu.Lock()
	r.full.until = time.Now() // the pause is over
	r.mu.Unlock()
	k.steady()
	k.held(r)
}

func TestFullness(t *testing.T) {
	var f fullness
	now := time.Now()
	is := func(after time.Duration, want bool) {
		t.Helper()
		at := now.Add(after)
		if got := f.is(at); got != want || f.until != at.Add(fullPause) {
			t.Errorf("after %v: %v, until %v", after, got, f.until)
		}
	}
	is(0, true)
	is(time.Second, false)
	is(59*time.Minute, false)
	is(time.Hour, true)
	is(time.Hour+time.Minute, false)
}
