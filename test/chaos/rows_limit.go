package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// rowsOfLimits are the faults of a stream that may hold less than its readers have not read.
func rowsOfLimits() []row {
	return []row{
		{name: "F16L", title: "two sinks are away for so long that the stream drops what their publishers have not read", run: streamDrops, loses: true, limited: true,
			promise: "each message is delivered or counted: exactly where a publisher reads a collector by itself, as a bound where it reads a processor; `lag` is raised before, `lost_unread` after"},
	}
}

const (
	smallStore  = "32MiB"          // of which METRICS has 80 %, less what EVENTS and DEAD have
	droppedMost = 2 * time.Minute  // until a stream of that size drops what nobody has read
	dropsFor    = 12 * time.Second // more than two looks of the agent
)

// F16L
func streamDrops(t *trial) {
	other := t.beside()
	first, second := t.proxyTo(strings.TrimPrefix(t.sink.URL, "http://")), t.proxyTo(strings.TrimPrefix(other.URL, "http://"))
	t.up(pipeline{sync: "always, max_store: " + smallStore, sink: "http://" + first.Address()})
	t.must(t.add("direct", fmt.Sprintf("publish: { direct: { use: influxdb, from: in, url: \"http://%s\", database: chaos, compression: none } }", second.Address())), "add a publisher")
	t.load(load{hosts: 20, batches: 200, points: 50}) // more, and the agent would hardly see the stream half full
	t.hold(2 * time.Second)
	first.Set(cut)
	second.Set(cut)
	t.await(droppedMost, "the stream drops what nobody has read", func() error { return t.drops("out", "direct") })
	t.hold(dropsFor)
	gone, lacks := t.oracle.Arrived(), other.oracle.Arrived()
	first.Set(pass)
	second.Set(pass)
	t.await(2*time.Minute, "both sinks have points again", func() error { return yet(t.oracle.Arrived() > gone && other.oracle.Arrived() > lacks) })
	t.hold(3 * time.Second)
	t.settle()
	t.countsExactly("direct", other)
	t.countsAtMost("out")
	for _, name := range []string{"out", "direct"} {
		if n := len(t.events("lag", name)); n == 0 {
			t.errorf("nobody was told that %s has half of the stream before it", name)
		}
	}
}

// drops returns nil when the stream has dropped messages that each of some readers has not been given.
func (t *trial) drops(readers ...string) error {
	conn := t.connect(t.ctx)
	defer conn.Close()
	state, err := conn.StreamInfo(t.ctx, bus.StreamMetrics)
	if err != nil {
		return err
	}
	for _, name := range readers {
		place, err := conn.ConsumerInfo(t.ctx, bus.StreamMetrics, name)
		if err != nil {
			return err
		}
		if state.FirstSeq <= place.Delivered+inHand {
			return fmt.Errorf("the stream begins at %d, %s was given %d", state.FirstSeq, name, place.Delivered)
		}
	}
	return nil
}

// countsExactly checks that each message of the collector was delivered by a publisher, or counted by it as lost unread.
func (t *trial) countsExactly(name string, s *sink) {
	var sent, got, lost uint64
	t.await(readyWithin, "each message is delivered or counted by "+name, func() error {
		in, is := t.info("in").Stats, t.info(name).Stats
		sent, got, lost = in.BatchesOut, is.BatchesOut, is.Dropped["lost_unread_batches"]
		if got+lost != sent {
			return fmt.Errorf("%d sent, %d delivered, %d counted as lost", sent, got, lost)
		}
		return nil
	})
	c := s.oracle.Count()
	t.note("%s: %d of %d messages lost unread, all of them counted: %d points", name, lost, sent, c.Lost)
	if c.Invented+c.Altered+c.Duplicated > 0 || (c.Lost > 0) != (lost > 0) {
		t.errorf("%s: %v", name, c)
	}
	if told := t.events("lost_unread", name); len(told) > 0 && lost > 0 {
		t.bite("%s: %d messages lost and counted, and told: %q", name, lost, told[0])
	} else {
		t.missed("what " + name + " has lost")
	}
}

// countsAtMost checks that what a publisher has not had of the processor is within the bound that the agent tells. While a stream
// drops, the bound may be too small by what the stream holds.
func (t *trial) countsAtMost(name string) {
	conn := t.connect(t.ctx)
	defer conn.Close()
	state, err := conn.StreamInfo(t.ctx, bus.StreamMetrics)
	t.must(err, "ask for the stream")
	var lost, most uint64
	t.await(90*time.Second, "what is lost is told of "+name, func() error { // an event a minute
		stats := t.info(name).Stats
		lost, most = t.info("mid").Stats.BatchesOut-stats.BatchesOut, stats.Dropped["lost_unread_batches_at_most"]
		if most == 0 || lost > most+state.Messages {
			return fmt.Errorf("%d lost, at most %d told, the stream holds %d", lost, most, state.Messages)
		}
		return nil
	})
	t.note("%s: %d messages of the processor lost unread, at most %d are told, the stream holds %d", name, lost, most, state.Messages)
	if told := t.events("lost_unread", name); len(told) > 0 && lost > 0 {
		t.bite("%s: %d messages lost, and told: %q", name, lost, told[0])
	} else {
		t.missed("what " + name + " has lost")
	}
}
