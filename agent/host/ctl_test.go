package host

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// command asks the agent of h1 as an operator does.
func command(t *testing.T, conn *bus.Conn, enc telemetry.Encoding, verb string, args map[string]any) telemetry.CtlReply {
	t.Helper()
	body, err := telemetry.EncodeControl(telemetry.CtlRequest{ID: "7", Args: args}, enc)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := conn.Request(t.Context(), bus.CtlSubject("h1", bus.Agent, verb), body)
	if err != nil {
		t.Fatal(err)
	}
	reply, got, err := telemetry.DecodeCtlReply(answer)
	if err != nil || got != enc || reply.ID != "7" {
		t.Fatalf("%s: id %q in %v, %v", verb, reply.ID, got, err)
	}
	return reply
}

// listed returns the plugins in a reply.
func listed(t *testing.T, reply telemetry.CtlReply) []telemetry.PluginStatus {
	t.Helper()
	list, _, err := telemetry.DecodePluginList(reply.Payload)
	if err != nil || !reply.OK || reply.Error != nil {
		t.Fatalf("%+v: %v", reply, err)
	}
	return list.Plugins
}

func TestList(t *testing.T) {
	b := bustest.New(t)
	connected(t, b, pair)
	newPulse(t, b, "sink", "publisher", "a").accepted()
	conn := b.Conn(t, "operator")
	for _, enc := range []telemetry.Encoding{telemetry.MsgPack, telemetry.JSON} {
		list := listed(t, command(t, conn, enc, "list", nil))
		if len(list) != 2 || list[0].Name != "numbers" || list[1].Name != "sink" || list[1].Version != "1.2.3" || list[1].Host != "h1" {
			t.Errorf("%+v", list)
		}
		if list[1].Manifest != nil || list[1].Inputs != nil {
			t.Errorf("a list has what info is for: %+v", list[1])
		}
	}
}

// Info is a list of one, with what a list leaves out and with counters as they are now.
func TestInfo(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	p := newPulse(t, b, "sink", "publisher", "a")
	p.Stats = &telemetry.Stats{PointsIn: 1}
	p.accepted()
	h.find("numbers").beat(telemetry.Heartbeat{Inst: "a", Stats: &telemetry.Stats{Ticks: 4}}, time.Now(), &telemetry.Ack{})
	decode := func(body []byte) (telemetry.CtlRequest, error) {
		r, _, err := telemetry.DecodeCtlRequest(body)
		return r, err
	}
	_, err := bus.Handle(p.conn, bus.CtlSubject("h1", "sink", "ping"), bus.Rules{}, decode, func(_ context.Context, _ bus.Subject, r telemetry.CtlRequest) ([]byte, error) {
		stats, err := telemetry.EncodeControl(telemetry.Stats{PointsIn: 2}, telemetry.MsgPack)
		if err != nil {
			return nil, err
		}
		return telemetry.EncodeControl(telemetry.CtlReply{ID: r.ID, OK: true, Payload: stats}, telemetry.MsgPack)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.conn.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := b.Conn(t, "operator")
	f := func(name string) telemetry.PluginStatus {
		t.Helper()
		list := listed(t, command(t, conn, telemetry.MsgPack, "info", map[string]any{"plugin": name}))
		if len(list) != 1 || list[0].Name != name {
			t.Fatalf("%+v", list)
		}
		return list[0]
	}
	s := f("sink")
	if s.Manifest == nil || s.Manifest.Version != "1.2.3" || len(s.Inputs) != 1 || !slices.Equal(s.Inputs[0].Filters, []string{"pw.metrics.*.numbers"}) {
		t.Errorf("%+v", s)
	}
	if s.Stats == nil || s.Stats.PointsIn != 2 {
		t.Errorf("counters %+v", s.Stats)
	}
	if s := f("numbers"); s.Stats == nil || s.Stats.Ticks != 4 || s.Manifest != nil || s.Inputs != nil { // it answers no ping
		t.Errorf("%+v", s)
	}
}

func TestUnknown(t *testing.T) {
	b := bustest.New(t)
	connected(t, b, pair)
	conn := b.Conn(t, "operator")
	f := func(verb string, args map[string]any, want string) {
		t.Helper()
		reply := command(t, conn, telemetry.MsgPack, verb, args)
		if reply.OK || len(reply.Payload) > 0 || reply.Error == nil || reply.Error.Code != telemetry.FaultNotFound || !strings.Contains(reply.Error.Message, want) {
			t.Errorf("%s: %+v", verb, reply)
		}
	}
	f("info", map[string]any{"plugin": "snik"}, `host h1 has no plugin "snik": did you mean sink?`)
	f("info", map[string]any{"plugin": "other"}, `host h1 has no plugin "other": pacewire plugin list names them`)
	f("info", map[string]any{"plugin": 5}, `no plugin ""`)
	f("info", nil, `no plugin ""`)
	f("reboot", nil, `the agent has no verb "reboot"`)
}

// The reasons of many plugins that have failed leave room for the list; info tells the whole one.
func TestLongReasons(t *testing.T) {
	b := bustest.New(t)
	text := "collect:\n"
	for i := range 50 {
		text += fmt.Sprintf("  p%d: { use: numbers }\n", i)
	}
	h := connected(t, b, text+"  idle: { run: [sh, -c, 'read line'] }\n")
	alive(t, h)
	reason, one := strings.Repeat("ä", 1500), h.find("idle").now
	for _, e := range h.plugins {
		e.set(func() { e.now.child, e.now.pid, e.now.refused = one.child, one.pid, reason })
	}
	conn := b.Conn(t, "operator")
	list := listed(t, command(t, conn, telemetry.MsgPack, "list", nil))
	if want := strings.Repeat("ä", 150) + "... (2700 bytes more)"; len(list) != 51 || list[7].Reason != want {
		t.Errorf("%d plugins, reason %q", len(list), list[7].Reason)
	}
	list = listed(t, command(t, conn, telemetry.MsgPack, "info", map[string]any{"plugin": "p7"}))
	if list[0].Reason != reason {
		t.Errorf("reason %q", list[0].Reason)
	}
	if got := shorten(strings.Repeat("x", 299)+"ä", 300); got != strings.Repeat("x", 299)+"... (1 bytes more)" {
		t.Errorf("%q", got)
	}
}

// Many plugins are listed by pages, each of which has room in a reply however much the plugins have to tell.
func TestPages(t *testing.T) {
	b := bustest.New(t)
	text := "collect:\n"
	for i := range 300 {
		text += fmt.Sprintf("  a-plugin-with-a-rather-long-name-%03d: { use: numbers }\n", i)
	}
	h := connected(t, b, text)
	stats := &telemetry.Stats{Errors: map[string]uint64{}, Dropped: map[string]uint64{}}
	for i := range 10 {
		stats.Errors[fmt.Sprintf("class_%d", i)], stats.Dropped[fmt.Sprintf("reason_%d", i)] = 1<<40, 1<<40
	}
	for _, e := range h.entries() {
		e.beat(telemetry.Heartbeat{Inst: "a", State: "failed", Stats: stats, Error: &telemetry.Fault{Message: strings.Repeat("x", 2000)}}, time.Now(), &telemetry.Ack{})
	}
	conn := b.Conn(t, "operator")
	for _, enc := range []telemetry.Encoding{telemetry.MsgPack, telemetry.JSON} {
		var names []string
		pages, after := 0, ""
		for more := true; more && pages < 10; pages++ {
			reply := command(t, conn, enc, "list", map[string]any{"after": after})
			list, _, err := telemetry.DecodePluginList(reply.Payload)
			if err != nil || !reply.OK {
				t.Fatalf("page %d: %v, %+v", pages, err, reply.Error)
			}
			for _, s := range list.Plugins {
				names = append(names, s.Name)
			}
			more, after = list.More, names[len(names)-1]
		}
		if pages < 3 || pages > 8 || len(names) != 300 || !slices.IsSorted(names) || len(slices.Compact(names)) != 300 {
			t.Errorf("%v: %d names on %d pages", enc, len(names), pages)
		}
	}
	list := listed(t, command(t, conn, telemetry.MsgPack, "list", map[string]any{"after": "a-plugin-with-a-rather-long-name-299"}))
	if len(list) != 0 {
		t.Errorf("after the last: %d", len(list))
	}
}

// Plugins may not ask the agent.
func TestAskedByPlugin(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	conn := b.Conn(t, bus.User("h1", "numbers"))
	body, err := telemetry.EncodeControl(telemetry.CtlRequest{ID: "7"}, telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := conn.Request(ctx, bus.CtlSubject("h1", bus.Agent, "list"), body)
		done <- err
	}()
	bustest.Wait(t, soon, "it is refused", func() bool { return h.conn.BadRequests()["responder"] == 1 })
	cancel()
	if err := <-done; err == nil {
		t.Error("it was answered")
	}
}
