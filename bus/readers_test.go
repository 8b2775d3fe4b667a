package bus_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// of is what a host wants of the consumer p.
func of(host string, from ...string) bus.Input {
	in := bus.Input{Stream: bus.StreamMetrics, Durable: "p", Host: host, Start: "all"}
	for _, name := range from {
		in.Filters = append(in.Filters, bus.MetricsFilter(name))
	}
	return in
}

// gives checks what the consumer p gives out.
func gives(t *testing.T, c *bus.Conn, want ...string) {
	t.Helper()
	var filters []string
	for _, name := range want {
		filters = append(filters, bus.MetricsFilter(name))
	}
	if got := consumerState(t, c, "p").Filters; !slices.Equal(slices.Sorted(slices.Values(got)), filters) {
		t.Errorf("it gives out %v, want %v", got, filters)
	}
}

// Hosts that want different things of one consumer take nothing from each other, in whatever order they say it.
func TestReaders(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "agent")
	says := func(in bus.Input) {
		t.Helper()
		if err := c.EnsureConsumer(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	says(of("h1", "cpu"))
	gives(t, c, "cpu")
	says(of("h.2", "cpu", "disk"))
	gives(t, c, "cpu", "disk")
	says(of("h1", "cpu"))
	gives(t, c, "cpu", "disk")
	ordered := of("h1", "net")
	ordered.Ordered = true
	says(ordered)
	gives(t, c, "cpu", "disk", "net")
	readers := consumerState(t, c, "p").Readers
	if r := readers["h1"]; len(readers) != 2 || !r.Ordered || !slices.Equal(r.Filters, []string{"pw.metrics.*.net"}) {
		t.Errorf("readers %v", readers)
	}
	if r := readers[bus.Token("h.2")]; r.Ordered || len(r.Filters) != 2 {
		t.Errorf("readers %v", readers)
	}
	leaves := func(host string) {
		t.Helper()
		if err := c.LeaveConsumer(t.Context(), bus.StreamMetrics, "p", host); err != nil {
			t.Fatal(err)
		}
	}
	leaves("h.2")
	gives(t, c, "net")
	leaves("h.2")
	leaves("h1") // the last one: nobody is there to say what else it should give
	gives(t, c, "net")
	says(of("", "cpu")) // as somebody who shares it with nobody
	gives(t, c, "cpu")
}

// Agents that say what they want at the same moment may overwrite each other; who says it once more is heard.
func TestReadersAtOnce(t *testing.T) {
	const hosts = 6
	b := bustest.New(t)
	var wg sync.WaitGroup
	var want []string
	for i := range hosts {
		name := fmt.Sprintf("in%d", i)
		want = append(want, name)
		c := b.Conn(t, "agent")
		wg.Go(func() {
			if err := c.EnsureConsumer(t.Context(), of(fmt.Sprintf("h%d", i), name)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, name := range want {
		if err := b.Conn(t, "agent").EnsureConsumer(t.Context(), of(fmt.Sprintf("h%d", i), name)); err != nil {
			t.Error(err)
		}
	}
	gives(t, b.Conn(t, "agent"), want...)
}
