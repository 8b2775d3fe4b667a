// Package plugintest tests plugins: what every program promises, and a plugin's life on a real bus.
package plugintest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// An Agent answers the heartbeats of plugins on a bus, and gives them the work a test wants.
type Agent struct {
	Host     string
	Interval time.Duration // of heartbeats; 0: what the plugins choose

	url  string
	conn *bus.Conn

	mu    sync.Mutex
	work  map[string]telemetry.Ack
	held  map[string]bool
	beats map[string]telemetry.Heartbeat
	hello map[string]telemetry.Heartbeat
	data  []telemetry.PluginData
}

// NewAgent connects an agent for host to the bus at url. It ends with the test.
func NewAgent(t testing.TB, url, host string) *Agent {
	t.Helper()
	conn, err := bus.Dial(t.Context(), bus.Options{URL: url, User: bus.User(host, bus.Agent), NoEcho: true, Wait: patience, Ping: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	a := &Agent{Host: host, url: url, conn: conn, work: map[string]telemetry.Ack{}, held: map[string]bool{}, beats: map[string]telemetry.Heartbeat{}, hello: map[string]telemetry.Heartbeat{}}
	decode := func(body []byte) (telemetry.Heartbeat, error) {
		h, _, err := telemetry.DecodeHeartbeat(body)
		return h, err
	}
	pattern := bus.Pattern(bus.AreaBeat, bus.Name(host), bus.Any, bus.HTB)
	if _, err := bus.Handle(conn, pattern, bus.Rules{}, decode, a.answer); err != nil {
		t.Fatal(err)
	}
	keep := func(body []byte) (telemetry.PluginData, error) {
		d, _, err := telemetry.DecodePluginData(body)
		return d, err
	}
	pattern = bus.Pattern(bus.AreaBeat, bus.Name(host), bus.Any, bus.PLG)
	if _, err := bus.Handle(conn, pattern, bus.Rules{}, keep, func(_ context.Context, _ bus.Subject, d telemetry.PluginData) ([]byte, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.data = append(a.data, d)
		return nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(t.Context()); err != nil { // from now on it hears who beats
		t.Fatal(err)
	}
	return a
}

func (a *Agent) answer(_ context.Context, s bus.Subject, h telemetry.Heartbeat) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.beats[s.Plugin] = h
	if h.Hello {
		a.hello[s.Plugin] = h
	}
	ack := a.work[s.Plugin]
	ack.NextMS = a.Interval.Milliseconds()
	ack.Version, ack.Server, ack.Seq, ack.Digest = telemetry.ProtocolVersion, "test", h.Seq, h.Digest
	if ack.State == "" {
		ack.State = telemetry.Accepted
	}
	if ack.ConfigRev == h.ConfigRev {
		ack.Work = nil
	}
	if a.held[s.Plugin] {
		ack.Flags = []string{telemetry.FlagHold}
	}
	return telemetry.EncodeControl(ack, telemetry.MsgPack)
}

// Leave ends the agent without a word.
func (a *Agent) Leave() { a.conn.Close() }

// Give offers work to a plugin, under a revision of its own.
func (a *Agent) Give(name string, w telemetry.Work) {
	if len(w.Config) == 0 {
		w.Config = []byte("{}")
	}
	a.mu.Lock()
	rev := a.work[name].ConfigRev + 1
	a.work[name] = telemetry.Ack{ConfigRev: rev, Work: &w}
	a.mu.Unlock()
	_, _ = a.Ask(context.Background(), name, "beat", telemetry.CtlRequest{}) // not started yet: its first beat asks
}

// Hold keeps a plugin from beginning its work, as an agent does while another process of that name works.
func (a *Agent) Hold(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held[name] = true
}

// Release lets a plugin begin that was held.
func (a *Agent) Release(name string) {
	a.mu.Lock()
	delete(a.held, name)
	a.mu.Unlock()
	_, _ = a.Ask(context.Background(), name, "beat", telemetry.CtlRequest{}) // else its next beat asks
}

// Refuse makes the agent refuse a plugin.
func (a *Agent) Refuse(name, reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.work[name] = telemetry.Ack{State: telemetry.Refused, Reason: reason}
}

// Last returns the last heartbeat of a plugin.
func (a *Agent) Last(name string) telemetry.Heartbeat {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.beats[name]
}

// Hello returns the last heartbeat by which a plugin has introduced itself.
func (a *Agent) Hello(name string) telemetry.Heartbeat {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hello[name]
}

// Beat asks a plugin for a heartbeat now, and returns the last that has come. It may be the one before.
func (a *Agent) Beat(t testing.TB, name string) telemetry.Heartbeat {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // who polls asks again, and the question may be lost with the bus
	defer cancel()
	_, _ = a.Ask(ctx, name, "beat", telemetry.CtlRequest{}) // not there yet: then there is none
	h := a.Last(name)
	if h.Stats == nil {
		h.Stats = &telemetry.Stats{}
	}
	return h
}

// Bye waits for the goodbye of a plugin that ends, and returns it.
func (a *Agent) Bye(t testing.TB, name string) (h telemetry.Heartbeat) {
	t.Helper()
	Until(t, "the goodbye of "+name, func() bool {
		h = a.Last(name)
		return h.Bye != ""
	})
	return h
}

// Data returns the plugin data that have come.
func (a *Agent) Data() []telemetry.PluginData {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]telemetry.PluginData{}, a.data...)
}

// Ask sends a control request to a plugin.
func (a *Agent) Ask(ctx context.Context, name, verb string, r telemetry.CtlRequest) (telemetry.CtlReply, error) {
	r.ID = "test"
	body, err := telemetry.EncodeControl(r, telemetry.MsgPack)
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reply, err := a.conn.Request(ctx, bus.CtlSubject(a.Host, name, verb), body)
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	got, _, err := telemetry.DecodeCtlReply(reply)
	return got, err
}

// Input makes the durable consumer of a plugin over what others produce, and returns it.
func (a *Agent) Input(t testing.TB, name string, from ...string) telemetry.Input {
	t.Helper()
	return a.input(t, bus.Input{Durable: bus.Token(name)}, from)
}

// Ordered is Input for a plugin whose processes read one at a time.
func (a *Agent) Ordered(t testing.TB, name string, from ...string) telemetry.Input {
	t.Helper()
	return a.input(t, bus.Input{Durable: bus.Token(name), Ordered: true}, from)
}

func (a *Agent) input(t testing.TB, in bus.Input, from []string) telemetry.Input {
	t.Helper()
	in.Stream, in.Start = bus.StreamMetrics, "all"
	for _, f := range from {
		in.Filters = append(in.Filters, bus.MetricsFilter(f))
	}
	if err := a.conn.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	return telemetry.Input{Stream: in.Stream, Durable: in.Durable, Filters: in.Filters}
}

// A Process is a plugin that runs inside the test.
type Process struct {
	cancel context.CancelFunc
	done   chan error
}

// Start runs d as the plugin name, or, with a number behind it, as one of its processes. It is stopped with the test.
func (a *Agent) Start(t testing.TB, d plugin.Definition, name string) *Process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &Process{cancel: cancel, done: make(chan error, 1)}
	of, _ := telemetry.PluginOf(name)
	o := plugin.Options{Bus: a.url, Host: a.Host, Plugin: of, Process: name, Dir: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Wait: patience, LeastBeat: a.Interval}
	go func() { p.done <- plugin.Serve(ctx, d, o) }()
	t.Cleanup(func() { _ = p.Stop(t) })
	return p
}

// Stop drains the plugin, waits for its end and returns its error.
func (p *Process) Stop(t testing.TB) error {
	t.Helper()
	p.Drain()
	return p.Wait(t)
}

// Drain asks the plugin to end.
func (p *Process) Drain() { p.cancel() }

// Wait waits for the plugin's end and returns its error.
func (p *Process) Wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-p.done:
		p.done <- err // for the next one who asks
		return err
	case <-time.After(patience):
		t.Fatal("plugin does not end")
		return nil
	}
}

// patience is long enough for any machine.
const patience = time.Minute

// Until polls until ok, and fails the test when that takes too long.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
