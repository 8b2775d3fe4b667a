package statsd

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

func TestEvents(t *testing.T) {
	f := func(line string, want telemetry.Event) {
		t.Helper()
		table := testTable()
		table.take([]byte(line))
		b := table.takeDirect()
		if b == nil {
			t.Errorf("%s: no event, lost %v: %s", line, table.losses.first, table.losses.line)
			return
		}
		want.Plugin = "statsd"
		events := telemetry.Events(b)
		if len(events) == 1 && want.Time == 0 && events[0].Time > at.UnixNano() {
			events[0].Time = 0 // the clock's
		}
		if !slices.Equal(events, []telemetry.Event{want}) {
			t.Errorf("%s: %+v, want %+v", line, events, want)
		}
	}
	f("_e{5,4}:title|text", telemetry.Event{Host: "h", Type: "info", Message: "title\ntext"})
	f("_e{5,0}:title|", telemetry.Event{Host: "h", Type: "info", Message: "title"})
	f(`_e{3,9}:a|b|one\n|wo!|t:error|d:1600000000|h:web-2|k:deploy|p:low|s:apt|#env:prod,x`, telemetry.Event{
		Time: 1_600_000_000e9, Host: "web-2", Type: "error", Message: "a|b\none\n|wo!\nenv:prod, x:true", Reason: "apt", Incident: "deploy"})
	f("_e{6,2}:größ|ok", telemetry.Event{Host: "h", Type: "info", Message: "größ\nok"})
}

func TestBadEvents(t *testing.T) {
	f := func(line string, want reason) {
		t.Helper()
		table := testTable()
		table.take([]byte(line))
		if b := table.takeDirect(); b != nil || table.losses.counts[want] != 1 {
			t.Errorf("%s: %v, lost %v", line, b, table.losses.counts)
		}
	}
	f("_e{5,4}:title", badEvent)
	f("_e{5,4}:title|tex", badEvent)
	f("_e{5,4}:title|texts", badEvent)
	f("_e{5,4}:titles|text", badEvent)
	f("_e{0,4}:|text", badEvent)
	f("_e{5}:title|text", badEvent)
	f("_e{5,-4}:title|text", badEvent)
	f("_e{4294967295,4294967295}:title|text", badEvent)
	f("_e{2147483647,2147483647}:title|text", badEvent)
	f("_e{", badEvent)
	f("_e{5,4}:title|text|t:panic", badEvent)
	f("_e{5,4}:title|text|d:x", badTime)
	f("_e{5,4}:title|text|#"+many("k%d:v,", 61), badTags)
	f("_sc|", badCheck)
	f("_sc||0", badCheck)
	f("_sc|a", badCheck)
	f("_sc|a|4", badCheck)
	f("_sc|a|00", badCheck)
	f("_sc|a|0|d:x", badTime)
}

func TestChecks(t *testing.T) {
	f := func(line string, want string) {
		t.Helper()
		table := testTable()
		table.take([]byte(line))
		got, lost := flushed(table, at)
		if !strings.HasPrefix(strings.Join(got, "\n"), want) || lost != "" {
			t.Errorf("%s: %q, lost %q; want %s", line, got, lost, want)
		}
	}
	f("_sc|db|0", `check_state,check=db state=0i,text="" `)
	f(`_sc|db|2|d:1600000000|h:web-2|#role:main,check:x|m:no|answer\nyet`, "check_state,check=db,host=web-2,role=main state=2i,text=\"no|answer\nyet\" 1600000000000000000")
	f("_sc|db|3|d:1600000000|m:", `check_state,check=db state=3i,text="" 1600000000000000000`)
}

// What does not wait for a flush does not pile up either while the bus takes nothing, and there are so many events in a flush.
func TestDirectIsBounded(t *testing.T) {
	table := testTable()
	for i := range maxEvents + 3 {
		table.take(fmt.Appendf(nil, "_e{1,1}:a|%d", i%10))
	}
	for range maxDirect {
		table.take([]byte("_sc|db|0\nc:1|c|T1600000000"))
	}
	if got := table.takeDirect().Len(); got != maxDirect {
		t.Errorf("%d points wait, want %d", got, maxDirect)
	}
	if l := table.losses.counts; l[eventsFull] != 3 || l[backlog] != maxDirect+maxEvents {
		t.Errorf("lost %v", l)
	}
	table.take([]byte("_e{1,1}:a|b\n_sc|db|0"))
	if got := table.takeDirect().Len(); got != 1 {
		t.Errorf("%d points in the same flush, want the check", got)
	}
	flushed(table, at)
	table.take([]byte("_e{1,1}:a|b"))
	if got := table.takeDirect().Len(); got != 1 {
		t.Errorf("%d points in the next flush, want the event", got)
	}
}
