package bus_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/internal/cluster"
)

// patience is the limit of a wait for servers that elect leaders.
const patience = 3 * time.Minute

// traffic is a publisher and a reader of its messages, on connections of their own, while servers come and go.
type traffic struct {
	t     *testing.T
	hub   *bus.Conn
	out   *bus.Publisher
	in    *bus.Consumer
	stop  context.CancelFunc
	parts sync.WaitGroup

	mu        sync.Mutex
	stored    map[string]bool
	read      map[string]int
	lastAck   time.Time
	lastRead  time.Time
	ackGap    time.Duration // longest between two answers
	readGap   time.Duration // and between two deliveries
	reordered int
	last      int

	changes atomic.Int64 // of the publisher's state
}

func startTraffic(t *testing.T, c *bustest.Cluster, hub *bus.Conn) *traffic {
	t.Helper()
	now := time.Now()
	f := &traffic{t: t, hub: hub, stored: map[string]bool{}, read: map[string]int{}, lastAck: now, lastRead: now, last: -1}
	if err := hub.EnsureConsumer(t.Context(), bus.Input{Stream: bus.StreamMetrics, Durable: "out", Filters: []string{bus.MetricsFilter("cpu")}}); err != nil {
		t.Fatal(err)
	}
	f.out = publisher(t, c.Dial(t, bus.Options{User: "h1_cpu", Data: true}), bus.PublisherOptions{
		OnState: func(bus.PublisherState) { f.changes.Add(1) },
	})
	var err error
	if f.in, err = c.Dial(t, bus.Options{User: "h1_out", Data: true}).Consume(t.Context(), bus.StreamMetrics, "out", bus.ConsumeOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.in.Stop)
	ctx, cancel := context.WithCancel(t.Context())
	f.stop = cancel
	f.parts.Go(func() { f.publish(ctx) })
	f.parts.Go(func() { f.consume() })
	return f
}

// publish sends a message each 2 ms, or as fast as they are taken.
func (f *traffic) publish(ctx context.Context) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		body := strconv.Itoa(i)
		if f.out.Send(ctx, metric(body), func(err error) { f.answered(body, err) }) != nil {
			return
		}
	}
}

func (f *traffic) answered(body string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.t.Errorf("message %s: %v", body, err)
		return
	}
	now := time.Now()
	f.stored[body] = true
	f.ackGap, f.lastAck = max(f.ackGap, now.Sub(f.lastAck)), now
}

func (f *traffic) consume() {
	for {
		d, err := f.in.Next(context.Background())
		if err != nil {
			return
		}
		f.seen(string(d.Body))
		if err := d.Ack(); err != nil {
			f.t.Error(err)
		}
	}
}

func (f *traffic) seen(body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.read[body]++
	f.readGap, f.lastRead = max(f.readGap, now.Sub(f.lastRead)), now
	if n, _ := strconv.Atoi(body); n < f.last {
		f.reordered++
	} else {
		f.last = n
	}
}

// flows waits until messages published from now on are read.
func (f *traffic) flows() {
	f.t.Helper()
	f.mu.Lock()
	from := f.last
	f.mu.Unlock()
	bustest.Wait(f.t, patience, "messages to flow", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.last > from+500
	})
}

// gaps returns the longest gaps since the last call.
func (f *traffic) gaps() (ack, read time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ack, read = max(f.ackGap, time.Since(f.lastAck)), max(f.readGap, time.Since(f.lastRead))
	f.ackGap, f.readGap = 0, 0
	return ack, read
}

// settle ends the publisher, waits until all is read and nothing can come again, and counts.
func (f *traffic) settle() {
	t := f.t
	t.Helper()
	f.stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.out.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if list := f.missing(); len(list) > 0 {
			state, err := f.hub.ConsumerInfo(context.Background(), bus.StreamMetrics, "out")
			t.Errorf("missing are %v, of which the stream has %v; its consumer is %+v, %v", list[:min(len(list), 20)], f.kept(list), state, err)
		}
	}()
	bustest.Wait(t, patience, "what was stored", func() bool { return len(f.missing()) == 0 })
	bustest.Wait(t, patience, "a consumer that is through", func() bool {
		s, err := f.hub.ConsumerInfo(t.Context(), bus.StreamMetrics, "out")
		return err == nil && s.Pending == 0 && s.AckPending == 0
	})
	f.in.Stop()
	f.parts.Wait()
	lost, doubled := len(f.missing()), -len(f.read)
	for _, n := range f.read {
		doubled += n
	}
	t.Logf("%d stored, %d lost, %d doubled, %d reordered; publisher %+v; consumer %+v", len(f.stored), lost, doubled, f.reordered,
		f.out.Stats(), f.in.Stats())
	if lost > 0 || doubled > 0 {
		t.Errorf("%d messages lost, %d doubled", lost, doubled)
	}
}

// missing lists what was stored and not read. The server that leads a consumer may not know yet what is to be read.
func (f *traffic) missing() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for body := range f.stored {
		if f.read[body] == 0 {
			list = append(list, body)
		}
	}
	return list
}

// kept returns which of the messages are in the stream, with their places.
func (f *traffic) kept(list []string) map[string]uint64 {
	there := map[string]uint64{}
	err := f.hub.Tap(context.Background(), bus.TapOptions{Stream: bus.StreamMetrics, From: 1, Once: true}, func(m bus.Tapped) error {
		if body := string(m.Body); slices.Contains(list, body) {
			there[body] = m.Seq
		}
		return nil
	})
	if err != nil {
		f.t.Error(err)
	}
	return there
}

// all waits until every server keeps all of METRICS.
func (f *traffic) all() {
	f.t.Helper()
	bustest.Wait(f.t, patience, "all servers", func() bool {
		s, err := f.hub.StreamInfo(f.t.Context(), bus.StreamMetrics)
		return err == nil && s.Leader != "" && len(s.Behind) == 0
	})
}

// harm does something to the cluster under load and tells how long nothing was stored, and nothing read.
func (f *traffic) harm(what string, do func()) {
	f.t.Helper()
	before, changes := f.out.Stats(), f.changes.Load()
	f.gaps()
	do()
	f.flows()
	ack, read := f.gaps()
	f.t.Logf("%s: nothing was acknowledged for %v, nothing read for %v", what, ack, read)
	if after := f.out.Stats(); after.Resent == before.Resent && after.NoStream == before.NoStream && f.changes.Load() == changes {
		f.t.Errorf("INVALID: %s: nobody noticed", what)
	}
}

func start(t *testing.T, n *cluster.Node) {
	t.Helper()
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// long says whether faults are to last as they do in life, and to be many.
func long() bool { return os.Getenv("PACEWIRE_TEST_LONG") == "1" }

// Streams and buckets of a cluster are kept by three servers, and its servers come and go under load.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := bustest.NewCluster(t, cluster.Options{})
	hub := c.Conn(t, bus.Hub)
	settings := smallStreams()
	settings.Replicas = 1
	if err := hub.EnsureStreams(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	kept := func(want int, names ...string) {
		t.Helper()
		for _, name := range names {
			if s := streamState(t, hub, name); s.Replicas != want {
				t.Errorf("%s is kept by %d servers; want %d", name, s.Replicas, want)
			}
		}
	}
	kept(1, bus.StreamMetrics, bus.StreamEvents, bus.StreamDead)
	fill(t, hub, 10)
	if err := hub.EnsureStreams(t.Context(), smallStreams()); err != nil { // nobody wishes for a number
		t.Fatal(err)
	}
	kept(3, bus.StreamMetrics, bus.StreamEvents, bus.StreamDead)
	bucket(t, hub, bus.BucketSettings{Name: bus.BucketHosts})
	bucket(t, hub, bus.BucketSettings{Name: bus.BucketHub, Memory: true})
	kept(3, "KV_HOSTS", "KV_HUB")
	tooMany(t, hub)
	f := startTraffic(t, c, hub)
	f.all()
	f.flows()
	rounds := 1
	if long() {
		rounds = 4
	}
	for range rounds {
		leader := c.Leader(t, hub, bus.StreamMetrics)
		f.harm("leader killed", leader.Kill)
		start(t, leader)
		f.all()
	}
	if long() {
		f.hangs(c)
		f.all()
		f.quorum(c)
		f.all()
	}
	f.settle()
}

// tooMany wishes for more servers than there are.
func tooMany(t *testing.T, hub *bus.Conn) {
	t.Helper()
	settings := smallStreams()
	settings.Replicas = 5
	var err error
	bustest.Wait(t, patience, "a refusal", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // else it waits for servers that may come
		defer cancel()
		err = hub.EnsureStreams(ctx, settings)
		return !errors.Is(err, context.DeadlineExceeded)
	})
	if !errors.Is(err, bus.ErrFewServers) || !strings.Contains(err.Error(), "bus.replicas") {
		t.Errorf("5 replicas on 3 servers: %v", err)
	}
}

// hangs stops the leader as a machine that hangs.
func (f *traffic) hangs(c *bustest.Cluster) {
	leader := c.Leader(f.t, f.hub, bus.StreamMetrics)
	f.harm("leader stopped for 12 s", func() {
		if err := leader.Stop(); err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(12 * time.Second) // the fault itself
		if err := leader.Continue(); err != nil {
			f.t.Fatal(err)
		}
	})
}

// quorum kills two of three servers.
func (f *traffic) quorum(c *bustest.Cluster) {
	f.harm("two servers killed for 5 s", func() {
		for _, n := range c.Nodes[:2] {
			n.Kill()
		}
		time.Sleep(5 * time.Second) // the fault itself
		for _, n := range c.Nodes[:2] {
			start(f.t, n)
		}
	})
}

// A server that is alone, or a cluster that is too small, says what to do.
func TestReplicasOfOneServer(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, bus.Hub)
	settings := smallStreams()
	settings.Replicas = 3
	err := c.EnsureStreams(t.Context(), settings)
	if !errors.Is(err, bus.ErrFewServers) || !strings.Contains(err.Error(), "leave out bus.replicas") {
		t.Errorf("3 replicas on one server: %v", err)
	}
	if err := c.EnsureStreams(t.Context(), smallStreams()); err != nil {
		t.Fatal(err)
	}
	if s := streamState(t, c, bus.StreamMetrics); s.Replicas != 1 || s.Leader != "" || s.Behind != nil {
		t.Errorf("METRICS %+v", s)
	}
}

// A cluster that stays too small keeps its streams on one server, until there are more.
func TestClusterOfTwo(t *testing.T) {
	if !long() {
		t.Skip("waits 10 s for servers that do not come: set PACEWIRE_TEST_LONG=1")
	}
	t.Parallel()
	c := bustest.NewCluster(t, cluster.Options{Servers: 2})
	hub := c.Conn(t, bus.Hub)
	if err := hub.EnsureStreams(t.Context(), smallStreams()); err != nil {
		t.Fatal(err)
	}
	if s := streamState(t, hub, bus.StreamMetrics); s.Replicas != 1 || s.Leader == "" {
		t.Errorf("METRICS %+v", s)
	}
}
