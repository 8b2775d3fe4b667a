package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// One function per threat. The attacker has the credentials of a plugin and a
// client without any of our rules; the server reports a violation out of band, so
// each test looks for that report and for what the attack would have changed.

// hostile is what a plugin can do that does not use this package.
type hostile struct {
	*nats.Conn
	user string
	errs chan error
}

func (h *hostile) dial(b *bustest.Bus, password string) (err error) {
	h.errs = make(chan error, 64) // more than any test causes
	h.Conn, err = nats.Connect(b.URL, nats.UserInfo(h.user, password), nats.CustomInboxPrefix("_INBOX_"+h.user), nats.NoReconnect(), nats.Timeout(limit),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { h.errs <- err }))
	return err
}

func turnHostile(t testing.TB, b *bustest.Bus, role bus.Role, host, name string, inputs ...bus.Input) *hostile {
	t.Helper()
	h := &hostile{user: bus.User(host, name)}
	if role == bus.RoleReader {
		h.user = name
	}
	g, _ := grant(t, b, h.user, bus.RightsOf(role, host, name, inputs))
	if err := h.dial(b, g.Password); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// violates expects a report that names the subject, after act returned nil.
func (h *hostile) violates(t testing.TB, subject string, act error) {
	t.Helper()
	if act != nil {
		t.Fatalf("%s: %v at once", subject, act)
	}
	err := h.report(t)
	if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `"`+subject+`"`) {
		t.Errorf("%s: %v; want a violation", subject, err)
	}
}

func (h *hostile) report(t testing.TB) (err error) {
	t.Helper()
	bustest.Wait(t, limit, "a report of the server", func() bool {
		select {
		case err = <-h.errs:
			return true
		default:
			return false
		}
	})
	return err
}

// permitted expects that the server has seen everything and reported nothing.
func (h *hostile) permitted(t testing.TB) {
	t.Helper()
	if err := h.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-h.errs:
		t.Errorf("unexpected: %v", err)
	default:
	}
}

// victim is the plugin h1/mem with its rights, who counts the drains it is told.
type victim struct {
	*member
	drains atomic.Int64
}

func newVictim(t testing.TB, b *bustest.Bus) *victim {
	t.Helper()
	v := &victim{member: join(t, b, bus.RoleCollector, "h1", "mem")}
	_, err := bus.Handle(v.control, bus.Pattern(bus.AreaCtl, "h1", "mem", bus.Any), bus.Rules{}, command,
		func(context.Context, bus.Subject, string) ([]byte, error) { v.drains.Add(1); return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := v.control.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v
}

// undisturbed expects that the victim works, and has refused just this much.
func (v *victim) undisturbed(t testing.TB, want map[string]uint64) {
	t.Helper()
	wantBad(t, v.control, want)
	if v.drains.Load() != 0 || v.denied() != 0 {
		t.Errorf("%d drains, %d denied", v.drains.Load(), v.denied())
	}
	m := bus.Message{Subject: bus.MetricsSubject("h1", "mem"), Body: []byte("well")}
	if err := v.publisher(t).Publish(t.Context(), m); err != nil {
		t.Errorf("the victim publishes: %v", err)
	}
}

func counts(t testing.TB, b *bustest.Bus) string {
	t.Helper()
	hub := b.Conn(t, "hub")
	var all []string
	for _, stream := range []string{bus.StreamMetrics, bus.StreamEvents, bus.StreamDead} {
		s := streamState(t, hub, stream)
		all = append(all, fmt.Sprintf("%s: %d of %d, %d consumers", stream, s.Messages, s.LastSeq, s.Consumers))
	}
	return strings.Join(all, "; ")
}

// A plugin forges another plugin or host.
func TestSecurityForgery(t *testing.T) {
	b := bustest.Guarded(t)
	v := newVictim(t, b)
	h := turnHostile(t, b, bus.RoleCollector, "h1", "cpu")
	before := counts(t, b)
	for _, subject := range []string{
		bus.MetricsSubject("h1", "mem"), bus.MetricsSubject("h2", "cpu"), bus.EventSubject("h1", "mem", "high"), bus.DeadSubject("cpu"),
		bus.HeartbeatSubject("h1", "mem", bus.HTB), bus.HeartbeatSubject("h1", bus.Agent, bus.HTB), bus.HeartbeatSubject("h2", "cpu", bus.PLG),
		bus.LogSubject("h1", "mem"), bus.CtlSubject("h1", "mem", "drain"), bus.CtlSubject("h1", "cpu", "drain"), bus.HubSubject("get"),
		bus.HTTPSubject("h1", "mem"), "_INBOX_h1_mem.x", "pw.metrics.h1.cpu.x", "pw.metrics.h1.*", "pw.metrics.>", "other",
	} {
		h.violates(t, subject, h.Publish(subject, []byte("id=1")))
	}
	if after := counts(t, b); after != before {
		t.Errorf("streams changed: %s; were %s", after, before)
	}
	v.undisturbed(t, nil)

	// Through this package, the call itself and the counter of the connection say so.
	c := join(t, b, bus.RoleCollector, "h1", "cpu")
	forged := bus.Message{Subject: bus.MetricsSubject("h1", "mem"), Body: []byte("forged")}
	if err := c.publisher(t).Publish(t.Context(), forged); !errors.Is(err, bus.ErrDenied) || c.Denied() != 1 {
		t.Errorf("forged publish: %v, %d denied", err, c.Denied())
	}
}

// A processor may speak for every host, but only in its own name.
func TestSecurityForgeryByProcessor(t *testing.T) {
	b := bustest.Guarded(t)
	h := turnHostile(t, b, bus.RoleProcessor, "h1", "filter", input("filter"))
	for _, subject := range []string{bus.MetricsSubject("h2", "cpu"), bus.EventSubject("h2", "cpu", "x"), bus.DeadSubject("cpu"), bus.HeartbeatSubject("h2", "filter", bus.HTB)} {
		h.violates(t, subject, h.Publish(subject, []byte("x")))
	}
	if _, err := h.Request(bus.MetricsSubject("h2", "filter"), []byte("x"), limit); err != nil {
		t.Errorf("its own name: %v", err)
	}
	h.permitted(t)
}

// A plugin reads others' data, replies and commands.
func TestSecurityReadingOthers(t *testing.T) {
	b := bustest.Guarded(t)
	v := newVictim(t, b)
	agent := startAgent(t, b, "h1")
	h := turnHostile(t, b, bus.RoleCollector, "h1", "cpu")
	var heard atomic.Int64
	for _, subject := range []string{
		">", "*.>", "pw.>", "pw.metrics.>", "pw.metrics.h1.cpu", "pw.events.>", "pw.hb.>", "pw.hb.h1.cpu.htb", "pw.log.h1.mem", "pw.hub.get",
		"_INBOX_h1_mem.>", "_INBOX_h1_agent.*", "*.*", "pw.ctl.h1.mem.*", "pw.ctl.h1.*.*", "pw.ctl.h1.agent.*", "pw.http.h1.mem", "$JS.>", "$JS.ACK.>", "$SYS.>",
	} {
		_, err := h.Subscribe(subject, func(*nats.Msg) { heard.Add(1) })
		h.violates(t, subject, err)
		_, err = h.QueueSubscribe(subject, "thieves", func(*nats.Msg) { heard.Add(1) })
		if err != nil {
			t.Fatal(err)
		}
		if err := h.report(t); !strings.Contains(err.Error(), "Permissions Violation for Subscription") {
			t.Errorf("%s with a queue: %v", subject, err)
		}
	}
	// A request and its answer, a command, a batch, an event: none is heard.
	if _, err := v.control.Request(t.Context(), bus.HeartbeatSubject("h1", "mem", bus.HTB), []byte("beat")); err != nil {
		t.Error(err)
	}
	if err := agent.Tell(bus.CtlSubject("h1", "mem", "other"), []byte("no id")); err != nil {
		t.Error(err)
	}
	v.undisturbed(t, map[string]uint64{"body": 1})
	h.permitted(t)
	if heard.Load() != 0 {
		t.Errorf("%d messages heard", heard.Load())
	}
}

// A plugin makes the bus its deputy: the server does not ask whether the sender of
// a request may write to its reply subject.
func TestSecurityDeputy(t *testing.T) {
	b := bustest.Guarded(t)
	hub := b.Conn(t, "hub")
	out := input("out")
	if err := hub.EnsureConsumer(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	agent := startAgent(t, b, "h1")
	v := newVictim(t, b)
	cpu := turnHostile(t, b, bus.RoleCollector, "h1", "cpu")

	// The ack of a publish.
	if err := cpu.PublishRequest("pw.metrics.h1.cpu", drain, []byte("id=1")); err != nil {
		t.Fatal(err)
	}
	v.undisturbed(t, map[string]uint64{"body": 1})

	// The ACK of a heartbeat: the agent itself does not answer there.
	if err := cpu.PublishRequest("pw.hb.h1.cpu.htb", drain, []byte("beat")); err != nil {
		t.Fatal(err)
	}
	wantBad(t, agent, map[string]uint64{"responder": 1})

	// A stored message that would pass as a command.
	sink := turnHostile(t, b, bus.RolePublisher, "h1", "out", out)
	if err := sink.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.METRICS.out", drain, []byte(`{"batch":1}`)); err != nil {
		t.Fatal(err)
	}
	v.undisturbed(t, map[string]uint64{"body": 1, "subject": 1})

	// A direct get: no plugin may, and from who may it has headers.
	if _, err := cpu.Request(bus.EventSubject("h1", "cpu", "x"), []byte("id=1"), limit); err != nil {
		t.Fatal(err)
	}
	const get, last = "$JS.API.DIRECT.GET.EVENTS", `{"last_by_subj":"pw.events.h1.cpu.x"}`
	for _, h := range []*hostile{cpu, sink} {
		h.violates(t, get, h.PublishRequest(get, drain, []byte(last)))
	}
	page := turnHostile(t, b, bus.RoleReader, "", "page")
	if err := page.PublishRequest(get, drain, []byte(last)); err != nil {
		t.Fatal(err)
	}
	v.undisturbed(t, map[string]uint64{"body": 1, "subject": 1, "header": 1})

	// A trace of a message: the server asks for that permission.
	traced := &nats.Msg{Subject: "pw.metrics.h1.cpu", Data: []byte("id=1"), Header: nats.Header{"Nats-Trace-Dest": {drain}}}
	if err := cpu.PublishMsg(traced); err != nil {
		t.Fatal(err)
	}
	if err := cpu.report(t); !strings.Contains(err.Error(), drain) {
		t.Errorf("trace: %v", err)
	}
	v.undisturbed(t, map[string]uint64{"body": 1, "subject": 1, "header": 1})
	for _, h := range []*hostile{cpu, sink, page} {
		h.permitted(t)
	}
}

// A plugin that was asked may answer once, and nobody else.
func TestSecurityAnswers(t *testing.T) {
	b := bustest.Guarded(t)
	agent := startAgent(t, b, "h1")
	h := turnHostile(t, b, bus.RoleCollector, "h1", "cpu")
	asked := make(chan *nats.Msg, 1)
	if _, err := h.Subscribe("pw.ctl.h1.cpu.*", func(m *nats.Msg) { asked <- m }); err != nil {
		t.Fatal(err)
	}
	h.permitted(t)
	answered := make(chan error, 1)
	go func() {
		_, err := agent.Request(t.Context(), bus.CtlSubject("h1", "cpu", "ping"), []byte("id=1"))
		answered <- err
	}()
	m := <-asked
	if err := m.Respond([]byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("the answer: %v", err)
	}
	h.violates(t, m.Reply, m.Respond([]byte("second")))
}

// A plugin takes the id of another's batch, so that the stream drops the true one.
func TestSecurityBatchID(t *testing.T) {
	b := bustest.Guarded(t)
	hub := b.Conn(t, "hub")
	cpu := join(t, b, bus.RoleCollector, "h1", "cpu")
	p := cpu.publisher(t)
	if err := p.Publish(t.Context(), metric("0")); err != nil {
		t.Fatal(err)
	}
	k := consumer(t, hub, input("oracle"), bus.ConsumeOptions{})
	stem := strings.TrimSuffix(next(t, k).ID, "1")
	h := turnHostile(t, b, bus.RoleCollector, "h1", "thief")
	for seq := range 9 {
		stolen := &nats.Msg{Subject: "pw.metrics.h1.thief", Header: nats.Header{"Nats-Msg-Id": {stem + fmt.Sprint(seq+2)}}}
		if _, err := h.RequestMsg(stolen, limit); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 9 {
		if err := p.Publish(t.Context(), metric(fmt.Sprint(i+1))); err != nil {
			t.Fatal(err)
		}
		if d := next(t, k); string(d.Body) != fmt.Sprint(i+1) || strings.HasPrefix(d.ID, stem) {
			t.Errorf("batch %d: %q with id %q", i+1, d.Body, d.ID)
		}
	}
	if s := p.Stats(); s.ForeignDuplicate != 1 || s.Stored != 10 || s.Duplicates != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A plugin changes streams and consumers, its own too, or settles what others read.
func TestSecurityStreams(t *testing.T) {
	b := bustest.Guarded(t)
	hub := b.Conn(t, "hub")
	mine, other := input("out"), input("other")
	for _, in := range []bus.Input{mine, other} {
		if err := hub.EnsureConsumer(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, hub, 5)
	before, state := counts(t, b), consumerState(t, hub, "other")
	h := turnHostile(t, b, bus.RolePublisher, "h1", "out", mine)
	for subject, body := range map[string]string{
		"$JS.API.STREAM.CREATE.MINE":                           `{"name":"MINE","subjects":["mine"]}`,
		"$JS.API.STREAM.UPDATE.METRICS":                        `{"name":"METRICS","subjects":["pw.metrics.>"],"republish":{"src":">","dest":"pw.ctl.h1.mem.drain"}}`,
		"$JS.API.STREAM.DELETE.METRICS":                        ``,
		"$JS.API.STREAM.PURGE.METRICS":                         ``,
		"$JS.API.STREAM.MSG.DELETE.METRICS":                    `{"seq":1}`,
		"$JS.API.STREAM.MSG.GET.METRICS":                       `{"seq":1}`,
		"$JS.API.STREAM.INFO.METRICS":                          ``,
		"$JS.API.STREAM.NAMES":                                 ``,
		"$JS.API.DIRECT.GET.METRICS":                           `{"seq":1}`,
		"$JS.API.CONSUMER.CREATE.METRICS":                      `{"stream_name":"METRICS","config":{"deliver_subject":"pw.ctl.h1.mem.drain"}}`,
		"$JS.API.CONSUMER.CREATE.METRICS.out.pw.metrics.*.mem": `{"stream_name":"METRICS","config":{"durable_name":"out"}}`,
		"$JS.API.CONSUMER.DURABLE.CREATE.METRICS.out":          `{"stream_name":"METRICS","config":{"durable_name":"out"}}`,
		"$JS.API.CONSUMER.DELETE.METRICS.out":                  ``,
		"$JS.API.CONSUMER.DELETE.METRICS.other":                ``,
		"$JS.API.CONSUMER.PAUSE.METRICS.other":                 `{}`,
		"$JS.API.CONSUMER.INFO.METRICS.other":                  ``,
		"$JS.API.CONSUMER.MSG.NEXT.METRICS.other":              `{"batch":5}`,
		"$JS.API.CONSUMER.MSG.NEXT.EVENTS.out":                 `{"batch":5}`,
		"$JS.ACK.METRICS.other.1.1.1.1.1":                      `+TERM`,
		"$JS.ACK._.hash.METRICS.other.1.1.1.1.1":               `+TERM`,
		"$JS.API.ACCOUNT.PURGE.$G":                             ``,
		"$SYS.REQ.SERVER.PING":                                 ``,
	} {
		h.violates(t, subject, h.Publish(subject, []byte(body)))
	}
	if after := counts(t, b); after != before {
		t.Errorf("streams changed: %s; were %s", after, before)
	}
	if after := consumerState(t, hub, "other"); after.Pending != state.Pending || after.Delivered != 0 || after.Waiting != 0 {
		t.Errorf("the other consumer changed: %+v; was %+v", after, state)
	}
}

// What a plugin may publish must not reach beyond it by headers either: the stream
// refuses roll-ups, which delete, and messages that end early.
func TestSecurityHeaders(t *testing.T) {
	b := bustest.Guarded(t)
	fill(t, b.Conn(t, "hub"), 5)
	before := counts(t, b)
	h := turnHostile(t, b, bus.RoleCollector, "h1", "cpu")
	f := func(key, value, code string) {
		t.Helper()
		m := &nats.Msg{Subject: "pw.metrics.h1.cpu", Header: nats.Header{key: {value}}, Data: []byte("x")}
		reply, err := h.RequestMsg(m, limit)
		if err != nil || !strings.Contains(string(reply.Data), code) {
			t.Errorf("%s: %s: %v, %v; want error %s", key, value, reply, err, code)
		}
	}
	f("Nats-Rollup", "all", "10111")
	f("Nats-Rollup", "sub", "10111")
	f("Nats-TTL", "1s", "10166")
	f("Nats-Schedule", "@at 2030-01-01T00:00:00Z", "err_code")
	if after := counts(t, b); after != before {
		t.Errorf("streams changed: %s; were %s", after, before)
	}
	// Not even the operator deletes by mistake.
	raw := &hostile{user: "hub"}
	if err := raw.dial(b, b.Users.Grant("hub", nil).Password); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(raw.Close)
	if reply, err := raw.Request("$JS.API.STREAM.PURGE.METRICS", nil, limit); err != nil || !strings.Contains(string(reply.Data), "10110") {
		t.Errorf("purge: %v, %v", reply, err)
	}
}

// A credential is stolen and used after its plugin's end, or under another name.
func TestSecurityStolenCredential(t *testing.T) {
	b := bustest.Guarded(t)
	v := newVictim(t, b)
	m := join(t, b, bus.RoleCollector, "h1", "cpu")
	thief := &hostile{user: m.grant.User}
	if err := thief.dial(b, m.grant.Password); err != nil {
		t.Fatal(err)
	}
	refused := func(user, password string) {
		t.Helper()
		if err := (&hostile{user: user}).dial(b, password); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v; want a refusal", user, err)
		}
	}
	refused("h1_mem", m.grant.Password)
	refused("h1_agent", m.grant.Password)
	refused("hub", m.grant.Password)
	refused("", "")
	before := counts(t, b)
	m.leave()
	bustest.Wait(t, limit, "the thief's disconnect", thief.IsClosed)
	if err := thief.Publish("pw.metrics.h1.cpu", []byte("late")); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("publish after the end: %v", err)
	}
	refused(m.grant.User, m.grant.Password)
	if after := counts(t, b); after != before {
		t.Errorf("streams changed: %s; were %s", after, before)
	}
	v.undisturbed(t, nil)
}

// Names that would break subjects are one token each: nothing arrives elsewhere, and
// the connection stays.
func TestSecurityNames(t *testing.T) {
	b := bustest.Guarded(t)
	hub := b.Conn(t, "hub")
	for i, name := range []string{"*", ">", "a b", "a.b", "", "\x00", "\xff", "\r\nPUB x 1\r\nx\r\n", strings.Repeat("h", 5000), strings.Repeat(".", 5000)} {
		m := join(t, b, bus.RoleCollector, name, "cpu")
		p := m.publisher(t)
		own := bus.Message{Subject: bus.MetricsSubject(name, "cpu"), Body: []byte("own")}
		if err := p.Publish(t.Context(), own); err != nil {
			t.Errorf("host %.20q: %v", name, err)
		}
		if err := p.Publish(t.Context(), metric("forged")); !errors.Is(err, bus.ErrDenied) {
			t.Errorf("host %.20q publishes as h1: %v", name, err)
		}
		if n := streamState(t, hub, bus.StreamMetrics).Messages; n != uint64(i+1) {
			t.Errorf("host %.20q: %d messages; want %d", name, n, i+1)
		}
		if !m.Connected() || m.Denied() != 1 {
			t.Errorf("host %.20q: connected %v, %d denied", name, m.Connected(), m.Denied())
		}
	}
}
