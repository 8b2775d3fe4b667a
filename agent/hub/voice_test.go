package hub

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// quickVoice lapses within a few seconds, and its hub is called id.
func quickVoice(id string) func(*Options) {
	return func(o *Options) { o.ID, o.Times.Renew = id, 1500*time.Millisecond }
}

// speakers notes whether two hubs ever speak at a time.
func speakers(t testing.TB, a, b *running) (never func()) {
	t.Helper()
	var both atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				if a.Speaks() && b.Speaks() && a.Speaks() {
					both.Add(1)
				}
			}
		}
	}()
	return func() {
		t.Helper()
		close(stop)
		<-done
		if n := both.Load(); n > 0 {
			t.Errorf("both hubs spoke, %d times when looked at", n)
		}
	}
}

// Acceptance 13: the voice dies, and the second hub goes on where it was.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	first := start(t, b, quickVoice("first"))
	second := run(t, prepare(t, b, quickVoice("second")))
	f := crowd(t, b, fleet.Options{Hosts: 40, Plugins: 1, Inventory: 500})
	names := f.Names()
	first.allUp(t, 40)
	second.allUp(t, 40)
	first.allHeld(t, limit, f)
	second.allHeld(t, limit, f)
	f.Kill(names[0])
	told(t, b, "DOWN", is(1, "down", names[0]))
	bustest.Wait(t, limit, "the second hub to know", func() bool { return second.state(names[0]) == telemetry.HostDown })
	term, asked := first.Status().Term, f.Stats().Refreshes

	f.Kill(names[1]) // whose end nobody has told yet
	begin := time.Now()
	first.kill()
	bustest.Wait(t, limit, "the second voice", second.Speaks)
	took := time.Since(begin)
	told(t, b, "DOWN of who died meanwhile", is(1, "down", names[1]))
	all := witness(t, b, second, f, names[2])
	each(t, all, 1, "down", names[:3]...)
	each(t, all, 1, "up", names...)
	if s := second.Status(); s.Term <= term || s.Speaker != "second" {
		t.Errorf("status %+v", s)
	}
	for _, e := range of(all, "down", "") {
		if want := e.Host == names[0]; (e.Term == term) != want {
			t.Errorf("event %+v, the term was %d", e, term)
		}
	}
	if n := f.Stats().Refreshes - asked; n != 0 {
		t.Errorf("the second hub has asked for %d inventories that it had", n)
	}
	t.Logf("taken over after %v", took)
}

// A hub that ends gives the voice away at once, and the one that takes over says so: nobody else tells that there is one less.
func TestHandOver(t *testing.T) {
	b := bustest.New(t)
	const renew = 15 * time.Second // it is looked for three times as often, and lapses after 50 s
	first := start(t, b, func(o *Options) { o.ID, o.Times.Renew = "first", renew })
	second := run(t, prepare(t, b, func(o *Options) { o.ID, o.Host, o.Times.Renew = "second", "box", renew }))
	bustest.Wait(t, limit, "the second to know the first", func() bool { return second.Status().Speaker == "first" })
	a := agentOf(t, b, "web", "i1", 1)
	a.beat()
	told(t, b, "UP", is(1, "up", "web"))
	if all := events(t, b); len(of(all, "voice", "")) != 0 { // it was the first there was
		t.Errorf("told %s", summary(all))
	}
	begin := time.Now()
	first.stop()
	bustest.Wait(t, 40*time.Second, "the second voice, which does not wait for the first to lapse", second.Speaks)
	t.Logf("taken over after %v", time.Since(begin))
	told(t, b, "the other voice", is(1, "voice", ""))
	e := events(t, b, bus.EventSubject("fleet", bus.Hub, "voice"))
	if len(e) != 1 || e[0].Host != "fleet" || e[0].Plugin != bus.Hub || e[0].From != "first" || e[0].To != "second" || e[0].Term != second.Status().Term || !strings.Contains(e[0].Message, "on box") {
		t.Errorf("told %+v", e)
	}
	second.stop()
	start(t, b).stop() // alone again: it takes over from nobody
	if n := len(of(events(t, b), "voice", "")); n != 1 {
		t.Errorf("%d voices were told", n)
	}
}

// A voice that is cut off falls silent by itself, before another one speaks, and tells nothing twice when it is back.
func TestVoiceCutOff(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	link := newLink(t, b)
	first := start(t, b, quickVoice("first"), func(o *Options) { o.URL = link.url() })
	second := run(t, prepare(t, b, quickVoice("second")))
	never := speakers(t, first, second)
	f := crowd(t, b, fleet.Options{Hosts: 20, Plugins: 1})
	names := f.Names()
	first.allUp(t, 20)
	second.allUp(t, 20)
	told(t, b, "all UP", is(20, "up", ""))

	link.hole.Store(true)
	f.Kill(names[0])
	bustest.Wait(t, limit, "silence of the first", func() bool { return !first.Speaks() })
	bustest.Wait(t, limit, "the second voice", second.Speaks)
	told(t, b, "DOWN", is(1, "down", names[0]))
	link.hole.Store(false)
	link.cut()
	bustest.Wait(t, limit, "the first to know", func() bool { return first.state(names[0]) == telemetry.HostDown && first.Status().Speaker == "second" })
	if err := f.Restart(names[0]); err != nil {
		t.Fatal(err)
	}
	told(t, b, "UP again", is(2, "up", names[0]))
	bustest.Wait(t, limit, "both to see all", func() bool { return first.states(telemetry.HostUp) == 20 && second.states(telemetry.HostUp) == 20 })
	second.stop()
	bustest.Wait(t, limit, "the first voice again", first.Speaks)
	never()
	all := witness(t, b, first, f, names[1])
	each(t, all, 1, "down", names[0], names[1])
	each(t, of(all, "", names[0]), 2, "up", names[0])
	rest := slices.DeleteFunc(all, func(e telemetry.Event) bool { return e.Host == names[0] || strings.HasSuffix(e.Type, "overdue") })
	each(t, rest, 1, "up", names[1:]...)
}

// A link to a bus, that can swallow all that goes through it.
type link struct {
	l     net.Listener
	hole  atomic.Bool
	lag   atomic.Int64 // of all that the bus says, ns
	mu    sync.Mutex
	conns []net.Conn
	work  sync.WaitGroup
}

func newLink(t testing.TB, b *bustest.Bus) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{l: l}
	k.work.Go(func() { k.serve(strings.TrimPrefix(b.URL, "nats://")) })
	t.Cleanup(func() { _ = l.Close(); k.cut(); k.work.Wait() })
	return k
}

func (k *link) url() string { return "nats://" + k.l.Addr().String() }

func (k *link) serve(to string) {
	for {
		c, err := k.l.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", to)
		if err != nil {
			_ = c.Close()
			continue
		}
		k.mu.Lock()
		k.conns = append(k.conns, c, s)
		k.mu.Unlock()
		k.work.Go(func() { k.pass(c, s, nil) })
		k.work.Go(func() { k.pass(s, c, &k.lag) })
	}
}

// pass carries bytes, and drops them while there is a hole: then the connection is no good any more.
func (k *link) pass(from, to net.Conn, lag *atomic.Int64) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if lag != nil {
			time.Sleep(time.Duration(lag.Load()))
		}
		if k.hole.Load() {
			_, _ = io.Discard.Write(buf[:n])
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections.
func (k *link) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.conns {
		_ = c.Close()
	}
	k.conns = nil
}

// The bucket of the voice is in the memory of the bus: after a restart of that the one who does not speak finds the new one, and leaves
// the beats to the speaker.
func TestVoiceAfterBusRestart(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	hubs := []*running{start(t, b, slowVoice("first")), run(t, prepare(t, b, slowVoice("second")))}
	b.Restart(t)
	bustest.Wait(t, limit, "one speaker, whom the other knows", func() bool {
		one, other := hubs[0], hubs[1]
		if !one.Speaks() {
			one, other = other, one
		}
		other.mu.Lock()
		defer other.mu.Unlock()
		return !other.voice.mine && other.voice.speaker == one.o.ID && time.Since(other.voice.renewed) < other.o.Times.Renew && one.Speaks()
	})
	for end := time.Now().Add(2 * hubs[0].ttl()); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, h := range hubs {
			h.mu.Lock()
			_, bare := h.answers(time.Now())
			mine := h.voice.mine
			h.mu.Unlock()
			if bare && !mine {
				t.Fatalf("%s answers beats, though the other one speaks", h.o.ID)
			}
		}
	}
}

// slowVoice has time to look for the bucket anew, which takes a second.
func slowVoice(id string) func(*Options) {
	return func(o *Options) { o.ID, o.Times.Renew = id, 2*time.Second }
}

// A voice that was taken by an attempt whose answer was lost is ours, and nobody waits for it to lapse.
func TestVoiceTakenUnknowingly(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	named := func(o *Options) { o.ID, o.Times.Renew = "first", limit }
	r := start(t, b, named)
	term := r.Status().Term
	r.kill()
	r = start(t, b, named) // which waits for less than it takes to lapse
	if s := r.Status(); s.Term <= term {
		t.Errorf("term %d after %d", s.Term, term)
	}
}

// The voice is not kept waiting by hosts that have to be looked after; the writers do that later.
func TestRecallOfMany(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	link := newLink(t, b)
	r := start(t, b, func(o *Options) { o.URL, o.Times.Renew = link.url(), 10*time.Second })
	link.lag.Store(int64(50 * time.Millisecond))
	r.mu.Lock()
	for i := range 4000 {
		r.at(fmt.Sprint("h", i)).unsure = true
	}
	r.mu.Unlock()
	if err := r.recall(t.Context()); err != nil {
		t.Error(err)
	}
	unsure := func() (n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, x := range r.fleet {
			if x.unsure {
				n++
				r.todo.put(x)
			}
		}
		return n
	}
	if n := unsure(); n == 0 {
		t.Errorf("%d of 4000 are left for later", n)
	}
	link.lag.Store(0)
	bustest.Wait(t, limit, "the rest", func() bool { return unsure() == 0 })
}
