package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/loadtest"
	"github.com/pacewire/pacewire/telemetry"
)

// Whatever a publisher is written in, faults do the same to it: nothing is lost, only the call that was under way when its process
// died comes twice, and the agent tells the same of it.
func TestPublisherOfEachLanguage(t *testing.T) {
	t.Parallel()
	cases := map[string]func(t *testing.T){}
	for language, publisher := range posters(t) {
		cases[language] = func(t *testing.T) { faults(deliver(t, publisher)) }
		cases[language+" halted"] = func(t *testing.T) { halted(deliver(t, publisher)) }
	}
	sideBySide(t, cases)
}

func faults(d *delivery) {
	d.slowSink()
	d.killed()
	d.busKilled()
	d.redelivered()
	d.refused()
	d.awaitEvents("up", "restarted: signal SIGKILL", "restarted: restarted by an operator", "dead_letter")
	d.agentKilled()
	d.drain()
}

// The publisher is stopped until the agent takes it for hung.
func halted(d *delivery) {
	d.step(true, 1, func(answer func()) {
		pid := d.signalOut(syscall.SIGSTOP)
		d.awaitPlugin("out", 2*readyWithin, "has another process", func(p plugin) bool { return p.State == "running" && p.PID != pid })
		answer() // too late for who was stopped
	})
	d.awaitEvents("up", "restarted: signal SIGKILL")
	d.drain()
}

// posters are configs of the same publisher in each language: it writes line protocol by HTTP, to URL.
func posters(t *testing.T) map[string]string {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Fatal("this test needs python3: install it")
	}
	program, err := filepath.Abs("testdata/poster/poster.py")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"go":     "use: influxdb, url: URL, database: load, create_database: false",
		"python": "run: [python3, " + program + "], config: { url: URL }",
	}
}

// A delivery is a bus, an agent and a publisher, processes of their own, between a source and a sink in the test.
type delivery struct {
	*system // the agent

	bus    *system
	stdin  io.Closer // of the bus, which ends with it
	starts int       // of the bus
	url    string
	in     *bus.Publisher
	sink   *till
	sent   int
}

const (
	perMessage = 10              // points
	messages   = 40              // of a step
	ackWait    = 5 * time.Second // that the stream waits for a word about what it has given out
)

// deliver starts it all.
func deliver(t *testing.T, publisher string) *delivery {
	t.Helper()
	d := &delivery{sink: newTill(t)}
	p := newPlace(t)
	d.startBus(p, "127.0.0.1:0")
	d.system = p.start("agent", "-c", p.write("pacewire.yaml",
		"host: here\nbus: { urls: "+d.url+" }\npublish: { out: { from: send, "+strings.ReplaceAll(publisher, "URL", d.sink.URL)+" } }\n"))
	d.awaitRunning()

	conn, err := bus.Dial(t.Context(), bus.Options{URL: d.url, User: "operator", Wait: readyWithin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if d.in, err = bus.NewPublisher(conn, bus.PublisherOptions{Host: "here", Plugin: "send"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.in.Close)
	return d
}

// startBus starts the bus, with what it has stored before.
func (d *delivery) startBus(p place, listen string) {
	p.t.Helper()
	c := p.command(context.Background(), "bus", "--listen", listen, "--dir", p.path("store"))
	var err error
	if d.stdin, err = c.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	d.bus = p.launch(c, "bus")
	d.starts++
	d.bus.await(readyWithin, "the bus works", func() bool {
		said := lines(p.t, d.bus.out)
		var at struct{ URL string }
		if len(said) != d.starts || json.Unmarshal([]byte(said[d.starts-1]), &at) != nil {
			return false
		}
		d.url = at.URL
		return true
	})
}

// send stores messages for the publisher.
func (d *delivery) send(messages int, tags telemetry.Tags) {
	d.t.Helper()
	for range messages {
		var b telemetry.Batch
		for range perMessage {
			b.At(time.Unix(1_700_000_000, int64(d.sent)))
			b.Add("job", telemetry.Fields{"n": int64(d.sent)}, tags)
			d.sent++
		}
		m := bus.Message{Subject: bus.MetricsSubject("here", "send"), ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
		if err := d.in.Publish(d.t.Context(), m); err != nil {
			d.t.Fatal(err)
		}
	}
}

// step has a fault bite while the sink has a call and has not answered it. Then all has to arrive; what comes twice is that call as
// a whole, or nothing.
func (d *delivery) step(twice bool, restarts int, fault func(answer func())) {
	d.t.Helper()
	answer := d.sink.hold()
	defer answer()
	d.send(messages, nil)
	var held []int
	d.await(readyWithin, "the sink has a call", func() bool {
		held = d.sink.waiting()
		return held != nil
	})
	fault(answer)
	if !twice {
		held = nil
	}
	d.settle(held, restarts)
}

// settle waits until all has arrived, and looks what came twice.
func (d *delivery) settle(twice []int, restarts int) {
	d.t.Helper()
	d.await(readyWithin, "all points arrive", func() bool { return d.sink.points() >= d.sent })
	d.awaitSettled("out")
	if got := d.sink.twice(); !slices.Equal(got, twice) {
		d.t.Errorf("points %v came twice, want %v", got, twice)
	}
	if n := d.sink.points(); n != d.sent {
		d.t.Errorf("%d points came, %d were sent", n, d.sent)
	}
	p := d.awaitPlugin("out", readyWithin, "works, and the sink does not fail", func(p plugin) bool {
		return p.State == "running" && !strings.Contains(p.Reason, awayText)
	})
	if p.Restarts != restarts {
		d.t.Errorf("it was started again %d times, want %d", p.Restarts, restarts)
	}
}

// signalOut sends a signal to the publisher.
func (d *delivery) signalOut(sig syscall.Signal) (pid int) {
	d.t.Helper()
	pid = d.now()["out"].PID
	if err := syscall.Kill(pid, sig); err != nil {
		d.t.Fatal(err)
	}
	return pid
}

// A sink that takes longer than the stream waits for a word: what is in hand stays there.
func (d *delivery) slowSink() {
	d.step(false, 0, func(answer func()) {
		hold(d.t, ackWait+2*time.Second)
		answer()
	})
}

// The publisher is killed after the sink has stored a call, and before it hears so.
func (d *delivery) killed() {
	d.step(true, 1, func(answer func()) {
		pid := d.signalOut(syscall.SIGKILL)
		await(d.t, readyWithin, "it is dead", func() bool { return !alive(pid) })
		answer()
	})
}

// The bus is away when the sink answers.
func (d *delivery) busKilled() {
	before := d.now()
	d.step(false, 1, func(answer func()) {
		d.bus.kill9()
		answer()
		d.startBus(d.place, strings.TrimPrefix(d.url, "nats://"))
	})
	d.untouched(before)
}

// What a publisher has in hand when it is to end is for the next one.
func (d *delivery) redelivered() {
	d.sink.be(true, false)
	d.send(messages, nil)
	d.awaitPlugin("out", readyWithin, "says that the sink is away", func(p plugin) bool { return strings.Contains(p.Reason, awayText) })
	d.do("plugin", "restart", "out")
	d.sink.be(false, false)
	d.settle(nil, 1) // an operator's do not count
}

// What the sink refuses for good is a dead letter, until it takes that.
func (d *delivery) refused() {
	d.sink.be(false, true)
	d.send(1, telemetry.Tags{"bad": "yes"})
	var list []letter
	d.await(readyWithin, "it is set aside", func() bool {
		list = d.letters()
		return len(list) > 0
	})
	l := list[0]
	if len(list) > 1 || l.Plugin != "out" || l.Host != "here" || l.From != "send" || l.Points != perMessage || l.Reason != "rejected" {
		d.t.Errorf("letters %+v", list)
	}
	contains(d.t, "the letter", l.Error, badText)
	d.sink.be(false, false)
	contains(d.t, "the retry", d.do("dead", "retry", "--all"), "1 letter given again, 1 delivered, 0 refused again")
	d.settle(nil, 1)
}

// The agent is killed, and its publisher with it.
func (d *delivery) agentKilled() {
	d.step(true, 0, func(answer func()) {
		pid := d.now()["out"].PID
		d.kill9()
		await(d.t, readyWithin, "the publisher has died with its agent", func() bool { return !alive(pid) })
		answer()
		d.system = d.start("agent", "-c", d.path("pacewire.yaml"))
		d.awaitRunning()
	})
}

// awaitEvents waits until the agent has told so much of the publisher. Of other types are events that a slow machine makes.
func (d *delivery) awaitEvents(want ...string) {
	d.t.Helper()
	var told []string
	d.await(readyWithin, fmt.Sprintf("events %q", want), func() bool {
		told = nil
		for line := range strings.Lines(d.do("events", "--plugin", "out", "-o", "json")) {
			var v struct{ Type, Reason string }
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				d.t.Fatal(err)
			}
			switch v.Type {
			case "restarted":
				told = append(told, v.Type+": "+v.Reason)
			case "up", "down", "left", "dead_letter":
				told = append(told, v.Type)
			}
		}
		return len(told) >= len(want)
	})
	if !slices.Equal(told, want) {
		d.t.Errorf("events %q, want %q", told, want)
	}
}

// A till is a server that takes line protocol, and knows each point by its field n.
type till struct {
	*loadtest.Server

	mu            sync.Mutex
	times         map[int]int   // how often a point came
	open          chan struct{} // closed: calls are answered
	held          []int         // points of the call that waits for its answer
	away, refuses bool
}

func newTill(t *testing.T) *till {
	t.Helper()
	s := &till{times: map[int]int{}, open: make(chan struct{})}
	close(s.open)
	var err error
	if s.Server, err = loadtest.Serve(http.HandlerFunc(s.write)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// What it says when it is away, and when it refuses.
const (
	awayText = "503"
	badText  = "unable to parse: no tag is called bad here"
)

func (s *till) write(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/write" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	code, open := s.take(string(text))
	select {
	case <-open:
	case <-r.Context().Done():
	}
	if w.WriteHeader(code); code == http.StatusBadRequest {
		_, _ = io.WriteString(w, `{"error":"`+badText+`"}`)
	}
}

// take notes the points of a call unless it is refused, and returns the answer, and when that may be given.
func (s *till) take(text string) (code int, open <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return http.StatusServiceUnavailable, s.open
	}
	if s.refuses && strings.Contains(text, "bad=") {
		return http.StatusBadRequest, s.open
	}
	var points []int
	for line := range strings.Lines(text) {
		n := -1
		_, after, _ := strings.Cut(line, " n=")
		_, _ = fmt.Sscanf(after, "%di", &n) // -1 is a point that nobody sent
		s.times[n]++
		points = append(points, n)
	}
	select {
	case <-s.open:
	default:
		s.held = points
	}
	return http.StatusNoContent, s.open
}

// be makes it be away, or refuse what has a tag bad.
func (s *till) be(away, refuses bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away, s.refuses = away, refuses
}

// hold makes calls wait for their answer until answer is called.
func (s *till) hold() (answer func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := make(chan struct{})
	s.open, s.held = open, nil
	return sync.OnceFunc(func() { close(open) })
}

// waiting are the points of the call that waits for its answer.
func (s *till) waiting() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// points is how many different ones have come.
func (s *till) points() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.times)
}

// twice are those that have come more than once since it was asked last.
func (s *till) twice() (list []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, times := range s.times {
		if times > 1 {
			list = append(list, n)
			s.times[n] = 1
		}
	}
	slices.Sort(list)
	return list
}
