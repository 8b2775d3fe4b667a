package telemetry

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestEventsRoundTrip(t *testing.T) {
	full := Event{
		ID: "7-up", Time: 1_700_000_000_123_456_789, Host: "alpha", Plugin: AgentName, Type: "down", Message: "alpha is down\nsince noon",
		Name: "Alpha", Owner: "ops", Site: "north", From: "OVERDUE", To: "DOWN", Reason: "silent", Incident: "mass-1",
		LastSeenMS: 40_000, Missed: 4, Count: 2, Term: math.MaxUint64, Silenced: true,
	}
	f := func(what string, want Event) {
		t.Helper()
		var b, again Batch
		want.AppendTo(&b)
		if got := Events(&b); len(got) != 1 || got[0] != want {
			t.Errorf("%s, not sent: %+v, want %+v", what, got, want)
		}
		body := b.AppendMsgPack(nil)
		if err := again.DecodeMsgPack(body); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		again.SetHost(want.Host) // as the subject says
		got := Events(&again)
		clear(body) // events outlive the message
		again.Reset()
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	f("all of it", full)
	f("nothing but what must be", Event{Time: 1, Host: "a", Plugin: "p", Type: "up"})
}

func TestEventsOfManyHosts(t *testing.T) {
	var b Batch
	list := []Event{{Time: 1, Host: "a", Plugin: "p", Type: "up"}, {Time: 2, Host: "b", Plugin: "q", Type: "down", Missed: 1}}
	for _, e := range list {
		e.AppendTo(&b)
	}
	again := decoded(t, &b)
	again.SetHost("a")
	got := Events(again)
	if len(got) != 2 || got[0] != list[0] || got[1] != list[1] {
		t.Errorf("%+v, want %+v", got, list)
	}
}

func TestEventWithoutTime(t *testing.T) {
	var b Batch
	b.At(time.Unix(5, 0))
	Event{Host: "a", Type: "up"}.AppendTo(&b)
	if got := Events(&b); len(got) != 1 || got[0].Time != 5e9 {
		t.Errorf("%+v, want the time of the batch", got)
	}
}

// TestEventsOfOthers reads what somebody else has made: nothing of the wrong type gets through, and nothing without end.
func TestEventsOfOthers(t *testing.T) {
	f := func(what string, fields Fields, tags Tags, want Event) {
		t.Helper()
		var b Batch
		b.At(time.Unix(1, 0))
		b.Add(EventSeries, fields, tags)
		want.Time = 1e9
		if got := Events(decoded(t, &b)); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	f("another type", Fields{"message": 1, "id": true, "missed": "many", "count": -3, "term": math.Inf(1), "silenced": 1, "last_seen_ms": -1.5},
		nil, Event{})
	f("floats", Fields{"missed": 3.0, "last_seen_ms": 250.7, "term": 1e300}, Tags{"type": "x"}, Event{Type: "x", Missed: 3, LastSeenMS: 250})
	f("age beyond reach", Fields{"last_seen_ms": uint64(math.MaxUint64)}, nil, Event{LastSeenMS: math.MaxInt64})
	f("control characters", Fields{"reason": "a\x1b[2J\nb"}, Tags{"plugin": "p\n"}, Event{Reason: "a [2J b", Plugin: "p "})
	f("unknown fields", Fields{"message": "hi", "value": 1.5}, nil, Event{Message: "hi"})
	long := strings.Repeat("ü", MaxText/2)
	f("too long", Fields{"message": long, "owner": long}, Tags{"type": long},
		Event{Message: long[:maxEventMessage], Owner: long[:maxEventText], Type: long[:MaxTagValue]})
}

func TestEventsAreCutWhenWritten(t *testing.T) {
	long := strings.Repeat("x", MaxText)
	var b Batch
	Event{Time: 1, Host: "a", Message: long, Reason: long, Type: long}.AppendTo(&b)
	got := Events(&b)
	if len(got) != 1 || len(got[0].Message) != maxEventMessage || len(got[0].Reason) != maxEventText || len(got[0].Type) != MaxTagValue {
		t.Errorf("%d events of %d bytes", len(got), b.Size())
	}
}

// TestEventsAreBounded reads one message that would become half a gigabyte: a long text that 60,000 points have in common.
func TestEventsAreBounded(t *testing.T) {
	var b Batch
	b.Add("other", Fields{"message": "not an event"}, nil)
	g := b.Group(EventSeries, nil, []Field{{"message", TypeString}})
	text := String(strings.Repeat("x", MaxText))
	for range 60_000 {
		g.Row(time.Unix(1, 0), nil, text)
	}
	body := b.AppendMsgPack(nil)
	if len(body) > MaxMessage {
		t.Fatalf("message of %d bytes", len(body))
	}
	if got := Events(decoded(t, &b)); len(got) != maxEvents || len(got[0].Message) != maxEventMessage {
		t.Errorf("%d events, want %d", len(got), maxEvents)
	}
}
