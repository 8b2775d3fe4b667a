// Command hostile is a plugin that tries what it must not: hostile KIND, as its agent starts it; hostile again URL USER PASSWORD,
// by a stolen credential. It speaks to the bus by a socket alone, as hostile.py does, and tells what came of each attempt.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// victim is the plugin that suffers from it.
const victim = "victim"

func main() {
	if os.Args[1] == "again" {
		_, err := dial(os.Args[2], os.Args[3], os.Args[4])
		fmt.Println(err)
		return
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}

func run(kind string) error {
	t, err := arrive(kind)
	if err != nil {
		return err
	}
	t.forge()
	t.listen()
	t.deputize()
	if kind == "collector" {
		t.denied("publish as another host", "pw.metrics.other."+t.name, "", "forged v=1")
		t.denied("next of another's consumer", "$JS.API.CONSUMER.MSG.NEXT.METRICS.file", t.inbox, "1")
	} else if err := t.stealIDs(); err != nil {
		return err
	}
	t.pry()
	t.tell("done", "")
	for range time.Tick(time.Second) {
		if err := t.beat(false); err != nil {
			return err
		}
	}
	return nil
}

// A thief is the plugin and what it knows.
type thief struct {
	*socket
	kind, host, name, inbox, creds string

	revision int64
	seq      int
	outcomes *os.File
}

// arrive says hello as a plugin has to.
func arrive(kind string) (*thief, error) {
	t := &thief{kind: kind, host: os.Getenv("PACEWIRE_HOST"), name: os.Getenv("PACEWIRE_PLUGIN"), creds: os.Getenv("PACEWIRE_CREDS")}
	var creds struct{ User, Password string }
	text, err := os.ReadFile(t.creds)
	if err == nil {
		err = json.Unmarshal(text, &creds)
	}
	if err == nil {
		t.outcomes, err = os.Create(filepath.Join(os.Getenv("PACEWIRE_DIR"), "outcomes"))
	}
	if err == nil {
		t.socket, err = dial(os.Getenv("PACEWIRE_BUS"), creds.User, creds.Password)
	}
	if err != nil {
		return nil, err
	}
	t.inbox = "_INBOX_" + creds.User + ".x"
	if _, err := t.round("SUB " + t.inbox + " 1\r\n"); err != nil {
		return nil, err
	}
	if err := t.beat(true); err != nil {
		return nil, err
	}
	ack, err := t.message()
	if err != nil {
		return nil, err
	}
	var accepted struct {
		State string
		Rev   int64 `json:"cfg_rev"`
	}
	if err := json.Unmarshal([]byte(ack.body), &accepted); err != nil || accepted.State != "accepted" {
		return nil, fmt.Errorf("ack %q: %v", ack.body, err)
	}
	t.revision = accepted.Rev
	return t, t.beat(false)
}

// beat sends a heartbeat, with hello the first one.
func (t *thief) beat(hello bool) error {
	t.messages = nil
	_, err := t.round(t.heartbeat(hello, t.inbox))
	return err
}

// heartbeat makes one whose answer is to go to reply.
func (t *thief) heartbeat(hello bool, reply string) string {
	t.seq++
	h := map[string]any{"v": 1, "host": t.host, "plugin": t.name, "inst": os.Getenv("PACEWIRE_INST"), "seq": t.seq, "int_ms": 1000, "state": "running"}
	if hello {
		h["hello"], h["state"] = true, "starting"
		h["manifest"] = map[string]any{"kind": t.kind, "program": "hostile", "version": "1", "api": 1, "schema": map[string]any{"type": "object"}}
	} else {
		h["cfg_rev"] = t.revision
	}
	body, _ := json.Marshal(h) // texts and numbers can be encoded
	return pub("pw.hb."+t.host+"."+t.name+".htb", reply, string(body))
}

// tell notes what came of an attempt.
func (t *thief) tell(attempt, outcome string) {
	line, _ := json.Marshal(map[string]string{"attempt": attempt, "outcome": outcome}) // texts can be encoded
	_, _ = t.outcomes.Write(append(line, '\n'))
}

// denied publishes what is to be refused.
func (t *thief) denied(attempt, subject, reply, body string) {
	t.try(attempt, pub(subject, reply, body))
}

// try sends something, and notes what the bus says to it.
func (t *thief) try(attempt, command string) {
	said, err := t.round(command)
	if err != nil {
		said = err.Error()
	}
	t.tell(attempt, said)
}

// forge publishes in the name of others.
func (t *thief) forge() {
	to := func(area, rest string) string { return "pw." + area + "." + t.host + "." + victim + rest }
	t.denied("publish as another plugin", to("metrics", ""), "", "forged v=1")
	t.denied("beat as another plugin", to("hb", ".htb"), t.inbox, "{}")
	t.denied("command another plugin", to("ctl", ".drain"), t.inbox, `{"id":"1"}`)
	t.denied("command the agent", "pw.ctl."+t.host+".agent.list", t.inbox, `{"id":"1"}`)
	t.denied("publish into another's inbox", "_INBOX_"+t.host+"_"+victim+".x", "", "x")
}

// listen subscribes to what others say.
func (t *thief) listen() {
	for what, subject := range map[string]string{
		"everything": ">", "another's inbox": "_INBOX_" + t.host + "_" + victim + ".>", "another's commands": "pw.ctl." + t.host + "." + victim + ".*",
		"the agent's commands": "pw.ctl." + t.host + ".agent.*", "all points": "pw.metrics.>",
	} {
		t.try("subscribe to "+what, "SUB "+subject+" 9\r\n")
	}
}

// deputize lets the bus and the agent write where we may not.
func (t *thief) deputize() {
	drain := "pw.ctl." + t.host + "." + victim + ".drain"
	t.try("deputy: publish", pub("pw.metrics."+t.host+"."+t.name, drain, "deputy v=1"))
	t.try("deputy: heartbeat", t.heartbeat(false, drain))
	t.try("deputy: next message", pub("$JS.API.CONSUMER.MSG.NEXT.METRICS."+t.name, drain, `{"batch":1}`))
}

// stealIDs uses the ids of batches that another one is about to send.
func (t *thief) stealIDs() error {
	t.messages = nil
	if _, err := t.round(pub("$JS.API.CONSUMER.MSG.NEXT.METRICS."+t.name, t.inbox, `{"batch":1,"expires":5000000000}`)); err != nil {
		return err
	}
	m, err := t.message()
	if err != nil {
		return err
	}
	found := regexp.MustCompile(`Nats-Msg-Id: (.*/)(\d+)\r\n`).FindStringSubmatch(m.header)
	if found == nil {
		return fmt.Errorf("a message without an id: %q", m.header)
	}
	seq, _ := strconv.Atoi(found[2])
	for i := range 200 {
		t.try("take a batch id", hpub("pw.metrics."+t.host+"."+t.name, "Nats-Msg-Id: "+found[1]+strconv.Itoa(seq+i+1), "stolen v=1"))
	}
	return nil
}

// pry looks for what belongs to others on this machine.
func (t *thief) pry() {
	var names []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		names = append(names, name)
	}
	t.tell("environment", strings.Join(names, " "))
	t.tell("credentials of another", t.readOthers())
}

// readOthers reads the credentials of the victim, where it finds them.
func (t *thief) readOthers() string {
	dir := filepath.Dir(t.creds)
	files, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	outcome := "not found"
	for _, f := range files {
		if !strings.Contains(f.Name(), "_"+victim) {
			continue
		}
		if _, err := os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
			return err.Error()
		}
		outcome = "read"
	}
	return outcome
}
