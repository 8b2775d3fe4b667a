package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

// happen puts events on the bus, as who they are about.
func happen(t *testing.T, b *bustest.Bus, list ...telemetry.Event) {
	t.Helper()
	for _, e := range list {
		var batch telemetry.Batch
		batch.SetHost(e.Host)
		e.AppendTo(&batch)
		publishTo(t, b, bus.EventSubject(e.Host, e.Plugin, e.Type), string(telemetry.ContentMsgPack), batch.AppendMsgPack(nil))
	}
}

// publishTo puts a message into a stream.
func publishTo(t *testing.T, b *bustest.Bus, subject, contentType string, body []byte) {
	t.Helper()
	p, err := bus.NewPublisher(b.Conn(t, "hub"), bus.PublisherOptions{Host: "h1", Plugin: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Publish(t.Context(), bus.Message{Subject: subject, ContentType: contentType, Body: body}); err != nil {
		t.Fatal(err)
	}
}

func event(host, plugin, kind, message string) telemetry.Event {
	return telemetry.Event{Time: time.Now().UnixNano(), Host: host, Plugin: plugin, Type: kind, Message: message}
}

// words returns the lines of a text without what stands in the first n fields of each.
func words(text string, n int) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line)[n:], " "))
	}
	return lines
}

func TestEvents(t *testing.T) {
	r := fleetOf(t, nil)
	expect(t, r.run("events"), 0, "!down")
	silenced := event("web2", "agent", "up", "web2 is UP")
	silenced.Silenced = true
	happen(t, r.bus, event("web1", "agent", "down", "web1 is DOWN:\x1b[2J silent"), silenced, event("web1", "app", "restarted", "app was started again"), event("db1", "agent", "down", "db1 is DOWN"))
	f := func(want []string, args ...string) {
		t.Helper()
		got := r.run(append([]string{"events"}, args...)...)
		expect(t, got, 0)
		if lines := words(got.out, 2); fmt.Sprint(lines) != fmt.Sprint(want) {
			t.Errorf("%v: %q, want %q", args, lines, want)
		}
	}
	web1, web2, app, db1 := "down web1/agent web1 is DOWN:\ufffd[2J silent", "up web2/agent web2 is UP (silenced)", "restarted web1/app app was started again", "down db1/agent db1 is DOWN"
	f([]string{web1, web2, app, db1})
	f([]string{web1, db1}, "--type", "down")
	f([]string{web1, app}, "--host", "web1")
	f([]string{app}, "--host", "web1", "--plugin", "app", "--since", "1m")
	f([]string{app, db1}, "-n", "2")
	f([]string{db1}, "-n", "1", "--type", "down")
	f(nil, "--host", "web3")
	expect(t, r.run("events", "--since", "0s"), exitUsage, "--since 0s")
	expect(t, r.run("events", "-n", "-1"), exitUsage, "-n -1")
}

func TestEventsAsJSON(t *testing.T) {
	r := fleetOf(t, nil)
	e := event("web1", "agent", "down", "web1 is DOWN")
	e.From, e.To, e.Reason, e.Missed, e.Owner = "OVERDUE", "DOWN", "silent", 4, "ops"
	happen(t, r.bus, e, e)
	got := r.run("events", "-o", "json")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	var row map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &row); err != nil || len(lines) != 2 {
		t.Fatalf("%s: %v", got.out, err)
	}
	for key, want := range map[string]any{"host": "web1", "plugin": "agent", "type": "down", "message": "web1 is DOWN", "from": "OVERDUE", "to": "DOWN", "reason": "silent", "missed": 4.0, "owner": "ops"} {
		if row[key] != want {
			t.Errorf("%s: %v, want %v", key, row[key], want)
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(row["at"])); err != nil || at.UnixNano() != e.Time {
		t.Errorf("at %v, want %v", row["at"], e.Time)
	}
}

// What plugins put there themselves is shown too, and nobody is somebody else.
func TestEventsOfOthers(t *testing.T) {
	r := fleetOf(t, nil)
	subject := bus.EventSubject("web1", "nagios", "monitoring")
	publishTo(t, r.bus, subject, string(telemetry.ContentLines), []byte("check,service=disk state=2i\n"))
	publishTo(t, r.bus, subject, string(telemetry.ContentMsgPack), []byte("\xc1\xc1"))
	publishTo(t, r.bus, subject, string(telemetry.ContentLines), []byte("event,host=db1,plugin=agent,type=down message=\"db1 is DOWN\"\n"))
	got := r.run("events")
	lines := words(got.out, 2)
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "monitoring web1/nagios check,host=web1,service=disk state=2i") ||
		!strings.HasPrefix(lines[1], "monitoring web1/nagios cannot be read: ") || lines[2] != "monitoring web1/nagios db1 is DOWN" {
		t.Errorf("%q", lines)
	}
}

func TestFollowEvents(t *testing.T) {
	r := fleetOf(t, nil)
	happen(t, r.bus, event("web1", "agent", "down", "one"), event("web1", "agent", "up", "two"))
	out, errs, stop := background(t, "events", "--follow", "-n", "1")
	await(t, func() bool { return strings.Contains(out.String(), "two") }, "the last event", errs)
	happen(t, r.bus, event("web1", "agent", "down", "three"))
	await(t, func() bool { return strings.Contains(out.String(), "three") }, "the new event", errs)
	if code := stop(); code != 0 || strings.Contains(out.String(), "one") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
}

// await fails the test unless something comes about soon.
func await(t *testing.T, ok func() bool, what string, errs fmt.Stringer) {
	t.Helper()
	for end := time.Now().Add(soon); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not come: %s", what, errs)
		}
	}
}

func TestEventsWithoutStream(t *testing.T) {
	run := place(t)
	b := bustest.Bare(t, embedded.Options{})
	noted(t, b.URL, "")
	expect(t, run("events"), exitNoBus, "this bus keeps no events yet", `start "pacewire up" or "pacewire hub"`)
}

// A type and a host that nobody has may come yet: they are noted, and no fault.
func TestEventsDoubted(t *testing.T) {
	list := sampleHosts()
	r := fleetOf(t, map[string]answer{"host": oneOf(list), "hosts": pages(list, 10)})
	expect(t, r.run("events", "--type", "dwon"), 0, "note: --type dwon is none that pacewire has: did you mean down?")
	for _, kind := range []string{"denied", "dropped_flood", "refused_flood", "lag"} { // of plugins, and of agents about them
		expect(t, r.run("events", "--type", kind), 0, "!note")
	}
	expect(t, r.run("events", "--type", "bogus"), 0, "those of hosts and plugins are up, overdue, down")
	expect(t, r.run("events", "--host", "wbe1"), 0, "note: --host wbe1: ", "did you mean web1?")
	expect(t, r.run("events", "--host", "web1", "--type", "down"), 0, "!note")
	r.hub.stop()
	expect(t, r.run("events", "--host", "wbe1"), 0, "!note")
}
