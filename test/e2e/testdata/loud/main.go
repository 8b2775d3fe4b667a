// Command loud is a plugin that is too loud: loud shouts BYTES, without ever ending a line; loud beats N, in a second; loud fat
// BYTES, heartbeats as long as that. Besides it does what a plugin has to.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/telemetry"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "loud:", err)
		os.Exit(1)
	}
}

func run(what, number string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	p, err := dial()
	if err != nil {
		return err
	}
	if err := p.hello(); err != nil {
		return err
	}
	go p.loud(what, n)
	for range time.Tick(time.Second) {
		if err := p.beat(); err != nil {
			return err
		}
	}
	return nil
}

// A pulse is a plugin that beats.
type pulse struct {
	conn    *nats.Conn
	subject string
	inbox   string
	next    telemetry.Heartbeat
}

func dial() (*pulse, error) {
	var creds struct{ User, Password string }
	text, err := os.ReadFile(os.Getenv("PACEWIRE_CREDS"))
	if err == nil {
		err = json.Unmarshal(text, &creds)
	}
	if err != nil {
		return nil, err
	}
	host, name := os.Getenv("PACEWIRE_HOST"), os.Getenv("PACEWIRE_PLUGIN")
	p := &pulse{
		subject: "pw.hb." + host + "." + name + ".htb", inbox: "_INBOX_" + creds.User + ".",
		next: telemetry.Heartbeat{Version: 1, Host: host, Plugin: name, Inst: os.Getenv("PACEWIRE_INST"), IntervalMS: 1000, State: "running"},
	}
	p.conn, err = nats.Connect(os.Getenv("PACEWIRE_BUS"), nats.UserInfo(creds.User, creds.Password), nats.CustomInboxPrefix("_INBOX_"+creds.User))
	return p, err
}

func (p *pulse) body() []byte {
	p.next.Seq++
	body, err := telemetry.EncodeControl(p.next, telemetry.JSON)
	if err != nil {
		panic(err) // of what we made ourselves
	}
	return body
}

// hello introduces the plugin and takes its config.
func (p *pulse) hello() error {
	p.next.Hello, p.next.Manifest = true, &telemetry.Manifest{Kind: "collector", Program: "loud", Version: "1", API: 1, Schema: json.RawMessage(`{"type":"object"}`)}
	answer, err := p.conn.Request(p.subject, p.body(), 5*time.Second)
	if err != nil {
		return err
	}
	ack, _, err := telemetry.DecodeAck(answer.Data)
	p.next.Hello, p.next.Manifest, p.next.ConfigRev = false, nil, ack.ConfigRev
	return err
}

func (p *pulse) beat() error {
	return p.conn.PublishRequest(p.subject, p.inbox+"beat", p.body())
}

// loud does what nobody wants. Errors are the plan.
func (p *pulse) loud(what string, n int) {
	switch what {
	case "shouts":
		chunk := bytes.Repeat([]byte("x"), 1<<20)
		for ; n > 0; n -= len(chunk) {
			_, _ = os.Stdout.Write(chunk[:min(n, len(chunk))])
		}
		_, _ = os.Stderr.WriteString("all is said\n")
	case "beats":
		for range time.Tick(10 * time.Millisecond) {
			for range n / 100 {
				_ = p.conn.PublishRequest(p.subject, p.inbox+"beat", []byte(fmt.Sprintf(
					`{"v":1,"host":%q,"plugin":%q,"inst":%q,"seq":1,"int_ms":1000,"state":"running"}`, p.next.Host, p.next.Plugin, p.next.Inst)))
			}
		}
	case "fat":
		for range time.Tick(50 * time.Millisecond) {
			_ = p.conn.PublishRequest(p.subject, p.inbox+"beat", bytes.Repeat([]byte("x"), n))
		}
	}
}
