package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// A publisher that runs and is not well makes status fail, with the reason; one that stands by, or is given the past again, does not.
func TestStatusOfSinks(t *testing.T) {
	r := fleetOf(t, map[string]answer{"status": says(wellHub())})
	away := plug("sink", "running", "nothing is delivered for 40s: 503")
	away.Kind, away.Flags = "publisher", []string{telemetry.FlagSinkDown}
	agent := respond(t, r.bus, "h1", plugins(away))
	expect(t, r.run("status"), exitFailed, "not well: plugin sink (sink_down): nothing is delivered for 40s: 503")
	replays := plug("sink", "running", "replays METRICS from 3 to 20: 7 batches to go")
	replays.Sound, replays.Losses = true, map[string]uint64{"dropped_flood": uint64(ago(2 * time.Hour))}
	agent.set("list", plugins(replays)["list"])
	expect(t, r.run("status"), 0, "!not well")
	expect(t, r.run("plugin", "list"), 0, "7 batches to go")
}

// What a reason says that nothing is wrong with is no finding.
func TestDoctorOfSoundPlugins(t *testing.T) {
	c := clinicOf(t)
	p := plug("host", "running", "stands by while another process reads: order: source")
	p.Sound = true
	c.agent.set("list", plugins(p)["list"])
	c.finds(t, nil)
}

// A loss says when it was, and long ago it is a remark.
func TestDoctorOfLosses(t *testing.T) {
	c := clinicOf(t)
	p := plug("host", "running", "")
	p.Stats = &telemetry.Stats{Dropped: map[string]uint64{"overflow": 6, "dropped_flood": 2}, Refused: map[string]uint64{"refused_flood": 70}}
	p.Losses = map[string]uint64{"overflow": uint64(ago(3 * time.Minute)), "dropped_flood": uint64(ago(2 * time.Hour)), "refused_flood": uint64(ago(5 * time.Hour))}
	c.agent.set("list", plugins(p)["list"])
	expect(t, c.run("doctor"), exitFailed, "plugin host: since its start it has lost at its bounds: overflow 6 points, last 3m ago  →  pacewire plugin info host",
		"note: plugin host: since its start it has lost at its bounds: dropped_flood 2 points, last 2h ago",
		"note: plugin host: since its start it has refused points at its bounds, which their senders keep: refused_flood 70, last 5h ago")
	delete(p.Stats.Dropped, "overflow")
	c.agent.set("list", plugins(p)["list"])
	expect(t, c.run("doctor"), 0, "note: plugin host: since its start it has lost at its bounds: dropped_flood 2 points, last 2h ago", "nothing found")
}

// That messages may be stored twice is a finding for an hour, or when nobody knows how long ago it was, and then a remark.
func TestDoctorOfLateMessages(t *testing.T) {
	c := clinicOf(t)
	p := plug("host", "running", "")
	p.Stats = &telemetry.Stats{Resent: 5, LateResent: 3}
	const text = "plugin host: 3 messages were sent to the bus again so late that they may be stored twice: it was cut off, or the bus stood still"
	f := func(losses map[string]uint64, status int, want ...string) {
		t.Helper()
		p.Losses = losses
		c.agent.set("list", plugins(p)["list"])
		expect(t, c.run("doctor"), status, want...)
	}
	f(nil, exitFailed, text+"  →  pacewire plugin logs host")
	f(map[string]uint64{telemetry.LossLate: uint64(ago(3 * time.Minute))}, exitFailed, text+", last 3m ago  →  pacewire plugin logs host")
	f(map[string]uint64{telemetry.LossLate: uint64(ago(2 * time.Hour))}, 0, "note: "+text+", last 2h ago", "nothing found")
}

// Dead letters are found on the bus, whichever process has made them, until they are retried or dropped.
func TestDoctorOfLetters(t *testing.T) {
	c := clinicOf(t)
	out, err := bus.NewPublisher(c.bus.Conn(t, "operator"), bus.PublisherOptions{Host: "h1", Plugin: "host"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	for _, plugin := range []string{"host", "host", "elsewhere", bus.Uplink} {
		if err := out.Publish(t.Context(), bus.Message{Subject: bus.DeadSubject(plugin), Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	c.finds(t, nil, "plugin host: 2 batches are set aside", "uplink: 1 message was refused by the bus of the fleet, and is a dead letter here  →  pacewire dead list --plugin '~uplink'")
	expect(t, c.run("doctor", "host"), exitFailed, "→  pacewire dead list --plugin host")
	expect(t, c.run("dead", "drop", "--all"), 0)
	c.finds(t, nil)
}

// A full stream is a finding where a reader is behind, and a remark where all is read.
func TestDoctorOfFullStream(t *testing.T) {
	b := bustest.New(t)
	conn := b.Conn(t, "operator")
	out, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: "h1", Plugin: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	f := func(ill bool, text string) {
		t.Helper()
		for range 4 {
			if err := out.Publish(t.Context(), bus.Message{Subject: bus.MetricsSubject("h1", "cpu"), Body: []byte(strings.Repeat("x", 1000))}); err != nil {
				t.Fatal(err)
			}
		}
		s, err := conn.StreamInfo(t.Context(), bus.StreamMetrics)
		if err != nil {
			t.Fatal(err)
		}
		s.MaxBytes = int64(s.Bytes)
		d := &doctor{}
		d.short(t.Context(), conn, "more", bus.StreamMetrics, s)
		if len(d.findings) != 1 || d.ill() != ill || !strings.Contains(d.findings[0].Problem, text) {
			t.Errorf("%+v, want %q", d.findings, text)
		}
	}
	f(false, "no reader is behind by now")
	if err := conn.EnsureConsumer(t.Context(), bus.Input{Stream: bus.StreamMetrics, Durable: "slow", Start: "all"}); err != nil {
		t.Fatal(err)
	}
	f(true, "what slow has not read by then is lost")
}

// An input that is given again is not shown as if it were read twice.
func TestReadsOf(t *testing.T) {
	f := func(name, durable, want string) {
		t.Helper()
		if got := readsOf(name, telemetry.Input{Durable: durable}); got != want {
			t.Errorf("%s by %s: %q, want %q", name, durable, got, want)
		}
	}
	f("sink", "sink", "reads")
	f("sink.2", bus.ReplayDurable("sink"), "replays")
	f("sink", bus.AgainDurable("sink"), "reads again")
}
