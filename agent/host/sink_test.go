package host

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// sinker is a publisher that works, as its heartbeats say, and what is told of it.
type sinker struct {
	*testing.T
	h   *Host
	e   *entry
	now time.Time
}

func sinking(t *testing.T) *sinker {
	t.Helper()
	h := connected(t, bustest.New(t), "collect: { numbers: { attached: true } }\npublish: { sink: { from: numbers, attached: true } }\n")
	s := &sinker{t, h, h.find("sink"), time.Now()}
	s.beat(telemetry.Stats{}, "")
	for len(h.diary.queue) > 0 {
		<-h.diary.queue
	}
	return s
}

// beat lets the publisher say how it gets on; failing: its calls fail, for this reason; standsBy: it stands by.
func (s *sinker) beat(stats telemetry.Stats, failing string) {
	s.Helper()
	h := telemetry.Heartbeat{State: "running", Inst: "a", IntervalMS: 3_600_000, Stats: &stats, Manifest: &telemetry.Manifest{API: 1, Kind: "publisher"}}
	s.e.set(func() { h.Seq = s.e.now.last.Seq + 1 })
	if failing == standsBy {
		h.Flags = []string{telemetry.FlagStandby}
	} else if failing != "" {
		h.Error, h.Flags = &telemetry.Fault{Code: "timeout", Message: failing}, []string{"failing"}
	}
	var ack telemetry.Ack
	s.e.beat(h, time.Now(), &ack)
}

// looks lets time go by, with so many batches on the bus.
func (s *sinker) looks(after time.Duration, backlog uint64) {
	s.now = s.now.Add(after)
	s.e.set(func() { s.e.backlog = backlog })
	s.e.lookAtSink(s.now)
}

// told checks which events were told since it was last called, and returns the message of the last.
func (s *sinker) told(want ...string) (text string) {
	s.Helper()
	var got []string
	for len(s.h.diary.queue) > 0 {
		v := <-s.h.diary.queue
		got, text = append(got, v.Type), v.Message
	}
	if !slices.Equal(got, want) {
		s.Errorf("told %v (%s), want %v", got, text, want)
	}
	return text
}

// A publisher whose sink takes nothing is told of after 30 s, with the reason, and when the sink takes something again.
func TestSinkAway(t *testing.T) {
	s := sinking(t)
	s.beat(telemetry.Stats{BatchesOut: 7}, "503 Service Unavailable")
	s.looks(0, 4)
	s.looks(25*time.Second, 4)
	s.told()
	if p := s.e.status(); len(p.Flags) > 0 || p.Reason != "503 Service Unavailable" {
		t.Errorf("before its time: %v, %q", p.Flags, p.Reason)
	}
	s.looks(5*time.Second, 4)
	if text := s.told(telemetry.FlagSinkDown); !strings.Contains(text, "publisher sink: nothing is delivered for 30s: 503 Service Unavailable; it tries on, with 4 batches before it") {
		t.Error(text)
	}
	if p := s.e.status(); !slices.Equal(p.Flags, []string{telemetry.FlagSinkDown}) || !strings.Contains(p.Reason, "503") || p.Sound {
		t.Errorf("away: %v, %q", p.Flags, p.Reason)
	}
	s.looks(time.Hour, 9) // no more is told
	s.beat(telemetry.Stats{BatchesOut: 8}, "")
	s.looks(time.Second, 9)
	if text := s.told(telemetry.EventSinkUp); !strings.Contains(text, "its sink is back after 1h0m31s") {
		t.Error(text)
	}
	s.looks(time.Hour, 9) // it gathers a large one: no call fails
	s.beat(telemetry.Stats{BatchesOut: 8}, "503")
	s.looks(time.Second, 0) // nothing waits
	s.looks(29*time.Second, 3)
	s.told()
	if p := s.e.status(); len(p.Flags) > 0 {
		t.Errorf("back: %v, %q", p.Flags, p.Reason)
	}
}

// What waits for the process that reads is no trouble of one that stands by, also where its sink was away before.
func TestSinkOfOneThatStandsBy(t *testing.T) {
	s := sinking(t)
	f := func(want ...string) {
		t.Helper()
		if p := s.e.status(); !slices.Equal(p.Flags, want) || p.Sound != (want == nil) {
			t.Errorf("flags %v, sound %v; want %v", p.Flags, p.Sound, want)
		}
	}
	s.beat(telemetry.Stats{BatchesOut: 7}, "503")
	s.looks(0, 4)
	s.looks(time.Minute, 4)
	s.told(telemetry.FlagSinkDown)
	f(telemetry.FlagSinkDown)
	s.beat(telemetry.Stats{BatchesOut: 7}, standsBy)
	s.looks(time.Second, 4)
	f()
	s.looks(time.Second, 0) // the other one delivers
	s.told(telemetry.EventSinkUp)
	s.looks(time.Hour, 4)
	s.beat(telemetry.Stats{BatchesOut: 7}, "503") // it reads again: its time begins now
	s.looks(29*time.Second, 4)
	s.told()
	s.looks(time.Second, 4)
	s.told(telemetry.FlagSinkDown)
}

// Dead letters are told once a minute, with how many, why, and the way out, and the plugin is not well while it makes some.
func TestLettersAreTold(t *testing.T) {
	s := sinking(t)
	s.beat(telemetry.Stats{Dead: 3}, "400 Bad Request")
	s.looks(0, 1)
	if text := s.told(telemetry.FlagLetter); text != "publisher sink has set aside 3 batches: 400 Bad Request; pacewire dead list --plugin sink shows them" {
		t.Error(text)
	}
	f := func(want ...string) {
		t.Helper()
		if p := s.e.status(); !slices.Equal(p.Flags, want) || p.Reason == "" != (want == nil) {
			t.Errorf("flags %v (%s), want %v", p.Flags, p.Reason, want)
		}
	}
	f(telemetry.FlagLetter)
	s.beat(telemetry.Stats{Dead: 18}, "400 Bad Request")
	s.looks(30*time.Second, 0)
	s.told()
	s.looks(30*time.Second, 0)
	if text := s.told(telemetry.FlagLetter); !strings.Contains(text, "15 batches") {
		t.Error(text)
	}
	s.e.set(func() { s.e.sink.letters.at = time.Now().Add(-time.Hour) })
	f(telemetry.FlagLetter) // nothing has been delivered since
	s.beat(telemetry.Stats{Dead: 18, BatchesOut: 1}, "")
	f()
}

// What a process had counted before this agent began is no news; another process begins anew.
func TestTally(t *testing.T) {
	var c tally
	f := func(inst string, n uint64, old bool, want uint64) {
		t.Helper()
		if got := c.see(inst, n, old, time.Unix(int64(n), 0)); got != want {
			t.Errorf("%s %d: %d more, want %d", inst, n, got, want)
		}
	}
	f("a", 5, true, 0)
	if !c.at.IsZero() {
		t.Error("it rose")
	}
	f("a", 7, true, 2)
	f("a", 7, true, 0)
	f("b", 3, false, 3)
	f("b", 1, false, 0)
	if c.at != time.Unix(3, 0) {
		t.Errorf("it rose at %v", c.at)
	}
}

// The list says when points were lost last, by reason.
func TestWhenItWasLost(t *testing.T) {
	s := sinking(t)
	s.beat(telemetry.Stats{Dropped: map[string]uint64{"overflow": 6}}, "")
	s.looks(0, 0)
	first := s.now
	s.beat(telemetry.Stats{Dropped: map[string]uint64{"overflow": 6, "nan": 1}, Refused: map[string]uint64{"refused_flood": 70}}, "")
	s.looks(time.Hour, 0)
	p := s.e.status()
	if len(p.Losses) != 3 || int64(p.Losses["overflow"]) != first.UnixNano() || int64(p.Losses["refused_flood"]) != s.now.UnixNano() || int64(p.Losses["nan"]) != s.now.UnixNano() {
		t.Errorf("%v, want overflow at %d, the others an hour later", p.Losses, first.UnixNano())
	}
}

// The list says when messages were sent again so late that they may be stored twice.
func TestWhenItWasSentLate(t *testing.T) {
	s := sinking(t)
	s.looks(0, 0)
	s.beat(telemetry.Stats{Resent: 9, LateResent: 2}, "")
	s.looks(time.Hour, 0)
	then := s.now
	s.beat(telemetry.Stats{Resent: 12, LateResent: 2}, "")
	s.looks(time.Hour, 0)
	if p := s.e.status(); len(p.Losses) != 1 || int64(p.Losses[telemetry.LossLate]) != then.UnixNano() {
		t.Errorf("%v, want %d", p.Losses, then.UnixNano())
	}
}
