package bus_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// target is a plugin h1/mem that counts the drains it is told, and answers.
func target(t *testing.T, b *bustest.Bus) (*bus.Conn, *atomic.Int64) {
	t.Helper()
	c := b.Conn(t, "h1_mem")
	var drains atomic.Int64
	sub, err := bus.Handle(c, bus.Pattern(bus.AreaCtl, "h1", "mem", bus.Any), bus.Rules{}, command,
		func(_ context.Context, s bus.Subject, _ string) ([]byte, error) {
			if s.Verb == "drain" {
				drains.Add(1)
			}
			return []byte("done"), nil
		})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Stop)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, &drains
}

// command is a body that has an id, as every request on pw.ctl must.
func command(body []byte) (string, error) {
	if id, ok := strings.CutPrefix(string(body), "id="); ok {
		return id, nil
	}
	return "", errors.New("no id")
}

// raw is a connection without our rules: what an attacker has.
func raw(t *testing.T, b *bustest.Bus) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(b.URL, nats.Timeout(limit))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func wantBad(t testing.TB, c *bus.Conn, want map[string]uint64) {
	t.Helper()
	bustest.Wait(t, limit, fmt.Sprintf("bad requests %v, have %v", want, c.BadRequests()), func() bool {
		return maps.Equal(c.BadRequests(), want)
	})
}

func TestHandle(t *testing.T) {
	b := bustest.New(t)
	_, drains := target(t, b)
	agent := b.Conn(t, bus.User("h1", bus.Agent))
	reply, err := agent.Request(t.Context(), bus.CtlSubject("h1", "mem", "drain"), []byte("id=1"))
	if err != nil || string(reply) != "done" || drains.Load() != 1 {
		t.Errorf("%q, %v, %d drains", reply, err, drains.Load())
	}
	hub := b.Conn(t, "hub")
	if _, err := hub.Request(t.Context(), bus.CtlSubject("h1", "mem", "ping"), []byte("id=2")); err != nil {
		t.Errorf("hub: %v", err)
	}
}

const drain = "pw.ctl.h1.mem.drain"

// Each of these makes the bus itself publish on a subject that the attacker may
// not write to: see Handle.
func TestDeputyAttacks(t *testing.T) {
	f := func(name string, want map[string]uint64, attack func(t *testing.T, b *bustest.Bus, nc *nats.Conn)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			b := bustest.New(t)
			c, drains := target(t, b)
			attack(t, b, raw(t, b))
			wantBad(t, c, want)
			if drains.Load() != 0 {
				t.Error("the plugin was drained")
			}
		})
	}
	f("publish ack", map[string]uint64{"body": 1}, func(t *testing.T, _ *bustest.Bus, nc *nats.Conn) {
		if err := nc.PublishRequest("pw.metrics.h1.cpu", drain, []byte("x")); err != nil {
			t.Fatal(err)
		}
	})
	f("pull", map[string]uint64{"subject": 1}, func(t *testing.T, b *bustest.Bus, nc *nats.Conn) {
		consumer(t, b.Conn(t, "hub"), input("out"), bus.ConsumeOptions{}).Stop()
		stored(t, nc, "pw.metrics.h1.cpu")
		if err := nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.METRICS.out", drain, []byte(`{"batch":1}`)); err != nil {
			t.Fatal(err)
		}
	})
	f("direct get", map[string]uint64{"header": 1}, func(t *testing.T, _ *bustest.Bus, nc *nats.Conn) {
		stored(t, nc, "pw.events.h1.cpu.x")
		if err := nc.PublishRequest("$JS.API.DIRECT.GET.EVENTS", drain, []byte(`{"last_by_subj":"pw.events.h1.cpu.x"}`)); err != nil {
			t.Fatal(err)
		}
	})
	f("empty body", map[string]uint64{"body": 1}, func(t *testing.T, _ *bustest.Bus, nc *nats.Conn) {
		if err := nc.Publish(drain, nil); err != nil {
			t.Fatal(err)
		}
	})
	f("foreign inbox", map[string]uint64{"responder": 3}, func(t *testing.T, _ *bustest.Bus, nc *nats.Conn) {
		for _, reply := range []string{"_INBOX.x", "_INBOX_h1_cpu.x", "pw.ctl.h1.cpu.drain"} {
			if err := nc.PublishRequest(drain, reply, []byte("id=1")); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// stored puts a body that would pass as a command into a stream.
func stored(t *testing.T, nc *nats.Conn, subject string) {
	t.Helper()
	if _, err := nc.Request(subject, []byte("id=1"), limit); err != nil {
		t.Fatal(err)
	}
}

// The ACK of a heartbeat goes to the sender's inbox or nowhere.
func TestHeartbeatReply(t *testing.T) {
	b := bustest.New(t)
	mem, drains := target(t, b)
	agent := b.Conn(t, bus.User("h1", bus.Agent))
	sub, err := bus.Handle(agent, bus.Pattern(bus.AreaBeat, "h1", bus.Any, bus.HTB), bus.Rules{Reply: true}, text,
		func(context.Context, bus.Subject, string) ([]byte, error) { return []byte("id=ack"), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	if err := agent.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	nc := raw(t, b)
	beat := bus.HeartbeatSubject("h1", "cpu", bus.HTB)
	for _, reply := range []string{drain, "_INBOX_h1_mem.x", "_INBOX_h1_cpu.*"} {
		_ = nc.PublishRequest(beat, reply, []byte("beat")) // a reply with a wildcard may be refused at once
	}
	if err := nc.Publish(beat, []byte("beat")); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, limit, "refusals", func() bool { return agent.BadRequests()["responder"] >= 3 })
	if reply, err := b.Conn(t, "h1_cpu").Request(t.Context(), beat, []byte("beat")); err != nil || string(reply) != "id=ack" {
		t.Errorf("true beat: %q, %v", reply, err)
	}
	if len(mem.BadRequests()) != 0 || drains.Load() != 0 {
		t.Errorf("mem heard %v", mem.BadRequests())
	}
}

// Underscores in names do not lend one plugin the inbox of another, and keep none
// from its own.
func TestResponderWithUnderscores(t *testing.T) {
	b := bustest.New(t)
	agent := b.Conn(t, bus.User("a_b", bus.Agent))
	sub, err := bus.Handle(agent, bus.Pattern(bus.AreaBeat, bus.Any, bus.Any, bus.HTB), bus.Rules{}, text,
		func(context.Context, bus.Subject, string) ([]byte, error) { return []byte("ack"), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	if err := agent.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	own := bus.HeartbeatSubject("a_b", "c_d", bus.HTB)
	if _, err := b.Conn(t, bus.User("a_b", "c_d")).Request(t.Context(), own, []byte("beat")); err != nil {
		t.Errorf("own inbox: %v", err)
	}
	if err := raw(t, b).PublishRequest(own, "_INBOX_"+bus.User("a", "b_c_d")+".x", []byte("beat")); err != nil {
		t.Fatal(err)
	}
	wantBad(t, agent, map[string]uint64{"responder": 1})
	// What asks on ctl is the host's agent.
	plugin := b.Conn(t, bus.User("a_b", "mem"))
	mem, err := bus.Handle(plugin, bus.CtlSubject("a_b", "mem", "ping"), bus.Rules{}, command,
		func(context.Context, bus.Subject, string) ([]byte, error) { return []byte("done"), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Stop()
	if err := plugin.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Request(t.Context(), bus.CtlSubject("a_b", "mem", "ping"), []byte("id=1")); err != nil {
		t.Errorf("the host's agent: %v", err)
	}
}

func TestResponders(t *testing.T) {
	b := bustest.New(t)
	server := b.Conn(t, "hub")
	sub, err := bus.Handle(server, bus.HubSubject("get"), bus.Rules{Responders: []string{"page"}, MaxBytes: 4}, text,
		func(context.Context, bus.Subject, string) ([]byte, error) { return []byte("ok"), errors.New("logged") })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	if err := server.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Conn(t, "page").Request(t.Context(), bus.HubSubject("get"), []byte("x")); err != nil {
		t.Errorf("page: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.Conn(t, "other").Request(short, bus.HubSubject("get"), []byte("x")); !errors.Is(err, bus.ErrTimeout) {
		t.Errorf("other: %v", err)
	}
	if err := server.Tell(bus.HubSubject("get"), []byte("12345")); err != nil {
		t.Fatal(err)
	}
	wantBad(t, server, map[string]uint64{"responder": 1, "body": 1})
}

// A slow handler loses what is above its bound, counted; the connection and other
// handlers go on.
func TestSlowHandler(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	release := make(chan struct{})
	slow, err := bus.Handle(c, bus.Pattern(bus.AreaLog, ">"), bus.Rules{Pending: 10}, text,
		func(context.Context, bus.Subject, string) ([]byte, error) { <-release; return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	fast, err := bus.Handle(c, bus.HubSubject("get"), bus.Rules{}, text,
		func(context.Context, bus.Subject, string) ([]byte, error) { return []byte("ok"), nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil { // the server knows the subscriptions
		t.Fatal(err)
	}
	client := b.Conn(t, "page")
	for range 100 {
		if err := client.Tell(bus.LogSubject("h1", "cpu"), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Wait(t, limit, "drops", func() bool { return slow.Dropped() > 50 })
	if messages, size := slow.Pending(); messages != 10 || size != 10 {
		t.Errorf("%d messages wait, %d bytes", messages, size)
	}
	if _, err := client.Request(t.Context(), bus.HubSubject("get"), []byte("x")); err != nil {
		t.Errorf("fast handler: %v", err)
	}
	close(release)
	if err := slow.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if messages, size := slow.Pending(); messages != 0 || size != 0 {
		t.Errorf("%d messages wait in the end, %d bytes", messages, size)
	}
	fast.Stop()
	fast.Stop()
}
