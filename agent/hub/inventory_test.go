package hub

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// wants notes what a hub asks the agent of a host for.
func wants(t testing.TB, b *bustest.Bus, host string) func() []string {
	t.Helper()
	heard := make(chan string, 1024)
	_, err := listen(t, b, bus.CtlSubject(host, bus.Agent, "refresh"), func(body []byte) {
		r, _, err := telemetry.DecodeCtlRequest(body)
		if err != nil {
			t.Errorf("request %q: %v", body, err)
		}
		heard <- strings.Join(r.Want, " ")
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() (list []string) {
		for {
			select {
			case w := <-heard:
				list = append(list, w)
			default:
				return list
			}
		}
	}
}

// listen hears what somebody else is asked.
func listen(t testing.TB, b *bustest.Bus, subject string, hear func(body []byte)) (*bustest.Crowd, error) {
	c, err := bustest.NewCrowd(bustest.CrowdOptions{URL: b.URL, Name: "listener", Hear: func(_, _ string, body []byte) { hear(body) }})
	if err != nil {
		return nil, err
	}
	t.Cleanup(c.Close)
	if _, err := c.Listen(subject); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return c, c.Flush(ctx)
}

// apart is the interval of hosts whose beats are counted until something is repaired, which takes a moment: so long that a machine with
// other things to do has that moment.
const apart = 5 * time.Second

// Acceptance 10 (G1): plugin data that come before the first beat do not hide that the rest is missing.
func TestEarlyData(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, func(o *Options) { o.Interval = apart })
	early, err := telemetry.PluginData{Version: 1, Host: "sim-000000", Inst: "i", Plugin: "plugin-0", Type: "info", Time: 1, Data: telemetry.Facts{"early": true}}.Split(telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	send(t, b, bus.HeartbeatSubject("sim-000000", bus.Agent, bus.PLG), early[0])
	bustest.Wait(t, limit, "the early data", func() bool { return r.counted("refused_unknown_host") == 1 })
	f := crowd(t, b, fleet.Options{Hosts: 1, Plugins: 3, Inventory: 6000, Spread: time.Millisecond, Interval: apart})
	r.allHeld(t, limit, f)
	if n := f.Stats().Beats; n > 2 {
		t.Errorf("complete after %d beats", n)
	}
	items, err := r.Inventory(t.Context(), "sim-000000")
	if err != nil || len(items) != 7 {
		t.Errorf("inventory %+v, %v", items, err)
	}
	if d, err := r.Facts(t.Context(), "sim-000000", "plugin-0", "info"); err != nil || d.Data["host"] != "sim-000000" || d.Data["early"] != nil {
		t.Errorf("facts %v, %v", d.Data, err)
	}
}

func send(t testing.TB, b *bustest.Bus, subject string, message any) {
	t.Helper()
	body, err := telemetry.EncodeControl(message, telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	c := b.Conn(t, "sender")
	if err := c.Tell(subject, body); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Acceptance 11: data that were lost are asked for, and nothing else is.
func TestLostData(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, func(o *Options) { o.Interval = apart })
	f := crowd(t, b, fleet.Options{Hosts: 2, Plugins: 3, Inventory: 3000, Interval: apart, Spread: time.Millisecond})
	name := f.Names()[0]
	r.allHeld(t, limit, f)
	bustest.Wait(t, limit, "steady beats", func() bool { s, _ := r.Host(name); return s.Received >= 2 })
	asked := wants(t, b, name)
	before, _ := r.Host(name)
	f.ChangeUnheard(name)
	r.allHeld(t, limit, f)
	after, _ := r.Host(name)
	var got []string
	bustest.Wait(t, limit, "what was asked", func() bool { got = append(got, asked()...); return len(got) > 0 })
	if !slices.Equal(got, []string{"plugin-0/info"}) {
		t.Errorf("asked for %q", got)
	}
	if n := after.Received - before.Received; n > 2 {
		t.Errorf("repaired after %d beats", n)
	}
	if d, err := r.Facts(t.Context(), name, "plugin-0", "info"); err != nil || d.Data["change"] != "change 00000001" {
		t.Errorf("facts %v, %v", d.Data["change"], err)
	}
}

// After a restart nobody is asked for what is held and true.
func TestNothingAsked(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	f := crowd(t, b, fleet.Options{Hosts: 30, Inventory: 1000})
	r.allHeld(t, limit, f)
	bustest.Wait(t, limit, "records", func() bool { return !r.busy() })
	r.stop()
	asked := f.Stats().Refreshes
	r = start(t, b)
	r.allUp(t, 30)
	r.allHeld(t, limit, f)
	beats := f.Stats().Acks
	bustest.Wait(t, limit, "three more beats each", func() bool { return f.Stats().Acks >= beats+90 })
	if n := f.Stats().Refreshes - asked; n != 0 {
		t.Errorf("%d requests after the restart", n)
	}
}

// busy reports whether there is something to write.
func (r *running) busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.fleet {
		if x.queued || x.asking != nil {
			return true
		}
	}
	return false
}

// Acceptance 12: thousands of answers come paced, and none is lost.
func TestRefreshMany(t *testing.T) {
	hosts, beat := 200, 2*time.Second
	if os.Getenv("PACEWIRE_TEST_LONG") != "" {
		hosts, beat = 5000, 10*time.Second
	}
	b := bustest.Bare(t, embedded.Options{MaxStore: 4 << 30})
	r := start(t, b, func(o *Options) { o.Interval = beat })
	f := crowd(t, b, fleet.Options{Hosts: hosts, Plugins: 1, Inventory: 16 << 10, Interval: beat, Spread: beat / 2})
	bustest.Wait(t, 10*limit, "all inventories", func() bool { return r.heldBy(f) == hosts })
	bustest.Wait(t, limit, "peace", func() bool { return !r.busy() })
	stored := r.counted("inventory_stored")
	worst := watchPending(t, r)
	j, err := r.Refresh(nil, telemetry.ModeCached)
	if err != nil || j.Total != uint64(hosts) {
		t.Fatalf("job %+v, %v", j, err)
	}
	listed := r.wait(t, j.ID)
	for _, name := range f.Names() { // nothing is held any more, as after the loss of the bucket
		r.mu.Lock()
		x := r.fleet[name]
		x.hold(nil)
		r.mu.Unlock()
	}
	begin := time.Now()
	if j, err = r.Refresh(nil, telemetry.ModeCached); err != nil {
		t.Fatal(err)
	}
	j = r.wait(t, j.ID)
	took := time.Since(begin)
	r.allHeld(t, limit, f)
	if listed.Missing != 0 || j.Missing != 0 || j.Done != uint64(hosts) || r.counted("refresh_failed") != 0 || f.Stats().Dropped != 0 {
		t.Errorf("job %+v, fleet %+v", j, f.Stats())
	}
	messages, size := worst()
	if size > 2<<20 {
		t.Errorf("%d messages of %d bytes waited", messages, size)
	}
	t.Logf("%d hosts: %d entries of %d bytes in %v, at most %d messages of %d bytes waited, %d stored before", hosts, 3*hosts, 16<<10, took, messages, size, stored)
}

func (r *running) heldBy(f *fleet.Fleet) (n int) {
	for _, name := range f.Names() {
		if r.holds(name) == f.Digest(name) {
			n++
		}
	}
	return n
}

// watchPending notes how much plugin data waits at worst.
func watchPending(t testing.TB, r *running) func() (messages, size int64) {
	t.Helper()
	var most, bytes atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sleep(ctx, time.Millisecond) {
			n, size := r.plgs.Load().Pending()
			most.Store(max(most.Load(), int64(n)))
			bytes.Store(max(bytes.Load(), int64(size)))
		}
	}()
	return func() (int64, int64) {
		cancel()
		<-done
		return most.Load(), bytes.Load()
	}
}

// wait waits for the end of a job.
func (r *running) wait(t testing.TB, id string) (j telemetry.RefreshJob) {
	t.Helper()
	bustest.Wait(t, 4*limit, "the job", func() bool {
		var err error
		if j, err = r.Job(id); err != nil {
			t.Fatal(err)
		}
		return j.Ended != 0
	})
	return j
}

// Who does not answer a refresh is named, those who are away apart from those who are silent.
func TestRefreshMissing(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, func(o *Options) { o.Rules.DownLeast = time.Hour })
	f := crowd(t, b, fleet.Options{Hosts: 4, Plugins: 1})
	names := f.Names()
	r.allHeld(t, limit, f)
	f.Kill(names[1])
	f.Freeze(names[2])
	bustest.Wait(t, limit, "the bus to know that one is gone", func() bool {
		return errors.Is(r.ping(t.Context(), names[1]), ErrNotConnected)
	})
	j, err := r.Refresh([]string{names[0], names[1], names[2], names[0]}, telemetry.ModeCached)
	if err != nil {
		t.Fatal(err)
	}
	j = r.wait(t, j.ID)
	if j.Total != 3 || j.Done != 3 || j.Missing != 2 || !slices.Equal(j.NotConnected, names[1:2]) || !slices.Equal(j.TimedOut, names[2:3]) || len(j.Failed) != 0 {
		t.Errorf("job %+v", j)
	}
}

// A host that does not even answer a ping is not waited for while all others collect: it would hold a place for a minute.
func TestCollectAmongFrozen(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, func(o *Options) { o.Rules.DownLeast = time.Hour })
	f := crowd(t, b, fleet.Options{Hosts: 2 * inFlight, Plugins: 1})
	names := f.Names()
	r.allUp(t, len(names))
	r.allHeld(t, limit, f)
	frozen := names[:inFlight+8] // more than there are places
	f.Freeze(frozen...)
	j, err := r.Refresh(nil, telemetry.ModeCollect)
	if err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, collectTime-5*time.Second, "the job", func() bool { j, err = r.Job(j.ID); return err != nil || j.Ended != 0 })
	if err != nil || !slices.Equal(j.TimedOut, frozen) || j.Missing != uint64(len(frozen)) || j.Done != uint64(len(names)) || len(j.Failed)+len(j.NotConnected) != 0 {
		t.Errorf("job %+v, %v", j, err)
	}
	x := &host{id: frozen[0]}
	if err := r.fetch(t.Context(), x, &asking{mode: telemetry.ModeCollect}, nil); !errors.Is(err, bus.ErrTimeout) {
		t.Errorf("a frozen host: %v", err)
	}
}

// Who has said goodbye is not asked when all are.
func TestRefreshWithoutLeft(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	f := crowd(t, b, fleet.Options{Hosts: 4, Plugins: 1})
	left := f.Names()[1]
	r.allHeld(t, limit, f)
	f.Bye("shutdown", left)
	bustest.Wait(t, limit, "LEFT", func() bool { return r.state(left) == telemetry.HostLeft })
	j, err := r.Refresh(nil, telemetry.ModeCached)
	if err != nil {
		t.Fatal(err)
	}
	if j = r.wait(t, j.ID); j.Total != 3 || j.Done != 3 || j.Missing != 0 {
		t.Errorf("job %+v", j)
	}
	if j, err = r.Refresh([]string{left}, telemetry.ModeCached); err != nil { // unless it is named
		t.Fatal(err)
	}
	if j = r.wait(t, j.ID); j.Total != 1 || !slices.Equal(j.NotConnected, []string{left}) {
		t.Errorf("job %+v", j)
	}
}

// Buckets that somebody has removed are made again, and filled.
func TestBucketsRemoved(t *testing.T) {
	t.Parallel()
	f := func(buckets ...string) {
		t.Run(strings.Join(buckets, " "), func(t *testing.T) {
			b := bustest.New(t)
			r := start(t, b)
			f := crowd(t, b, fleet.Options{Hosts: 20, Inventory: 1000})
			r.allHeld(t, limit, f)
			bustest.Wait(t, limit, "records", func() bool { return !r.busy() })
			full := func(what string) {
				t.Helper()
				begin := time.Now()
				bustest.Wait(t, limit, what, func() bool {
					return r.heldBy(f) == 20 && !r.busy() && keys(t, b, "INVENTORY", "*.*.*") == 100 && keys(t, b, "HOSTS", ">") == 20
				})
				t.Logf("%s after %v", what, time.Since(begin))
			}
			remove(t, b, buckets...)
			full("full again while the hub runs")
			r.stop()
			remove(t, b, buckets...)
			r = start(t, b)
			full("full again after the hub was away")
			for _, name := range f.Names() {
				if d, err := r.Facts(t.Context(), name, "plugin-1", "info"); err != nil || d.Data["host"] != name {
					t.Fatalf("facts of %s: %v, %v", name, d.Data["host"], err)
				}
			}
			if n := len(of(events(t, b), "down", "")); n != 0 {
				t.Errorf("%d DOWN", n)
			}
		})
	}
	f("HOSTS", "INVENTORY")
	f("INVENTORY")
	f("HOSTS", "INVENTORY", "STATE", "HUB")
}

func remove(t testing.TB, b *bustest.Bus, buckets ...string) {
	t.Helper()
	for _, name := range buckets {
		removeStream(t, b, "KV_"+name)
	}
}

func removeStream(t testing.TB, b *bustest.Bus, name string) {
	t.Helper()
	body, err := b.Conn(t, "operator").Request(t.Context(), "$JS.API.STREAM.DELETE."+name, nil)
	if err != nil || !strings.Contains(string(body), `"success":true`) {
		t.Fatalf("delete stream %s: %s, %v", name, body, err)
	}
}
