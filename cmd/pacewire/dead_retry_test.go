package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// layRaw puts messages into the stream of dead letters.
func layRaw(t *testing.T, b *bustest.Bus, messages ...bus.Message) {
	t.Helper()
	p, err := bus.NewPublisher(b.Conn(t, "hub"), bus.PublisherOptions{Host: "h1", Plugin: "db"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, m := range messages {
		if err := p.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// dbOf answers as an agent that has a publisher db, and gives it letters again as again says.
func dbOf(again answer) map[string]answer {
	return map[string]answer{
		"info":  of(telemetry.PluginStatus{Name: "db", Host: "h1", Kind: "publisher", State: "running"}),
		"again": again,
	}
}

// A letter that is only a description is left, whoever asks for it, and the others go on.
func TestDeadRetryWithoutContent(t *testing.T) {
	r := fleetOf(t, nil)
	bare := bus.Message{Subject: bus.DeadSubject("db"), Header: map[string]string{bus.HeaderReason: "rejected", bus.HeaderError: "no", bus.HeaderLeftOut: "1048000"}}
	layRaw(t, r.bus, bare)
	layThree(t, r.bus) // two of them of db
	agent := respond(t, r.bus, "h1", dbOf(did(telemetry.Change{Plugin: "db", Action: telemetry.ChangeAgain})))
	expect(t, r.run("dead", "retry", "1"), exitUsage, "0 letters given again, 0 delivered, 0 refused again, 1 not given again", "not given again: 1: without content",
		"pacewire dead show", "pacewire dead drop")
	if asked := agent.got(); len(asked) > 0 {
		t.Errorf("the agent was asked %q", asked)
	}
	expect(t, r.run("dead", "show", "1"), 0, "left out   1023.4 KiB of content", "can only be dropped")
	got := r.run("dead", "retry", "--plugin", "db", "-o", "json")
	expect(t, got, exitUsage, "not given again: 1: without content")
	var done lettersDone
	if err := json.Unmarshal([]byte(got.out), &done); err != nil || fmt.Sprint(done.Retried, done.Delivered, done.Left) != "[2 4] 2 [1]" {
		t.Errorf("%+v, %v", done, err)
	}
	expect(t, r.run("dead", "drop", "1"), 0, "1 letter dropped")
}

// The copy of a letter that a machine with a spool keeps says where that is, and nobody here is given it.
func TestDeadRetryOfEdge(t *testing.T) {
	r := fleetOf(t, nil)
	body := []byte("job v=1 1\n")
	for range mostNamed + 2 {
		layRaw(t, r.bus, bus.Message{Subject: bus.CopySubject("edge", bus.DeadSubject("db")), Body: body})
	}
	layRaw(t, r.bus, bus.Message{Subject: bus.DeadSubject("db"), Body: body})
	agent := respond(t, r.bus, "h1", dbOf(did(telemetry.Change{Plugin: "db", Action: telemetry.ChangeAgain})))
	where := []string{"host edge keeps", "on that machine, pacewire dead retry --plugin db gives it to its plugin db again"}
	expect(t, r.run("dead", "retry", "1"), exitUsage, append(where, "0 letters given again", "1 not given again")...)
	expect(t, r.run("dead", "retry", "1", "--host", "h1"), exitUsage, where...) // that has a plugin db too
	if asked := agent.got(); len(asked) > 0 {
		t.Errorf("the agent was asked %q", asked)
	}
	expect(t, r.run("dead", "retry", "--all"), exitUsage, append(where, "1 letter given again, 1 delivered", "22 not given again", "19 20 and 2 more: ")...)
	expect(t, r.run("dead", "list"), 0, "kept at edge: ")
	expect(t, r.run("dead", "show", "1"), 0, "kept at    edge: there pacewire dead retry")
}

// A retry that is cut between its portions says what went and what did not, and how to go on.
func TestDeadRetryCut(t *testing.T) {
	r := fleetOf(t, nil)
	for range 3 { // a portion each
		layRaw(t, r.bus, bus.Message{Subject: bus.DeadSubject("db"), Body: bytes.Repeat([]byte("#"), 600<<10)})
	}
	asked := 0
	agent := respond(t, r.bus, "h1", dbOf(func(map[string]any) (any, *telemetry.Fault) {
		if asked++; asked == 2 {
			return nil, &telemetry.Fault{Code: telemetry.FaultTimeout, Message: "db is being given other letters again"}
		}
		return telemetry.ChangeList{Changes: []telemetry.Change{{Plugin: "db", Action: telemetry.ChangeAgain}}}, nil
	}))
	got := r.run("dead", "retry", "--all", "-o", "json")
	expect(t, got, exitTryAgain, "2 letters not given again: db is being given other letters again: pacewire dead retry 2 3 goes on")
	var done lettersDone
	if err := json.Unmarshal([]byte(got.out), &done); err != nil || fmt.Sprint(done.Retried, done.Delivered, done.Left) != "[1] 1 [2 3]" {
		t.Errorf("%+v, %v", done, err)
	}
	asked = 1
	expect(t, r.run("dead", "retry", "2", "3"), exitTryAgain, "0 letters given again, 0 delivered, 0 refused again, 2 not given again")
	agent.set("again", did(telemetry.Change{Plugin: "db", Action: telemetry.ChangeAgain}))
	expect(t, r.run("dead", "retry", "2", "3"), 0, "2 letters given again, 2 delivered, 0 refused again")
}

// When nobody waits any longer, what is not settled yet is not said to be delivered.
func TestDeadRetryNotAwaited(t *testing.T) {
	b := bustest.New(t)
	conn := b.Conn(t, operator)
	for i := range 3 {
		lay(t, b, "db", "rejected", "no", string(telemetry.ContentLines), fmt.Appendf(nil, "job v=%d 1\n", i))
	}
	letters, err := (&letterWish{plugin: "db"}).letters(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	in := bus.Errands("db", nil)[0]
	if _, err := conn.RetryLetters(t.Context(), letters, func(ctx context.Context, from, to uint64) error {
		in.From, in.End = from, to
		return conn.EnsureConsumer(ctx, in)
	}); err != nil {
		t.Fatal(err)
	}
	k, err := conn.Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Stop()
	first, err := k.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Ack(); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, soon, "the first is settled", func() bool {
		s, err := conn.ConsumerInfo(t.Context(), in.Stream, in.Durable)
		return err == nil && s.AckFloor == in.From
	})
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	var done lettersDone
	err = settleLetters(interrupted, conn, letters, in.From, &done)
	if codeOf(err) != exitFailed || done.Delivered != 1 || done.Waiting != 2 || len(done.Refused) != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	var told bytes.Buffer
	if err := (&app{err: &told}).tellUnderWay(t.Context(), conn, ""); err != nil || told.String() != "2 letters are being given to db again: not settled yet\n" {
		t.Errorf("%s, %v", told.String(), err)
	}
	if text := done.text(); text != "0 letters given again, 1 delivered, 0 refused again, 2 not settled yet" {
		t.Error(text)
	}
}

// A letter of an uplink that cannot be stored here again does not keep the others from it.
func TestDeadRetryOfUplinkGoesOn(t *testing.T) {
	r := fleetOf(t, nil)
	for _, from := range []string{"edge", "web1"} { // the first of them may not speak for the host that the batch is about
		layRaw(t, r.bus, bus.Message{Subject: bus.CopySubject(from, bus.DeadSubject(bus.Uplink)), Body: []byte("job v=1 1\n"), Header: map[string]string{
			bus.HeaderSubject: bus.MetricsSubject("web1", "app"), bus.HeaderSourceID: "web1/app/b00t/" + from}})
	}
	respond(t, r.bus, "h1", map[string]answer{})
	expect(t, r.run("dead", "retry", "--plugin", bus.Uplink), exitUsage, "1 letter given again, 1 delivered, 0 refused again, 1 not given again",
		"1 letter not given again: dead letter of another machine: 1 ", "pacewire dead retry 1 goes on")
	expect(t, r.run("dead", "list"), 0, "kept at edge", "!kept at web1")
}
