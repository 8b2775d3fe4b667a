package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// A caller asks a hub over the bus, as the command line does.
type caller struct {
	t    testing.TB
	conn *bus.Conn
	enc  telemetry.Encoding
}

func (c caller) ask(verb string, r telemetry.CtlRequest) telemetry.CtlReply {
	c.t.Helper()
	r.ID = "q1"
	body, err := telemetry.EncodeControl(r, c.enc)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	text, err := c.conn.Request(ctx, bus.HubSubject(verb), body)
	if err != nil {
		c.t.Fatalf("%s: %v", verb, err)
	}
	reply, enc, err := telemetry.DecodeCtlReply(text)
	if err != nil || enc != c.enc || reply.ID != "q1" || reply.OK != (reply.Error == nil) {
		c.t.Fatalf("%s: %+v in %v, %v", verb, reply, enc, err)
	}
	return reply
}

// fails checks that a request is refused with a code, and a message that says why.
func (c caller) fails(verb, code, why string, args map[string]any) {
	c.t.Helper()
	reply := c.ask(verb, telemetry.CtlRequest{Args: args})
	if reply.OK || reply.Error.Code != code || !strings.Contains(reply.Error.Message, why) {
		c.t.Errorf("%s %v: %+v %+v, want %s: %s", verb, args, reply.OK, reply.Error, code, why)
	}
}

// payload asks and decodes.
func payload[T any](c caller, decode func([]byte) (T, telemetry.Encoding, error), verb string, args map[string]any) T {
	c.t.Helper()
	reply := c.ask(verb, telemetry.CtlRequest{Args: args})
	if !reply.OK {
		c.t.Fatalf("%s %v: %+v", verb, args, reply.Error)
	}
	v, _, err := decode(reply.Payload)
	if err != nil {
		c.t.Fatalf("%s %v: %v", verb, args, err)
	}
	return v
}

// A thousand hosts come in pages, each once and in order.
func TestPages(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, func(o *Options) { o.Interval = 10 * time.Second })
	f := crowd(t, b, fleet.Options{Hosts: 1000, Plugins: 1, Interval: 10 * time.Second, Spread: 2 * time.Second, Sites: 4, Owner: "ops"})
	r.allUp(t, 1000)
	for _, enc := range []telemetry.Encoding{telemetry.MsgPack, telemetry.JSON} {
		c := caller{t, b.Conn(t, "operator"), enc}
		var names []string
		pages, after := 0, ""
		for more := true; more; pages++ {
			list := payload(c, telemetry.DecodeHostList, "hosts", map[string]any{"after": after})
			for _, s := range list.Hosts {
				names = append(names, s.Host)
			}
			if more = list.More; more {
				after = names[len(names)-1]
			}
		}
		if !slices.Equal(names, f.Names()) || pages < 3 {
			t.Errorf("%d hosts in %d pages", len(names), pages)
		}
		one := payload(c, telemetry.DecodeHostList, "hosts", map[string]any{"site": "site-1", "label": "site=site-1", "owner": "ops", "state": telemetry.HostUp})
		if len(one.Hosts) == 0 || slices.ContainsFunc(one.Hosts, func(s telemetry.HostStatus) bool { return s.Site != "site-1" }) {
			t.Errorf("%d hosts at one site", len(one.Hosts))
		}
		none := payload(c, telemetry.DecodeHostList, "hosts", map[string]any{"site": "site-1", "label": "site=site-2"})
		if len(none.Hosts) != 0 {
			t.Errorf("%d hosts at two sites", len(none.Hosts))
		}
	}
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	f := crowd(t, b, fleet.Options{Hosts: 3, Plugins: 2, Inventory: 150 << 10})
	name := f.Names()[0]
	r.allHeld(t, limit, f)
	for _, enc := range []telemetry.Encoding{telemetry.MsgPack, telemetry.JSON} {
		c := caller{t, b.Conn(t, "operator"), enc}
		testReads(c, r, name)
		testChanges(c, r, f)
		testRefusals(c, name)
	}
}

func testReads(c caller, r *running, name string) {
	t := c.t
	t.Helper()
	host := map[string]any{"host": name}
	if l := payload(c, telemetry.DecodeHostList, "host", host); len(l.Hosts) != 1 || l.Hosts[0].Host != name || l.Hosts[0].State != telemetry.HostUp || l.Hosts[0].Items != 5 || l.Hosts[0].Held != 5 {
		t.Errorf("host: %+v", l)
	}
	if s := payload(c, telemetry.DecodeHubStatus, "status", nil); s.ID != r.o.ID || !s.Voice || s.Speaker != s.ID || s.Term == 0 || s.States[telemetry.HostUp] != 3 || s.Counts["beats_fresh"] == 0 {
		t.Errorf("status: %+v", s)
	}
	var plugins []string
	bustest.Wait(t, limit, "plugins", func() bool {
		plugins = nil
		for _, s := range payload(c, telemetry.DecodePluginList, "plugins", host).Plugins {
			plugins = append(plugins, s.Name+" "+s.State+" "+s.Program)
		}
		return len(plugins) == 2
	})
	if !slices.Equal(plugins, []string{"plugin-0 running load", "plugin-1 running load"}) {
		t.Errorf("plugins: %q", plugins)
	}
	if l := payload(c, telemetry.DecodePluginList, "plugins", map[string]any{"after": name + "/plugin-1"}); len(l.Plugins) != 4 || l.Plugins[0].Host == name {
		t.Errorf("plugins after the first host: %+v", l)
	}
	if p := payload(c, telemetry.DecodeInventoryPage, "inventory", host); len(p.Items) != 5 || p.Items[1].Plugin != "plugin-0" || p.Items[1].Size < 70<<10 {
		t.Errorf("inventory: %+v", p.Items)
	}
	joined := readEntry(c, name, "plugin-1/info")
	facts, err := r.Facts(t.Context(), name, "plugin-1", "info")
	if err != nil || joined.Data["text"] != facts.Data["text"] || len(fmt.Sprint(joined.Data["text"])) < 70<<10 || joined.Host != name {
		t.Errorf("facts of %s: %d bytes, %v", joined.Host, len(fmt.Sprint(joined.Data["text"])), err)
	}
}

// readEntry joins the pieces of an entry.
func readEntry(c caller, host, entry string) (d telemetry.PluginData) {
	c.t.Helper()
	var all []byte
	for size := int64(1); int64(len(all)) < size; {
		p := payload(c, telemetry.DecodeInventoryPage, "inventory", map[string]any{"host": host, "entry": entry, "offset": len(all)})
		if len(p.Text) == 0 || !utf8.ValidString(p.Text) {
			c.t.Fatalf("at %d of %d comes %.10q", len(all), p.Size, p.Text)
		}
		size = p.Size
		all = append(all, p.Text...)
	}
	if err := json.Unmarshal(all, &d); err != nil {
		c.t.Fatal(err)
	}
	return d
}

func testChanges(c caller, r *running, f *fleet.Fleet) {
	t := c.t
	t.Helper()
	name, other := f.Names()[0], f.Names()[1]
	for _, mode := range []string{telemetry.ModeCached, telemetry.ModeCollect} {
		reply := c.ask("refresh", telemetry.CtlRequest{Mode: mode, Args: map[string]any{"hosts": []string{name, other}}})
		j, _, err := telemetry.DecodeRefreshJob(reply.Payload)
		if err != nil || j.Total != 2 || j.Mode != mode {
			t.Fatalf("refresh: %+v, %v", reply, err)
		}
		bustest.Wait(t, limit, "the job", func() bool {
			j = payload(c, telemetry.DecodeRefreshJob, "job", map[string]any{"id": j.ID})
			return j.Ended != 0
		})
		if j.Done != 2 || j.Missing != 0 {
			t.Errorf("job %+v", j)
		}
	}
	if j := payload(c, telemetry.DecodeRefreshJob, "refresh", nil); j.Total != 3 {
		t.Errorf("refresh of all: %+v", j)
	}
	s := payload(c, telemetry.DecodeHostList, "silence", map[string]any{"host": name, "ms": 60_000})
	if len(s.Hosts) != 1 || !slices.Contains(s.Hosts[0].Flags, "maintenance") || time.Until(time.Unix(0, s.Hosts[0].Until)).Round(time.Minute) != time.Minute {
		t.Errorf("silence: %+v", s)
	}
	s = payload(c, telemetry.DecodeHostList, "silence", map[string]any{"host": name, "ms": 0})
	if len(s.Hosts) != 1 || slices.Contains(s.Hosts[0].Flags, "maintenance") || s.Hosts[0].Until != 0 {
		t.Errorf("end of silence: %+v", s)
	}
	payload(c, telemetry.DecodeHostList, "forget", map[string]any{"host": other})
	r.allUp(t, 3)
	r.allHeld(t, limit, f)
}

func testRefusals(c caller, name string) {
	c.t.Helper()
	c.fails("dance", "not_found", `no verb "dance"`, nil)
	for _, verb := range []string{"host", "forget", "silence", "inventory"} {
		c.fails(verb, "not_found", `"nobody"`, map[string]any{"host": "nobody", "ms": 1})
		c.fails(verb, "invalid", "host", map[string]any{"ms": 1})
		c.fails(verb, "invalid", "host", map[string]any{"host": 7, "ms": 1})
	}
	c.fails("inventory", "not_found", "plugin-0/none", map[string]any{"host": name, "entry": "plugin-0/none"})
	c.fails("inventory", "not_found", "a.b", map[string]any{"host": name, "entry": "a.b/*"})
	c.fails("refresh", "not_found", "nobody", map[string]any{"hosts": []string{name, "nobody"}})
	c.fails("refresh", "invalid", "hosts", map[string]any{"hosts": name}) // which must not mean: all of them
	c.fails("refresh", "invalid", "hosts", map[string]any{"hosts": []any{1}})
	c.fails("job", "not_found", "such job", map[string]any{"id": "x"})
	c.fails("silence", "invalid", "ms", map[string]any{"host": name, "ms": "an hour"})
	c.fails("silence", "invalid", "ms", map[string]any{"host": name})
	c.fails("silence", "invalid", "ms", map[string]any{"host": name, "ms": -1})
	c.fails("hosts", "invalid", "key=value", map[string]any{"label": "site"})
	c.fails("hosts", "invalid", "state", map[string]any{"state": "up"})
	if _, err := c.conn.Request(short(c.t), bus.HubSubject("hosts"), []byte("no request")); !errors.Is(err, bus.ErrTimeout) {
		c.t.Errorf("a request that is none: %v", err)
	}
}

func short(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// A hub that does not speak leaves requests to the one that does, and changes nothing.
func TestFollowerIsAsked(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	second := run(t, prepare(t, b))
	f := crowd(t, b, fleet.Options{Hosts: 3, Plugins: 1})
	r.allUp(t, 3)
	second.allUp(t, 3)
	c := caller{t, b.Conn(t, "operator"), telemetry.MsgPack}
	for range 20 {
		if s := payload(c, telemetry.DecodeHubStatus, "status", nil); s.ID != r.o.ID {
			t.Errorf("status of %s", s.ID)
		}
	}
	name := f.Names()[0]
	_, err := second.Refresh(nil, telemetry.ModeCached)
	for _, err := range []error{err, second.Forget(t.Context(), name), second.Silence(t.Context(), name, time.Now().Add(time.Hour))} {
		if !errors.Is(err, ErrNotSpeaker) || !strings.Contains(err.Error(), r.o.ID) {
			t.Errorf("a change by the second hub: %v", err)
		}
	}
	if err := r.Silence(t.Context(), name, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, limit, "the second hub to know", func() bool { s, _ := second.Host(name); return s.Until != 0 })
	if err := r.Forget(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, limit, "the new host at both", func() bool {
		s, _ := second.Host(name)
		mine, _ := r.Host(name)
		return mine.State == telemetry.HostUp && s.State == telemetry.HostUp && s.Until == 0
	})
}
