package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/telemetry"
)

// soon is for what happens at once on a machine that has time.
const soon = time.Minute

const token = "correct-horse-battery-staple"

// fakeHub is a hub of a few hosts. It is no NATS: what goes over the bus is tested with one.
type fakeHub struct {
	mu      sync.Mutex
	hosts   []telemetry.HostStatus
	plugins []telemetry.PluginStatus
	items   []telemetry.RefreshItem
	facts   map[string]telemetry.PluginData
	jobs    map[string]telemetry.RefreshJob
	status  telemetry.HubStatus
	err     error // of changes
	told    []string
	lists   atomic.Int64 // of plugins that were asked for
	answer  func(ctx context.Context, verb string, args map[string]any) (any, error)
}

func newFakeHub() *fakeHub {
	data := telemetry.PluginData{Version: 1, Host: "web1", Plugin: "os", Type: "info", Time: 5, Data: telemetry.Facts{"name": "Debian"}}
	return &fakeHub{
		hosts: []telemetry.HostStatus{
			{Host: "db1", Name: "db1", State: "DOWN", Reason: "silent", Owner: "ada", Labels: map[string]string{"rack": "7"}},
			{Host: "web1", Name: "www", State: "UP", Stable: true, Owner: "eve", Site: "lab", AgeMS: 1200, Beat: 7, Received: 9},
			{Host: "web2", Name: "web2", State: "UP", Owner: "eve"},
		},
		plugins: []telemetry.PluginStatus{
			{Name: "cpu", Kind: "collector", Host: "web1", State: "running", Since: 1},
			{Name: "tidy", Kind: "processor", Host: "web1", State: "running", RSS: 1 << 20,
				Inputs: []telemetry.Input{{Stream: "METRICS", Durable: "tidy", Filters: []string{bus.MetricsFilter("cpu")}}}},
			{Name: "cpu", Kind: "collector", Host: "web2", State: "failed", Reason: "exit code 1"},
		},
		items: []telemetry.RefreshItem{{InventoryItem: telemetry.InventoryItem{Plugin: "os", Type: "info"}, Size: 20, AgeMS: 100}},
		facts: map[string]telemetry.PluginData{"os/info": data},
		jobs:  map[string]telemetry.RefreshJob{"17": {ID: "17", Mode: "cached", Total: 3, Done: 3, Begun: 1, Ended: 2}},
		status: telemetry.HubStatus{ID: "hub1", Ready: true, Voice: true, States: map[string]uint64{"UP": 2, "DOWN": 1},
			Counts: map[string]uint64{"beats": 12, "refused_v": 1}},
		answer: obedient,
	}
}

// obedient answers as an agent does that carries out what it is told.
func obedient(_ context.Context, verb string, args map[string]any) (any, error) {
	plugin, _ := args["plugin"].(string)
	status := telemetry.PluginStatus{Name: cmp.Or(plugin, "cpu"), Kind: "collector", Host: "web1", State: "running", PID: 7}
	switch verb {
	case "list", "info":
		return telemetry.PluginList{Plugins: []telemetry.PluginStatus{status}}, nil
	case "logs":
		return telemetry.LogPage{Lines: []telemetry.LogLine{{Seq: 1, Time: 1, Stream: "stderr", Level: "info", Text: "hello"}}, Next: 1}, nil
	}
	return telemetry.ChangeList{Changes: []telemetry.Change{{Plugin: status.Name, Action: verb, PID: 8}}, DryRun: args["dry_run"] == true}, nil
}

// pageOf returns the part of a list, in its order, that a page selects.
func pageOf[T any](all []T, p hub.Page, id func(T) string) (list []T, more bool) {
	all = slices.DeleteFunc(slices.Clone(all), func(v T) bool { return id(v) <= p.After })
	if p.Most > 0 && len(all) > p.Most {
		return all[:p.Most], true
	}
	return all, false
}

func (f *fakeHub) Hosts(q hub.Filter, p hub.Page) ([]telemetry.HostStatus, bool) {
	var all []telemetry.HostStatus
	for _, h := range f.hosts {
		if (q.State == "" || q.State == h.State) && (q.Owner == "" || q.Owner == h.Owner) && (q.Site == "" || q.Site == h.Site) &&
			(q.Label["rack"] == "" || q.Label["rack"] == h.Labels["rack"]) {
			all = append(all, h)
		}
	}
	return pageOf(all, p, func(h telemetry.HostStatus) string { return h.Host })
}

func (f *fakeHub) Host(id string) (telemetry.HostStatus, error) {
	for _, h := range f.hosts {
		if h.Host == id || h.Name == id {
			return h, nil
		}
	}
	return telemetry.HostStatus{}, fmt.Errorf("%w: %q", hub.ErrNoHost, id)
}

func (f *fakeHub) Plugins(q hub.Filter, p hub.Page) ([]telemetry.PluginStatus, bool) {
	f.lists.Add(1)
	fit := slices.DeleteFunc(slices.Clone(f.plugins), func(p telemetry.PluginStatus) bool {
		return q.Host != "" && q.Host != p.Host || q.State != "" && q.State != p.State
	})
	return pageOf(fit, p, place)
}

func (f *fakeHub) Inventory(context.Context, string) ([]telemetry.RefreshItem, error) {
	return f.items, nil
}

func (f *fakeHub) Facts(_ context.Context, _, plugin, typ string) (telemetry.PluginData, error) {
	if d, ok := f.facts[plugin+"/"+typ]; ok {
		return d, nil
	}
	return telemetry.PluginData{}, hub.ErrNoEntry
}

func (f *fakeHub) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, fmt.Sprintf(format, args...))
	return f.err
}

// orders returns what the fleet was told since it was asked last.
func (f *fakeHub) orders() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := strings.Join(f.told, "; ")
	f.told = nil
	return told
}

func (f *fakeHub) Refresh(hosts []string, mode string) (telemetry.RefreshJob, error) {
	return telemetry.RefreshJob{ID: "18", Mode: mode, Total: uint64(len(hosts)), Begun: 1}, f.note("refresh %v %s", hosts, mode)
}

func (f *fakeHub) Job(id string) (telemetry.RefreshJob, error) {
	if j, ok := f.jobs[id]; ok {
		return j, nil
	}
	return telemetry.RefreshJob{}, hub.ErrNoJob
}

func (f *fakeHub) Forget(_ context.Context, host string) error { return f.note("forget %s", host) }

func (f *fakeHub) Silence(_ context.Context, host string, until time.Time) error {
	if until.IsZero() {
		return f.note("unsilence %s", host)
	}
	return f.note("silence %s %s", host, time.Until(until).Round(time.Minute))
}

func (f *fakeHub) Ask(ctx context.Context, host, verb string, args map[string]any) (telemetry.CtlReply, error) {
	if err := f.note("%s %s %v", verb, host, args); err != nil {
		return telemetry.CtlReply{}, err
	}
	payload, err := f.answer(ctx, verb, args)
	if fault, ok := payload.(telemetry.Fault); ok {
		return telemetry.CtlReply{Error: &fault}, nil
	}
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	raw, err := telemetry.EncodeControl(payload, telemetry.MsgPack)
	return telemetry.CtlReply{OK: true, Payload: raw}, err
}

func (f *fakeHub) Status() telemetry.HubStatus { return f.status }

// A rig is a server that runs.
type rig struct {
	t *testing.T
	*Server
	fleet *fakeHub
	url   string
	log   *texttest.Buffer
}

// start runs a server on a bus, or on none, and ends it with the test.
func start(t *testing.T, b *bustest.Bus, change func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, fleet: newFakeHub(), log: new(texttest.Buffer)}
	o := Options{
		Hub: r.fleet, Token: token, TokenFile: "/run/pacewire/http.token", Host: "web1", Version: "1.2.3",
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Times: Times{Connect: 10 * time.Millisecond},
	}
	if b != nil {
		c := b.Conn(t, "hub")
		o.Conn = func() *bus.Conn { return c }
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Listen = l.Addr().String()
	if change != nil {
		change(&o)
	}
	r.Server, r.url = New(o), "http://"+o.Listen
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(soon):
			t.Error("the server does not end")
		}
	})
	return r
}

// An answer is what came back.
type answer struct {
	*http.Response
	text string
}

// code returns the code of a problem, "" when it is none.
func (a answer) code() string { return a.problem().Code }

func (a answer) problem() (p Problem) {
	if a.Header.Get("Content-Type") == "application/problem+json" {
		_ = json.Unmarshal([]byte(a.text), &p)
	}
	return p
}

// ask sends a request with the token; headers are "Name: value", and "Name:" takes one away.
func (r *rig) ask(method, path, body string, headers ...string) answer {
	r.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	q, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, in)
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		value = strings.TrimSpace(value)
		switch {
		case name == "Host":
			q.Host = value
		case value == "":
			q.Header.Del(name)
		default:
			q.Header.Set(name, value)
		}
	}
	a, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{a, string(text)}
}

// get asks for JSON.
func (r *rig) get(path string, v any) {
	r.t.Helper()
	a := r.ask("GET", path, "")
	if a.StatusCode != http.StatusOK {
		r.t.Fatalf("GET %s: %s: %s", path, a.Status, a.text)
	}
	if err := json.Unmarshal([]byte(a.text), v); err != nil {
		r.t.Fatalf("GET %s: %v in %s", path, err, a.text)
	}
}
