package uplink

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/internal/cluster"
	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestMain(m *testing.M) {
	cluster.Serve() // a server of another config than the one in this process is a process of this program
	leaktest.Main(m)
}

const (
	host   = "h1"
	within = time.Minute // a loaded machine
)

// A rig is a machine with its bus, the bus of the fleet, the link between them, and the uplink.
type rig struct {
	t       testing.TB
	local   *bustest.Bus
	central *bustest.Bus
	link    *bustest.Link
	o       Options
	up      *Uplink
	end     func()
	source  *bus.Publisher // of plugin cpu
	sees    *bus.Conn      // at the central bus, everything
	next    int

	mu     sync.Mutex
	events []telemetry.Event
}

// newRig has an uplink that does not run yet. Both buses let their users do what they must, and no more.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, local: bustest.Guarded(t), central: bustest.Guarded(t), end: func() {}}
	r.link = bustest.NewLink(t, r.central.URL)
	r.o = Options{
		Host: host, Place: filepath.Join(t.TempDir(), "uplink.json"), Log: bustest.Log(t), Tell: r.tell,
		Local:   bus.Options{URL: r.local.URL, CredsFile: grant(t, r.local, bus.User(host, bus.Uplink), bus.UplinkRights(host))},
		Central: bus.Options{URL: r.link.URL, CredsFile: grant(t, r.central, bus.User(host, bus.Agent), bus.SpoolRights(host))},
		Times:   Times{Look: 20 * time.Millisecond, Away: 50 * time.Millisecond, Ping: 2 * time.Second}, // one that is stopped for a moment does not take the link for dead
	}
	r.source = r.publisher("cpu")
	r.sees = r.central.Conn(t, "operator")
	t.Cleanup(func() { r.end() })
	return r
}

func grant(t testing.TB, b *bustest.Bus, user string, rights bus.Rights) string {
	t.Helper()
	all := embedded.Rights(rights)
	_, file := b.Grant(t, user, &all)
	return file
}

func (r *rig) publisher(plugin string) *bus.Publisher {
	r.t.Helper()
	p, err := bus.NewPublisher(r.local.Conn(r.t, "operator"), bus.PublisherOptions{Host: host, Plugin: plugin, MaxBytes: 16 << 20})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.Close)
	return p
}

func (r *rig) tell(v telemetry.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, v)
}

// told returns the messages of the events of a type.
func (r *rig) told(what string) (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.events {
		if v.Type == what {
			list = append(list, v.Message)
		}
	}
	return list
}

// run starts the uplink.
func (r *rig) run() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.up = New(r.o)
	ended := make(chan error, 1)
	go func() { ended <- r.up.Run(ctx) }()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil && ctx.Err() == nil {
			r.t.Errorf("uplink: %v", err)
		}
	})
}

// crash ends the uplink as if its process had been killed: nothing more goes on, and nothing is settled.
func (r *rig) crash() {
	r.t.Helper()
	r.up.central.Close()
	r.up.local.Close()
	r.end()
}

// make stores n more messages here, of size bytes each.
func (r *rig) make(n, size int) {
	r.t.Helper()
	for range n {
		r.next++
		body := fmt.Sprintf("%08d %s", r.next, strings.Repeat("x", size))
		m := bus.Message{Subject: bus.MetricsSubject(host, "cpu"), ContentType: "text/plain", Body: []byte(body), Header: map[string]string{"Pw-Number": fmt.Sprint(r.next)}}
		if err := r.source.Send(r.t.Context(), m, func(err error) {
			if err != nil {
				r.t.Errorf("source: %v", err)
			}
		}); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := r.source.Flush(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// count returns how many messages a stream of the fleet has.
func (r *rig) count(stream string) int {
	r.t.Helper()
	s, err := r.sees.StreamInfo(r.t.Context(), stream)
	if err != nil {
		return -1
	}
	return int(s.Messages)
}

// await waits until so many have arrived, and a little longer when there must not be more.
func (r *rig) await(n int) {
	r.t.Helper()
	bustest.Wait(r.t, within, fmt.Sprintf("%d messages over there", n), func() bool { return r.count(bus.StreamMetrics) >= n })
	bustest.Wait(r.t, within, "nothing waits", func() bool { return r.up.watch.look(r.t.Context()) == 0 })
}

// arrived returns the numbers of the messages over there, in their order.
func (r *rig) arrived() (numbers []int) {
	r.t.Helper()
	err := r.sees.Tap(r.t.Context(), bus.TapOptions{Stream: bus.StreamMetrics, From: 1, Once: true}, func(m bus.Tapped) error {
		var n int
		if _, err := fmt.Sscanf(string(m.Body), "%d", &n); err != nil {
			return err
		}
		numbers = append(numbers, n)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return numbers
}

// inOrder checks that all that was made is over there, once, in its order.
func (r *rig) inOrder() {
	r.t.Helper()
	r.complete(true)
}

// complete checks that all is over there, once.
func (r *rig) complete(ordered bool) {
	r.t.Helper()
	r.await(r.next)
	got := r.arrived()
	if ordered && !slices.IsSorted(got) {
		r.t.Errorf("not in order: %v", got)
	}
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != r.next || got[0] != 1 || got[len(got)-1] != r.next {
		r.t.Errorf("%d different messages over there, want %d", len(got), r.next)
	}
	if n := r.count(bus.StreamMetrics); n != r.next {
		r.t.Errorf("%d messages over there, want %d: some are there twice", n, r.next)
	}
}

// away waits until the uplink knows that the link is gone.
func (r *rig) away() {
	r.t.Helper()
	bustest.Wait(r.t, within, "it is noticed", func() bool { return r.up.Status().State == telemetry.UplinkAway })
}

// onTheWay returns how many bytes of METRICS are on the way.
func (r *rig) onTheWay() (n int) {
	c := r.up.carriers[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.carried {
		p.mu.Lock()
		n += p.bytes
		p.mu.Unlock()
	}
	return n
}
