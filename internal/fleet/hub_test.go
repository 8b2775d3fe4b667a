package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

const limit = time.Minute // of any wait in these tests

// hub is as much of one as a fleet needs: it answers beats through the rules that guard every hub, and keeps what it hears.
type hub struct {
	conn *bus.Conn

	mu     sync.Mutex
	beats  map[string][]telemetry.Heartbeat
	plgs   map[string][]telemetry.PluginData
	bodies map[string]int // size of the last beat
	reply  func(telemetry.Heartbeat) telemetry.Ack
	silent bool
}

func newHub(t testing.TB) (*bustest.Bus, *hub) {
	t.Helper()
	b := bustest.Bare(t, embedded.Options{})
	h := &hub{conn: b.Conn(t, bus.Hub), beats: map[string][]telemetry.Heartbeat{}, plgs: map[string][]telemetry.PluginData{}, bodies: map[string]int{}}
	h.reply = h.accept
	decode := func(body []byte) (sized, error) {
		b, _, err := telemetry.DecodeHeartbeat(body)
		return sized{b, len(body)}, err
	}
	plg := func(body []byte) (telemetry.PluginData, error) {
		d, _, err := telemetry.DecodePluginData(body)
		return d, err
	}
	rules := bus.Rules{Reply: true, Pending: 1 << 16, PendingBytes: 64 << 20}
	_, err1 := bus.Handle(h.conn, bus.Pattern(bus.AreaBeat, bus.Any, bus.Agent, bus.HTB), rules, decode, h.hear)
	rules.Reply = false
	_, err2 := bus.Handle(h.conn, bus.Pattern(bus.AreaBeat, bus.Any, bus.Agent, bus.PLG), rules, plg, h.learn)
	if err := errors.Join(err1, err2, h.conn.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if bad := h.conn.BadRequests(); len(bad) != 0 {
			t.Errorf("the hub has refused %v", bad)
		}
	})
	return b, h
}

type sized struct {
	telemetry.Heartbeat
	size int
}

func (h *hub) hear(_ context.Context, s bus.Subject, b sized) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.Host != b.Host || b.Plugin != bus.Agent {
		return nil, fmt.Errorf("beat of %s/%s came as %s", b.Host, b.Plugin, s.Raw)
	}
	h.beats[b.Host] = append(h.beats[b.Host], b.Heartbeat)
	h.bodies[b.Host] = b.size
	if h.silent {
		return nil, nil
	}
	return telemetry.EncodeControl(h.reply(b.Heartbeat), telemetry.MsgPack)
}

func (h *hub) learn(_ context.Context, _ bus.Subject, d telemetry.PluginData) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.plgs[d.Host] = append(h.plgs[d.Host], d)
	return nil, nil
}

func (h *hub) accept(b telemetry.Heartbeat) telemetry.Ack {
	return telemetry.Ack{
		Version: telemetry.ProtocolVersion, Server: "test", Term: 1, Seq: b.Seq, T1: b.T1, State: telemetry.Accepted, Digest: b.Digest,
	}
}

// answers sets what the hub says to beats; nil: nothing.
func (h *hub) answers(reply func(telemetry.Heartbeat) telemetry.Ack) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reply, h.silent = reply, reply == nil
}

func (h *hub) heard(host string) []telemetry.Heartbeat {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.beats[host])
}

func (h *hub) learnt(host string) []telemetry.PluginData {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.plgs[host])
}

// until waits for a beat, from the n-th on, that is as it should be.
func (h *hub) until(t testing.TB, host, what string, n int, ok func(telemetry.Heartbeat) bool) (found telemetry.Heartbeat) {
	t.Helper()
	bustest.Wait(t, limit, what+" of "+host, func() bool {
		all := h.heard(host)
		i := slices.IndexFunc(all[min(n, len(all)):], ok)
		if i >= 0 {
			found = all[n+i]
		}
		return i >= 0
	})
	return found
}

// ask sends a request and returns its answer.
func (h *hub) ask(t testing.TB, host, verb string, r telemetry.CtlRequest) (telemetry.CtlReply, error) {
	t.Helper()
	return h.askWithin(t, limit, host, verb, r)
}

func (h *hub) askWithin(t testing.TB, limit time.Duration, host, verb string, r telemetry.CtlRequest) (telemetry.CtlReply, error) {
	t.Helper()
	r.ID = "1"
	body, err := telemetry.EncodeControl(r, telemetry.JSON)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	text, err := h.conn.Request(ctx, bus.CtlSubject(host, bus.Agent, verb), body)
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	reply, enc, err := telemetry.DecodeCtlReply(text)
	if err != nil || enc != telemetry.JSON || reply.ID != "1" {
		t.Errorf("%s of %s: %+v in %v, %v", verb, host, reply, enc, err)
	}
	return reply, nil
}

func start(t testing.TB, b *bustest.Bus, o Options) *Fleet {
	t.Helper()
	o.URL = b.URL
	f, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}
