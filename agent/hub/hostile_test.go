package hub

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// counts that a test expects, and no others that begin with "refused".
func (r *running) refused(t testing.TB, want map[string]uint64) {
	t.Helper()
	bustest.Wait(t, limit, fmt.Sprint("refusals ", want), func() bool {
		for name, n := range want {
			if r.counted(name) < n {
				return false
			}
		}
		return true
	})
	for name, n := range r.Status().Counts {
		if strings.HasPrefix(name, "refused") && n != want[name] {
			t.Errorf("%s is %d, want %d", name, n, want[name])
		}
	}
}

// What is no beat, or somebody else's, is refused and counted by the reason, and the hub goes on.
func TestHostileBeats(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b)
	good := agentOf(t, b, "web", "i1", 1)
	good.beat()
	body, err := telemetry.EncodeControl(good.Heartbeat, telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	subject := bus.HeartbeatSubject("web", bus.Agent, bus.HTB)
	f := func(body []byte) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if reply, err := good.conn.Request(ctx, subject, body); err == nil {
			t.Errorf("%.20q was answered: %q", body, reply)
		}
	}
	f(body[:len(body)/2])
	f(body[:1])
	f([]byte("\xc1"))
	f([]byte("{"))
	f([]byte("null"))
	f([]byte(strings.Repeat("\x91", 5000)))                  // arrays in arrays
	f([]byte("\xdf\xff\xff\xff\xff"))                        // a map of four thousand million keys
	f([]byte(`{"v":2,"host":"web","inst":"i","seq":1}`))     // of another protocol
	f([]byte(`{"v":1,"host":"web","inst":"i","seq":0}`))     // before the first
	f([]byte(`{"v":1,"host":"web","inst":"i","int_ms":-1}`)) // back in time
	f(append([]byte(`"`), make([]byte, 300<<10)...))         // too large
	r.refused(t, map[string]uint64{"refused_body": 11})

	lie := func(change func(*telemetry.Heartbeat), reason string) {
		t.Helper()
		other := good.Heartbeat
		change(&other)
		ack, err := good.ask(subject, other)
		if err != nil || ack.State != telemetry.Refused || !strings.Contains(ack.Reason, reason) {
			t.Errorf("ACK %+v, %v; want %s", ack, err, reason)
		}
	}
	lie(func(b *telemetry.Heartbeat) { b.Host = "db" }, "not_allowed")
	lie(func(b *telemetry.Heartbeat) { b.Host = strings.Repeat("x", 5000) }, "not_allowed")
	lie(func(b *telemetry.Heartbeat) { b.Plugin = "disk" }, "not_allowed")
	r.refused(t, map[string]uint64{"refused_body": 11, "refused_identity": 3})

	thief := b.Conn(t, bus.User("db", bus.Agent)) // whose inbox must not get what is said to web
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if reply, err := thief.Request(ctx, subject, body); err == nil {
		t.Errorf("somebody else got %q", reply)
	}
	r.refused(t, map[string]uint64{"refused_body": 11, "refused_identity": 3, "refused_responder": 1})
	if len(hostsOf(r.Hub)) != 1 || good.beat().State != telemetry.Accepted {
		t.Errorf("hosts %+v", hostsOf(r.Hub))
	}
	if all := told(t, b, "UP", is(1, "up", "web")); len(all) != 1 {
		t.Errorf("told %s", summary(all))
	}
}

// Ids are names, whatever they look like on a subject.
func TestOddIDs(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	ids := []string{"a.b.c", "*", ">", "=", "ü ñ\n", "_", "pw.hb.x", "a=2Eb", strings.Repeat("long.", 40), "fleet", "mark"}
	for _, id := range ids {
		a := agentOf(t, b, id, "i1", 1)
		if ack := a.beat(); ack.State != telemetry.Accepted {
			t.Errorf("%.20q got %+v", id, ack)
		}
	}
	endless := agentOf(t, b, strings.Repeat("x", 5000), "i1", 1)
	if ack := endless.beat(); ack.State != telemetry.Refused || !strings.Contains(ack.Reason, "not_allowed") {
		t.Errorf("5,000 bytes got %+v", ack)
	}
	told(t, b, "all UP", is(len(ids), "up", ""))
	bustest.Wait(t, limit, "records", func() bool { return keys(t, b, "HOSTS", ">") == len(ids) })
	r.stop()
	r = start(t, b)
	for _, id := range ids {
		if s, err := r.Host(id); err != nil || s.Host != id || s.State != telemetry.HostUp {
			t.Errorf("after a restart %.20q is %+v, %v", id, s, err)
		}
	}
	second := run(t, prepare(t, b))
	for _, id := range ids {
		if err := r.Forget(t.Context(), id); err != nil {
			t.Errorf("forget %.20q: %v", id, err)
		}
	}
	told(t, b, "all forgotten", is(len(ids), "forgotten", ""))
	if n := keys(t, b, "HOSTS", ">"); n != 0 {
		t.Errorf("%d records are left", n)
	}
	bustest.Wait(t, limit, "the second hub to forget", func() bool { return len(hostsOf(second.Hub)) == 0 })
}

// Plugin data that are none, or somebody else's, are refused, and pieces of large ones are bounded.
func TestHostileData(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	a := agentOf(t, b, "web", "i1", 1)
	a.beat()
	subject := bus.HeartbeatSubject("web", bus.Agent, bus.PLG)
	f := func(body []byte) {
		t.Helper()
		if err := a.conn.Tell(subject, body); err != nil {
			t.Fatal(err)
		}
	}
	good := telemetry.PluginData{Version: 1, Host: "web", Inst: "i1", Plugin: "os", Type: "info", Time: 1, Data: telemetry.Facts{"n": 1}}
	body, err := telemetry.EncodeControl(good, telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	f(body[:len(body)-3])
	f([]byte("garbage"))
	f([]byte(`{"v":1,"host":"web","plugin":"os","type":"info","t":1,"part":3,"parts":2}`))
	f([]byte(`{"v":1,"host":"web","plugin":"os","type":"info","t":1,"part":1,"parts":999999999}`))
	other := good
	other.Host = "db"
	send(t, b, subject, other)
	r.refused(t, map[string]uint64{"refused_body": 4, "refused_identity": 1})

	piece := good
	piece.Data, piece.Chunk, piece.Part, piece.Parts = nil, make([]byte, 200<<10), 1, 128
	for n := range 40 { // eight entries, of which the end never comes
		for part := range 5 {
			piece.Plugin, piece.Part = fmt.Sprint("p", n%8), uint64(part+1+n/8*5)
			text, err := telemetry.EncodeControl(piece, telemetry.MsgPack)
			if err != nil {
				t.Fatal(err)
			}
			f(text)
		}
	}
	bustest.Wait(t, limit, "refused parts", func() bool { return r.counted("refused_data") > 0 })
	send(t, b, subject, good)
	bustest.Wait(t, limit, "good data", func() bool { return r.counted("inventory_stored") == 1 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.fleet["web"].inParts(); n > mostInParts || n != r.parts {
		t.Errorf("%d bytes in parts, %d counted", n, r.parts)
	}
}

// Ten thousand new ids in a burst are bounded, counted, and told about once.
func TestBurstOfHosts(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, func(o *Options) { o.Rules.NewBurst, o.Rules.NewRate = 200, 1 })
	old := agentOf(t, b, "web", "i1", 1)
	old.beat()
	c, err := bustest.NewCrowd(bustest.CrowdOptions{URL: b.URL, Name: "burst", Hear: func(_, _ string, _ []byte) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for i := range 10_000 {
		h := old.Heartbeat
		h.Host, h.Name, h.Manifest = fmt.Sprintf("new-%d", i), "", nil
		body, err := telemetry.EncodeControl(h, telemetry.MsgPack)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Tell(bus.HeartbeatSubject(h.Host, bus.Agent, bus.HTB), "_INBOX_"+bus.User(h.Host, bus.Agent)+".x", body); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Wait(t, limit, "all beats", func() bool { return r.counted("refused_busy")+r.states(telemetry.HostUp) == 10_001 })
	if n := r.states(telemetry.HostUp); n < 200 || n > 260 {
		t.Errorf("%d hosts were admitted", n)
	}
	all := told(t, b, "the alarm", is(1, "unknown_hosts", ""))
	if e := of(all, "unknown_hosts", "")[0]; e.Host != "fleet" || e.Count == 0 || e.Silenced {
		t.Errorf("event %+v", e)
	}
	if ack := old.beat(); ack.State != telemetry.Accepted {
		t.Errorf("who was there before got %+v", ack)
	}
	told(t, b, "UP of those admitted", is(int(r.states(telemetry.HostUp)), "up", ""))
	if n := len(of(events(t, b), "unknown_hosts", "")); n != 1 {
		t.Errorf("%d alarms", n)
	}
}

// The stream of events is removed: it is made again, and what happened meanwhile is told.
func TestEventsRemoved(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	f := crowd(t, b, fleet.Options{Hosts: 3, Plugins: 1})
	r.allUp(t, 3)
	told(t, b, "all UP", is(3, "up", ""))
	if _, err := b.Conn(t, "operator").Request(short(t), "$JS.API.STREAM.DELETE.EVENTS", nil); err != nil {
		t.Fatal(err)
	}
	f.Kill(f.Names()[0])
	bustest.Wait(t, limit, "DOWN", func() bool { return r.state(f.Names()[0]) == telemetry.HostDown })
	told(t, b, "DOWN", is(1, "down", f.Names()[0]))
}
