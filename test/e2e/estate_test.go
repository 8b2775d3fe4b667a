package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// The limits of the hubs here: hosts beat each second, and are DOWN after the shortest limit there is.
const (
	hubLimits  = "hub: { interval: 1s, spread: 0, warmup: 1s }\n"
	downLimit  = 15 * time.Second
	downWithin = 8 * downLimit    // sweeps, two probes of a second, and a loaded machine, on which a hub blames itself first
	takeover   = 15 * time.Second // of the voice
	takesOver  = 8 * takeover     // the same, on a loaded machine
)

// sideBySide runs cases that mostly wait at the same time, however few tests may run in parallel.
func sideBySide(t *testing.T, cases map[string]func(t *testing.T)) {
	t.Helper()
	var all sync.WaitGroup
	for name, run := range cases {
		all.Go(func() { t.Run(name, run) })
	}
	all.Wait()
}

// An estate is a bus with hubs, agents and simulated hosts on it; of those the hubs and agents are processes.
type estate struct {
	t      testing.TB
	bus    *bustest.Bus
	conn   *bus.Conn
	limits string // of its hubs
	hubs   int
	read   uint64 // of the events
	seen   []happening
}

// A happening is an event, and when the bus had it.
type happening struct {
	telemetry.Event

	stored time.Time
}

func newEstate(t testing.TB) *estate {
	t.Helper()
	b := bustest.Bare(t, embedded.Options{MaxStore: 4 << 30})
	return &estate{t: t, bus: b, conn: b.Conn(t, "operator"), limits: hubLimits}
}

// hub starts a hub. It is one more each time.
func (e *estate) hub() *system {
	e.t.Helper()
	e.hubs++
	p := newPlace(e.t)
	return p.start("hub", p.write("pacewire.yaml", "bus: { urls: "+e.bus.URL+" }\nweb: off\n"+e.limits))
}

// awaitHub waits until a hub speaks and gives verdicts.
func (e *estate) awaitHub(s *system) {
	e.t.Helper()
	s.do("status", "--bus", e.bus.URL, "--wait", (2 * readyWithin).String())
}

// idOf returns the id of a hub.
func (e *estate) idOf(hub *system) (id string) {
	e.t.Helper()
	hub.await(readyWithin, "the hub tells its id", func() bool {
		for line := range strings.Lines(hub.text()) {
			var r struct{ Hub string }
			if json.Unmarshal([]byte(line), &r) == nil && r.Hub != "" {
				id = r.Hub
			}
		}
		return id != ""
	})
	return id
}

// agent starts an agent that reaches the bus by url, and returns when its plugins work.
func (e *estate) agent(url, host string) *system {
	e.t.Helper()
	p := newPlace(e.t)
	s := p.start("agent", p.write("pacewire.yaml", "host: "+host+"\nbus: { urls: "+url+" }\n"+hubLimits+oneCollector))
	s.awaitRunning()
	return s
}

const oneCollector = "collect: { load: { use: host, every: 1s, only: [load] } }\n"

// fleet has simulated hosts beat each second, and returns when all are UP.
func (e *estate) fleet(hosts int) *fleet.Fleet {
	e.t.Helper()
	f, err := fleet.Start(context.Background(), fleet.Options{URL: e.bus.URL, Hosts: hosts, Interval: time.Second})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(f.Stop)
	e.awaitUp(f.Names()...)
	return f
}

// events returns all that has happened so far.
func (e *estate) events() []happening {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), readyWithin)
	defer cancel()
	err := e.conn.Tap(ctx, bus.TapOptions{Stream: bus.StreamEvents, From: e.read + 1, Once: true}, func(m bus.Tapped) error {
		var b telemetry.Batch
		if err := b.Decode(m.ContentType, "", m.Body, m.Stored); err != nil {
			return fmt.Errorf("event %d: %w", m.Seq, err)
		}
		b.DefaultTag("host", m.Subject.Host)
		for _, v := range telemetry.Events(&b) {
			e.seen = append(e.seen, happening{v, m.Stored})
		}
		e.read = m.Seq
		return nil
	})
	if err != nil && e.conn.Connected() {
		e.t.Fatal(err)
	}
	return e.seen
}

// awaitEvents looks at all events until cond holds.
func (e *estate) awaitEvents(limit time.Duration, what string, cond func([]happening) bool) {
	e.t.Helper()
	await(e.t, limit, what, func() bool {
		if cond(e.events()) {
			return true
		}
		time.Sleep(200 * time.Millisecond) // each look makes a consumer
		return false
	})
}

// awaitEvent waits until something has happened to a host as such for the n-th time.
func (e *estate) awaitEvent(limit time.Duration, host, kind string, n int) (found happening) {
	e.t.Helper()
	e.awaitEvents(limit, fmt.Sprintf("event %q of %s for time %d", kind, host, n), func(all []happening) bool {
		left := n
		for _, v := range all {
			if v.Host == host && v.Type == kind && v.Plugin == bus.Agent {
				if left--; left == 0 {
					found = v
				}
			}
		}
		return left <= 0
	})
	return found
}

// awaitUp waits until hosts are UP for the first time.
func (e *estate) awaitUp(hosts ...string) {
	e.t.Helper()
	e.awaitEvents(2*readyWithin, "hosts are UP", func(all []happening) bool {
		up := map[string]bool{}
		for _, v := range all {
			up[v.Host] = up[v.Host] || v.Type == "up" && v.Plugin == bus.Agent
		}
		return !slices.ContainsFunc(hosts, func(host string) bool { return !up[host] })
	})
}

// awaitUpAgain waits until a host that was DOWN is UP.
func (e *estate) awaitUpAgain(host string) (up happening) {
	e.t.Helper()
	e.awaitEvents(readyWithin, host+" is UP again", func(all []happening) bool {
		down := false
		for _, v := range all {
			if v.Host == host && v.Plugin == bus.Agent {
				down, up = down || v.Type == "down", v
			}
		}
		return down && up.Type == "up"
	})
	return up
}

// verdicts returns what has happened after the first n events, but for who was silent for a moment: on a loaded machine that is so,
// and blames nobody.
func (e *estate) verdicts(n int) (list []happening) {
	e.t.Helper()
	for _, v := range e.events()[n:] {
		if v.Type != "overdue" && (v.Type != "up" || v.From != telemetry.HostOverdue) {
			list = append(list, v)
		}
	}
	return list
}

// since returns what has happened of one of the kinds after the first n events.
func (e *estate) since(n int, kinds ...string) (list []string) {
	e.t.Helper()
	for _, v := range e.verdicts(n) {
		for _, kind := range kinds {
			if v.Type == kind {
				list = append(list, fmt.Sprintf("%s of %s/%s: %s", v.Type, v.Host, v.Plugin, v.Message))
			}
		}
	}
	return list
}

// rawConn is a connection to a bus as nobody in particular.
func rawConn(t testing.TB, url string, more ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append(more, nats.Timeout(readyWithin))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// voices returns what the hubs say that answer within a time: the one that speaks.
func (e *estate) voices(within time.Duration) (list []telemetry.HubStatus) {
	e.t.Helper()
	nc := rawConn(e.t, e.bus.URL)
	defer nc.Close()
	inbox := "_INBOX_operator." + nats.NewInbox()[len(nats.InboxPrefix):]
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		e.t.Fatal(err)
	}
	body, err := telemetry.EncodeControl(telemetry.CtlRequest{ID: "voices"}, telemetry.MsgPack)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := nc.PublishRequest(bus.HubSubject("status"), inbox, body); err != nil {
		e.t.Fatal(err)
	}
	for end := time.Now().Add(within); ; {
		m, err := answers.NextMsg(time.Until(end))
		if err != nil || len(m.Data) == 0 { // nobody more, or nobody at all
			return list
		}
		reply, _, err := telemetry.DecodeCtlReply(m.Data)
		if err != nil {
			e.t.Fatal(err)
		}
		status, _, err := telemetry.DecodeHubStatus(reply.Payload)
		if err != nil {
			e.t.Fatalf("%v: %+v", err, reply.Error)
		}
		list = append(list, status)
	}
}

// awaitVoices waits until one hub answers, and is as cond says.
func (e *estate) awaitVoices(what string, cond func(telemetry.HubStatus) bool) (found telemetry.HubStatus) {
	e.t.Helper()
	await(e.t, takesOver, what, func() bool {
		list := e.voices(300 * time.Millisecond)
		if len(list) == 1 {
			found = list[0]
		}
		return len(list) == 1 && cond(found)
	})
	return found
}

// awaitVoice waits until a hub speaks.
func (e *estate) awaitVoice(id string) {
	e.t.Helper()
	e.awaitVoices("hub "+id+" speaks", func(v telemetry.HubStatus) bool { return v.ID == id && v.Voice })
}

// pause stops the process as SIGSTOP does, until resume or the end of the test.
func (s *system) pause() (at time.Time) {
	s.t.Helper()
	s.t.Cleanup(s.resume)
	at = s.signal(syscall.SIGSTOP)
	s.await(readyWithin, "it is stopped", func() bool {
		_, state := statOf(s.cmd.Process.Pid)
		return state == "T"
	})
	return at
}

// resume lets the process go on.
func (s *system) resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) } // it may have ended

// kill9 ends the process as a crash does.
func (s *system) kill9() (at time.Time) {
	s.t.Helper()
	at = s.signal(syscall.SIGKILL)
	s.exit(readyWithin)
	return at
}

func (s *system) signal(sig syscall.Signal) (at time.Time) {
	s.t.Helper()
	at = time.Now()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	return at
}

// untouched complains about plugins that are other processes than before, or were started again.
func (s *system) untouched(before map[string]plugin) {
	s.t.Helper()
	s.awaitRunning()
	after := s.now()
	for name, was := range before {
		if is := after[name]; is.PID != was.PID || is.Restarts != was.Restarts {
			s.t.Errorf("%s was %+v, is %+v", name, was, is)
		}
	}
}
