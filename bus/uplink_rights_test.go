package bus_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// turnHostileEdge is an attacker with the credentials of a machine with a spool.
func turnHostileEdge(t *testing.T, b *bustest.Bus, host string) *hostile {
	t.Helper()
	h := &hostile{user: bus.User(host, bus.Agent)}
	g, _ := grant(t, b, h.user, bus.SpoolRights(host))
	if err := h.dial(b, g.Password); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// An edge stores what is its own: points, events, and copies of dead letters.
func TestSpoolRightsStore(t *testing.T) {
	b := bustest.Guarded(t)
	edge := turnHostileEdge(t, b, "web.1")
	for _, subject := range []string{bus.MetricsSubject("web.1", "cpu"), bus.EventSubject("web.1", "cpu", "up"), bus.CopySubject("web.1", bus.DeadSubject("file"))} {
		answer, err := edge.Request(subject, []byte("x"), limit)
		if err != nil || !strings.Contains(string(answer.Data), `"seq":1`) {
			t.Errorf("%s: %v, %v", subject, answer, err)
		}
	}
	edge.permitted(t)
	list := deadOf(t, b.Conn(t, "operator"), "file")
	if len(list) != 1 || list[0].Plugin != "file" || string(list[0].Body) != "x" {
		t.Errorf("letters: %+v", list)
	}
	if l, err := b.Conn(t, "reader").Letter(t.Context(), 1); err != nil || l.Plugin != "file" || l.Seq != 1 {
		t.Errorf("letter: %+v, %v", l, err)
	}
}

// An edge says nothing for another machine or for a plugin of the fleet, and looks into nothing of theirs.
func TestSpoolRightsOfOthers(t *testing.T) {
	b := bustest.Guarded(t)
	hub := b.Conn(t, "hub")
	storedBatches(t, hub, "h2", "cpu", 3)
	before := counts(t, b)
	edge := turnHostileEdge(t, b, "h1")
	own, neighbour := bus.Token(bus.UplinkOf("h1")), bus.Token(bus.UplinkOf("h2"))
	for _, subject := range []string{
		bus.MetricsSubject("h2", "cpu"), bus.EventSubject("h2", "cpu", "up"),
		bus.DeadSubject("file"), bus.DeadSubject(bus.Uplink), bus.CopySubject("h2", bus.DeadSubject("file")), bus.AgainSubject("file"), "pw.dead.h1.file.x",
		"$JS.API.CONSUMER.CREATE.METRICS", "$JS.API.CONSUMER.CREATE.METRICS." + own, "$JS.API.CONSUMER.DURABLE.CREATE.METRICS." + own,
		"$JS.API.CONSUMER.CREATE.METRICS." + own + ".pw.metrics.h2.>", "$JS.API.CONSUMER.CREATE.METRICS." + own + ".pw.metrics.>",
		"$JS.API.CONSUMER.CREATE.METRICS." + neighbour + ".pw.metrics.h1.>", "$JS.API.CONSUMER.CREATE.METRICS." + neighbour + ".pw.metrics.h2.>",
		"$JS.API.CONSUMER.CREATE.EVENTS." + own + ".pw.events.h2.>", "$JS.API.CONSUMER.CREATE.DEAD." + own + ".pw.dead.h1.>",
		"$JS.API.CONSUMER.CREATE.KV_HOSTS." + own + ".$KV.HOSTS.h1",
		"$JS.API.CONSUMER.MSG.NEXT.METRICS." + neighbour, "$JS.API.CONSUMER.DELETE.METRICS." + neighbour, "$JS.API.CONSUMER.DELETE.METRICS.out",
		"$JS.API.CONSUMER.INFO.METRICS.out", "$JS.API.CONSUMER.LIST.METRICS", "$JS.API.CONSUMER.RESET.METRICS." + neighbour,
		"$JS.API.STREAM.INFO.METRICS", "$JS.API.STREAM.MSG.GET.METRICS", "$JS.API.DIRECT.GET.METRICS", "$JS.API.DIRECT.GET.DEAD", "$JS.API.STREAM.MSG.DELETE.DEAD",
		"$JS.API.STREAM.UPDATE.METRICS", "$JS.API.STREAM.PURGE.METRICS", "$JS.ACK.METRICS.out.1.1.1.1.1",
	} {
		edge.violates(t, subject, edge.Publish(subject, nil))
	}
	for _, subject := range []string{"pw.metrics.>", "pw.dead.>", "pw.events.h2.>", "_INBOX_h2_agent.>", "$JS.API.>"} {
		_, err := edge.Subscribe(subject, func(*nats.Msg) {})
		edge.violates(t, subject, err)
	}
	if after := counts(t, b); after != before {
		t.Errorf("streams changed: %s; were %s", after, before)
	}
}

// The one consumer that an edge may make reads what is its own, whatever the body of the request says: the bus compares both.
func TestSpoolRightsConsumer(t *testing.T) {
	b := bustest.Guarded(t)
	hub := b.Conn(t, "hub")
	storedBatches(t, hub, "h1", "cpu", 2)
	storedBatches(t, hub, "h2", "cpu", 3)
	edge := turnHostileEdge(t, b, "h1")
	own := bus.Token(bus.UplinkOf("h1"))
	create := "$JS.API.CONSUMER.CREATE.METRICS." + own + ".pw.metrics.h1.>"
	f := func(config map[string]any, want int) {
		t.Helper()
		body, err := json.Marshal(map[string]any{"stream_name": "METRICS", "config": config})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := edge.Request(create, body, limit)
		if err != nil || want > 0 && !strings.Contains(string(answer.Data), `"err_code":`+strconv.Itoa(want)+`,`) || want == 0 && strings.Contains(string(answer.Data), "err_code") {
			t.Errorf("%s: %s, %v; want %d", body, answer.Data, err, want)
		}
	}
	const mine = "pw.metrics.h1.>"
	f(map[string]any{"name": own, "ack_policy": "none", "filter_subject": "pw.metrics.h2.>"}, 10131)
	f(map[string]any{"name": own, "ack_policy": "none"}, 10131)
	f(map[string]any{"name": own, "ack_policy": "none", "filter_subjects": []string{mine, "pw.metrics.h2.>"}}, 10137)
	f(map[string]any{"name": "out", "durable_name": "out", "ack_policy": "explicit", "filter_subject": mine}, 10017)
	if n := streamState(t, hub, bus.StreamMetrics).Consumers; n != 0 {
		t.Errorf("%d consumers", n)
	}
	f(map[string]any{"name": "out", "ack_policy": "none", "filter_subject": mine}, 0) // it is called as the subject says
	var heard int
	for range 2 {
		m, err := edge.Request("$JS.API.CONSUMER.MSG.NEXT.METRICS."+own, []byte(`{"batch":1}`), limit)
		if err != nil || m.Header.Get("Nats-Msg-Id") == "" {
			t.Fatalf("%v, %v", m, err)
		}
		heard++
	}
	if m, err := edge.Request("$JS.API.CONSUMER.MSG.NEXT.METRICS."+own, []byte(`{"batch":1,"no_wait":true}`), limit); err != nil || m.Header.Get("Status") != "404" {
		t.Errorf("after %d of its own: %v, %v", heard, m, err)
	}
	if s := streamState(t, hub, bus.StreamMetrics); s.Consumers != 1 {
		t.Errorf("%d consumers", s.Consumers)
	}
	if _, err := edge.Request("$JS.API.CONSUMER.DELETE.METRICS."+own, nil, limit); err != nil {
		t.Error(err)
	}
	edge.permitted(t)
}
