package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/loadtest"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	edgeRate   = 5000                  // points a second
	edgeBatch  = 250                   // points of a request
	edgeCaught = 5 * time.Minute       // within which all is over there, once the link is whole; 15 s are usual
	edgeWaits  = 400                   // messages that wait at least, where it is looked who goes first
	edgeSlow   = int64(96 << 10)       // bytes a second of the link while that is looked at
	edgeBase   = 1_763_559_525_000_000 // µs: point n has the time edgeBase+n, which loadtest.Number knows
)

// The link from a machine to the fleet is cut, its agent is killed meanwhile, and the link comes back: every point that was
// acknowledged is over there once, in order. By default the outage lasts 10 s; PACEWIRE_TEST_EDGE=5m makes it another.
func TestEdge(t *testing.T) {
	t.Parallel()
	sideBySide(t, map[string]func(*testing.T){"oldest": edgeOldestFirst, "live": edgeLiveFirst})
}

func edgeOutage(t testing.TB) time.Duration {
	t.Helper()
	text := os.Getenv("PACEWIRE_TEST_EDGE")
	if text == "" {
		return span(10*time.Second, time.Minute)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func edgeOldestFirst(t *testing.T) {
	g := newEdge(t, "oldest")
	begin := g.outage(g.link.Cut)
	g.link.Heal()
	g.caughtUp(begin)
	g.stop()
	g.check(true)
	g.events()
}

func edgeLiveFirst(t *testing.T) {
	g := newEdge(t, "live")
	begin := g.outage(g.link.Swallow) // nobody is told
	g.await(edgeCaught, "enough waits", func() bool { return g.uplink().Messages >= edgeWaits })
	g.link.Throttle(edgeSlow) // so that catching up takes a while
	waited := g.source.sent()
	g.link.Heal()
	g.system.awaitLog("what is new overtakes what waits")
	fresh := g.source.following()
	g.await(edgeCaught, "what has waited is over there", func() bool { return g.arrived(waited) })
	g.link.Throttle(0)
	g.caughtUp(begin)
	g.stop()
	g.check(false)
	overtook := 0
	for i := fresh; i <= g.latest; i++ {
		if at, there := g.places[i]; there && at < g.places[waited] {
			overtook++
		}
	}
	t.Logf("%d points that were made once the link was back were over there before the last one that had waited", overtook)
	if overtook == 0 {
		t.Error("what was new has waited for what had waited")
	}
}

// An edge is a machine whose agent has a spool, with a source, and the fleet's bus, each a process.
type edge struct {
	*estate
	*system
	t      *testing.T
	link   *bustest.Link
	source *edgeSource
	stop   func()
	read   uint64         // of the messages over there
	counts map[int]int    // how often a point is there
	places map[int]uint64 // in the stream over there, of its first time
	jumps  int            // points that came after a later one
	latest int            // the highest so far
	conf   string
}

func newEdge(t *testing.T, order string) *edge {
	t.Helper()
	p, url, err := lab.RawBus{Dir: t.TempDir()}.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	b := &bustest.Bus{URL: url}
	e := &estate{t: t, bus: b, conn: b.Conn(t, "operator"), limits: hubLimits}
	e.awaitHub(e.hub())
	g := &edge{t: t, estate: e, link: bustest.NewLink(t, url), counts: map[int]int{}, places: map[int]uint64{}, latest: -1}
	at, port := newPlace(t), lab.FreePort()
	g.conf = at.write("pacewire.yaml", fmt.Sprintf(`
host: edge
bus: { urls: %q, spool: { order: %s } }
collect: { in: { use: lines, listen: "http://127.0.0.1:%d" } }
`, g.link.URL, order, port)+hubLimits)
	g.system = at.start("agent", g.conf)
	g.awaitRunning()
	e.awaitUp("edge")
	g.source = &edgeSource{t: t, url: fmt.Sprintf("http://127.0.0.1:%d/write", port)}
	g.stop = g.source.start()
	g.system.await(readyWithin, "points are over there", func() bool { g.arrived(0); return len(g.counts) > 0 && g.source.any() })
	return g
}

func (g *edge) await(limit time.Duration, what string, cond func() bool) {
	g.t.Helper()
	g.system.await(limit, what, cond)
}

// outage breaks the link, and kills and starts the agent in the middle of it. It returns when it was noticed.
func (g *edge) outage(breaks func()) (begin time.Time) {
	t := g.t
	t.Helper()
	half := edgeOutage(t) / 2
	hold(t, time.Second)
	before := g.now()
	broken, memory := time.Now(), g.memory()
	breaks()
	g.await(readyWithin, "it is noticed", func() bool { return g.uplink().State == telemetry.UplinkAway })
	begin = time.Now()
	hold(t, half)
	t.Logf("noticed after %v; memory of the agent %.0f MB before and %.0f MB after %v without the link", begin.Sub(broken).Round(10*time.Millisecond), memory, g.memory(), half)
	g.toldAway()
	if is := g.awaitPlugin("in", readyWithin, "goes on", func(p plugin) bool { return p.State == "running" }); is.PID != before["in"].PID {
		t.Errorf("the plugin has noticed: it was %+v, is %+v", before["in"], is)
	}
	g.kill9()
	g.system = g.start("agent", g.conf)
	g.awaitRunning()
	hold(t, time.Until(begin.Add(2*half)))
	return begin
}

// memory is what the agent's process holds, its bus included, in MB.
func (g *edge) memory() float64 {
	return float64(lab.Memory(g.cmd.Process.Pid, "status", "VmRSS:")) / 1e6
}

// uplink is how the agent says it gets on.
func (g *edge) uplink() (u telemetry.UplinkStatus) {
	var s struct{ Uplink telemetry.UplinkStatus }
	_ = json.Unmarshal([]byte(g.verb("status", "-o", "json").out), &s) // there may be no agent at the moment
	return s.Uplink
}

// toldAway checks what verbs say while the link is cut.
func (g *edge) toldAway() {
	g.t.Helper()
	s := g.verb("status")
	if s.code != 1 {
		g.t.Errorf("status: exit code %d", s.code)
	}
	contains(g.t, "status", s.out+s.err, "uplink", "away", "messages")
	contains(g.t, "doctor", g.verb("doctor").out, "uplink: the bus of the fleet is away")
}

// caughtUp waits until all is over there that was sent before now.
func (g *edge) caughtUp(outage time.Time) {
	t := g.t
	t.Helper()
	healed, last, waiting := time.Now(), g.source.sent(), g.uplink()
	g.await(edgeCaught, "the uplink is back", func() bool { return g.uplink().State == telemetry.UplinkOK })
	back := time.Since(healed)
	g.await(edgeCaught, "all is over there", func() bool { return g.arrived(last) && g.uplink().Messages < 50 })
	took := time.Since(healed)
	t.Logf("link away for %v with a kill -9 of the agent: %d messages (%.1f MB) waited, all over there after %v, of which %v passed until the agent "+
		"tried to connect again: %.0f messages/s, %.0f points/s", healed.Sub(outage).Round(time.Second), waiting.Messages, float64(waiting.Bytes)/1e6,
		took.Round(10*time.Millisecond), back.Round(10*time.Millisecond), float64(waiting.Messages)/(took-back).Seconds(),
		float64(waiting.Messages)*edgeBatch/(took-back).Seconds())
}

// arrived reads what is over there, and reports whether point n is.
func (g *edge) arrived(n int) bool {
	t := g.t
	t.Helper()
	var b telemetry.Batch
	o := bus.TapOptions{Stream: bus.StreamMetrics, Filters: []string{bus.MetricsSubject("edge", "in")}, From: g.read + 1, Once: true}
	err := g.estate.conn.Tap(t.Context(), o, func(m bus.Tapped) error {
		g.read = m.Seq
		if err := b.Decode(m.ContentType, "", m.Body, m.Stored); err != nil {
			return err
		}
		for points := range b.Groups() {
			for _, at := range points.Times() {
				i, ok := loadtest.Number(at)
				if !ok {
					return fmt.Errorf("a point of the time %d is over there", at)
				}
				if g.counts[i]++; g.counts[i] == 1 {
					g.places[i] = m.Seq
				}
				if i < g.latest {
					g.jumps++
				}
				g.latest = max(g.latest, i)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return g.counts[n] > 0
}

// check compares what is over there with what was acknowledged.
func (g *edge) check(ordered bool) {
	t := g.t
	t.Helper()
	acked, unsure := g.source.result()
	g.await(edgeCaught, "the last one is over there", func() bool { return g.arrived(acked[len(acked)-1]) && g.uplink().Messages == 0 })
	lost, doubled := 0, 0
	for _, i := range acked {
		if g.counts[i] == 0 {
			lost++
		}
	}
	for _, n := range g.counts {
		if n > 1 {
			doubled++
		}
	}
	t.Logf("%d points acknowledged, %d without an answer: %d lost, %d doubled, %d after a later one", len(acked), unsure, lost, doubled, g.jumps)
	if lost > 0 || doubled > 0 || len(g.counts) > len(acked)+unsure {
		t.Errorf("%d lost, %d doubled; %d of %d", lost, doubled, len(g.counts), len(acked)+unsure)
	}
	if ordered && g.jumps > 0 {
		t.Errorf("%d points came after a later one", g.jumps)
	}
	if u := g.uplink(); u.Lost+u.SetAside > 0 {
		t.Errorf("%+v", u)
	}
}

// events checks what the fleet has heard of it.
func (g *edge) events() {
	g.t.Helper()
	down := g.awaitEvent(readyWithin, "edge", "uplink_down", 1)
	up := g.awaitEvent(readyWithin, "edge", "uplink_up", 1)
	contains(g.t, "the event", up.Message, "is back after", "messages")
	if down.stored.Before(time.Unix(0, down.Time)) {
		g.t.Errorf("event %+v was stored before it happened", down)
	}
	elsewhere := newPlace(g.t) // another machine
	g.await(readyWithin, "plugin list works over the bus of the fleet", func() bool {
		var list []plugin
		out := elsewhere.verb("plugin", "list", "--host", "edge", "--bus", g.estate.bus.URL, "-o", "json").out
		return json.Unmarshal([]byte(out), &list) == nil && len(list) == 1 && list[0].State == "running"
	})
	g.await(readyWithin, "the hub, which is found beyond the link, says that the host is UP", func() bool {
		var host struct{ State string }
		out := g.verb("host", "info", "edge", "-o", "json").out
		return json.Unmarshal([]byte(out), &host) == nil && host.State == telemetry.HostUp
	})
}

// An edgeSource posts numbered points at a rate. What has no answer is not sent again: it may be there or not.
type edgeSource struct {
	t   testing.TB
	url string

	mu     sync.Mutex
	next   int
	acked  []int
	unsure int
}

// start sends until stop is called.
func (s *edgeSource) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	sending.Go(func() { s.run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); sending.Wait() })
	s.t.Cleanup(stop)
	return stop
}

func (s *edgeSource) run(ctx context.Context) {
	t := time.NewTicker(time.Second * edgeBatch / edgeRate)
	defer t.Stop()
	client := &http.Client{Timeout: readyWithin} // of a post that is given up nobody knows when it is stored
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.post(client)
		}
	}
}

func (s *edgeSource) post(client *http.Client) {
	s.mu.Lock()
	first := s.next
	s.next += edgeBatch
	s.mu.Unlock()
	var body strings.Builder
	for i := first; i < first+edgeBatch; i++ {
		fmt.Fprintf(&body, "probe,room=lab,line=%d value=%d.5,load=0.25,count=%di %d000\n", i%8, i%100, i, edgeBase+i)
	}
	r, err := client.Post(s.url, "text/plain", strings.NewReader(body.String()))
	if err == nil {
		_ = r.Body.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || r.StatusCode != http.StatusNoContent {
		s.unsure += edgeBatch
		return
	}
	for i := first; i < first+edgeBatch; i++ {
		s.acked = append(s.acked, i)
	}
}

// any reports whether a point was acknowledged.
func (s *edgeSource) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked) > 0
}

// sent is the last point that was acknowledged.
func (s *edgeSource) sent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked[len(s.acked)-1]
}

// following is the first point that is not made yet.
func (s *edgeSource) following() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// result returns the points that were acknowledged, and how many had no answer.
func (s *edgeSource) result() (acked []int, unsure int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked, s.unsure
}
