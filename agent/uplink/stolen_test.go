package uplink

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// own returns how often each message of this host's plugins is over there, by its number.
func (r *rig) own() map[int]int {
	r.t.Helper()
	counts := map[int]int{}
	o := bus.TapOptions{Stream: bus.StreamMetrics, Filters: []string{bus.MetricsSubject(host, "cpu"), bus.MetricsSubject(host, "mem")}, From: 1, Once: true}
	if err := r.sees.Tap(r.t.Context(), o, func(m bus.Tapped) error {
		n := 0
		_, err := fmt.Sscanf(string(m.Body), "%d", &n)
		counts[n]++
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return counts
}

// once waits until all is over there, and checks that it is there once.
func (r *rig) once() {
	r.t.Helper()
	bustest.Wait(r.t, within, "all are over there", func() bool { return len(r.own()) >= r.next })
	bustest.Wait(r.t, within, "nothing waits", func() bool { return r.up.watch.look(r.t.Context()) == 0 })
	for n, times := range r.own() {
		if times != 1 || n < 1 || n > r.next {
			r.t.Errorf("message %d is there %d times", n, times)
		}
	}
}

// idOf returns the id of the message with a number, as it is here.
func (r *rig) idOf(n int) (id string) {
	r.t.Helper()
	err := r.local.Conn(r.t, "operator").Tap(r.t.Context(), bus.TapOptions{Stream: bus.StreamMetrics, From: uint64(n), Once: true}, func(m bus.Tapped) error {
		if m.Seq == uint64(n) {
			id = m.ID
		}
		return nil
	})
	if err != nil || id == "" {
		r.t.Fatalf("id of %d: %q, %v", n, id, err)
	}
	return id
}

// A processor of the fleet reads an id and uses up those that come next, on subjects that it may publish to: its own of this host and of
// another one. Nothing of this host is lost, nor there twice, before a cut and after it.
func TestStolenIDs(t *testing.T) {
	r := newRig(t)
	r.run()
	r.make(10, 100)
	r.once()
	user := bus.User("fleet1", "evil")
	creds := grant(t, r.central, user, bus.RightsOf(bus.RoleProcessor, "fleet1", "evil", nil))
	thief, err := bus.NewPublisher(r.central.Dial(t, bus.Options{User: user, CredsFile: creds}), bus.PublisherOptions{Host: "fleet1", Plugin: "evil"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(thief.Close)
	stem := strings.TrimSuffix(r.idOf(10), "/10")
	steal := func(from, to int) {
		t.Helper()
		for n := from; n <= to; n++ {
			m := bus.Message{Subject: bus.MetricsSubject([]string{host, "h2"}[n%2], "evil"), ID: fmt.Sprintf("%s/%d", stem, n), Body: []byte("stolen")}
			if err := thief.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	stolen := func(want uint64) {
		t.Helper()
		if s := r.up.Status(); s.ForeignDuplicate != want || s.Lost+s.SetAside > 0 {
			t.Errorf("%+v, want %d stolen", s, want)
		}
	}
	steal(11, 60)
	r.make(100, 100)
	r.once()
	stolen(50)

	steal(111, 130)
	r.link.Cut()
	r.away()
	r.make(100, 100)
	r.crash()
	r.run() // which takes all for sent, and asks
	r.link.Heal()
	r.once()
	stolen(20)

	r.end()
	r.central.Limit(t, bus.StreamMetrics, bustest.Limits{Duplicates: 100 * time.Millisecond})
	if err := r.local.Conn(t, "operator").DeleteConsumer(t.Context(), bus.StreamMetrics, bus.Uplink); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second) // the ids are forgotten by time alone
	r.run()                     // all is given out again
	r.make(10, 100)
	r.once()
	if s := r.up.Status(); s.Known != 210 {
		t.Errorf("%+v, want 210 known", s)
	}
}

// Who may not ask whose an id is takes the word of the stream, and does not stand still.
func TestStolenMayNotAsk(t *testing.T) {
	r := newRig(t)
	r.o.Central.CredsFile = grant(t, r.central, bus.User(host, bus.Agent), bus.RightsOf(bus.RoleAgent, host, bus.Agent, nil))
	r.make(3, 100)
	p, err := bus.NewPublisher(r.sees, bus.PublisherOptions{Host: host, Plugin: "evil"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Publish(t.Context(), bus.Message{Subject: bus.MetricsSubject(host, "evil"), ID: r.idOf(2), Body: []byte("2 stolen")}); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.await(3)
	if n := len(r.own()); n != 2 {
		t.Errorf("%d are over there", n)
	}
}

// What is sent from here for another host cannot be asked for: where it is there already, it is not sent again by another id.
func TestKnownOfAnotherHost(t *testing.T) {
	r := newRig(t)
	r.make(3, 100)
	rights := bus.SpoolRights(host)
	rights.Publish = append(rights.Publish, bus.MetricsSubject("h2", "cpu"))
	r.o.Central.CredsFile = grant(t, r.central, bus.User(host, bus.Agent), rights)
	there, err := bus.NewPublisher(r.sees, bus.PublisherOptions{Host: "h2", Plugin: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	m := bus.Message{Subject: bus.MetricsSubject("h2", "cpu"), ID: "h2/cpu/b/1", Body: []byte("0")}
	for _, p := range []*bus.Publisher{there, r.source} {
		if err := p.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	r.run()
	r.await(4)
	if s := r.up.Status(); r.count(bus.StreamMetrics) != 4 || s.ForeignDuplicate > 0 || s.Known != 1 || s.Sent != 3 {
		t.Errorf("%d are over there: %+v", r.count(bus.StreamMetrics), s)
	}
}

// Of what was on the way at a cut some is over there, in front of what is sent anew. A second cut half way does not make it forgotten.
func TestCutTwice(t *testing.T) {
	const n, denied = 200, 151
	r := newRig(t)
	r.o.Times.Deny = time.Hour
	r.make(denied-1, 8<<10)
	r.next++
	m := bus.Message{Subject: bus.MetricsSubject(host, "mem"), Body: fmt.Appendf(nil, "%08d", r.next)}
	if err := r.source.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	r.make(n-denied, 8<<10)

	there, err := bus.NewPublisher(r.sees, bus.PublisherOptions{Host: "h2", Plugin: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	store := func(host, id string, number int) {
		t.Helper()
		if err := there.Publish(t.Context(), bus.Message{Subject: bus.MetricsSubject(host, "cpu"), ID: id, Body: fmt.Appendf(nil, "%08d", number)}); err != nil {
			t.Fatal(err)
		}
	}
	store("h2", "", 0)
	stem := strings.TrimSuffix(r.idOf(1), "/1")
	for i := 2; i <= n; i += 2 {
		store(host, fmt.Sprintf("%s/%d", stem, i), i)
	}
	for range 100 {
		store("h2", "", 0)
	}
	first := New(r.o)
	if err := r.local.Conn(t, "operator").EnsureConsumer(t.Context(), first.carriers[0].input(bus.Uplink, 0)); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(placesFile{Bus: first.places.bus, Places: map[string]place{first.carriers[0].key(span{durable: bus.Uplink}): {Sent: n, After: 1}}})
	if err == nil {
		err = os.WriteFile(r.o.Place, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}

	may, rights := r.o.Central.CredsFile, bus.SpoolRights(host)
	for i, subject := range rights.Publish {
		if strings.HasPrefix(subject, "pw.metrics.") {
			rights.Publish[i] = bus.MetricsSubject(host, "cpu")
		}
	}
	r.o.Central.CredsFile = grant(t, r.central, bus.User(host, bus.Agent), rights)
	r.run()
	bustest.Wait(t, within, "it stands still half way", func() bool { s := r.up.Status(); return s.Known >= (denied-1)/2 && s.Sent >= (denied-1)/2 })
	bustest.Wait(t, within, "that is kept", func() bool {
		at, _ := r.up.places.of(r.up.carriers[0].key(span{durable: bus.Uplink}))
		return at.Settled == denied-1 && r.up.places.save() == nil
	})
	r.crash()
	r.central.Limit(t, bus.StreamMetrics, bustest.Limits{Duplicates: 100 * time.Millisecond})
	time.Sleep(2 * time.Second) // the ids are forgotten by time alone
	r.o.Central.CredsFile = may
	r.run()
	r.once()
}
