package plugin_test

import (
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// errand makes the consumer of in, and returns it as a plugin's work has it.
func errand(t *testing.T, c *bus.Conn, in bus.Input) telemetry.Input {
	t.Helper()
	if err := c.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	return telemetry.Input{Stream: in.Stream, Durable: in.Durable, End: in.End}
}

// settled waits until the consumer of in is settled to its end.
func settled(t *testing.T, c *bus.Conn, in telemetry.Input) (s bus.ConsumerState) {
	t.Helper()
	plugintest.Until(t, in.Durable+" is settled", func() bool {
		var err error
		s, err = c.ConsumerInfo(t.Context(), in.Stream, in.Durable)
		return err == nil && s.Done()
	})
	return s
}

// TestInputEnds checks that a plugin works on an input up to its end and no further, and on its others all the while.
func TestInputEnds(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	c := b.Conn(t, "hub")
	body := []byte("s n=1 1763559525000000000\n")
	for range 5 {
		storeRaw(t, c, "src", body)
	}
	again := bus.Errands("tagged", []bus.Input{{Stream: bus.StreamMetrics, Filters: []string{bus.MetricsFilter("src")}}})[0]
	again.From, again.End = 2, 4
	replay := errand(t, c, again)
	a.Give("tagged", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "tagged", "src"), replay}})
	a.Start(t, tagging(), "tagged")
	if s := settled(t, c, replay); s.From != 2 || s.End != 4 {
		t.Errorf("%+v", s)
	}
	storeRaw(t, c, "src", body)
	for _, in := range []telemetry.Input{a.Input(t, "tagged", "src"), replay} {
		plugintest.Until(t, in.Durable+" is past all", func() bool {
			s, err := c.ConsumerInfo(t.Context(), in.Stream, in.Durable)
			return err == nil && s.Pending == 0 && s.AckPending == 0
		})
	}
	plugintest.Until(t, "all are counted", func() bool { return a.Beat(t, "tagged").Stats.PointsOut >= 6+3 })
	if n := a.Beat(t, "tagged").Stats.PointsOut; n != 6+3 {
		t.Errorf("%d points, want the 6 there are and 3 of them again", n)
	}
}

// TestLetterIsGivenAgain checks that a batch comes back out of the dead letters as what it was, host and all.
func TestLetterIsGivenAgain(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	c := b.Conn(t, "hub")
	body := []byte("s n=1 1763559525000000000\n")
	storeRaw(t, c, "src", body)
	in := a.Input(t, "tagged", "src")
	k, err := c.Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := k.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := bus.NewPublisher(c, bus.PublisherOptions{Host: "web-1", Plugin: "tagged"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Dead(t.Context(), d, "tagged", "tagged", "no", "rejected"); err != nil {
		t.Fatal(err)
	}
	k.Stop()
	l, err := c.Letter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := c.GiveAgain(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	again := bus.Errands("tagged", nil)[0]
	again.From, again.End = seq, seq
	letter := errand(t, c, again)
	a.Give("tagged", telemetry.Work{Inputs: []telemetry.Input{in, letter}})
	a.Start(t, tagging(), "tagged")
	settled(t, c, letter)
	plugintest.Until(t, "it is through", func() bool { return a.Beat(t, "tagged").Stats.PointsOut == 1 })
	var out bus.Tapped
	o := bus.TapOptions{Stream: bus.StreamMetrics, Filters: []string{bus.MetricsFilter("tagged")}, From: 1, Once: true}
	if err := c.Tap(t.Context(), o, func(m bus.Tapped) error { out = m; return nil }); err != nil {
		t.Fatal(err)
	}
	if out.Subject.Host != "web-1" {
		t.Errorf("what was made of it is about %q", out.Subject.Host)
	}
}
