package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

func TestReplayOrder(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	f := func(w replayWish, since, until string) {
		t.Helper()
		o, err := w.order(now)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := o.args["until"].(string)
		if o.args["since"] != since || got != until || o.args["plugin"] != "db" {
			t.Errorf("%+v: %v, want %s to %s", w, o.args, since, until)
		}
	}
	f(replayWish{plugin: "db", since: "2h"}, "2026-01-02T13:00:00Z", "")
	f(replayWish{plugin: "db", since: "1d ago", until: "30m"}, "2026-01-01T15:00:00Z", "2026-01-02T14:30:00Z")
	f(replayWish{plugin: "db", since: "2026-01-02T08:00:00.5+01:00"}, "2026-01-02T07:00:00.5Z", "")
	bad := func(w replayWish) {
		t.Helper()
		if o, err := w.order(now); codeOf(err) != exitUsage {
			t.Errorf("%+v: %+v, %v", w, o, err)
		}
	}
	bad(replayWish{plugin: "db"})
	bad(replayWish{plugin: "db", since: "yesterday"})
	bad(replayWish{plugin: "db", since: "2h", until: "0s"})
	bad(replayWish{plugin: "db", since: "2h", stop: true})
	bad(replayWish{plugin: "db", since: "1m", until: "2m"})
	bad(replayWish{plugin: "db", since: "1m", until: "1m"})
	bad(replayWish{plugin: "db", since: "2026-01-03T00:00:00Z"})
	bad(replayWish{plugin: "db", since: "2026-01-03T00:00:00Z", until: "2026-01-04T00:00:00Z"})
}

func TestPercentOf(t *testing.T) {
	f := func(s bus.ConsumerState, want uint64) {
		t.Helper()
		if got := percentOf(s); got != want {
			t.Errorf("%+v: %d %%, want %d", s, got, want)
		}
	}
	f(bus.ConsumerState{From: 11, End: 20, AckFloor: 10}, 0)
	f(bus.ConsumerState{From: 11, End: 20, AckFloor: 15}, 50)
	f(bus.ConsumerState{From: 11, End: 20, AckFloor: 20}, 100)
	f(bus.ConsumerState{From: 11, End: 20, AckFloor: 90}, 100)
	f(bus.ConsumerState{From: 11, End: 10, AckFloor: 90}, 0)
}

// A replay is waited for until its consumer is gone, unless it is not to be.
func TestReplayVerb(t *testing.T) {
	r := fleetOf(t, nil)
	hub := r.bus.Conn(t, "hub")
	in := bus.Input{Stream: bus.StreamMetrics, Durable: bus.ReplayDurable("db"), Filters: []string{bus.MetricsFilter("app")}, From: 1, End: 5}
	orders := make(chan bool, 3)
	begun := func(map[string]any) (any, *telemetry.Fault) {
		if err := hub.EnsureConsumer(t.Context(), in); err != nil {
			t.Error(err)
		}
		orders <- true
		return telemetry.ChangeList{Changes: []telemetry.Change{{Plugin: "db", Action: telemetry.ChangeReplay, Reason: "5 batches"}}, Warnings: []string{"METRICS begins later"}}, nil
	}
	agent := respond(t, r.bus, "h1", map[string]answer{"replay": begun})
	expect(t, r.run("replay", "db", "--since", "2h", "--detach"), 0, "db is given 5 batches again", "--stop ends it", "warning: METRICS begins later")
	expect(t, r.run("replay", "db", "--since", "2h", "--timeout", "10ms"), exitTryAgain, "it goes on")
	done := make(chan said, 1)
	go func() { done <- r.run("replay", "db", "--since", "2h", "-o", "json") }()
	for range cap(orders) {
		<-orders
	}
	time.AfterFunc(2*errandPoll, func() { _ = hub.DeleteConsumer(t.Context(), in.Stream, in.Durable) })
	got := <-done
	expect(t, got, 0)
	var shown replayed
	if err := json.Unmarshal([]byte(got.out), &shown); err != nil {
		t.Fatal(err)
	}
	if !shown.Done || shown.Plugin != "db" || shown.Detail != "5 batches" || shown.Action != "replay" || len(shown.Warnings) != 1 || shown.TookMS < errandPoll.Milliseconds() {
		t.Errorf("%+v", shown)
	}
	agent.got()
	agent.mu.Lock()
	agent.verbs["replay"] = says(telemetry.ChangeList{Changes: []telemetry.Change{{Plugin: "db", Action: telemetry.ChangeNone, Reason: "no replay is under way"}}})
	agent.mu.Unlock()
	expect(t, r.run("replay", "db", "--stop"), 0, "db: no replay is under way")
	agent.expect(t, `replay {"plugin":"db","stop":true}`)
	expect(t, r.run("replay", "--since", "2h"), exitUsage, "which plugin?")
}
