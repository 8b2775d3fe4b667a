package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

// beatWithin is how soon the script has to do what it should: it beats each second, where it has the time to.
const beatWithin = readyWithin

// A watcher hears the script that beats from the page of the protocol alone, and answers it.
type watcher struct {
	t            testing.TB
	bus          *bustest.Bus
	conn         *bus.Conn
	host, plugin string

	mu    sync.Mutex
	beats []telemetry.Heartbeat
	from  int // of the beats, the first that nobody has waited for
	data  []telemetry.PluginData
	next  func(h telemetry.Heartbeat) *telemetry.Ack // nil: does not answer
}

// watch hears one host or plugin as user.
func watch(t testing.TB, b *bustest.Bus, user, host, plugin string) *watcher {
	t.Helper()
	w := &watcher{t: t, bus: b, conn: b.Conn(t, user), host: host, plugin: plugin}
	schema := func(name string) func(body []byte) {
		s, err := jsonschema.NewCompiler().Compile("../../schemas/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return func(body []byte) {
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
			if err == nil {
				err = s.Validate(v)
			}
			if err != nil {
				t.Errorf("%s: %v", body, err)
			}
		}
	}
	fitsHTB, fitsPLG := schema("htb.json"), schema("plg.json")
	place := func(kind string) string { return bus.HeartbeatSubject(host, plugin, kind) }
	_, err := bus.Handle(w.conn, place(bus.HTB), bus.Rules{Reply: true}, func(body []byte) (telemetry.Heartbeat, error) {
		fitsHTB(body)
		h, enc, err := telemetry.DecodeHeartbeat(body)
		if err != nil || enc != telemetry.JSON {
			t.Errorf("heartbeat in %v: %v: %s", enc, err, body)
		}
		return h, err
	}, w.hear)
	if err != nil {
		t.Fatal(err)
	}
	_, err = bus.Handle(w.conn, place(bus.PLG), bus.Rules{}, func(body []byte) (telemetry.PluginData, error) {
		fitsPLG(body)
		var raw struct{ Data json.RawMessage }
		d, _, err := telemetry.DecodePluginData(body)
		if err != nil || json.Unmarshal(body, &raw) != nil || telemetry.DigestOf(raw.Data) != d.Digest {
			t.Errorf("plugin data with another digest, %v: %s", err, body)
		}
		return d, err
	}, w.learn)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watcher) hear(_ context.Context, _ bus.Subject, h telemetry.Heartbeat) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.beats = append(w.beats, h)
	if w.next == nil {
		return nil, nil
	}
	ack := w.next(h)
	ack.Version, ack.Server, ack.Seq, ack.T1 = 1, "test", h.Seq, h.T1
	if ack.State == "" {
		ack.State = telemetry.Accepted
	}
	return telemetry.EncodeControl(*ack, telemetry.JSON)
}

func (w *watcher) learn(_ context.Context, _ bus.Subject, d telemetry.PluginData) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.data = append(w.data, d)
	return nil, nil
}

// answer says how beats are answered from here on. Those before are not waited for any more.
func (w *watcher) answer(next func(h telemetry.Heartbeat) *telemetry.Ack) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next, w.from = next, len(w.beats)
}

// beat waits for the next heartbeat that is as cond says: the first after the one that was found last.
func (w *watcher) beat(what string, cond func(h telemetry.Heartbeat) bool) (found telemetry.Heartbeat) {
	w.t.Helper()
	await(w.t, beatWithin, what, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		i := slices.IndexFunc(w.beats[w.from:], cond)
		if i >= 0 {
			found = w.beats[w.from+i]
			w.from += i + 1
		}
		return i >= 0
	})
	return found
}

// kinds are the types of the plugin data that came, sorted.
func (w *watcher) kinds() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.data {
		list = append(list, d.Type)
	}
	slices.Sort(list)
	return list
}

func (w *watcher) forgetData() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.data = nil
}

// ask sends a request in JSON; the answer has to fit its schema.
func (w *watcher) ask(verb string, r telemetry.CtlRequest) telemetry.CtlReply {
	w.t.Helper()
	r.ID = "r-" + verb
	body, err := telemetry.EncodeControl(r, telemetry.JSON)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), beatWithin)
	defer cancel()
	answer, err := w.conn.Request(ctx, bus.CtlSubject(w.host, w.plugin, verb), body)
	if err != nil {
		w.t.Fatal(err)
	}
	reply, enc, err := telemetry.DecodeCtlReply(answer)
	if err != nil || enc != telemetry.JSON || reply.ID != r.ID {
		w.t.Fatalf("%s: %v, %s", verb, err, answer)
	}
	return reply
}

// script starts test/beat.py, which ends with the test.
func script(t testing.TB, b *bustest.Bus, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Fatal("this test needs python3: install it")
	}
	c := exec.Command("python3", append([]string{"../beat.py", "--bus", strings.TrimPrefix(b.URL, "nats://")}, args...)...)
	c.Stdout, c.Stderr = t.Output(), t.Output()
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.ProcessState == nil {
			_ = c.Process.Kill()
			_ = c.Wait() // it was killed
		}
	})
	return c
}

// accepts answers with an ACK of a term that wants an interval of one second.
func accepts(term uint64) func(telemetry.Heartbeat) *telemetry.Ack {
	return func(h telemetry.Heartbeat) *telemetry.Ack {
		return &telemetry.Ack{Term: term, NextMS: 1000, Digest: h.Digest}
	}
}

// A script that was written from the page of the protocol is an agent, and a plugin, with no more than the rights of one.
func TestBeatFromPaper(t *testing.T) {
	t.Parallel()
	f := func(name, host, plugin, watcherUser string, role bus.Role, args ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bustest.Bare(t, embedded.Options{Users: new(embedded.Users)})
			rights := embedded.Rights(bus.RightsOf(role, host, plugin, nil))
			_, creds := b.Grant(t, bus.User(host, plugin), &rights)
			w := watch(t, b, watcherUser, host, plugin)
			c := script(t, b, append(args, "--host", host, "--creds", creds, "--interval", "30")...)
			beatsFromPaper(t, w, c)
		})
	}
	f("agent", "web_1.ex ü", bus.Agent, "hub", bus.RoleAgent)
	f("plugin", "web-1", "py.beat", bus.User("web-1", bus.Agent), bus.RoleCollector, "--plugin", "py.beat")
}

func beatsFromPaper(t *testing.T, w *watcher, c *exec.Cmd) {
	first := w.beat("a hello", func(h telemetry.Heartbeat) bool { return h.Hello })
	isHello(t, w, first)
	again := w.beat("a hello again, while nobody answers", func(h telemetry.Heartbeat) bool { return h.Hello && h.Seq > first.Seq })
	if again.Inst != first.Inst || again.Digest != first.Digest {
		t.Errorf("the second hello is %+v", again)
	}

	w.answer(accepts(5))
	steady := func(h telemetry.Heartbeat) bool { return !h.Hello && h.Inventory == nil && h.Ack > 0 }
	h := w.beat("a steady beat", steady)
	if h.IntervalMS != 1000 || h.Digest != first.Digest || h.State != "running" {
		t.Errorf("a steady beat is %+v", h)
	}
	await(t, beatWithin, "its facts", func() bool { return slices.Equal(slices.Compact(w.kinds()), []string{telemetry.DataInfo}) })

	w.answer(func(telemetry.Heartbeat) *telemetry.Ack { return &telemetry.Ack{Term: 4, NextMS: 600_000} })
	old := w.beat("a beat that an old term answers", steady)
	if h = w.beat("the beat after", func(h telemetry.Heartbeat) bool { return h.Seq > old.Seq }); h.IntervalMS != 1000 || h.Ack >= old.Seq {
		t.Errorf("an old term was obeyed: %+v", h)
	}
	w.answer(func(telemetry.Heartbeat) *telemetry.Ack { return &telemetry.Ack{Term: 6} })
	w.beat("the list, for a watcher that does not hold it", func(h telemetry.Heartbeat) bool { return len(h.Inventory) == 2 && !h.Hello })
	w.answer(accepts(6))

	answersWhatItIsAsked(t, w, first)
	heedsWhoAsks(t, w)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.beat("its goodbye", func(h telemetry.Heartbeat) bool { return h.Bye == "shutdown" })
	if code := exitOf(t, c); code != 0 {
		t.Errorf("it ended with exit code %d", code)
	}
}

// isHello looks at a first beat.
func isHello(t *testing.T, w *watcher, h telemetry.Heartbeat) {
	t.Helper()
	if h.Host != w.host || h.Plugin != w.plugin || h.Inst == "" || h.Name == "" || h.IntervalMS != 30_000 || h.T1 == 0 || h.Mono1 == 0 {
		t.Errorf("hello: %+v", h)
	}
	kind := map[bool]string{true: "agent", false: "collector"}[w.plugin == bus.Agent]
	if m := h.Manifest; m == nil || m.Kind != kind || m.API != 1 || m.Program != "beat.py" {
		t.Errorf("manifest of a hello: %+v", m)
	}
	if h.Items != 2 || len(h.Inventory) != 2 || h.Digest != telemetry.InventoryDigest(h.Inventory) {
		t.Errorf("inventory of a hello: %d entries %v with digest %s, computed %s", h.Items, h.Inventory, h.Digest, telemetry.InventoryDigest(h.Inventory))
	}
}

func answersWhatItIsAsked(t *testing.T, w *watcher, hello telemetry.Heartbeat) {
	t.Helper()
	if r := w.ask("ping", telemetry.CtlRequest{}); !r.OK {
		t.Errorf("ping: %+v", r)
	}
	if r := w.ask("juggle", telemetry.CtlRequest{}); r.OK || r.Error == nil || r.Error.Code != telemetry.FaultNotFound {
		t.Errorf("a verb that is none: %+v", r)
	}
	w.ask("beat", telemetry.CtlRequest{})
	w.beat("a hello when asked", func(h telemetry.Heartbeat) bool { return h.Hello && h.Manifest != nil })
	w.beat("a steady beat after it", func(h telemetry.Heartbeat) bool { return !h.Hello })
	await(t, beatWithin, "its facts again", func() bool { return len(w.kinds()) >= 2 })

	f := func(mode string, want, come []string) {
		t.Helper()
		w.forgetData()
		m, _, err := telemetry.DecodeRefreshManifest(w.ask("refresh", telemetry.CtlRequest{Want: want, Mode: mode}).Payload)
		var items []telemetry.InventoryItem
		for _, it := range m.Items {
			if it.Size == 0 || it.Error != nil {
				t.Errorf("the list of a refresh has %+v", it)
			}
			items = append(items, it.InventoryItem)
		}
		if err != nil || telemetry.InventoryDigest(items) != hello.Digest {
			t.Errorf("the list of a refresh is %+v, %v", m, err)
		}
		await(t, beatWithin, "data of a refresh", func() bool { return slices.Equal(w.kinds(), come) })
	}
	f(telemetry.ModeCached, []string{w.plugin + "/info"}, []string{"info"})
	f("", []string{"*"}, []string{"info", "manifest"})
	f(telemetry.ModeCollect, []string{w.plugin + "/manifest", "other/info"}, []string{"manifest"})
	f("", []string{}, nil)
}

// heedsWhoAsks asks in ways that are not to be answered: as a stranger, out of a stream, without an id, for another process.
func heedsWhoAsks(t *testing.T, w *watcher) {
	t.Helper()
	answered := make(chan string, 16)
	inboxes := []string{"_INBOX_web-1_mallory.x", "_INBOX_hub_2.x", "pw.ctl.web-1.tidy.drain", "_INBOX_hub.x"}
	g, _ := w.bus.Grant(t, "mallory", nil)
	raw := rawConn(t, w.bus.URL, nats.UserInfo(g.User, g.Password))
	for _, inbox := range inboxes {
		if _, err := raw.Subscribe(inbox, func(m *nats.Msg) { answered <- m.Subject + ": " + string(m.Data) }); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(reply, body string, header nats.Header) {
		if err := raw.PublishMsg(&nats.Msg{Subject: bus.CtlSubject(w.host, w.plugin, "ping"), Reply: reply, Data: []byte(body), Header: header}); err != nil {
			t.Fatal(err)
		}
	}
	for _, inbox := range inboxes[:3] {
		ask(inbox, `{"id":"1"}`, nil)
	}
	ask("_INBOX_hub.x", `{"id":"1"}`, nats.Header{"Nats-Stream": {"METRICS"}})
	ask("_INBOX_hub.x", `{"stream":"METRICS","seq":1}`, nil)
	ask("_INBOX_hub.x", "", nil)
	ask("_INBOX_hub.x", `{"id":"1","args":{"inst":"another"}}`, nil)
	ask("_INBOX_hub.x", `{"id":"last"}`, nil)
	select {
	case got := <-answered:
		if !strings.Contains(got, `"last"`) {
			t.Errorf("it answers what it should not: %s", got)
		}
	case <-time.After(beatWithin):
		t.Error("it does not answer the hub")
	}
}

// The script comes back after the bus was away, as the same process and without a hello; a refusal ends a plugin.
func TestBeatComesBack(t *testing.T) {
	t.Parallel()
	b := bustest.Bare(t, embedded.Options{})
	w := watch(t, b, "hub", "demo", bus.Agent)
	w.answer(accepts(1))
	c := script(t, b, "--interval", "1")
	before := w.beat("a steady beat", func(h telemetry.Heartbeat) bool { return !h.Hello })
	b.Restart(t)
	w.answer(accepts(1))
	after := w.beat("a beat after the bus was away", func(telemetry.Heartbeat) bool { return true })
	if after.Inst != before.Inst || after.Seq <= before.Seq || after.Hello {
		t.Errorf("before %+v, after %+v", before, after)
	}
	w.answer(func(telemetry.Heartbeat) *telemetry.Ack {
		return &telemetry.Ack{Term: 1, State: telemetry.Refused, Reason: "name_taken"}
	})
	w.beat("a hello after a refusal", func(h telemetry.Heartbeat) bool { return h.Hello })
	if !alive(c.Process.Pid) {
		t.Error("an agent ends when it is refused")
	}

	p := watch(t, b, bus.User("demo", bus.Agent), "demo", "py")
	p.answer(func(telemetry.Heartbeat) *telemetry.Ack {
		return &telemetry.Ack{State: telemetry.Refused, Reason: "not_allowed"}
	})
	if code := exitOf(t, script(t, b, "--plugin", "py")); code != 78 {
		t.Errorf("a plugin that is refused ends with exit code %d", code)
	}
	p.answer(accepts(1))
	if code := exitOf(t, script(t, b, "--plugin", "py", "--count", "1")); code != 0 {
		t.Errorf("after one beat it ends with exit code %d", code)
	}
}

// The tokens of the script are those of the bus, for names that nobody would give a machine.
func TestBeatTokens(t *testing.T) {
	t.Parallel()
	names := []string{"", "web-1", "rack_7", "a.b*c>d e", "größe", strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat(".", 21), strings.Repeat(".", 22)}
	for n := range 4 { // where a cut falls into an escape
		names = append(names, strings.Repeat("x", n)+strings.Repeat("é", 40))
	}
	text, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("python3", "-c", "import json, sys; sys.path.insert(0, '..'); import beat; print(json.dumps([beat.token(n) for n in json.load(sys.stdin)]))")
	c.Stdin, c.Stderr = bytes.NewReader(text), os.Stderr
	c.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := c.Output()
	var tokens []string
	if err != nil || json.Unmarshal(out, &tokens) != nil || len(tokens) != len(names) {
		t.Fatalf("%v: %s", err, out)
	}
	for i, name := range names {
		if want := bus.Token(name); tokens[i] != want {
			t.Errorf("token of %q is %s, the script says %s", name, want, tokens[i])
		}
	}
}

// The agent of a running pacewire takes the script for a plugin like any other.
func TestBeatAsPlugin(t *testing.T) {
	t.Parallel()
	s := up(t, `
collect:
  mine: { attached: true }
  host: { only: [load] }
publish: { file: { use: lines, from: all, path: points.lp } }
`, "mine")
	path, err := filepath.Abs("../beat.py")
	if err != nil {
		t.Fatal(err)
	}
	program := s.write("script", "#!/bin/sh\n"+`exec python3 `+path+` --bus "$PACEWIRE_BUS" --creds "$PACEWIRE_CREDS" --host "$PACEWIRE_HOST" --plugin mine --interval 1`+"\n")
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	c := s.shell(program)
	s.awaitPlugin("mine", readyWithin, "works", func(p plugin) bool { return p.State == "running" })
	contains(t, "plugin info", s.do("plugin", "info", "mine"), "beat.py", "1.0.0", "running")
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(t, c); code != 0 {
		t.Errorf("it ended with exit code %d", code)
	}
	s.awaitPlugin("mine", readyWithin, "has said goodbye", func(p plugin) bool { return p.State == "stopped" })
	s.drain()
}
