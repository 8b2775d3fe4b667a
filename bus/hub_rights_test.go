package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

func dialHub(t testing.TB, b *bustest.Bus) *bus.Conn {
	t.Helper()
	_, creds := grant(t, b, bus.Hub, bus.RightsOf(bus.RoleHub, "", bus.Hub, nil))
	return b.Dial(t, bus.Options{User: bus.Hub, CredsFile: creds, NoEcho: true})
}

// hears answers beats and requests as a hub does.
func hears(t testing.TB, hub *bus.Conn) (plgs *atomic.Int64) {
	t.Helper()
	plgs = new(atomic.Int64)
	answer := func(reply string) func(context.Context, bus.Subject, string) ([]byte, error) {
		return func(context.Context, bus.Subject, string) ([]byte, error) { return []byte(reply), nil }
	}
	_, err1 := bus.Handle(hub, bus.Pattern(bus.AreaBeat, bus.Any, bus.Agent, bus.HTB), bus.Rules{Reply: true}, text, answer("ack"))
	_, err2 := bus.Handle(hub, bus.Pattern(bus.AreaHub, bus.Any), bus.Rules{Reply: true}, text, answer("known"))
	_, err3 := bus.Handle(hub, bus.Pattern(bus.AreaBeat, bus.Any, bus.Agent, bus.PLG), bus.Rules{}, text,
		func(context.Context, bus.Subject, string) ([]byte, error) { plgs.Add(1); return nil, nil })
	if err := errors.Join(err1, err2, err3, hub.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	return plgs
}

// buckets opens all that a hub has, and uses each.
func buckets(t testing.TB, hub *bus.Conn) {
	t.Helper()
	for _, s := range []bus.BucketSettings{
		{Name: bus.BucketHosts}, {Name: bus.BucketInventory}, {Name: bus.BucketState}, {Name: bus.BucketHub, Memory: true, TTL: time.Minute},
	} {
		bucket(t, hub, s) // made
		k := bucket(t, hub, s)
		put(t, k, "h1", "1")
		v, err := k.Get(t.Context(), "h1")
		if err != nil {
			t.Error(err)
		}
		if _, err := k.Update(t.Context(), "h1", []byte("2"), v.Revision); err != nil {
			t.Error(err)
		}
		if err := k.Delete(t.Context(), "h1", 0); err != nil {
			t.Error(err)
		}
		f := follow(t, k, ">")
		f.wants(t, "ready")
		if _, err := k.Update(t.Context(), "h1", []byte("3"), 0); err != nil {
			t.Error(err)
		}
		f.wants(t, "h1=3")
		f.stop()
		f.ends(t, nil)
	}
}

// A hub and the agents of two hosts do all they have to do, and never touch what they may not.
func TestHubWithLeastRights(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{Users: new(embedded.Users)})
	hub := dialHub(t, b)
	for range 2 {
		if err := hub.EnsureStreams(t.Context(), bus.DefaultStreams()); err != nil {
			t.Fatal(err)
		}
	}
	buckets(t, hub)
	plgs := hears(t, hub)
	for _, in := range []bus.Input{input("out"), {Stream: bus.StreamEvents, Durable: "mail"}} {
		for range 2 {
			if err := hub.EnsureConsumer(t.Context(), in); err != nil {
				t.Error(err)
			}
		}
		if names, err := hub.Consumers(t.Context(), in.Stream); err != nil || len(names) != 1 {
			t.Errorf("consumers %q, %v", names, err)
		}
		if _, err := hub.ConsumerInfo(t.Context(), in.Stream, in.Durable); err != nil {
			t.Error(err)
		}
		if err := hub.DeleteConsumer(t.Context(), in.Stream, in.Durable); err != nil {
			t.Error(err)
		}
	}
	tapped := make(chan string, 8) // more than there are events
	for _, stream := range []string{bus.StreamEvents, bus.StreamMetrics} {
		go func() {
			_ = hub.Tap(t.Context(), bus.TapOptions{Stream: stream, Last: true}, func(m bus.Tapped) error { tapped <- m.Subject.Raw; return nil })
		}()
	}
	event := bus.Message{Subject: bus.EventSubject("h1", bus.Agent, "down"), Body: []byte("event")}
	if err := publisher(t, hub, bus.PublisherOptions{Host: "h1", Plugin: bus.Hub}).Publish(t.Context(), event); err != nil {
		t.Error(err)
	}
	if got := <-tapped; got != event.Subject {
		t.Errorf("tapped %s", got)
	}
	denied := uint64(0)
	for i, host := range []string{"h1", "h_2"} {
		agent := startAgent(t, b, host)
		asked(t, hub, agent, host)
		bustest.Wait(t, limit, "plugin data", func() bool { return plgs.Load() == int64(i+1) })
		denied += agent.Denied()
	}
	if denied += hub.Denied(); denied != 0 {
		t.Errorf("%d permission violations", denied)
	}
}

// asked is what a hub and an agent say to each other, and what the agent writes besides.
func asked(t testing.TB, hub, agent *bus.Conn, host string) {
	t.Helper()
	if reply, err := agent.Request(t.Context(), bus.HeartbeatSubject(host, bus.Agent, bus.HTB), []byte("beat")); err != nil || string(reply) != "ack" {
		t.Errorf("%s beats: %q, %v", host, reply, err)
	}
	if err := agent.Tell(bus.HeartbeatSubject(host, bus.Agent, bus.PLG), []byte("data")); err != nil {
		t.Error(err)
	}
	if reply, err := agent.Request(t.Context(), bus.HubSubject("status"), []byte("x")); err != nil || string(reply) != "known" {
		t.Errorf("%s asks: %q, %v", host, reply, err)
	}
	sub, err := bus.Handle(agent, bus.CtlSubject(host, bus.Agent, "ping"), bus.Rules{Reply: true}, text,
		func(context.Context, bus.Subject, string) ([]byte, error) { return []byte("pong"), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	if err := agent.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if reply, err := hub.Request(t.Context(), bus.CtlSubject(host, bus.Agent, "ping"), []byte("id=1")); err != nil || string(reply) != "pong" {
		t.Errorf("%s is asked: %q, %v", host, reply, err)
	}
	event := bus.Message{Subject: bus.EventSubject(host, "cpu", "restarted"), Body: []byte("event")}
	if err := publisher(t, agent, bus.PublisherOptions{Host: host, Plugin: bus.Agent}).Publish(t.Context(), event); err != nil {
		t.Errorf("%s tells an event: %v", host, err)
	}
}

// What hubs remember is read and written by hubs only.
func TestSecurityBuckets(t *testing.T) {
	b := bustest.Guarded(t)
	hub := dialHub(t, b)
	buckets(t, hub)
	state := func() (all string) {
		for _, name := range []string{bus.BucketHosts, bus.BucketInventory, bus.BucketState, bus.BucketHub} {
			s := streamState(t, hub, "KV_"+name)
			all += fmt.Sprintf("%s: %d of %d, %d consumers; ", name, s.Messages, s.LastSeq, s.Consumers)
		}
		return all
	}
	before := state()
	all := []*hostile{
		turnHostile(t, b, bus.RoleCollector, "h1", "cpu"),
		turnHostile(t, b, bus.RoleProcessor, "h1", "filter", input("filter")),
		turnHostile(t, b, bus.RolePublisher, "h1", "out", input("out")),
		turnHostile(t, b, bus.RoleAgent, "h1", bus.Agent),
		turnHostile(t, b, bus.RoleReader, "", "page"),
	}
	for _, h := range all {
		for _, name := range []string{bus.BucketHosts, bus.BucketInventory, bus.BucketState, bus.BucketHub} {
			attackBucket(t, h, name)
		}
		h.permitted(t)
	}
	if after := state(); after != before {
		t.Errorf("buckets changed: %s; were %s", after, before)
	}
}

func attackBucket(t testing.TB, h *hostile, name string) {
	t.Helper()
	key := "$KV." + name + ".h1"
	for subject, body := range map[string]string{
		key:                             "forged",
		"$JS.API.DIRECT.GET.KV_" + name: `{"last_by_subj":"` + key + `"}`,
		"$JS.API.DIRECT.GET.KV_" + name + "." + key: ``,
		"$JS.API.STREAM.MSG.GET.KV_" + name:         `{"last_by_subj":"` + key + `"}`,
		"$JS.API.STREAM.MSG.DELETE.KV_" + name:      `{"seq":1}`,
		"$JS.API.STREAM.PURGE.KV_" + name:           ``,
		"$JS.API.STREAM.DELETE.KV_" + name:          ``,
		"$JS.API.STREAM.UPDATE.KV_" + name:          `{"name":"KV_` + name + `","subjects":["` + key + `"]}`,
		"$JS.API.STREAM.CREATE.MIRROR":              `{"name":"MIRROR","mirror":{"name":"KV_` + name + `"}}`,
		"$JS.API.CONSUMER.CREATE.KV_" + name:        `{"stream_name":"KV_` + name + `","config":{"deliver_subject":"_INBOX_` + h.user + `.x"}}`,
	} {
		h.violates(t, subject, h.Publish(subject, []byte(body)))
	}
	_, err := h.Subscribe(key, func(*nats.Msg) { t.Errorf("%s hears %s", h.user, key) })
	h.violates(t, key, err)
}

// Who may not use a bucket is told so, and does not wait for ever.
func TestBucketDenied(t *testing.T) {
	b := bustest.Guarded(t)
	bucket(t, dialHub(t, b), bus.BucketSettings{})
	agent := startAgent(t, b, "h1")
	_, err := agent.Bucket(t.Context(), bus.BucketHosts)
	wantErr(t, "open", err, bus.ErrDenied)

	_, creds := grant(t, b, "page", bus.RightsOf(bus.RoleReader, "", "page", nil)) // may ask what streams there are
	k, err := b.Dial(t, bus.Options{User: "page", CredsFile: creds}).Bucket(t.Context(), bus.BucketHosts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Get(t.Context(), "h1")
	wantErr(t, "get", err, bus.ErrDenied)
	_, err = k.Put(t.Context(), "h1", nil)
	wantErr(t, "put", err, bus.ErrDenied)
	_, err = k.Update(t.Context(), "h1", nil, 0)
	wantErr(t, "update", err, bus.ErrDenied)
	wantErr(t, "delete", k.Delete(t.Context(), "h1", 0), bus.ErrDenied)
	follow(t, k, ">").ends(t, bus.ErrDenied)
}

// An agent, or a plugin, speaks for another host.
func TestSecurityHeartbeatOfOthers(t *testing.T) {
	b := bustest.Guarded(t)
	hub := dialHub(t, b)
	beats := new(atomic.Int64)
	_, err := bus.Handle(hub, bus.Pattern(bus.AreaBeat, bus.Any, bus.Agent, bus.Any), bus.Rules{}, text,
		func(context.Context, bus.Subject, string) ([]byte, error) { beats.Add(1); return nil, nil })
	if err = errors.Join(err, hub.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*hostile{
		turnHostile(t, b, bus.RoleAgent, "h1", bus.Agent), turnHostile(t, b, bus.RoleCollector, "h1", "cpu"),
		turnHostile(t, b, bus.RoleProcessor, "h1", "filter", input("filter")), turnHostile(t, b, bus.RoleReader, "", "page"),
	} {
		for _, subject := range []string{
			bus.HeartbeatSubject("h2", bus.Agent, bus.HTB), bus.HeartbeatSubject("h2", bus.Agent, bus.PLG), bus.CtlSubject("h2", bus.Agent, "refresh"),
			bus.EventSubject("h2", bus.Agent, "down"), bus.HubSubject("forget"), bus.HubSubject("silence"), bus.HubSubject("refresh"), "_INBOX_hub.x",
		} {
			h.violates(t, subject, h.Publish(subject, []byte("id=1")))
		}
		for _, subject := range []string{bus.Pattern(bus.AreaBeat, "h2", bus.Any, bus.Any), bus.HubSubject("status"), "_INBOX_hub.>", "_INBOX_h2_agent.>"} {
			_, err := h.Subscribe(subject, func(*nats.Msg) { t.Errorf("%s hears %s", h.user, subject) })
			h.violates(t, subject, err)
		}
		h.permitted(t)
	}
	if beats.Load() != 0 {
		t.Errorf("%d beats of others", beats.Load())
	}
}
