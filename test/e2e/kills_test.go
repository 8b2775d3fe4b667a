package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// Plugins are killed at random, again and again. At every moment the agent shows what is so, and in the end nothing is more than
// it was before.
func TestKillsAtRandom(t *testing.T) {
	plugins, kills, lasts, most := 12, 24, span(20*time.Second, 3*time.Minute), 3
	if long {
		plugins, kills, most = 40, 200, 9 // ten starts within ten minutes are a failure
	}
	fresh := upMany(t, plugins)
	fresh.line()
	ideal := fresh.goroutines()

	s := upMany(t, plugins)
	w := &witness{system: s, conn: s.line(), killed: map[string]uint64{}, doubts: map[string]time.Time{}, seen: map[string]telemetry.PluginStatus{}}
	before := s.census(w.conn)
	await(t, readyWithin, "all read that do, the API too", func() bool {
		before = s.census(w.conn)
		return before.consumers == plugins/2+1
	})
	enough, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		w.watch(enough)
	}()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	begin := time.Now()
	for i := range kills {
		hold(t, time.Until(begin.Add(lasts*time.Duration(i)/time.Duration(kills))))
		w.kill(random, uint64(most))
	}
	s.await(2*readyWithin, "all work again, and each kill is a restart", w.settled)
	close(enough)
	<-watched
	for _, fault := range w.faults {
		t.Error(fault)
	}
	t.Logf("%d kills of %d plugins within %v, looked at %d times: the agent was behind for %v at most",
		kills, plugins, time.Since(begin).Round(time.Second), w.looks, w.behind.Round(time.Millisecond))
	if w.behind > maxBehind {
		t.Errorf("the agent showed a process for %v that had ended", w.behind)
	}
	after := s.census(w.conn)
	for deadline := time.Now().Add(readyWithin); !after.within(before); after = s.census(w.conn) {
		if time.Now().After(deadline) {
			t.Fatalf("before %+v, after %+v: something is more than before", before, after)
		}
		hold(t, 100*time.Millisecond)
	}
	left := s.goroutines()
	t.Logf("before %+v, after %+v", before, after)
	t.Logf("an agent without kills has %+v, this one %+v", ideal, left)
	const passing = 5 // requests that are under way, and connections of verbs that have ended; of those that are kept there would be one for each kill
	if left.all > ideal.all+2*passing || left.connections > ideal.connections+passing {
		t.Error("there are more goroutines or connections")
	}
}

// maxBehind is how long an agent may take to see that a process has ended, on a machine that has much else to do.
const maxBehind = 30 * time.Second

// upMany runs so many plugins that do little.
func upMany(t testing.TB, n int) *system {
	t.Helper()
	var collect, process, publish string
	for i := range n / 4 {
		collect += fmt.Sprintf("  a%d: { use: host, every: 1s, only: [load] }\n  b%d: { use: host, every: 1s, only: [load] }\n", i, i)
		process += fmt.Sprintf("  p%d: { use: filter, from: [a%d, b%d], series: [load] }\n", i, i, i)
		publish += fmt.Sprintf("  f%d: { use: lines, from: p%d, path: f%d.lp }\n", i, i, i)
	}
	s := up(t, "collect:\n"+collect+"process:\n"+process+"publish:\n"+publish)
	s.do("status", "--wait", operates) // so that all is there that it has for itself
	return s
}

// line is a connection as an operator's that is used again and again: one more would be seen in the descriptors.
func (s *system) line() *bus.Conn {
	s.t.Helper()
	conn, _ := s.connect()
	return conn
}

// statuses asks the agent for its plugins.
func (s *system) statuses(conn *bus.Conn) ([]telemetry.PluginStatus, error) {
	n, _ := s.note()
	body, err := telemetry.EncodeControl(telemetry.CtlRequest{ID: "e2e"}, telemetry.MsgPack)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), readyWithin)
	defer cancel()
	answer, err := conn.Request(ctx, bus.CtlSubject(n.Host, bus.Agent, "list"), body)
	if err != nil {
		return nil, err
	}
	reply, _, err := telemetry.DecodeCtlReply(answer)
	if err != nil {
		return nil, err
	}
	list, _, err := telemetry.DecodePluginList(reply.Payload)
	return list.Plugins, err
}

// A witness compares what the agent shows with what the system does.
type witness struct {
	*system
	conn *bus.Conn

	mu     sync.Mutex
	killed map[string]uint64
	seen   map[string]telemetry.PluginStatus // when it was looked last
	doubts map[string]time.Time              // since when a process is shown that is not there
	behind time.Duration                     // the longest doubt
	looks  int
	faults []string
}

// watch looks until it is enough.
func (w *witness) watch(enough <-chan struct{}) {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-enough:
			return
		case <-t.C:
			w.look()
		}
	}
}

// look looks once. Nobody is killed meanwhile.
func (w *witness) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	list, err := w.statuses(w.conn)
	if errors.Is(err, bus.ErrTimeout) {
		return // it has other things to do
	}
	if err != nil {
		w.faults = append(w.faults, err.Error())
		return
	}
	w.looks++
	pids := map[int64]string{}
	for _, p := range list {
		w.judge(p)
		if other := pids[p.PID]; other != "" && p.PID != 0 {
			w.faults = append(w.faults, fmt.Sprintf("%s and %s have process %d", p.Name, other, p.PID))
		}
		pids[p.PID] = p.Name
		w.seen[p.Name] = p
	}
}

// judge says what is wrong with what is shown of a plugin.
func (w *witness) judge(p telemetry.PluginStatus) {
	was, known := w.seen[p.Name]
	fault := func(format string, args ...any) {
		w.faults = append(w.faults, p.Name+": "+fmt.Sprintf(format, args...))
	}
	switch {
	case p.Restarts < was.Restarts:
		fault("%d restarts, and %d before", p.Restarts, was.Restarts)
	case p.Restarts > w.killed[p.Name]:
		fault("%d restarts, and killed %d times", p.Restarts, w.killed[p.Name])
	case known && p.PID != 0 && was.PID != 0 && p.PID != was.PID && p.Restarts == was.Restarts:
		fault("process %d instead of %d without a restart", p.PID, was.PID)
	case p.State == "running" && p.PID == 0:
		fault("it runs without a process")
	case p.State == "backing_off" && (p.PID != 0 || p.Reason == ""):
		fault("it backs off with process %d because of %q", p.PID, p.Reason)
	case !slices.Contains([]string{"starting", "introduced", "running", "idle", "backing_off"}, p.State):
		fault("it is %s: %s", p.State, p.Reason)
	}
	if p.PID == 0 || w.child(int(p.PID)) {
		delete(w.doubts, p.Name)
		return
	}
	since := cmp.Or(w.doubts[p.Name], time.Now())
	w.doubts[p.Name] = since
	w.behind = max(w.behind, time.Since(since))
}

// child reports whether a process runs that the agent has started.
func (w *witness) child(pid int) bool { return alive(pid) && parentOf(pid) == w.cmd.Process.Pid }

// parentOf is who has started a process, 0 when it has ended.
func parentOf(pid int) int {
	parent, _ := statOf(pid)
	return parent
}

// statOf is who has started a process, and its state: R, S, T for one that was halted, Z ...
func statOf(pid int) (parent int, state string) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text), ") ")
	_, _ = fmt.Sscan(after, &state, &parent)
	return parent, state
}

// kill kills one of the plugins that work, and that were not killed most times.
func (w *witness) kill(random *rand.Rand, most uint64) {
	w.t.Helper()
	w.await(readyWithin, "a plugin can be killed", func() bool {
		w.look()
		w.mu.Lock()
		defer w.mu.Unlock()
		var names []string
		for name, p := range w.seen {
			if p.State == "running" && w.killed[name] < most && w.child(int(p.PID)) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return false
		}
		slices.Sort(names)
		name := names[random.IntN(len(names))]
		w.killed[name]++
		return syscall.Kill(int(w.seen[name].PID), syscall.SIGKILL) == nil
	})
}

// settled reports whether all work again, and were started as often as they were killed.
func (w *witness) settled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, p := range w.seen {
		if p.State != "running" || p.Restarts != w.killed[name] || !w.child(int(p.PID)) {
			return false
		}
	}
	return len(w.seen) > 0
}

// census is what an agent has.
type census struct{ processes, descriptors, threads, consumers, credentials int }

func (s *system) census(conn *bus.Conn) census {
	s.t.Helper()
	state, err := conn.StreamInfo(s.t.Context(), bus.StreamMetrics)
	if err != nil {
		s.t.Fatal(err)
	}
	mark, _, _ := strings.Cut(markOf(s.pidsOf()["a0"]), ".")
	count := func(pattern string) int {
		found, _ := filepath.Glob(pattern)
		return len(found)
	}
	of := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	return census{
		processes: len(marked(s.t, mark)), descriptors: count(of + "fd/*"), threads: count(of + "task/*"),
		consumers: state.Consumers, credentials: count(s.path("run/creds/*")),
	}
}

// within reports whether c is no more than before. Threads are not ours to count: the runtime keeps those it once needed.
func (c census) within(before census) bool {
	return c.processes <= before.processes && c.descriptors <= before.descriptors && c.consumers == before.consumers && c.credentials == before.credentials
}

// goroutines are those of an agent: all, and those that serve a connection to its bus.
type goroutines struct{ all, connections int }

// goroutines makes an agent tell them, which is its end.
func (s *system) goroutines() goroutines {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		s.t.Fatal(err)
	}
	s.exit(readyWithin)
	text := s.text()
	g := goroutines{len(regexp.MustCompile(`(?m)^goroutine \d+ `).FindAllString(text, -1)), strings.Count(text, "server.(*client).readLoop(")}
	if g.all == 0 || g.connections == 0 {
		s.t.Errorf("INVALID: no goroutines were told:\n%s", tail(text))
	} else if err := os.Truncate(s.log, int64(strings.Index(text, "SIGQUIT"))); err != nil { // for who reads the log
		s.t.Error(err)
	}
	return g
}
