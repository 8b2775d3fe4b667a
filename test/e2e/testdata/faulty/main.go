// Command faulty is a plugin written from docs/protocol.md alone, with one fault by choice: faulty KIND FAULT. With a fault that
// nobody knows, such as none, it has none.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A plugin is this process.
type plugin struct {
	kind, fault      string
	host, name, inst string

	conn   *nats.Conn
	began  time.Time
	beatIt chan struct{} // a heartbeat is due
	quit   chan string   // the reason to end

	mu       sync.Mutex
	interval time.Duration
	seq      uint64
	greeted  bool
	state    string
	rev      uint64
	declined time.Time // when settings were last declined
	tags     map[string]string
	inputs   []telemetry.Input
	working  sync.Once
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "faulty: want a kind and a fault")
		os.Exit(64)
	}
	p := &plugin{
		kind: os.Args[1], fault: os.Args[2], host: os.Getenv("PACEWIRE_HOST"), name: os.Getenv("PACEWIRE_PLUGIN"), inst: os.Getenv("PACEWIRE_INST"),
		began: time.Now(), beatIt: make(chan struct{}, 1), quit: make(chan string, 1), interval: 10 * time.Second, state: "starting",
	}
	if slices.Contains(os.Args, "--describe") {
		m := p.manifest()
		if p.has("describes_other") {
			m.Version = "0.9.0"
		}
		_ = json.NewEncoder(os.Stdout).Encode(m)
		return
	}
	if err := p.run(); err != nil {
		fmt.Fprintln(os.Stderr, "faulty:", err)
		os.Exit(1)
	}
}

// has reports whether the fault is chosen.
func (p *plugin) has(fault string) bool { return p.fault == fault }

// run lives until it is asked to end.
func (p *plugin) run() error {
	if p.has("silent") {
		select {}
	}
	if p.has("own_inst") {
		p.inst = "0123456789abcdef"
	}
	if err := p.connect(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { p.beatLoop(ctx) })
	all.Go(func() { p.work(ctx) })
	go p.watchEnds()
	reason := <-p.quit
	cancel()
	all.Wait()
	p.leave(reason)
	return nil
}

// connect connects, and listens to requests. What cannot be sent is not sent later.
func (p *plugin) connect() error {
	var creds struct{ User, Password string }
	text, err := os.ReadFile(os.Getenv("PACEWIRE_CREDS"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &creds); err != nil {
		return err
	}
	later := -1
	if p.has("late_beats") {
		later = nats.DefaultReconnectBufSize
	}
	p.conn, err = nats.Connect(os.Getenv("PACEWIRE_BUS"), nats.UserInfo(creds.User, creds.Password), nats.CustomInboxPrefix("_INBOX_"+creds.User),
		nats.MaxReconnects(-1), nats.ReconnectWait(250*time.Millisecond), nats.ReconnectBufSize(later), nats.PingInterval(10*time.Second),
		nats.DisconnectErrHandler(func(*nats.Conn, error) {
			if p.has("dies_with_bus") {
				os.Exit(1)
			}
		}), nats.ReconnectHandler(func(*nats.Conn) { p.beatSoon() }))
	if err != nil {
		return err
	}
	_, err = p.conn.Subscribe(bus.Pattern(bus.AreaCtl, bus.Name(p.host), bus.Name(p.name), bus.Any), p.asked)
	return err
}

// watchEnds drains at a signal, and at the end of standard input.
func (p *plugin) watchEnds() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		if !p.has("outlives_agent") {
			p.end("shutdown")
		}
	}()
	for range signals {
		if !p.has("ignores_sigterm") {
			p.end("shutdown")
		}
	}
}

func (p *plugin) end(reason string) {
	select {
	case p.quit <- reason:
	default:
	}
}

// leave says goodbye.
func (p *plugin) leave(reason string) {
	p.mu.Lock()
	p.state = "draining"
	p.mu.Unlock()
	asked := reason != "shutdown" // the faults are those of a drain that was asked for
	if !asked || !p.has("no_goodbye") {
		p.beat(reason)
	}
	if asked && p.has("speaks_after_goodbye") {
		p.beat("")
	}
	if asked && p.has("leaves_child") {
		_ = exec.Command("sleep", "30").Start()
	}
	_ = p.conn.FlushTimeout(time.Second)
	p.conn.Close()
	if asked && p.has("bad_exit") {
		os.Exit(3)
	}
}

// asked answers a request of the agent. Nobody else may ask.
func (p *plugin) asked(m *nats.Msg) {
	verb := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	if !strings.HasPrefix(m.Reply, "_INBOX_"+bus.User(p.host, bus.Agent)+".") {
		return
	}
	r, enc, err := telemetry.DecodeCtlRequest(m.Data)
	if err != nil {
		p.misunderstood(m)
		return
	}
	if inst, named := r.Args["inst"].(string); named && inst != p.inst {
		return
	}
	reply := telemetry.CtlReply{ID: r.ID, OK: verb != "ping" || !p.has("no_pong")}
	if verb == "refresh" {
		reply.Payload, _ = telemetry.EncodeControl(telemetry.RefreshManifest{Items: []telemetry.RefreshItem{{InventoryItem: p.item()}}}, telemetry.MsgPack)
	}
	if verb == "refresh" && p.has("no_list") && r.Mode == telemetry.ModeCached {
		reply.Payload = nil
	}
	body, _ := telemetry.EncodeControl(reply, enc)
	_ = m.Respond(body)
	p.obeys(verb, r)
}

// misunderstood is what comes of a request that cannot be read.
func (p *plugin) misunderstood(m *nats.Msg) {
	switch {
	case p.has("crashes_on_garbage"):
		panic("a request that cannot be read")
	case p.has("nods"):
		body, _ := telemetry.EncodeControl(telemetry.CtlReply{ID: "?", OK: true}, telemetry.JSON)
		_ = m.Respond(body)
	}
}

// obeys does what a request wants.
func (p *plugin) obeys(verb string, r telemetry.CtlRequest) {
	switch verb {
	case "beat":
		if p.has("deaf_to_beat") {
			return
		}
		p.mu.Lock()
		p.greeted = false
		p.mu.Unlock()
		p.beatSoon()
	case "drain":
		if reason, _ := r.Args["reason"].(string); !p.has("ignores_drain") {
			p.end(reason)
		}
	case "refresh":
		if r.Mode == telemetry.ModeCollect && p.has("lists_only") {
			return
		}
		p.tell()
	}
}

// tell sends the one entry of the inventory.
func (p *plugin) tell() {
	item := p.item()
	d := telemetry.PluginData{
		Version: 1, Host: p.host, Inst: p.inst, Plugin: p.name, Type: item.Type, ProgramVersion: item.Version,
		Time: time.Now().UnixNano(), Seq: 1, Digest: item.Digest, Data: facts,
	}
	body, _ := telemetry.EncodeControl(d, telemetry.JSON)
	_ = p.conn.Publish(bus.Pattern(bus.AreaBeat, bus.Name(p.host), bus.Name(p.name), bus.PLG), body)
}
