package bus_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

func TestRightsOf(t *testing.T) {
	f := func(role bus.Role, host, plugin string, inputs []bus.Input, publish, subscribe string) {
		t.Helper()
		r := bus.RightsOf(role, host, plugin, inputs)
		if got := strings.Join(r.Publish, " "); got != publish {
			t.Errorf("%s publishes %s\nwant %s", role, got, publish)
		}
		if got := strings.Join(r.Subscribe, " "); got != subscribe {
			t.Errorf("%s subscribes %s\nwant %s", role, got, subscribe)
		}
	}
	every := func(p string) string {
		return strings.ReplaceAll("pw.hb.a_b.P.htb pw.hb.a_b.P.plg pw.log.a_b.P pw.events.a_b.P.* pw.http.a_b.P.*.down", "P", p)
	}
	hears := func(p string) string {
		return strings.ReplaceAll("_INBOX_a=5Fb_P.> pw.ctl.a_b.P.* pw.http.a_b.P pw.http.a_b.P.*.up", "P", p)
	}
	reads := func(at string) string {
		return fmt.Sprintf(" $JS.API.CONSUMER.INFO.%[1]s $JS.API.CONSUMER.MSG.NEXT.%[1]s $JS.ACK.%[1]s.> $JS.ACK.*.*.%[1]s.>", at)
	}
	f(bus.RoleCollector, "a_b", "cpu", []bus.Input{input("cpu")}, every("cpu")+" pw.metrics.a_b.cpu", hears("cpu"))
	f(bus.RoleProcessor, "a_b", "web.1", []bus.Input{input("web.1")},
		every("web=2E1")+" pw.metrics.*.web=2E1 pw.events.*.web=2E1.* pw.dead.web=2E1"+reads("METRICS.web=2E1")+reads("METRICS.web=2E1=7Ereplay")+reads("DEAD.web=2E1=7Eagain"), hears("web=2E1"))
	f(bus.RolePublisher, "a_b", "out", []bus.Input{input("out"), {Stream: bus.StreamEvents, Durable: "mail"}},
		every("out")+" pw.dead.out"+reads("METRICS.out")+reads("EVENTS.mail")+
			reads("METRICS.out=7Ereplay")+reads("EVENTS.out=7Ereplay")+reads("DEAD.out=7Eagain"), hears("out"))
	f(bus.RoleAgent, "a_b", "", nil,
		"pw.hb.a_b.agent.* pw.ctl.a_b.*.* pw.http.a_b.* pw.log.a_b.* pw.events.a_b.*.* pw.metrics.a_b.* pw.hub.status",
		"_INBOX_a=5Fb_agent.> pw.hb.a_b.*.htb pw.hb.a_b.*.plg pw.log.a_b.* pw.ctl.a_b.agent.* pw.http.a_b.agent")
	f(bus.RoleReader, "", "page", nil, "pw.hub.hosts pw.hub.host pw.hub.inventory pw.hub.plugins pw.hub.status pw.hub.job $JS.API.STREAM.INFO.*"+
		" $JS.API.DIRECT.GET.EVENTS $JS.API.DIRECT.GET.EVENTS.> $JS.API.DIRECT.GET.DEAD $JS.API.DIRECT.GET.DEAD.>",
		"_INBOX_page.> pw.metrics.> pw.events.> pw.hb.*.*.htb pw.log.>")
	after := func(stream string) string {
		return strings.ReplaceAll(" $JS.API.STREAM.CREATE.@ $JS.API.STREAM.UPDATE.@ $JS.API.STREAM.INFO.@ $JS.API.CONSUMER.LIST.@"+
			" $JS.API.CONSUMER.CREATE.@.> $JS.API.CONSUMER.INFO.@.> $JS.API.CONSUMER.MSG.NEXT.@.> $JS.API.CONSUMER.DELETE.@.>", "@", stream)
	}
	keeps := func(bucket string) string {
		return strings.ReplaceAll(" $KV.@.> $JS.API.DIRECT.GET.KV_@.$KV.@.>", "@", bucket) + after("KV_"+bucket)
	}
	f(bus.RoleHub, "", bus.Hub, nil, "pw.ctl.*.*.* pw.events.> pw.metrics.> $JS.API.INFO"+
		" pw.again.* $JS.API.DIRECT.GET.DEAD $JS.API.STREAM.MSG.DELETE.DEAD"+after("METRICS")+after("EVENTS")+after("DEAD")+
		keeps("HOSTS")+keeps("INVENTORY")+keeps("STATE")+keeps("HUB"), "_INBOX_hub.> pw.hb.*.agent.* pw.hub.*")
	f(bus.RoleOperator, "", "root", nil, ">", ">")
	f("other", "h1", "cpu", nil, "", "")
	f(bus.RoleCollector, "h1", bus.Agent, nil, "", "")
}

func TestRightsToAnswer(t *testing.T) {
	f := func(role bus.Role, times int, within time.Duration) {
		t.Helper()
		if r := bus.RightsOf(role, "h1", "x", nil); r.Responses != times || r.ResponseTime != within {
			t.Errorf("%s may answer %d times within %v", role, r.Responses, r.ResponseTime)
		}
	}
	f(bus.RoleCollector, 1, 10*time.Second)
	f(bus.RoleProcessor, 1, 10*time.Second)
	f(bus.RolePublisher, 1, 10*time.Second)
	f(bus.RoleAgent, 64, 30*time.Second)
	f(bus.RoleHub, 1, 30*time.Second)
	f(bus.RoleReader, 0, 0)
	f(bus.RoleOperator, 0, 0) // needs no right to answer where it may publish
}

// member is one process of a plugin, as an agent starts it.
type member struct {
	*bus.Conn // data
	control   *bus.Conn
	grant     embedded.Grant
	host      string
	name      string
}

func grant(t testing.TB, b *bustest.Bus, user string, r bus.Rights) (embedded.Grant, string) {
	t.Helper()
	rights := embedded.Rights(r)
	return b.Grant(t, user, &rights)
}

func join(t testing.TB, b *bustest.Bus, role bus.Role, host, name string, inputs ...bus.Input) *member {
	t.Helper()
	user := bus.User(host, name)
	g, creds := grant(t, b, user, bus.RightsOf(role, host, name, inputs))
	return &member{
		Conn:    b.Dial(t, bus.Options{User: user, CredsFile: creds, Data: true}),
		control: b.Dial(t, bus.Options{User: user, CredsFile: creds}),
		grant:   g, host: host, name: name,
	}
}

func (m *member) denied() uint64 { return m.Denied() + m.control.Denied() }

// live does what every plugin does besides its work.
func (m *member) live(t testing.TB, agent *bus.Conn) {
	t.Helper()
	_, err := bus.Handle(m.control, bus.Pattern(bus.AreaCtl, bus.Name(m.host), bus.Name(m.name), bus.Any), bus.Rules{Reply: true}, text,
		func(context.Context, bus.Subject, string) ([]byte, error) { return []byte("pong"), nil })
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := m.control.Request(t.Context(), bus.HeartbeatSubject(m.host, m.name, bus.HTB), []byte("beat")); err != nil || string(reply) != "ack" {
		t.Errorf("%s beats: %q, %v", m.name, reply, err)
	}
	for _, subject := range []string{bus.HeartbeatSubject(m.host, m.name, bus.PLG), bus.LogSubject(m.host, m.name)} {
		if err := m.control.Tell(subject, []byte("x")); err != nil {
			t.Error(err)
		}
	}
	if err := m.control.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reply, err := agent.Request(t.Context(), bus.CtlSubject(m.host, m.name, "ping"), []byte("id=1")); err != nil || string(reply) != "pong" {
		t.Errorf("%s is asked: %q, %v", m.name, reply, err)
	}
}

// leave is the rightful end of a process.
func (m *member) leave() {
	m.Close()
	m.control.Close()
	m.grant.Revoke()
}

// relay publishes under its own name what it reads, as a processor does, until k is
// stopped.
func (m *member) relay(t testing.TB, k *bus.Consumer) {
	p := publisher(t, m.Conn, bus.PublisherOptions{Host: m.host, Plugin: m.name})
	for {
		d, err := k.Next(t.Context())
		if err != nil {
			return
		}
		out := bus.Message{Subject: bus.MetricsSubject("h1", m.name), ID: bus.DerivedID(d.ID, m.name, 1), Body: d.Body}
		if err := p.Publish(t.Context(), out); err != nil {
			t.Error(err)
			return
		}
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
	}
}

// startAgent answers heartbeats with the rights of an agent.
func startAgent(t testing.TB, b *bustest.Bus, host string) *bus.Conn {
	t.Helper()
	user := bus.User(host, bus.Agent)
	_, creds := grant(t, b, user, bus.RightsOf(bus.RoleAgent, host, "", nil))
	c := b.Dial(t, bus.Options{User: user, CredsFile: creds, NoEcho: true})
	_, err := bus.Handle(c, bus.Pattern(bus.AreaBeat, bus.Name(host), bus.Any, bus.HTB), bus.Rules{Reply: true}, text,
		func(context.Context, bus.Subject, string) ([]byte, error) { return []byte("ack"), nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{
		bus.Pattern(bus.AreaBeat, bus.Name(host), bus.Any, bus.PLG), bus.Pattern(bus.AreaLog, bus.Name(host), bus.Any),
		bus.Pattern(bus.AreaCtl, bus.Name(host), bus.Agent, bus.Any),
	} {
		_, err := bus.Handle(c, pattern, bus.Rules{}, text, func(context.Context, bus.Subject, string) ([]byte, error) { return nil, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// A collector, a processor that is swapped for another under load, and a publisher
// do all that this package offers them, and never touch what they may not.
func TestPipelineWithLeastRights(t *testing.T) {
	b := bustest.Guarded(t)
	hub := b.Conn(t, "hub")
	agent := startAgent(t, b, "h1")
	filter := input("filter")
	out := bus.Input{Stream: bus.StreamMetrics, Durable: "out", Filters: []string{bus.MetricsFilter("filter")}, Start: "all"}
	alarms := bus.Input{Stream: bus.StreamEvents, Durable: "out", Filters: []string{bus.EventFilter("high")}, Start: "all"}
	for _, in := range []bus.Input{filter, out, alarms} {
		if err := hub.EnsureConsumer(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	cpu := join(t, b, bus.RoleCollector, "h1", "cpu")
	old := join(t, b, bus.RoleProcessor, "h1", "filter", filter)
	sink := join(t, b, bus.RolePublisher, "h1", "out", out, alarms)
	for _, m := range []*member{cpu, old, sink} {
		m.live(t, agent)
	}

	const count = 600
	var load sync.WaitGroup
	load.Go(func() { cpu.collect(t, count) })
	k := old.consume(t, filter)
	load.Go(func() { old.relay(t, k) })

	letters := sink.publisher(t)
	in, seen := sink.consume(t, out), make(map[string]bool)
	read := func(upTo int) {
		for len(seen) < upTo {
			d := next(t, in)
			seen[string(d.Body)] = true
			var err error
			switch {
			case string(d.Body) == "13" && d.Deliveries == 1:
				err = d.Nak(0)
			case string(d.Body) == "14":
				err = letters.Dead(t.Context(), d, "out", "out", "said no", "rejected")
			default:
				err = d.Ack()
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	read(count / 3)
	fresh := join(t, b, bus.RoleProcessor, "h1", "filter", filter) // two processes of one user
	fresh.live(t, agent)
	k2 := fresh.consume(t, filter)
	load.Go(func() { fresh.relay(t, k2) })
	read(count / 2)
	k.Stop()
	flush(t, k)
	denied := old.denied()
	old.leave()
	read(count)
	alarm := next(t, sink.consume(t, alarms))
	if err := alarm.Ack(); err != nil {
		t.Error(err)
	}
	flush(t, in)
	k2.Stop()
	load.Wait()

	for _, m := range []*member{cpu, fresh, sink} {
		denied += m.denied()
	}
	if denied += agent.Denied(); denied != 0 {
		t.Errorf("%d permission violations", denied)
	}
	if s := streamState(t, hub, bus.StreamMetrics); s.Messages != 2*count {
		t.Errorf("%d messages; want %d", s.Messages, 2*count)
	}
	if s := streamState(t, hub, bus.StreamDead); s.Messages != 1 {
		t.Errorf("%d dead letters", s.Messages)
	}
}

// collect publishes count batches and one event.
func (m *member) collect(t testing.TB, count int) {
	p := m.publisher(t)
	for i := range count {
		if err := p.Publish(t.Context(), metric(fmt.Sprint(i))); err != nil {
			t.Error(err)
			return
		}
	}
	event := bus.Message{Subject: bus.EventSubject(m.host, m.name, "high"), Body: []byte("event")}
	if err := p.Publish(t.Context(), event); err != nil {
		t.Error(err)
	}
}

func (m *member) publisher(t testing.TB) *bus.Publisher {
	t.Helper()
	return publisher(t, m.Conn, bus.PublisherOptions{Host: m.host, Plugin: m.name})
}

func (m *member) consume(t testing.TB, in bus.Input) *bus.Consumer {
	t.Helper()
	k, err := m.Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Stop)
	return k
}
