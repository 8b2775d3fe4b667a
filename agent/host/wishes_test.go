package host

import (
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// neighbour returns an agent of another host on the same bus.
func neighbour(t *testing.T, b *bustest.Bus, host, text string) *Host {
	t.Helper()
	o := newHost(t, b.URL, text).o
	o.Host = host
	return New(o)
}

// inputsOf is a processor called hot that reads some plugins, which somebody else makes.
func inputsOf(from string) string {
	return "collect: { feed: { use: facts }, more: { use: facts } }\nprocess: { hot: { use: pass, journal: $J, from: [" + from + "] } }\n"
}

// send publishes n batches as those of a plugin of another host.
func send(t *testing.T, h *Host, plugin string, n int) {
	t.Helper()
	for i := range n {
		var b telemetry.Batch
		b.Add(plugin, telemetry.Fields{"n": i}, nil)
		m := bus.Message{Subject: bus.MetricsSubject("elsewhere", plugin), ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
		if err := h.out.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

func isRunning(h *Host, name string) bool {
	e := h.find(name)
	return e != nil && e.status().State == running
}

// A plugin of one name on two hosts shares its work. Nothing is lost or doubled when one of their agents is stopped.
func TestTwoHosts(t *testing.T) {
	const batches = 200
	b := bustest.New(t)
	text, lines := journaling(t, inputsOf("feed"))
	first, second := newHost(t, b.URL, text), neighbour(t, b, "h2", text)
	stopFirst, stopSecond := run(t, first), run(t, second)
	<-first.Ready()
	<-second.Ready()
	bustest.Wait(t, soon, "both work", func() bool { return isRunning(first, "hot") && isRunning(second, "hot") })
	send(t, second, "feed", batches)
	stopFirst()
	send(t, second, "feed", batches)
	bustest.Wait(t, soon, "all is read", func() bool { return !second.behind(t.Context(), second.find("hot").read()) })
	if text := second.find("hot").crew.differs(); text != "" {
		t.Errorf("their configs are the same, yet %s", text)
	}
	if err := second.conn.EnsureConsumer(t.Context(), bus.Input{Stream: bus.StreamMetrics, Durable: "check", Start: "all", Filters: []string{bus.MetricsFilter("hot")}}); err != nil {
		t.Fatal(err)
	}
	if out, err := second.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "check"); err != nil || out.Pending != 2*batches {
		t.Errorf("%d batches came out of %d, %v", out.Pending, 2*batches, err)
	}
	stopSecond()
	if sums := ends(t, lines()); sums["hot"] != 2*batches {
		t.Errorf("%d points were worked on, of %d", sums["hot"], 2*batches)
	}
}

// Agents whose configs differ take nothing from each other, and both tell of it.
func TestTwoHostsDiffer(t *testing.T) {
	b := bustest.New(t)
	text, _ := journaling(t, inputsOf("feed"))
	other, _ := journaling(t, inputsOf("feed, more"))
	first, second := newHost(t, b.URL, text), neighbour(t, b, "h2", other)
	run(t, first)
	<-first.Ready()
	run(t, second)
	<-second.Ready()
	gives := func(when string, want ...string) {
		t.Helper()
		state, err := first.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "hot")
		slices.Sort(state.Filters)
		var filters []string
		for _, name := range want {
			filters = append(filters, bus.MetricsFilter(name))
		}
		if err != nil || !slices.Equal(state.Filters, filters) {
			t.Errorf("%s it gives out %v, want %v; %v", when, state.Filters, filters, err)
		}
	}
	gives("with both", "feed", "more")
	bustest.Wait(t, soon, "both work", func() bool { return isRunning(first, "hot") && isRunning(second, "hot") })
	if _, err := first.Restart(t.Context(), "hot"); err != nil {
		t.Fatal(err)
	}
	gives("after a restart of the first", "feed", "more")
	first.lookAtWishes(t.Context())
	for h, want := range map[*Host]string{
		first:  "hot on host h2 reads [pw.metrics.*.feed pw.metrics.*.more], here [pw.metrics.*.feed]",
		second: "hot on host h1 reads [pw.metrics.*.feed], here [pw.metrics.*.feed pw.metrics.*.more]",
	} {
		bustest.Wait(t, soon, "it works and tells", func() bool {
			s := h.find("hot").status()
			return s.State == running && strings.HasPrefix(s.Reason, want)
		})
	}

	// Somebody writes over what this one has said: it says so again.
	overwritten := bus.Input{Stream: bus.StreamMetrics, Durable: "hot", Host: "h2", Filters: []string{bus.MetricsFilter("more")}}
	if err := first.conn.LeaveConsumer(t.Context(), bus.StreamMetrics, "hot", "h1"); err != nil {
		t.Fatal(err)
	}
	if err := first.conn.EnsureConsumer(t.Context(), overwritten); err != nil {
		t.Fatal(err)
	}
	gives("overwritten", "more")
	first.lookAtWishes(t.Context())
	gives("said again", "feed", "more")

	// So it does when its own note is there, but an older one.
	older := first.find("hot").read()[0]
	older.Filters = []string{bus.MetricsFilter("more")}
	if err := first.conn.EnsureConsumer(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	if err := first.conn.LeaveConsumer(t.Context(), bus.StreamMetrics, "hot", "h2"); err != nil {
		t.Fatal(err)
	}
	gives("rolled back", "more")
	first.wishing.Store(true)
	first.lookAtWishes(t.Context())
	gives("while somebody else looks", "more")
	first.wishing.Store(false)
	first.lookAtWishes(t.Context())
	gives("and once more", "feed")
}

func TestDifference(t *testing.T) {
	in := bus.Input{Durable: "hot", Host: "h1", Filters: []string{"b", "a"}}
	f := func(others map[string]bus.Reader, want string) {
		t.Helper()
		others["h1"] = bus.Reader{Filters: []string{"x"}} // one's own is none
		if got := difference(in, others); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%v: %q, want %q", others, got, want)
		}
	}
	f(map[string]bus.Reader{}, "")
	f(map[string]bus.Reader{"h2": {Filters: []string{"a", "b"}}}, "")
	f(map[string]bus.Reader{"h2": {Filters: []string{"a"}}}, "hot on host h2 reads [a], here [a b]: each gets what either wants")
	f(map[string]bus.Reader{"h2": {Filters: []string{"a", "b"}, Ordered: true}}, "hot on host h2 reads [a b] in order, here [a b]:")
}
